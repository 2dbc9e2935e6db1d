"""The benchmark of a year, on a small one."""

from pathlib import Path

import pytest

from benchmarks import year


def test_it_asks_and_checks_the_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(year, "KEPT", tmp_path)
    assert year.main(["--quick", "--runs", "1"]) == 0
    said = capsys.readouterr().out
    assert "views of 500 paths on 30 days" in said
    assert said.count(" at most ") == 15

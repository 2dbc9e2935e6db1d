"""The benchmark of a year works on a small database."""

from pathlib import Path

import pytest

from benchmarks import __main__, record, year
from benchmarks.truth import WrongTotals


def test_it_asks_and_checks_the_totals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(__main__, "KEPT", tmp_path)
    asked = ["newest", "most-read", "10000", "command-most-read", "get-search", "get-badge"]
    assert __main__.main(["year", "--quick", "--runs", "1", "--rows", *asked]) == 0
    kept = record.load("year-quick", tmp_path / "results")
    assert kept is not None
    assert kept["corpus"]["paths"] == 500
    assert [row["name"] for row in kept["rows"]] == asked
    assert all(row["target"] in (year.ANSWER_MS, year.BADGE_MS) for row in kept["rows"])


def test_wrong_sums_are_an_error(tmp_path: Path) -> None:
    made = year.make_year(tmp_path, "year", 20, 3)
    wrong = year.Kept(made.log, 2)
    with pytest.raises(WrongTotals):
        year.check_totals(year.Year("year", made.folder, wrong))

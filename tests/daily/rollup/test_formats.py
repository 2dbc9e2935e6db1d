"""Formats of lines: named, pasted, detected, and several in one rollup."""

from pathlib import Path

import pytest

from fasthits.formats.format import Format, parse_format
from fasthits.formats.named import NAMES
from fasthits.rules.rules import Rules
from tests.daily.rollup.support import DAY, HOSTILE, JSON, TIME, by_text, line, roll_up, rows_of
from tests.support.commands import fasthits, write
from tests.support.reference import count

FORMATS: list[tuple[str, bytes, Format]] = [
    ("json", JSON, NAMES["json"]),
    ("short", b"o.example %b GET /a 200\no.example %b GET /b 404\nbad\n" % (TIME, TIME), NAMES["short"]),
    (
        "%{%Y-%m-%d}t %>s %m %U%q",
        b"2026-03-12 200 GET /a?b\n2026-03-11 200 GET /a\n2026-03-12 404 GET /b\n",
        parse_format("%{%Y-%m-%d}t %>s %m %U%q"),
    ),
    (
        "$time_iso8601 $request_method $request_uri $status",
        b"2026-03-12T10:00:00+01:00 GET /a?b 200\n2026-03-12T10:00:00+01:00 HEAD /b 404\n",
        parse_format("$time_iso8601 $request_method $request_uri $status"),
    ),
]


@pytest.mark.parametrize(("text", "data", "log_format"), FORMATS, ids=[text for text, _, _ in FORMATS])
def test_a_format_is_named_pasted_or_detected(text: str, data: bytes, log_format: Format, tmp_path: Path) -> None:
    rules = Rules(statuses=frozenset([200]))
    expected = by_text(count(data, [DAY], rules, log_format))
    for option in (["--format", text], []):
        known = bool(option) or text in NAMES
        stdout, stderr = roll_up(tmp_path, "--status", "200", *option, data=data, code=not known)
        if known:
            assert {path: int(views) for _, path, views in rows_of(stdout)[1]} == expected
            assert f"({log_format.name})" in stderr
        assert "lines of 1 file" in stderr


def test_no_format_is_named_for_a_log_of_an_unknown_format(tmp_path: Path) -> None:
    _, stderr = roll_up(tmp_path, data=b"2026-03-12 10:00:00 GET /a 200\n", code=1)
    assert "1 line of 1 file, 0.0 MB" in stderr
    assert "1 malformed" in stderr


def test_files_of_several_formats_are_counted_together(tmp_path: Path) -> None:
    for number, (_, data, _) in enumerate(FORMATS[:2]):
        write(tmp_path / f"{number}.log", data * 100)
    write(tmp_path / "2.log", HOSTILE * 10)
    done = fasthits("rollup", str(DAY), "--logs", "*.log", "--to", "-", "--exclude-static", cwd=tmp_path)
    parts = [(JSON * 100, NAMES["json"]), (FORMATS[1][1] * 100, NAMES["short"]), (HOSTILE * 10, NAMES["combined"])]
    views: dict[str, int] = {}
    for data, log_format in parts:
        for path, number in by_text(count(data, [DAY], Rules(exclude_static=True), log_format)).items():
            views[path] = views.get(path, 0) + number
    assert {path: int(number) for _, path, number in rows_of(done.stdout)[1]} == views
    assert b"of 3 files (json and short and vhost_combined)" in done.stderr


@pytest.mark.parametrize("newline", [b"\n", b""])
def test_a_field_that_lines_on_standard_input_lack_is_an_error(newline: bytes, tmp_path: Path) -> None:
    data = line(b"/a").removeprefix(b"o.example:443 ").rstrip() + newline
    done = fasthits("rollup", str(DAY), "--logs", "-", "--to", "hits.csv", "--by-host", stdin=data, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"fasthits: --by-host needs a log format with the virtual host: ")
    assert not (tmp_path / "hits.csv").exists()

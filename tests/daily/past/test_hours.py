"""Hours in the database: kept and replaced with their day, and never those of other hits."""

from datetime import date
from pathlib import Path

import pytest

from fasthits.daily.days import Range
from fasthits.daily.past.documents import Days, Pages, hours_document
from fasthits.daily.past.history import History
from fasthits.daily.past.report import Report
from tests.daily.support import change
from tests.support.commands import fasthits, write

DAY = date(2026, 3, 12)


def line(hour: int, path: str = "/a", day: int = 12, agent: str = "Mozilla/5.0", host: str = "o.example") -> str:
    time = f"[{day:02}/Mar/2026:{hour:02}:30:00 +0100]"
    return f'{host}:443 192.0.2.7 - - {time} "GET {path} HTTP/1.1" 200 5 "-" "{agent}"\n'


LOG = "".join(
    [
        *(line(23, day=11) + line(0, day=11)),
        *(line(0) + line(9) + line(9, "/b.css") + line(9, "/private") + line(23, agent="Googlebot/2.1")),
    ]
)


def rolled_up(tmp_path: Path, *options: str, log: str = LOG) -> History:
    write(tmp_path / "access.log", log.encode())
    done = fasthits("rollup", str(DAY), "--logs", str(tmp_path / "access.log"), "--partial", *options)
    assert done.returncode == 0, done.stderr
    return History(tmp_path / "hits.db")


@pytest.fixture
def target(tmp_path: Path) -> tuple[str, str]:
    return "--to", str(tmp_path / "hits.db")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {0: 1, 9: 3, 23: 1}),
        (("--decode", "--fold-slash", "--keep-query"), {0: 1, 9: 3, 23: 1}),
        (("--by-host",), {0: 1, 9: 3, 23: 1}),
        (("--exclude-bots",), {0: 1, 9: 3}),
        (("--bots", "apart"), {0: 1, 9: 3}),
        (("--referrers", "--threads", "3"), {0: 1, 9: 3, 23: 1}),
        (("--exclude-static",), {0: 1, 9: 2, 23: 1}),
        (("--pages",), {0: 1, 9: 2}),
        (("--exclude-path", "/private*"), None),
        (("--exclude-path", "/private*", "--exclude-static"), None),
    ],
)
def test_a_rollup_keeps_the_hours_of_its_hits(
    tmp_path: Path, target: tuple[str, str], options: tuple[str, ...], expected: dict[int, int] | None
) -> None:
    history = rolled_up(tmp_path, *target, *options)
    found = history.hours(DAY)
    assert found is None or sum(found) == history.site(Range(DAY, DAY))[0]
    assert found == (None if expected is None else [expected.get(hour, 0) for hour in range(24)])


def test_a_day_has_no_hours_if_some_lines_have_no_time_of_day(tmp_path: Path, target: tuple[str, str]) -> None:
    dated = '{"date":"2026-03-12","method":"GET","path":"/j","status":200}\n'
    history = rolled_up(tmp_path, *target, log=LOG + dated * 3)
    assert history.views("/j") == {DAY: 3}
    assert history.hours(DAY) is None


def test_hours_are_replaced_with_their_day(tmp_path: Path, target: tuple[str, str]) -> None:
    rolled_up(tmp_path, *target)
    more = LOG + line(10) * 7
    history = rolled_up(tmp_path, *target, log=more)
    assert history.hours(DAY) == [1, *[0] * 8, 3, 7, *[0] * 12, 1]
    rolled_up(tmp_path, *target, "--replace", "--exclude-path", "/private*")
    assert hours_document(history, DAY) == {"day": "2026-03-12", "hours": None}


def test_hours_of_a_day_that_is_not_replaced_stay(tmp_path: Path, target: tuple[str, str]) -> None:
    history = rolled_up(tmp_path, *target)
    write(tmp_path / "access.log", line(5).encode())
    done = fasthits("rollup", str(DAY), "--logs", str(tmp_path / "access.log"), "--partial", *target)
    assert done.returncode == 1
    assert history.hours(DAY) == [1, *[0] * 8, 3, *[0] * 13, 1]


def test_hours_of_several_passes_count_once(tmp_path: Path, target: tuple[str, str]) -> None:
    log = "".join(line(at % 24, f"/{at:07}{'x' * 400}") for at in range(90_000))
    history = rolled_up(tmp_path, *target, "--max-memory", "32M", "--threads", "2", log=log)
    found = history.hours(DAY)
    assert found is not None
    assert sum(found) == 90_000
    assert max(found) - min(found) <= 1


def test_a_file_of_an_older_version_gets_the_table(tmp_path: Path, target: tuple[str, str]) -> None:
    history = rolled_up(tmp_path, *target)
    change(tmp_path / "hits.db", "DROP TABLE hours")
    assert history.hours(DAY) is None
    rolled_up(tmp_path, *target)
    assert history.hours(DAY) is not None


def test_hours_of_a_day_that_is_not_kept_are_unknown(tmp_path: Path, target: tuple[str, str]) -> None:
    history = rolled_up(tmp_path, *target)
    change(tmp_path / "hits.db", "DELETE FROM hits")
    assert history.hours(DAY) is None


def test_csv_keeps_no_hours(tmp_path: Path) -> None:
    rolled_up(tmp_path, "--to", str(tmp_path / "hits.csv"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["access.log", "hits.csv"]
    assert History(tmp_path / "hits.csv").hours(DAY) is None


def test_the_report_of_a_day_has_its_hours(tmp_path: Path, target: tuple[str, str]) -> None:
    history = rolled_up(tmp_path, *target)
    page = Report.of(history, Days(first=DAY, last=DAY), Pages(), 5).html()
    assert page.count("<title>9:00: 3 views</title>") == 2  # for a wide page and for a telephone
    assert "By hour" not in Report.of(history, Days(first=DAY, last=DAY), Pages("/a"), 5).html()
    assert "By hour" not in Report.of(history, Days(first=DAY, last=date(2026, 3, 13)), Pages(), 5).html()

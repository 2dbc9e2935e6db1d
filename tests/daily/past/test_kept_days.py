"""What History tells of the days that are kept, also of those that somebody has removed, and to several threads."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fasthits import count_hits
from fasthits.daily.days import Range
from fasthits.daily.past.history import History
from fasthits.errors import UsageError
from tests.daily.support import change
from tests.support.commands import fasthits, write

DAYS = [date(2026, 3, day) for day in (10, 11, 12)]
ALL = Range(DAYS[0], DAYS[-1])


def line(day: date, path: str, status: int = 200) -> str:
    time = f"[{day:%d/%b/%Y}:10:00:00 +0100]"
    referer = "https://www.google.com/search?q=cats"
    return f'192.0.2.7 - - {time} "GET {path} HTTP/1.1" {status} 5 "{referer}" "Mozilla/5.0"\n'


def rolled_up(folder: Path, target: str) -> History:
    """Return the history of three days, each with a view and a page that was not found."""
    log = write(folder / "a.log", "".join(line(day, "/a") + line(day, "/lost", 404) for day in DAYS).encode())
    tables = ("--referrers", "--search-terms", "--not-found", "apart")
    done = fasthits("rollup", f"{DAYS[0]}..{DAYS[-1]}", "--partial", "--logs", log, "--to", target, *tables)
    assert done.returncode == 0, done.stderr
    return History(target)


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "hits.db") if request.param == "sqlite" else str(request.getfixturevalue("url"))


def run_sql(target: str, statement: str) -> None:
    if target.startswith("postgresql:"):
        with psycopg.connect(target) as database:
            database.execute(statement)
    else:
        change(Path(target), statement)


def test_other_tables_tell_nothing_of_days_that_were_removed(tmp_path: Path, target: str) -> None:
    history = rolled_up(tmp_path, target)
    assert history.referrers(ALL) == [("www.google.com", 3)]
    run_sql(target, f"DELETE FROM hits WHERE date = '{DAYS[1]}'")
    assert history.days == [DAYS[0], DAYS[2]]
    assert history.referrers(ALL) == [("www.google.com", 2)]
    assert [views for *_, views in history.searches(ALL) or ()] == [2]
    assert history.not_found(ALL) == [("/lost", 2)]
    run_sql(target, "DELETE FROM hits")
    assert (history.referrers(ALL), history.not_found(ALL)) == ([], [])


def test_threads_can_read_at_once(tmp_path: Path, target: str) -> None:
    history = rolled_up(tmp_path, target)

    def ask(_: int) -> object:
        with history.at_one_moment():
            return [history.views("/a"), history.referrers(ALL), history.most_read(ALL).count]

    with ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(ask, range(40))
    assert first == [dict.fromkeys(DAYS, 1), [("www.google.com", 3)], 1]
    assert others == [first] * 39


def test_a_day_may_be_text_or_a_moment_and_mistakes_are_errors(tmp_path: Path) -> None:
    history = rolled_up(tmp_path, str(tmp_path / "hits.db"))
    assert history.hours("2026-03-10") == history.hours(datetime(2026, 3, 10, 12)) == history.hours(DAYS[0]) is not None
    with pytest.raises(UsageError, match="not a day"):
        history.hours("2026-03-10..2026-03-12")
    with pytest.raises(UsageError, match="not a date: 5"):
        history.hours(5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no such order: 'raise' \\(choose one of views, rise"):
        history.most_read(ALL, sort="raise")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not a number of days: 0"):
        history.range_of(0)
    with pytest.raises(UsageError, match="not a number of days: '7'"):
        history.range_of("7")
    with pytest.raises(UsageError, match="not a depth: 0"):
        history.sections(ALL, depth=0)


class Two:
    """A whole number as numpy has them: not an int."""

    def __index__(self) -> int:
        return 2


def test_whole_numbers_need_not_be_ints(tmp_path: Path) -> None:
    history = rolled_up(tmp_path, str(tmp_path / "hits.db"))
    two: Any = Two()
    assert history.range_of(two) == history.range_of(2)
    assert history.most_read(ALL, limit=two, offset=two) == history.most_read(ALL, limit=2, offset=2)
    assert history.sections(ALL, depth=two) == history.sections(ALL, depth=2)
    assert count_hits(tmp_path / "a.log", threads=two).hits


OF_RANGES: dict[str, Callable[[History, Range], object]] = {
    "before": lambda history, days: history.before(days),
    "views": lambda history, days: history.views("/a", days),
    "site": lambda history, days: history.site(days),
    "by_day": lambda history, days: history.by_day("/a", days),
    "by_days": lambda history, days: history.by_days(["/a"], days),
    "most_read": lambda history, days: history.most_read(days),
    "most_read before": lambda history, days: history.most_read(ALL, before=days),
    "sections": lambda history, days: history.sections(days),
    "total": lambda history, days: history.total(days),
    "hosts": lambda history, days: history.hosts(days),
    "bots": lambda history, days: history.bots(days),
    "read_by_bots": lambda history, days: history.read_by_bots(days),
    "not_found": lambda history, days: history.not_found(days),
    "referrers": lambda history, days: history.referrers(days),
    "searches": lambda history, days: history.searches(days),
}


@pytest.mark.parametrize("name", OF_RANGES)
def test_a_range_has_dates_or_moments_and_ends_after_its_beginning(name: str, tmp_path: Path) -> None:
    history, ask = rolled_up(tmp_path, str(tmp_path / "hits.db")), OF_RANGES[name]
    moments = Range(datetime(2026, 3, 10, 23), datetime(2026, 3, 12))
    assert ask(history, moments) == ask(history, ALL)
    invalid: Any
    for invalid in (Range(*ALL.ends), Range(DAYS[1], DAYS[0])):
        with pytest.raises(UsageError, match=r"not a date: '2026-03-10'|range ends before it begins"):
            ask(history, invalid)
    for invalid in ((DAYS[0], DAYS[1]), "2026-03-10..2026-03-12", DAYS[0], None):
        if name != "views" and (name, invalid) != ("most_read before", None):
            with pytest.raises(UsageError, match="not a range of days"):
                ask(history, invalid)


OF_ROWS: dict[str, Callable[..., object]] = {
    name.__name__: name
    for name in (
        History.most_read,
        History.sections,
        History.read_by_bots,
        History.not_found,
        History.referrers,
        History.searches,
    )
}


@pytest.mark.parametrize("name", OF_ROWS)
def test_rows_are_counted_from_0(name: str, tmp_path: Path, target: str) -> None:
    """A negative number of rows leaves out rows at the end, or none, or is an error of the database."""
    history = rolled_up(tmp_path, target)
    OF_ROWS[name](history, ALL, limit=sys.maxsize, offset=sys.maxsize)
    for rows in ({"limit": -1}, {"offset": -1}, {"limit": None}, {"limit": "1"}, {"limit": 1 << 63}):
        with pytest.raises(UsageError, match="not a number of rows"):
            OF_ROWS[name](history, ALL, **rows)


def test_a_path_may_have_bytes_that_are_not_utf_8_and_what_is_no_path_is_an_error(tmp_path: Path, target: str) -> None:
    log = write(tmp_path / "a.log", line(DAYS[0], "/caf\xe9").encode("latin-1"))
    done = fasthits("rollup", DAYS[0], "--partial", "--logs", log, "--to", target, "--referrers")
    assert done.returncode == 0, done.stderr
    history, day = History(target), Range(DAYS[0], DAYS[0])
    for path in ("/caf\udce9", "/caf\\xe9"):
        assert history.views(path) == {DAYS[0]: 1}
        assert history.by_day(path, day) == [1]
    invalid: Any
    for invalid in ("about", "", "/\ud800", b"/a", 5):
        for ask in (history.views, lambda path: history.by_day(path, day), lambda path: history.referrers(day, path)):
            with pytest.raises(UsageError, match="not a path"):
                ask(invalid)
    with pytest.raises(UsageError, match="keys must be a list: '/a'"):
        history.by_days("/a", day)


@pytest.mark.parametrize("name", ["hits.csv", "HITS.CSV"])
def test_the_files_beside_a_csv_file_are_found_by_its_name_and_by_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / name).symlink_to(Path("data") / name)
    history = rolled_up(tmp_path, str(tmp_path / name))
    assert history.referrers(ALL) == [("www.google.com", 3)]
    assert History(tmp_path / "data" / name).referrers(ALL) == [("www.google.com", 3)]
    assert not list(tmp_path.glob("*referrers*"))

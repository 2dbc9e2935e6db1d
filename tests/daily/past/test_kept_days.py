"""What History tells of the days that are kept, also of those that somebody has removed, and to several threads."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path

import psycopg
import pytest

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
    with pytest.raises(UsageError, match="no such order: 'raise' \\(choose one of views, rise"):
        history.most_read(ALL, sort="raise")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["hits.csv", "HITS.CSV"])
def test_the_files_beside_a_csv_file_are_found_by_its_name_and_by_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / name).symlink_to(Path("data") / name)
    history = rolled_up(tmp_path, str(tmp_path / name))
    assert history.referrers(ALL) == [("www.google.com", 3)]
    assert History(tmp_path / "data" / name).referrers(ALL) == [("www.google.com", 3)]
    assert not list(tmp_path.glob("*referrers*"))

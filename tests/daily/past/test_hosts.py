"""A host that is asked for is one that rollups keep; any other way to write it is an error, not 0 views."""

from functools import partial
from pathlib import Path

import pytest

from fasthits.daily.days import Range
from fasthits.daily.past.history import History
from fasthits.errors import UsageError
from tests.daily.support import DAY
from tests.support.commands import fasthits, hit

DAYS = Range(DAY, DAY)


def kept(folder: Path, *options: str) -> History:
    line = b"Example.org:80 " + hit("/a") if options else hit("/a")
    done = fasthits("rollup", str(DAY), "--logs", "-", "--to", folder / "hits.db", *options, stdin=line)
    assert done.returncode == 0, done.stderr
    return History(folder / "hits.db")


def test_a_host_is_refused_if_the_table_has_no_hosts(tmp_path: Path) -> None:
    history = kept(tmp_path)
    for ask in (history.site, history.most_read, history.sections):
        with pytest.raises(UsageError, match=r"the database has no hosts: one\.example"):
            ask(DAYS, host="one.example")


def test_a_host_in_upper_case_is_refused_as_none_is_kept_so(tmp_path: Path) -> None:
    history = kept(tmp_path, "--by-host")
    assert history.site(DAYS, "example.org") == history.by_day("//example.org/a", DAYS) == [1]
    for ask in (partial(history.site, DAYS, "Example.org"), partial(history.by_day, "//Example.org/a", DAYS)):
        with pytest.raises(UsageError, match=r"no such host: Example\.org \(hosts are kept in lower case: exa"):
            ask()
    done = fasthits("history", "//Example.org/a", "--database", tmp_path / "hits.db")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"hosts are kept in lower case: example.org" in done.stderr

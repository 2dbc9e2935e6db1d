"""What the tests of `fasthits serve` share: days, odd paths, and how hits get into memcached and the database."""

from datetime import date, timedelta
from pathlib import Path

from tests.support.commands import fasthits, hit
from tests.support.logger import Logger, access_line
from tests.support.servers import Memcached

TODAY = date.today()
DAYS = [TODAY - timedelta(days=before) for before in (3, 2, 1)]
HOSTILE = "/<script>alert(1)</script>\\\"'&"
LONG = "/" + "x" * 2000


def count(logger: Logger, *paths: str) -> None:
    logger.write(b"".join(access_line(path.encode(), TODAY) for path in paths))


def read_one_line(memcached: Memcached) -> None:
    """Have a logger read a line that is no hit: then a page without a counter has no views."""
    done = fasthits("log", "--memcached", memcached.spec, stdin=hit("/", TODAY, method="POST"))
    assert done.returncode == 0, done.stderr


def roll_up(folder: Path, days: str, *options: str) -> None:
    done = fasthits("rollup", days, "--logs", folder / "*.log", "--to", folder / "hits.db", "--partial", *options)
    assert (folder / "hits.db").exists(), done.stderr

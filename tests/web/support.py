"""What the tests of `fasthits serve` share: days, odd paths, and how hits get into memcached and the database."""

from datetime import date, timedelta
from pathlib import Path

from tests.support.commands import fasthits
from tests.support.logger import Logger, access_line

TODAY = date.today()
DAYS = [TODAY - timedelta(days=before) for before in (3, 2, 1)]
HOSTILE = "/<script>alert(1)</script>\\\"'&"
LONG = "/" + "x" * 2000


def count(logger: Logger, *paths: str) -> None:
    logger.write(b"".join(access_line(path.encode(), TODAY) for path in paths))


def roll_up(folder: Path, days: str, *options: str) -> None:
    done = fasthits("rollup", days, "--logs", folder / "*.log", "--to", folder / "hits.db", "--partial", *options)
    assert (folder / "hits.db").exists(), done.stderr

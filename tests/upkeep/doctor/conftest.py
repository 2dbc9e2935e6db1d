"""Logs that doctor checks, and a memcached with its logger."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from fasthits.daily.days import ONE_DAY
from tests.support.commands import write
from tests.support.logger import Logger
from tests.support.processes import fasthits_command
from tests.support.servers import Memcached, public_directory
from tests.upkeep.doctor.support import COUNTED, line, log_of


@pytest.fixture
def folder(place: Path) -> Path:
    """A folder with the logs of yesterday and today."""
    for day in (date.today() - ONE_DAY, date.today()):
        write(log_of(place, day), line(datetime.combine(day, datetime.min.time())) * 10)
    return place


@pytest.fixture(scope="session")
def shared() -> Iterator[Memcached]:
    """A memcached and its logger, for tests that do not change them."""
    with (
        public_directory() as place,
        Memcached(place) as server,
        Logger(place, "--memcached", server.spec, command=fasthits_command("log")),
    ):
        COUNTED.add(server.spec)
        yield server
        COUNTED.clear()

"""The site in this process, with each database in turn. Every test begins with empty tables."""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections, transaction
from django.test.utils import override_settings, setup_test_environment, teardown_test_environment

from fasthits.django import live
from fasthits.live import quick
from tests.django.support import ITS_ZONE, ParseLog
from tests.django_app.models import PressRelease
from tests.support.commands import write
from tests.support.logger import DAY, access_lines
from tests.support.postgres import Postgres
from tests.support.processes import run_fasthits
from tests.support.servers import Memcached, public_directory


def use_database(settings: dict[str, Any]) -> None:
    """Make Django use another database, and create the site's tables in it."""
    connections.settings["default"] = connections.configure_settings({"default": settings})["default"]
    connections["default"] = connections.create_connection("default")
    call_command("migrate", run_syncdb=True, verbosity=0)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Each database in turn, as an entry of DATABASES."""
    with public_directory() as directory, ExitStack() as servers:
        if request.param == "sqlite":
            where = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(directory / "site.sqlite3")}
        else:
            where = servers.enter_context(Postgres(directory)).settings
        use_database(where)
        yield where
        connections.close_all()


@pytest.fixture
def tables(database: dict[str, Any]) -> Iterator[None]:
    """Empty tables for this process only. The changes of the test are rolled back."""
    ContentType.objects.clear_cache()
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def shared_tables(database: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Empty tables that other processes see, too. Returns their entry of DATABASES."""
    ContentType.objects.clear_cache()
    yield database
    call_command("flush", verbosity=0, interactive=False)


@pytest.fixture(autouse=True)
def test_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The set-up of Django's own test runner. It forgets that a memcached of an earlier test failed.

    A page may wait longer than 0.1 s in these tests, because the machine may be busy.
    """
    setup_test_environment(debug=False)
    monkeypatch.setattr(quick, "PAGE_SECONDS", 30.0)
    live.forget()
    yield
    teardown_test_environment()


@pytest.fixture
def count_today(memcached: Memcached) -> Iterator[Callable[[Iterable[str]], None]]:
    """Return a function that counts a hit of each path by a real `fasthits log`. The site reads the counters."""

    def count(paths: Iterable[str]) -> None:
        lines = access_lines(paths, live.today())
        assert run_fasthits("log", "--memcached", memcached.spec, stdin=lines, env=ITS_ZONE).returncode == 0

    with override_settings(FASTHITS=settings.FASTHITS | {"MEMCACHED": memcached.spec}):
        yield count


@pytest.fixture
def release() -> PressRelease:
    """An object without history, at /press/a/."""
    return PressRelease.objects.create(title="A", slug="a")


@pytest.fixture
def parse_log(tmp_path: Path) -> ParseLog:
    """Return a function that writes lines to a day's log, runs the command and returns its output."""

    def parse(
        lines: bytes,
        *arguments: str,
        day: date = DAY,
        out: io.StringIO | None = None,
        err: io.StringIO | None = None,
        **options: Any,
    ) -> tuple[str, str]:
        write(tmp_path / f"{day}.log", lines)
        out, err = out or io.StringIO(), err or io.StringIO()
        words = arguments or (str(day),)
        call_command("parse_log", *words, "--logs", f"{tmp_path}/%Y-%m-%d.log", stdout=out, stderr=err, **options)
        return out.getvalue(), err.getvalue()

    return parse

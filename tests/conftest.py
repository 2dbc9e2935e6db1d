"""Hypothesis profiles (see --hypothesis-profile), and fixtures for several rooms: servers that run during a test."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pymemcache.client.base import Client

from tests.support.browser import Chromium
from tests.support.logger import Logger
from tests.support.processes import PROJECT
from tests.support.servers import Memcached, public_directory

for name, examples in (("tiny", 5), ("default", 40), ("thorough", 2000)):
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
settings.load_profile("default")
# Under nohup, and in the background of a script, signals are ignored, also by all processes that the tests start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
IS_COLLECTING: list[bool] = []
WAITING = ("upkeep", "web", "live")
"""The rooms whose tests mostly wait, those whose files take longest first. Beside them run tests that compute."""
COMPUTING = ("django", "daily", "cli", "core")
"""The other rooms whose files take long, the longest first."""
TOOLS_FOLDERS = ("__pycache__", ".hypothesis", ".pytest_cache", "pytest-cache-files-")
"""Where Python, Hypothesis and pytest keep their own files."""


def refuse_to_write(event: str, arguments: tuple[object, ...]) -> None:
    """Fail if a module writes a file while tests are collected: several workers collect at once, in the same folder."""
    if IS_COLLECTING and event in ("open", "os.mkdir"):
        path, _, flags = arguments
        if isinstance(path, int) or (event == "open" and not int(flags or 0) & (os.O_WRONLY | os.O_RDWR)):
            return
        file = os.path.abspath(os.fsdecode(path))
        kept = not file.startswith(f"{ROOT}{os.sep}") or any(each in file for each in TOOLS_FOLDERS)
        assert kept, f"is written while tests are collected: {file}"


sys.addaudithook(refuse_to_write)


def pytest_collection() -> None:
    """Collect tests without Python's garbage collection, which finds nothing and takes time in each worker."""
    IS_COLLECTING.append(True)
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files with slow tests last. Where workers share the files these come first, so that all end together.

    Tests of pylibmc are skipped where it is not installed: it has no wheels for some Pythons.
    """
    IS_COLLECTING.clear()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 100)  # at Python's own it takes a twentieth of the time
    if not find_spec("pylibmc"):
        for item in items:
            if "PyLibMCCache" in item.name:
                item.add_marker(pytest.mark.skip(reason="pylibmc is not installed"))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    if "PYTEST_XDIST_WORKER" in os.environ:
        places = places_of({item.path for item in items})
        items.sort(key=lambda item: (item.path not in slow, places[item.path]))
    else:
        items.sort(key=lambda item: item.path in slow)


def places_of(files: Iterable[Path]) -> dict[Path, tuple[float, Path]]:
    """Return where to begin each file: those that wait and those that compute take turns, so that both end together.

    A file of a room that takes long begins early: one that begins last may take longest.
    """
    waiting: list[tuple[int, Path]] = []
    computing: list[tuple[int, Path]] = []
    for file in files:
        room = file.relative_to(ROOT).parts[1]
        rooms, group = (WAITING, waiting) if room in WAITING else (COMPUTING, computing)
        group.append((rooms.index(room) if room in rooms else len(rooms), file))
    return {
        file: (place / len(group), file)
        for group in (waiting, computing)
        for place, (_, file) in enumerate(sorted(group))
    }


@pytest.fixture
def run_alone() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a function of a test module in a new Python, which has to end as *expected*."""

    def run(function: Callable[[], None], expected: int = 0) -> subprocess.CompletedProcess[str]:
        code = f"from {function.__module__} import {function.__name__} as run\nrun()"
        command = [sys.executable, "-X", "faulthandler", "-c", code]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
        assert done.returncode == expected, f"{function.__name__} ended with {done.returncode}:\n{done.stderr[-4000:]}"
        return done

    return run


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A browser, whose pages have neither cookies nor data of each other."""
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def place() -> Iterator[Path]:
    """A new directory that every user may read."""
    with public_directory() as directory:
        yield directory


@pytest.fixture
def start_memcached(place: Path) -> Iterator[Callable[..., Memcached]]:
    """Start further memcached servers: the options of memcached; `unix` and `certificate` are those of Memcached."""
    with ExitStack() as servers:

        def start(*args: str, unix: bool = False, certificate: Path | None = None) -> Memcached:
            return servers.enter_context(Memcached(place, *args, unix=unix, certificate=certificate))

        yield start


@pytest.fixture
def memcached(start_memcached: Callable[..., Memcached]) -> Memcached:
    """An empty memcached on a port of 127.0.0.1."""
    return start_memcached()


@pytest.fixture
def client(memcached: Memcached) -> Iterator[Client]:
    """A plain client of `memcached`: values are bytes."""
    client = memcached.client()
    yield client
    client.close()


@pytest.fixture
def start_logger(place: Path) -> Iterator[Callable[..., Logger]]:
    """Start a `fasthits log` with these arguments; `env`, `first`, `patch` and `command` are those of Logger."""
    with ExitStack() as loggers:

        def start(*args: str, **options: Any) -> Logger:
            return loggers.enter_context(Logger(place, *args, **options))

        yield start


@pytest.fixture
def logger(start_logger: Callable[..., Logger], memcached: Memcached) -> Logger:
    """A `fasthits log` that counts to `memcached`."""
    return start_logger("--memcached", memcached.spec)

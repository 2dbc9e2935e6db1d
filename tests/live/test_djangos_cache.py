"""A Django site with default settings reads an int by `cache.get(f"{day}{path}")`."""

from collections.abc import Callable

import pytest

from fasthits.live.keys import hit_key
from tests.support.logger import DAY, access_lines
from tests.support.processes import run_fasthits
from tests.support.servers import Memcached
from tests.support.through_django import read_through_django

PATHS = ["/", "/a.html", "/caf%C3%A9/", '/a\\"b', "/~user/#", "http://o.example/a"]
LONG = b"/" + b"x" * 300


@pytest.mark.parametrize("backend", ["PyMemcacheCache", "PyLibMCCache"])
@pytest.mark.parametrize("unix", [False, True], ids=["port", "socket"])
def test_django_reads_each_counter_as_an_int(
    start_memcached: Callable[..., Memcached], backend: str, unix: bool
) -> None:
    memcached = start_memcached(unix=unix)
    lines = access_lines([path for views, path in enumerate(PATHS, start=8) for _ in range(views)])
    done = run_fasthits("log", "--memcached", memcached.spec, stdin=lines + access_lines([LONG]))
    assert (done.returncode, done.stderr) == (0, b"")
    expected = {f"{DAY}{path}": views for views, path in enumerate(PATHS, start=8)}
    expected |= {hit_key(DAY, LONG).removeprefix(":1:"): 1}
    never_read = f"{DAY}/never-read"
    reading = read_through_django(backend, memcached.spec, [*expected, never_read])
    assert reading.get == expected | {never_read: None}
    assert reading.get_many == expected
    assert {type(value) for value in (*reading.get_many.values(), reading.get[f"{DAY}/"])} == {int}

"""The server: its start and end, and connections that are slow, unfinished or too many."""

import gzip
import json
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psycopg
import pytest

from fasthits.web.events import MAX_STREAMS
from tests.support.postgres import Postgres
from tests.support.processes import eventually, run_fasthits
from tests.support.servers import closed_port, public_directory
from tests.support.targets import replace
from tests.support.webserver import Served
from tests.web.support import DAYS


def test_it_starts_and_answers_without_memcached_and_database(place: Path) -> None:
    spec = f"127.0.0.1:{closed_port()}"
    with Served(place, "--memcached", spec, "--database", "none.db") as served:
        assert served.ask("/").status == 200
        for target, told in (("/api/top", spec), ("/api/history", "none.db")):
            answer = served.ask(target)
            assert (answer.status, told in answer.json()["error"]) == (503, True)
        assert served.ask("/api/search?q=a").json() == {"paths": []}
        assert b"views: unknown" in served.ask("/badge.svg?path=/").body
        assert f'fasthits_memcached_up{{server="{spec}"}} 0\n'.encode() in served.ask("/metrics").body
        with closing(served.events()) as events:
            assert next(events)[0] == "problem"


def test_a_port_in_use_is_an_error_of_one_line(idle: Served) -> None:
    done = run_fasthits("serve", "--port", str(idle.port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"fasthits: cannot listen: 127.0.0.1 port {idle.port} (".encode())
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("host", ["nosuch.invalid", "192.0.2.1", "a" * 64])
def test_a_host_that_is_not_of_this_machine_is_not_the_fault_of_the_port(host: str) -> None:
    done = run_fasthits("serve", "--host", host, "--public", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith(f"fasthits: cannot listen: {host} port 0 (".encode())
    assert done.stderr.endswith(b"; --host is an address of this machine)\n")


@pytest.mark.parametrize(
    ("database", "named"),
    [
        ("postgresql://stats:s@krit@127.0.0.1:5432/hits", "postgresql://stats@127.0.0.1:5432/hits"),
        ("postgresql://stats:s/krit@127.0.0.1/hits", "postgresql://stats@127.0.0.1/hits"),
        ("postgresql://stats:s/k?rit@127.0.0.1/hits", "postgresql://stats@127.0.0.1/hits"),
        ("postgres://stats:s@k/r?it@127.0.0.1/hits", "postgres://stats@127.0.0.1/hits"),
    ],
)
def test_a_password_that_postgresql_would_take_for_a_host_is_refused(database: str, named: str) -> None:
    """Its errors, which clients see, name the host."""
    done = run_fasthits("serve", "--port", "0", "--database", database)
    said = f"fasthits: an @ or a slash in a password: {named} (write @ as %40 and / as %2F)\n"
    assert (done.returncode, done.stderr.decode()) == (2, said)


def test_without_the_extra_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from fasthits.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "serve"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "fasthits: not installed: uvicorn (pip install 'fasthits[web]')\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_soon_while_a_page_is_open(start: Callable[..., Served], number: signal.Signals) -> None:
    served = start()
    with closing(served.events()) as events:
        next(events)
        assert served.end(number) in (0, -signal.SIGTERM)
        assert list(events) is not None
    assert "Traceback" not in served.said
    assert served.said.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_soon_while_a_question_waits_for_a_locked_postgresql(
    start: Callable[..., Served], number: signal.Signals
) -> None:
    with public_directory() as folder, Postgres(folder) as postgres:
        replace(postgres.url(), {DAYS[0]: {b"/": 3}})
        served = start("--database", postgres.url())
        served.ask("/api/history")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with psycopg.connect(postgres.url()) as other, served.connection() as connection:
            other.execute("LOCK TABLE hits IN ACCESS EXCLUSIVE MODE")
            connection.request("GET", "/api/history?days=7")
            eventually(lambda: other.execute(waiting).fetchone() != (0,))
            assert served.end(number) in (0, -signal.SIGTERM)
    assert "Traceback" not in served.said


def test_a_database_that_is_not_there_yet_is_a_warning(start: Callable[..., Served], tmp_path: Path) -> None:
    served = start("--database", str(tmp_path / "none.db"))
    said = f"fasthits: warning: the page has no past days: no such database: {tmp_path}/none.db ("
    eventually(lambda: said in served.said)
    assert served.ask("/api/history").status == 503


def test_it_starts_while_the_file_system_of_the_database_hangs(start: Callable[..., Served]) -> None:
    hang = """
import time
from fasthits.daily.past import opening
from fasthits.web import archive
opening.check_ours = archive.state_of = lambda *_: time.sleep(600)
archive.LOOK_SECONDS = 0.5
"""
    served = start(patch=hang)
    eventually(lambda: "the page has no past days" in served.said)
    assert "(the file system has not answered for 0.5 s)" in served.said
    assert served.ask("/api/top").json()["views"] == 0
    assert served.ask("/api/history").status == 503
    assert served.end() == 0


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("CREATE TABLE notes(text)", "another program has made this SQLite file, with the table notes: {} (name"),
        ("CREATE TABLE hits(text)", "cannot read database: {} (no such column: date; name another file)"),
        (None, "cannot read database: {} (file is not a database; name another file)"),
    ],
)
def test_a_file_of_another_program_is_an_error_at_the_start(tmp_path: Path, statement: str | None, said: str) -> None:
    file = tmp_path / "other.db"
    if statement:
        with closing(sqlite3.connect(file)) as database:
            database.execute(statement)
    else:
        file.write_text("no database, but longer than the head of a file of SQLite" * 10)
    done = run_fasthits("serve", "--port", "0", "--database", str(file))
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert done.stderr.decode().startswith(f"fasthits: {said.format(file)}")


def test_long_answers_are_packed_and_events_are_not(idle: Served) -> None:
    packed = idle.ask("/openapi.json", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body)) == idle.ask("/openapi.json").json()
    with idle.connection() as connection:
        connection.request("GET", "/events", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        assert answer.headers["Content-Encoding"] is None
        assert answer.readline() == b"event: sample\n"


def test_streams_that_readers_leave_are_closed(served: Served) -> None:
    descriptors = Path(f"/proc/{served.process.pid}/fd")
    served.ask("/api/top")
    before = len(list(descriptors.iterdir()))

    def open_stream() -> bytes:
        with socket.create_connection(("127.0.0.1", served.port)) as stream:
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return stream.recv(12)

    assert {open_stream() for _ in range(MAX_STREAMS)} == {b"HTTP/1.1 200"}
    eventually(lambda: len(list(descriptors.iterdir())) <= before)
    assert {open_stream() for _ in range(20)} == {b"HTTP/1.1 200"}


def test_the_number_of_streams_is_limited(served: Served) -> None:
    with ExitStack() as opened:
        for _ in range(MAX_STREAMS):
            stream = opened.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert stream.recv(12) == b"HTTP/1.1 200"
        answer = served.ask("/events")
        assert (answer.status, answer.json()) == (503, {"error": "too many streams"})
    with closing(served.events()) as events:
        assert next(events)[0] == "sample"


def test_requests_that_are_not_finished_block_nobody_and_write_no_traceback(start: Callable[..., Served]) -> None:
    served = start(descriptors=256)
    with ExitStack() as opened:
        for _ in range(300):
            half = opened.enter_context(socket.create_connection(("127.0.0.1", served.port), 10))
            half.sendall(b"GET / HTTP/1.1\r\nHost: local")
        for _ in range(10):
            assert served.ask("/api/history").status == 200
    assert served.said.count("\n") == 1


def test_one_line_tells_that_descriptors_ran_out(start: Callable[..., Served]) -> None:
    served = start()
    descriptors = len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))
    before = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (descriptors + 4, before[1]))
    with ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(socket.create_connection(("127.0.0.1", served.port), 10)).sendall(b"GET ")
        eventually(lambda: "cannot accept connections: Too many open files (raise the limit: " in served.said)
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, before)
    assert served.ask("/api/history").status == 200
    said = [line for line in served.said.splitlines() if "the page has no past days" not in line]
    assert len(said) == 2, "it may also have looked for the database without a descriptor"


@pytest.mark.slow
def test_a_client_that_does_not_finish_its_request_is_cut_off(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 60) as half:
        half.sendall(b"GET / HTTP/1.1\r\n")
        with suppress(ConnectionResetError):
            assert half.recv(1) == b""

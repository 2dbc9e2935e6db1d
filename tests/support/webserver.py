"""A running `fasthits serve` on a free port, and requests to it."""

import http.client
import json
import os
import re
import resource
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from tests.support.forks import Forked
from tests.support.processes import end_process, environment, eventually, new_mark

ANSWER_SECONDS = 60
PATIENT = """
from fasthits.web import archive, now
now.PATIENCE_SECONDS = archive.LOOK_SECONDS = 30.0
"""
"""On a busy machine memcached and the file system may seem to hang."""


class Answer(NamedTuple):
    """Status, headers in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """One `fasthits serve`; for use in a `with`."""

    def __init__(self, directory: Path, *args: str, descriptors: int | None = None, patch: str = "") -> None:
        """*descriptors* is the number of files and connections that it may have open; *patch* is that of Forked, and
        comes after PATIENT."""
        mark = new_mark()
        self._stderr = directory / f"serve-{mark[:8]}"
        with self._stderr.open("wb") as stderr, open(os.devnull, "r+b") as nothing:
            streams = (nothing.fileno(), nothing.fileno(), stderr.fileno())
            self.process = Forked(
                ("serve", "--port", "0", *args), streams, directory, environment(mark), PATIENT + patch
            )
        if descriptors:
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
        found = eventually(lambda: re.search(r":(\d+)/ ", self.said) or self.process.poll() is not None, 60)
        assert isinstance(found, re.Match), self.said
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end_process(self.process)

    @property
    def said(self) -> str:
        """Its output so far."""
        return self._stderr.read_text()

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it with a signal, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(10)

    def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """Send one request over a new connection."""
        with self.connection() as connection:
            connection.request(method, target, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())

    def submit(self, target: str, headers: Mapping[str, str] = MappingProxyType({}), **fields: str) -> Answer:
        """Send a form."""
        with self.connection() as connection:
            form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html", **headers}
            connection.request("POST", target, urlencode(fields), form)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())

    def events(self, parameters: str = "") -> Iterator[tuple[str, Any]]:
        """Yield the events of a stream: name and data."""
        with self.connection() as connection:
            connection.request("GET", f"/events{parameters}")
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
            while line := answer.readline():
                name = line.removeprefix(b"event: ").strip().decode()
                data = json.loads(answer.readline().removeprefix(b"data: "))
                assert answer.readline() == b"\n"
                yield name, data

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        """Give a connection, and close it at the end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            yield connection
        finally:
            connection.close()

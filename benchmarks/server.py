"""A new memcached on a free loopback port. Benchmarks write to it and then read it."""

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from io import BufferedRWPair
from typing import Any

from benchmarks.corpus import Expected
from benchmarks.truth import Difference, Truth, compare
from fasthits.live.keys import figure_path, hit_key
from fasthits.live.statistics import FIGURES, RULES
from fasthits.rules.rules import Rules

START_SECONDS = 10
KEYS_A_GET = 200


class Memcached:
    """A memcached process, empty at first; `address` is its HOST:PORT. It runs until `stop`."""

    def __init__(self, megabytes: int = 1024) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        command = ["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", str(megabytes)]
        command += ["-u", "root"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(0.005)

    def stop(self) -> None:
        """End the process and wait for it."""
        self._process.terminate()
        self._process.wait()

    def items(self) -> int:
        """Return how many keys there are."""
        with self.connect() as stream:
            stream.write(b"stats\r\n")
            stream.flush()
            statistics = dict(line.split()[1:3] for line in lines_of_reply(stream))
        return int(statistics[b"curr_items"])

    def values(self, keys: list[bytes]) -> dict[bytes, int]:
        """Return the keys that are there and their values, which must be numbers."""
        with self.connect() as stream:
            chunks = [keys[start : start + KEYS_A_GET] for start in range(0, len(keys), KEYS_A_GET)]
            return {key: value for chunk in chunks for key, value in get(stream, chunk).items()}

    def difference(self, truth: Truth) -> Difference:
        """Compare the counters with the hits of a log. A key that is no counter counts as invented."""
        assert isinstance(truth, Expected)
        keys = {hit_key(day, path).encode("ascii"): views for (day, path), views in truth.views.items()}
        counted = self.values(list(keys))
        names = (*FIGURES, RULES + Rules().mark)
        figures = self.values([hit_key(date.today(), figure_path(name)).encode("ascii") for name in names])
        return replace(compare(counted.items(), keys), invented=self.items() - len(counted) - len(figures))

    def connect(self) -> "BufferedRWPair[Any, Any]":
        """Return a connection. The caller closes it."""
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port)), timeout=START_SECONDS) as connection:
            return connection.makefile("rwb")


def get(stream: "BufferedRWPair[Any, Any]", keys: list[bytes]) -> dict[bytes, int]:
    """Return the keys that are there and their values, which must be numbers."""
    stream.write(b"get " + b" ".join(keys) + b"\r\n")
    stream.flush()
    reply = lines_of_reply(stream)
    return {header.split()[1]: int(value) for header, value in zip(reply, reply, strict=True)}


def lines_of_reply(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a reply up to the one that says ``END``."""
    for line in stream:
        if line.startswith(b"END"):
            return
        if line.startswith((b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")):
            raise OSError(f"memcached says {line!r}")
        yield line
    raise OSError("memcached hung up")

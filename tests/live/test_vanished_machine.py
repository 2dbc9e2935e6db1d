"""The machine of a memcached vanishes: no FIN, no RST, no packet comes back.

A virtual cable joins two network namespaces of the test. A logger runs in the first, memcached in the second. At some
moment the second namespace begins to drop all packets to the address of the first, like a machine without power. New
connections come from another address, and reach memcached, like after the return of the machine.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.logger import DAY, RUN, access_lines
from tests.support.processes import end_process, environment, eventually, fasthits_command, marked_processes
from tests.support.servers import IS_ROOT, require_program

HERE, THERE, HERE_LATER = "10.99.0.1", "10.99.0.2", "10.99.0.3"
PORT = 11211


class Namespace:
    """A network namespace, which a sleeping process holds; for use in a `with`."""

    def __enter__(self) -> "Namespace":
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/net")
        eventually(lambda: os.readlink(f"/proc/{self.pid}/ns/net") != own, what="the namespace is made")
        return self

    def __exit__(self, *_: object) -> None:
        end_process(self._holder)

    @property
    def pid(self) -> int:
        return self._holder.pid

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs *command* in the namespace."""
        return ["nsenter", "--net", "--target", str(self.pid), *command]

    def run(self, *command: str, check: bool = True) -> bytes:
        return subprocess.run(self.inside(*command), check=check, capture_output=True, timeout=60).stdout


@pytest.fixture
def cable() -> Iterator[tuple[Namespace, Namespace]]:
    """Two joined namespaces: HERE is the address in the first, THERE in the second."""
    if not IS_ROOT:
        pytest.skip("only root can make networks")
    require_program("ip")
    with Namespace() as here, Namespace() as there:
        try:
            here.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(there.pid))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this kernel has no virtual cables: {error.stderr.decode().strip()}")
        for space, device, address in ((here, "near", HERE), (there, "far", THERE)):
            space.run("ip", "address", "add", f"{address}/24", "dev", device)
            space.run("ip", "link", "set", device, "up")
        yield here, there


SOONER = """
import fasthits.live.connections, fasthits.live.memcached
fasthits.live.memcached.IDLE_SECONDS = 1e9
fasthits.live.connections.UNANSWERED_SECONDS = 4
"""
"""So that the batch is risked; otherwise the connection would have to prove itself, which takes ANSWER_SECONDS."""


def test_a_vanished_machine_is_given_up_in_time(cable: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    here, there = cable
    program = require_program("memcached")
    read, write = os.pipe()
    with marked_processes() as mark, (tmp_path / "stderr").open("wb") as stderr:
        serve = there.inside(program, "-l", THERE, "-p", str(PORT), "-U", "0", "-u", "nobody")
        server = subprocess.Popen(serve, env=environment(mark))
        command = [sys.executable, "-c", f"{SOONER}\n{RUN}", "log", "--memcached", f"{THERE}:{PORT}"]
        logger = subprocess.Popen(here.inside(*command), stdin=read, stderr=stderr, env=environment(mark))
        os.close(read)
        os.write(write, access_lines(["/a"]))
        eventually(lambda: views(here, "/a") == 1, what="the first hit")
        there.run("ip", "route", "add", "blackhole", f"{HERE}/32")
        os.write(write, access_lines(["/a"] * 3))
        here.run("ip", "address", "add", f"{HERE_LATER}/24", "dev", "near")
        here.run("ip", "route", "change", "10.99.0.0/24", "dev", "near", "src", HERE_LATER)
        eventually(lambda: views(here, "/a") == 4, what="the hits whose answer is lost")
        os.write(write, access_lines(["/b"] * 5))
        eventually(
            lambda: views(here, "/b") == 5, timeout=60, what="the next hits"
        )  # by default the kernel tries for 15 minutes
        assert views(here, "/a") == 4
        os.close(write)
        assert logger.wait(timeout=60) == 0
        end_process(server)
    assert "3 hits in doubt" in (tmp_path / "stderr").read_text()


def views(here: Namespace, path: str) -> int:
    """Return the counter of a path. The question comes from HERE."""
    asked = ["today", path, "--date", DAY.isoformat(), "--memcached", f"{THERE}:{PORT}"]
    with marked_processes() as mark:
        done = subprocess.run(here.inside(*fasthits_command(*asked)), capture_output=True, env=environment(mark))
    return int(done.stdout.split()[0]) if done.returncode == 0 else 0

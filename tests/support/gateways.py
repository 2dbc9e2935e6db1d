"""Real programs between a client and memcached: HAProxy, stunnel and twemproxy, each on a free loopback port."""

import socket
import subprocess
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from tests.support.processes import eventually, new_mark
from tests.support.servers import START_SECONDS, Memcached, Program, free_port, require_program


class Gateway(Program):
    """A program that accepts connections for a memcached, which may be down; for use in a `with`."""

    program: ClassVar[str]

    def __init__(self, directory: Path, memcached: Memcached) -> None:
        self.memcached = memcached
        self.port = free_port()
        self.file = directory / f"{self.program}-{new_mark()[:8]}.conf"

    @property
    def spec(self) -> str:
        """The address as `--memcached` takes it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, at the same address each time, and return when it accepts connections."""
        program = require_program(self.program)
        self.file.write_text(self._configuration())
        self.process = subprocess.Popen(
            [program, *self._arguments()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._takes_connections, START_SECONDS, f"{self.program} takes connections on {self.spec}")

    @abstractmethod
    def _configuration(self) -> str: ...

    @abstractmethod
    def _arguments(self) -> list[str]: ...

    def _takes_connections(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Haproxy(Gateway):
    """HAProxy. It accepts a connection first, and then tries to reach memcached for some seconds.

    If there are several memcacheds, each connection leads to the next one.
    """

    program = "haproxy"

    def __init__(self, directory: Path, *memcacheds: Memcached) -> None:
        super().__init__(directory, memcacheds[0])
        self._memcacheds = memcacheds

    def _configuration(self) -> str:
        servers = "\n".join(f"  server {each.port} {each.spec}" for each in self._memcacheds)
        return f"""
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  retries 2
listen memcached
  bind 127.0.0.1:{self.port}
{servers}
"""

    def _arguments(self) -> list[str]:
        return ["-f", str(self.file), "-db"]


class Stunnel(Gateway):
    """stunnel, which speaks TLS to the client and plain text to memcached."""

    program = "stunnel"

    def __init__(self, directory: Path, memcached: Memcached, certificate: Path) -> None:
        super().__init__(directory, memcached)
        self.certificate = certificate

    @property
    def spec(self) -> str:
        return f"tls://127.0.0.1:{self.port}"

    def _configuration(self) -> str:
        settings = {"foreground": "yes", "pid": "", "debug": "crit"}
        service = {
            "accept": f"127.0.0.1:{self.port}",
            "connect": f"127.0.0.1:{self.memcached.port}",
            "cert": self.certificate,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        return "\n".join([*lines, "[memcached]", *(f"{name} = {value}" for name, value in service.items()), ""])

    def _arguments(self) -> list[str]:
        return [str(self.file)]


class Twemproxy(Gateway):
    """twemproxy (nutcracker). It answers in place of memcached if memcached is late."""

    program = "nutcracker"
    TIMEOUT_SECONDS = 0.3

    def _configuration(self) -> str:
        return f"""
memcached:
  listen: 127.0.0.1:{self.port}
  hash: fnv1a_64
  distribution: ketama
  timeout: {self.TIMEOUT_SECONDS * 1000:.0f}
  server_failure_limit: 1
  auto_eject_hosts: false
  servers:
   - 127.0.0.1:{self.memcached.port}:1
"""

    def _arguments(self) -> list[str]:
        return ["-c", str(self.file), "-s", str(free_port()), "-m", "16384"]

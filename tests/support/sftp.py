"""A real SFTP server for tests: that of asyncssh, on a free port of 127.0.0.1, with a key of its own."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh

from fasthits.daily.logs import stores
from tests.support.processes import PROJECT, end_process
from tests.support.servers import free_port


class SftpServer:
    """A server that shows a folder. Its client has a home of its own, with a key, and with the host's key."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.home = folder / "home"
        self.environment = {"HOME": str(self.home), "SSH_AUTH_SOCK": ""}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "client").mkdir()
        for name in (folder / "host", folder / "client" / "id_ed25519"):
            key = asyncssh.generate_private_key("ssh-ed25519")
            key.write_private_key(name)
            key.write_public_key(f"{name}.pub")
            name.chmod(0o600)
        self.files.mkdir()
        shutil.copytree(folder / "client", self.home / ".ssh")

    @property
    def url(self) -> str:
        """The address of the folder."""
        return f"sftp://127.0.0.1:{self.port}"

    @property
    def known_hosts(self) -> Path:
        """The client's list of host keys."""
        return self.home / ".ssh" / "known_hosts"

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Start it, on a new port."""
        self.port = free_port()
        self.learn(self._folder / "host.pub")
        command = [sys.executable, "-m", "tests.support.sftp", str(self.port), str(self._folder)]
        self._process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE)
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"

    def stop(self) -> None:
        """Kill it."""
        if self._process:
            end_process(self._process)
            assert self._process.stdout
            self._process.stdout.close()

    def restart(self) -> None:
        """Kill it, and start it again."""
        self.stop()
        self.start()

    def mend(self) -> None:
        """Empty the folder, and give the client what it had at first."""
        shutil.rmtree(self.files)
        self.files.mkdir()
        shutil.rmtree(self.home)
        shutil.copytree(self._folder / "client", self.home / ".ssh")
        self.learn(self._folder / "host.pub")

    def learn(self, public_key: Path) -> None:
        """Let the client know a key as that of the server."""
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public_key.read_text()}")

    def put(self, name: str, *lines: bytes) -> str:
        """Write a file in the folder, and return its address."""
        file = self.files / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"".join(lines))
        return f"{self.url}/{name}"


@contextmanager
def sftp_server(folder: Path) -> Iterator[SftpServer]:
    """Give a server that shows a new folder in *folder*. It ends with the block."""
    server = SftpServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class _Files(asyncssh.SFTPServer):
    """The files of the folder. Nobody may read those in ``secret``.

    Files named ``stuck`` are never opened, folders of that name never listed, and nothing is answered after that. After
    the first bytes of a file, one named ``slow`` comes a byte at a time.
    """

    _is_stuck = False

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if b"/secret/" in path:
            raise asyncssh.SFTPPermissionDenied("Permission denied")
        if path.endswith(b"stuck"):
            await asyncio.Event().wait()
        return super().open(path, pflags, attrs)

    async def read(self, file_obj: Any, offset: int, size: int) -> object:
        if file_obj.name.endswith(b"/slow") and size > stores.START_BYTES:
            await asyncio.sleep(0.01)
            size = 1
        return super().read(file_obj, offset, size)

    async def scandir(self, path: bytes) -> AsyncIterator[object]:
        if path.endswith(b"/stuck/"):
            self._is_stuck = True
            await asyncio.Event().wait()
        async for each in super().scandir(path):
            yield each

    async def close(self, file_obj: Any) -> None:
        if self._is_stuck:
            await asyncio.Event().wait()
        super().close(file_obj)


async def _serve(port: int, folder: str) -> None:
    # Like OpenSSH's server, it does not say why it ends a connection.
    asyncssh.connection.SSHServerConnection._send_disconnect = lambda *_: None  # type: ignore[method-assign]
    await asyncssh.listen(
        "127.0.0.1",
        port,
        server_host_keys=[f"{folder}/host"],
        authorized_client_keys=f"{folder}/client/id_ed25519.pub",
        sftp_factory=lambda channel: _Files(channel, chroot=os.fsencode(f"{folder}/files")),
    )
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))

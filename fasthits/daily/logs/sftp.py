"""Logs on servers with SSH, read by SFTP. A server must show the host key that is known: nobody in between can lie.

The settings are those of ``ssh``: keys, an agent, ``~/.ssh/config`` and ``known_hosts``. There are no passwords.
"""

import asyncio
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import asyncssh
from fsspec.asyn import sync
from sshfs import SSHFileSystem
from sshfs.utils import wrap_exceptions

from fasthits.errors import StoreError, UsageError

CONNECT_SECONDS = 60.0
ANSWER_SECONDS = 60.0
"""How long a server may send nothing."""
READ_SECONDS = 600.0
"""How long a server may take for what is read at once, at most 8 MiB of a log. A slow line is fast enough for that."""
ALIVE_SECONDS = 15.0
"""A server that has sent nothing for so long is asked whether it is there, three times."""

_ADDRESS = re.compile(r"sftp://(?:(?P<user>[^@]+)@)?(?P<host>\[[^]@]+\]|[^:@[]+)(?::(?P<port>\d{1,5}))?/")
_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_KNOWN_TO_ALL = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


class SftpFile:
    """An open file. It stays the same if its name is given to another file."""

    def __init__(self, store: "Sftp", path: str) -> None:
        self._store = store
        self._at = 0
        self._file = sync(store.loop, store.opened, path, timeout=ANSWER_SECONDS)

    def seek(self, offset: int) -> None:
        """Go to a place in the file."""
        self._at = offset

    def read(self, size: int) -> bytearray:
        """Return *size* bytes from there on; fewer if the server sends fewer."""
        found: bytearray = sync(self._store.loop, self._read, size)
        return found

    def info(self) -> dict[str, Any]:
        """Return the size of the file, and when it was last changed."""
        return dict(self._store._decode_attributes(sync(self._store.loop, self._file.stat, timeout=ANSWER_SECONDS)))

    def close(self) -> None:
        """Close the file, if the server is still there."""
        with suppress(Exception):
            sync(self._store.loop, self._file.close, timeout=ANSWER_SECONDS)

    async def _read(self, size: int) -> bytearray:
        found, got, clock = bytearray(size), 0, asyncio.get_running_loop().time
        give_up_at = clock() + READ_SECONDS
        async with asyncio.timeout(ANSWER_SECONDS) as bound:
            async for offset, piece in await self._file.read_parallel(size, self._at):
                bound.reschedule(min(clock() + ANSWER_SECONDS, give_up_at))
                start = offset - self._at
                found[start : start + len(piece)] = piece
                got += len(piece)
        self._at += got
        return found[:got]  # if pieces are missing, it is too short


class Sftp(SSHFileSystem):  # type: ignore[misc]
    """The files of a server. Nothing can be written."""

    protocol = "sftp"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return re.sub("^sftp://[^/]*", "", path)  # sshfs takes a ? in a name for the beginning of a query

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return bool(self._client.is_closed())

    @wrap_exceptions  # type: ignore[untyped-decorator]
    async def opened(self, path: str) -> Any:
        """Open a file to read."""
        async with self._pool.get() as channel:
            return await channel.open(path, "rb")

    def _open(self, path: str, *_: object, **__: object) -> SftpFile:
        return SftpFile(self, path)

    # These three do not wait for a request that is cancelled: asyncssh then closes the folder, and the server that has
    # not answered does not answer that either.
    def info(self, path: str, **_: object) -> dict[str, Any]:
        """Return what the server tells of a file."""
        return dict(sync(self.loop, self._info, path, timeout=ANSWER_SECONDS))

    def ls(self, path: str, detail: bool = True, **_: object) -> Any:
        """Return what is in a folder."""
        return sync(self.loop, self._ls, self._strip_protocol(path), detail, timeout=ANSWER_SECONDS)

    def real(self, path: str) -> str:
        """Return the path to which links lead."""
        return str(sync(self.loop, self._real, self._strip_protocol(path), timeout=ANSWER_SECONDS))

    @wrap_exceptions  # type: ignore[untyped-decorator]
    async def _real(self, path: str) -> Any:
        async with self._pool.get() as channel:
            return await channel.realpath(path)


def connect(root: str) -> Sftp:
    """Return the files of a server by its address. Raises StoreError, and UsageError for an invalid address."""
    address = _ADDRESS.fullmatch(root)
    if not address or int(address["port"] or 0) >= 1 << 16:
        raise UsageError("not an address of a server", root, "for example sftp://web1/ or sftp://me@web1:2222/")
    user, host, port = address["user"], address["host"].strip("[]"), address["port"]
    given: dict[str, Any] = ({"username": user} if user else {}) | ({"port": int(port)} if port else {})
    ssh = " ".join(["ssh", *(["-p", port] if port else []), f"{user}@{host}" if user else host])
    try:
        settings = asyncssh.SSHClientConnectionOptions(host=host, client_keys=None, **given)
        known_hosts = _readable(cast(Sequence[str], settings.known_hosts or _KNOWN_HOSTS))
        try:
            return _connected(host, known_hosts, given)
        except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError):
            # OpenSSH hangs up without a word if it has no key of a known kind. Asked for any key, it shows what it has.
            return _connected(host, known_hosts, given | {"server_host_key_algs": "default"})
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        raise StoreError("the server shows no known host key", root, f"{error}; type {ssh}") from error
    except (PermissionError, asyncssh.PermissionDenied) as error:
        hint = f"{error}; give it your key: ssh-copy-id{ssh.removeprefix('ssh')}"
        raise StoreError("the server takes no key of this user", root, hint) from error
    except (OSError, ValueError, asyncssh.Error, asyncssh.ConfigParseError) as error:
        text = str(error) or f"no answer for {CONNECT_SECONDS:.0f} s"
        raise StoreError("cannot reach the server", root, f"{text}; {ssh} tells more") from error


def _connected(host: str, known_hosts: Sequence[str], options: dict[str, Any]) -> Sftp:
    return Sftp(
        host,
        **options,
        known_hosts=known_hosts or b"",  # None would stand for any server
        connect_timeout=CONNECT_SECONDS,
        login_timeout=CONNECT_SECONDS,
        keepalive_interval=ALIVE_SECONDS,
        keepalive_count_max=3,
        sftp_client_kwargs={"path_errors": "surrogateescape"},
        skip_instance_cache=True,
    )


def _readable(files: Sequence[str]) -> list[str]:
    """Return those of some files, and of the system's, that are there."""
    paths = map(os.path.expanduser, [*files, *_KNOWN_TO_ALL])
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.R_OK)]

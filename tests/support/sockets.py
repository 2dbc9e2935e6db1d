"""What the kernel knows of the TCP connections of a server on 127.0.0.1."""

from collections.abc import Iterator
from pathlib import Path

OPEN = "01"
"""TCP_ESTABLISHED: neither end has closed the connection."""


def unread_bytes(port: int) -> int:
    """Return how many bytes wait in the kernel until the server on this port reads them."""
    return sum(unread for _, unread in _connections(port))


def has_connection(port: int) -> bool:
    """Tell whether the server on this port has an open connection."""
    return any(state == OPEN for state, _ in _connections(port))


def _connections(port: int) -> Iterator[tuple[str, int]]:
    """Yield the state and the unread bytes of each connection, as /proc/net/tcp has them."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if local.endswith(f":{port:04X}"):
            yield state, int(queues.partition(":")[2], 16)

"""The courier: a forked child that takes batches of rows from the reader and brings them to memcached.

Reader and courier talk over a socket pair in frames: a length of four bytes, then a pickled message. A batch is a list
of rows. The courier answers TAKEN before it sends the first byte to memcached, and then the Delivery. So when a courier
dies, the reader knows whether its batch may be sent again. The courier ends when the reader closes its end or dies.
"""

import os
import pickle
import select
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fasthits.live.connections import Abandoned
from fasthits.live.memcached import CounterStore, Delivery, Row

TAKEN = "taken"

_LENGTH = struct.Struct("!I")


def _encode(message: object) -> bytes:
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class _Inbox:
    """Collects the bytes of a stream into frames."""

    def __init__(self) -> None:
        self._received = bytearray()

    def messages(self, data: bytes) -> Iterator[Any]:
        self._received += data
        while len(self._received) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._received)
            end = _LENGTH.size + size
            if len(self._received) < end:
                return
            body = bytes(self._received[_LENGTH.size : end])
            del self._received[:end]
            yield pickle.loads(body)


class Courier:
    """The reader's end, which never blocks."""

    def __init__(self, open_store: Callable[[int], CounterStore]) -> None:
        """Fork. The child calls *open_store* with a descriptor that hangs up when the reader ends."""
        self._socket, end = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            _run_child(self._socket, end, open_store)
        end.close()
        self._socket.setblocking(False)
        self._inbox = _Inbox()
        self._unsent = memoryview(b"")
        self.rows: Sequence[Row] = ()
        """The batch in flight, until its Delivery comes."""
        self.taken = False
        """Whether a part of the batch may have gone to memcached."""

    def fileno(self) -> int:
        """Return the file descriptor to poll."""
        return self._socket.fileno()

    def events(self) -> int:
        """Return the events to poll for."""
        return select.POLLIN | select.POLLOUT if self._unsent else select.POLLIN

    def send(self, rows: Sequence[Row]) -> None:
        """Begin to send a batch; the one before has been delivered."""
        self.rows, self.taken = rows, False
        self._unsent = memoryview(_encode(rows))
        self.write()

    def write(self) -> None:
        """Send as much as possible without waiting."""
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # it has died; read() will raise
            self._unsent = memoryview(b"")

    def read(self) -> Delivery | None:
        """Return the Delivery of the batch if it has come. Raises EOFError when the courier has died."""
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return None
        except OSError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        delivery = None
        for message in self._inbox.messages(data):
            if message == TAKEN:
                self.taken = True
            else:
                delivery, self.rows = message, ()
        return delivery

    def end(self) -> None:
        """Kill the process: it holds nothing that the reader does not have."""
        self._socket.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _run_child(reader_end: socket.socket, own_end: socket.socket, open_store: Callable[[int], CounterStore]) -> None:
    status = 1
    try:
        reader_end.close()
        for number in (signal.SIGUSR1, signal.SIGINT):  # meant for the reader, but sent to the process group
            signal.signal(number, signal.SIG_IGN)
        devnull = os.open(os.devnull, os.O_RDONLY)
        os.dup2(devnull, 0)  # only the reader may read Apache's pipe
        os.close(devnull)
        _serve(own_end, open_store(own_end.fileno()))
        status = 0
    except (Abandoned, BrokenPipeError, ConnectionResetError):
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _serve(reader: socket.socket, store: CounterStore) -> None:
    inbox = _Inbox()
    while data := reader.recv(1 << 16):
        for rows in inbox.messages(data):
            reader.sendall(_encode(store.add_views(rows, lambda: reader.sendall(_encode(TAKEN)))))

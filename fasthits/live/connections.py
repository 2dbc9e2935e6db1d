"""Connections to memcached. A connection must prove itself by answering ``version`` before hits are risked on it.

A proxy accepts connections while its memcached is down, and a server of another kind accepts them as well. Hits sent to
either of them are lost. So a connection counts as made when a ``VERSION`` line comes back. If something else comes
back, or nothing, the error says what is there and what to do.
"""

import encodings.idna  # noqa: F401 (getaddrinfo loads it at its first call, when the user may not be able to read it)
import errno
import os
import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

from fasthits.errors import MemcachedError
from fasthits.live.replies import REPLY_BYTES
from fasthits.live.servers import TLS, Server

CONNECT_SECONDS = 2.0
"""The limit for connecting to one address, and for its TLS handshake."""
ANSWER_SECONDS = 2.0
"""The limit for the answer to a question that changes nothing, and for a silence within a longer answer."""
WHOLE_SECONDS = 10.0
"""The limit for a whole answer, however often something comes."""
ANSWER_BYTES = 1 << 26
"""The longest answer to read. A thousand counters with the longest keys take 300 kB."""
PROBE_SECONDS = 1.0
RETRY_SECONDS = 0.5
"""The least time between two attempts to connect to the same server."""
REACH = "start memcached, or correct its address"
"""What to do if nothing can be reached at an address."""
SOCKET_RIGHTS = "this user may not use the socket: start memcached with -a 0660, and add the user to memcached's group"
FORBIDDEN = "the system forbids it; under SELinux: setsebool -P httpd_can_network_memcache on"
PROBE_AGAIN_SECONDS = 60.0

KEEPALIVE = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 4}
"""After 10 s of silence the system asks whether the server's machine is there, and gives up 20 s later."""
UNANSWERED_SECONDS = 30
"""The system gives up when a packet is unacknowledged for this long (TCP_USER_TIMEOUT, tcp(7))."""

RECV_BYTES = 1 << 16

_TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The server hung up. In a handshake Python 3.11.2, that of Debian 12, raises the second, also without a goodbye."""
_VERSION = re.compile(rb"VERSION [!-~][ -~]*\r\n")
_TLS_ALERT = b"\x15\x03"
_BINARY_VERSION = struct.pack("!BBHBBHIIQ", 0x80, 0x0B, 0, 0, 0, 0, 0, 0, 0)
"""``version`` in the binary protocol; an answer begins with 0x81 (memcached's doc/protocol-binary.xml)."""


class Abandoned(Exception):
    """Nobody needs the answer any more."""


class Channel:
    """A connected socket, with or without TLS, that never blocks. To wait, call `wait`."""

    def __init__(self, connection: socket.socket, watch: int | None = None) -> None:
        """*watch* is a file descriptor; when its other end is closed, waiting raises Abandoned."""
        connection.setblocking(False)
        self.socket = connection
        self._watch = watch

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as possible now; return the number of bytes."""
        try:
            return self.socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def receive(self, size: int = RECV_BYTES) -> bytes | None:
        """Return the bytes that have come, *size* at most: None if there are none yet, ``b""`` at the end."""
        try:
            return self.socket.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def wait(self, events: int, until: float = float("inf")) -> None:
        """Wait for *events* of poll. Raises TimeoutError at *until*, on the monotonic clock."""
        poll = select.poll()
        poll.register(self.socket, events)
        if self._watch is not None:
            poll.register(self._watch, 0)
        seconds = until - time.monotonic()
        ready = dict(poll.poll(None if seconds == float("inf") else max(0.0, seconds) * 1000))
        if self._watch in ready:
            raise Abandoned
        if not ready:
            raise TimeoutError("timed out")

    def ask(self, request: bytes, seconds: float, enough: bytes = b"\n") -> tuple[bytes, bool]:
        """Send a short *request*; return the reply up to *enough*, and whether the server hung up before.

        After *seconds* it returns the reply so far. Raises ssl.SSLError.
        """
        until = time.monotonic() + seconds
        reply = b""
        try:
            while request:
                if sent := self.send(request):
                    request = request[sent:]
                else:
                    self.wait(select.POLLOUT, until)
            while enough not in reply and len(reply) <= REPLY_BYTES:
                received = self.receive()
                if received is None:
                    self.wait(select.POLLIN, until)
                elif received:
                    reply += received
                else:
                    return reply, True
        except TimeoutError:
            pass
        except (ConnectionError, *_TLS_ENDS):
            return reply, True
        return reply, False

    def quiet(self) -> bool:
        """Return whether the connection seems open, and no unexpected bytes have come."""
        try:
            return self.receive() is None
        except OSError:
            return False

    def close(self) -> None:
        """Close the connection, at once."""
        self.socket.close()


class Conversation:
    """A proved connection for questions that change nothing, one after the other; used like a blocking socket.

    The answer to what was sent last has limits of time and of size. Each method raises OSError.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._until = 0.0
        self._bytes = 0

    def sendall(self, request: bytes, seconds: float = WHOLE_SECONDS, size: int = ANSWER_BYTES) -> None:
        """Send *request*. Its answer may take *seconds*, and have *size* bytes."""
        self._until, self._bytes = time.monotonic() + seconds, size
        unsent = memoryview(request)
        while unsent:
            sent = self._channel.send(unsent)
            unsent = unsent[sent:]
            if not sent:
                self._wait(select.POLLOUT)

    def recv(self, size: int) -> bytes:
        """Return what has come of the answer, *size* bytes at most; ``b""`` if the server has hung up."""
        while (received := self._channel.receive(size)) is None:
            self._wait(select.POLLIN)
        self._bytes -= len(received)
        if self._bytes < 0 or time.monotonic() > self._until:
            raise TimeoutError("its answer does not end")
        return received

    def _wait(self, events: int) -> None:
        try:
            self._channel.wait(events, time.monotonic() + ANSWER_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"nothing within {ANSWER_SECONDS:g} s") from error

    def close(self) -> None:
        """Close the connection, at once."""
        self._channel.close()


def open_channel(server: Server) -> Channel:
    """Return a connection to the first address of *server* that takes it. It has not proved itself. Raises OSError.

    For readers only: hits that are sent over it may be lost.
    """
    failure = OSError(errno.EADDRNOTAVAIL, "no address")
    for place in _places(server):
        try:
            channel = place.open(CONNECT_SECONDS, None)
            tls = server.tls if place.host else None  # like pymemcache, which uses no TLS on Unix sockets
            return _start_tls(channel, tls, place.host, CONNECT_SECONDS, None) if tls else channel
        except OSError as error:
            failure = error
    raise failure


class Connector:
    """Makes proved connections to one server, at most one attempt every RETRY_SECONDS."""

    def __init__(self, server: str, watch: int | None = None) -> None:
        """*watch* is as for `Channel`."""
        self.server = Server(server)
        self._watch = watch
        self._failure: MemcachedError | None = None
        self._tried_at = self._probed_at = float("-inf")
        self._probed: MemcachedError | None = None

    def connect(self) -> Channel:
        """Return a new connection over which the server has answered. Tries each address of the name.

        Raises MemcachedError, which says what is wrong and what to do; at once if the last attempt was just before.
        """
        now = time.monotonic()
        if now < self._tried_at + RETRY_SECONDS:
            raise self._failure or MemcachedError("cannot reach memcached", self.server, reason="it hung up just now")
        self._tried_at = now
        failures: dict[str, OSError | MemcachedError] = {}
        try:
            places = _places(self.server)
        except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
            self._failure = MemcachedError("cannot reach memcached", self.server, REACH, reason=reason_of(error))
            raise self._failure from error
        for place in places:
            try:
                channel = self._connect_to(place)
                self._failure = None
                return channel
            except (OSError, MemcachedError) as error:
                failures[place.name] = error
        # The error of an address where something answers tells more than the others.
        self._failure = next((error for error in failures.values() if isinstance(error, MemcachedError)), None)
        if self._failure is None:
            reasons = {name: reason_of(error) for name, error in failures.items()}
            same = len(set(reasons.values())) == 1
            text = next(iter(reasons.values())) if same else ", ".join(": ".join(each) for each in reasons.items())
            remedy = REACH
            if any(isinstance(error, PermissionError) for error in failures.values()):
                remedy = SOCKET_RIGHTS if isinstance(self.server.address, str) else FORBIDDEN
            self._failure = MemcachedError("cannot reach memcached", self.server, remedy, reason=text)
        raise self._failure

    def connect_to_each(self) -> Iterator[Channel]:
        """Yield a new connection to each address of the name where the server answers. The caller closes it.

        Raises OSError if the name has no address.
        """
        for place in _places(self.server):
            try:
                channel = self._connect_to(place)
            except (OSError, MemcachedError):  # localhost is often ::1, too, where nothing listens
                continue
            yield channel

    def _connect_to(self, place: "_Place") -> Channel:
        """Return a proved connection to one address. Raises OSError, or MemcachedError if something answers there."""
        tls = self.server.tls if place.host else None  # like pymemcache, which uses no TLS on Unix sockets
        raw = place.open(CONNECT_SECONDS, self._watch)
        try:
            channel = _start_tls(raw, tls, place.host, CONNECT_SECONDS, self._watch) if tls else raw
        except TimeoutError as error:
            reason = f"no TLS handshake within {CONNECT_SECONDS:g} s"
            raise self._probe(place) or MemcachedError(
                "memcached does not answer", self.server, reason=reason
            ) from error
        except (ConnectionError, *_TLS_ENDS) as error:
            hint = "in the TLS handshake: look at its log"
            raise self._probe(place) or MemcachedError("memcached hung up", self.server, hint) from error
        except ssl.SSLError as error:
            known = isinstance(error, ssl.SSLCertVerificationError) or "ALERT" in str(error.reason)
            raise (None if known else self._probe(place)) or _tls_problem(self.server, error) from error
        try:
            prove(channel, self.server)
        except _Unanswered as error:
            channel.close()
            raise self._probe(place) or error from None
        except BaseException:
            channel.close()
            raise
        return channel

    def _probe(self, place: "_Place") -> MemcachedError | None:
        """Return an error that says what listens at a place that does not answer, if it can be found out; looks once a
        minute."""
        now = time.monotonic()
        if now >= self._probed_at + PROBE_AGAIN_SECONDS:
            self._probed_at = now
            self._probed = _look_at(place, self.server, self._watch)
        return self._probed


class _Unanswered(MemcachedError):
    """The server accepted the connection, but did not answer ``version``."""


def prove(channel: Channel, server: Server) -> None:
    """Return when *server* has answered ``version`` like a memcached.

    Raises MemcachedError, which says what the server did instead and what to do, after ANSWER_SECONDS at most.
    """
    try:
        reply, hung_up = channel.ask(b"version\r\n", ANSWER_SECONDS)
    except ssl.SSLError as error:
        raise _tls_problem(server, error) from error
    except OSError as error:
        raise MemcachedError("cannot reach memcached", server, reason=reason_of(error)) from error
    if _VERSION.fullmatch(reply):
        return
    if not reply and not hung_up:
        reason = f"it accepted the connection and said nothing for {ANSWER_SECONDS:g} s"
        raise _Unanswered("memcached does not answer", server, reason=reason)
    if not reply:
        hint = "a proxy whose memcached is down?"
        if server.tls:
            hint = "a client certificate may be missing: name it with --tls-cert FILE and --tls-key FILE"
        raise _Unanswered("memcached hung up without an answer", server, hint)
    raise _misfit(server, reply)


def reach(channel: Channel, server: Server, key: str) -> None:
    """Return when *server* has answered a request for counter *key*, which does not change the counter.

    Some proxies, such as twemproxy and mcrouter, answer ``version`` themselves while their memcached is down. Raises
    MemcachedError.
    """
    try:
        reply, hung_up = channel.ask(f"incr {key} 0\r\n".encode("ascii"), ANSWER_SECONDS)
    except OSError as error:
        raise MemcachedError("cannot reach memcached", server, reason=reason_of(error)) from error
    if not reply:
        how = "hung up" if hung_up else f"said nothing for {ANSWER_SECONDS:g} s"
        raise MemcachedError("memcached does not answer", server, reason=f"it {how} when it was asked for a counter")
    if reply.startswith(b"SERVER_ERROR"):
        raise _misfit(server, reply)


def _misfit(server: Server, reply: bytes) -> MemcachedError:
    """Return the error that *reply* to ``version`` means, with advice."""
    said = reply.partition(b"\n")[0].rstrip().decode("ascii", "backslashreplace")
    if reply.startswith(_TLS_ALERT):
        return _wants_tls(server)
    if reply.startswith(b"CLIENT_ERROR unauthenticated"):
        return MemcachedError("memcached wants a password", server, "start it without -Y: fasthits sends none")
    if reply.startswith(b"ERROR Too many open connections"):
        return MemcachedError("memcached has no connection left", server, "start it with a higher -c")
    if reply.startswith(b"SERVER_ERROR"):
        return MemcachedError("the proxy cannot reach its memcached", server, said)
    return MemcachedError("this is not memcached", server, f"it says {said[:80]!r}: check host and port")


def _look_at(place: "_Place", server: Server, watch: int | None) -> MemcachedError | None:
    """Return an error that says which protocol a silent server speaks, found by further connections; None if that stays
    unknown."""
    try:
        if server.tls:
            reply = _answer(place, watch, b"version\r\n")
            if _VERSION.fullmatch(reply):
                hint = f"start it with -Z, or write {server.removeprefix(TLS)}"
                return MemcachedError("memcached speaks no TLS", server, hint)
            return None if not reply or reply.startswith(_TLS_ALERT) else _misfit(server, reply)
        if place.host and _speaks_tls(place, watch):
            return _wants_tls(server)
        binary = _answer(place, watch, _BINARY_VERSION, enough=b"\x81").startswith(b"\x81")
        # Every memcached answers that by default, and this server may have just started.
        if binary and not _answer(place, watch, b"version\r\n"):
            return MemcachedError("memcached speaks only the binary protocol", server, "start it without -S and -B")
    except OSError:
        pass
    return None


def _answer(place: "_Place", watch: int | None, request: bytes, enough: bytes = b"\n") -> bytes:
    with closing(place.open(PROBE_SECONDS, watch)) as channel:
        return channel.ask(request, PROBE_SECONDS, enough)[0]


def _speaks_tls(place: "_Place", watch: int | None) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing is sent, so no certificate needs to be trusted
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with closing(place.open(PROBE_SECONDS, watch)) as channel:
        try:
            _start_tls(channel, context, place.host, PROBE_SECONDS, watch).close()
        except _TLS_ENDS:
            return False
        except ssl.SSLError as error:
            return "ALERT" in str(error.reason)
        return True


class _Place(NamedTuple):
    """One address of a server."""

    family: int
    address: Any
    host: str
    """The name in the server's certificate; empty for a Unix socket."""

    @property
    def name(self) -> str:
        return str(self.address if self.family == socket.AF_UNIX else self.address[0])

    def open(self, seconds: float, watch: int | None) -> Channel:
        """Return a connection that has not proved itself yet. Raises OSError."""
        channel = Channel(socket.socket(self.family, socket.SOCK_STREAM), watch)
        try:
            if self.family != socket.AF_UNIX:
                _set_options(channel.socket)
            number = channel.socket.connect_ex(self.address)
            if number == errno.EINPROGRESS:
                channel.wait(select.POLLOUT, time.monotonic() + seconds)
                number = channel.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                raise OSError(number, os.strerror(number))
        except BaseException:
            channel.close()
            raise
        return channel


def _places(server: Server) -> list[_Place]:
    if isinstance(server.address, str):
        return [_Place(socket.AF_UNIX, server.address, "")]
    host, port = server.address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [_Place(family, address, host) for family, _, _, _, address in found]


def _set_options(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_SECONDS * 1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _start_tls(channel: Channel, tls: ssl.SSLContext, host: str, seconds: float, watch: int | None) -> Channel:
    """Return a TLS channel in place of *channel*, which the caller must not use any more. Raises OSError."""
    wrapped = tls.wrap_socket(channel.socket, server_hostname=host or None, do_handshake_on_connect=False)
    secure = Channel(wrapped, watch)
    until = time.monotonic() + seconds
    try:
        while True:
            try:
                wrapped.do_handshake()
                return secure
            except ssl.SSLWantReadError:
                secure.wait(select.POLLIN, until)
            except ssl.SSLWantWriteError:
                secure.wait(select.POLLOUT, until)
    except BaseException:
        secure.close()
        raise


def _wants_tls(server: Server) -> MemcachedError:
    return MemcachedError("memcached wants TLS", server, f"write {TLS}{server}")


_BAD_CERTIFICATES = {
    **dict.fromkeys((9, 10), "renew the server's certificate, or check the clock of this machine"),
    **dict.fromkeys((18, 19, 20, 21), "name the authority that signed it with --tls-ca FILE"),
    **dict.fromkeys((62, 64), "use the name in the server's certificate"),
}
"""What to do, by OpenSSL's X509_V_ERR_ numbers (X509_STORE_CTX_get_error(3))."""


def _tls_problem(server: Server, error: ssl.SSLError) -> MemcachedError:
    """Return the error of TLS to *server*, with advice."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = _BAD_CERTIFICATES.get(error.verify_code, "")
        reason = error.verify_message.rstrip(".")
        return MemcachedError("memcached's certificate is not trusted", server, f"{reason}; {hint}".rstrip("; "))
    reason = str(error.reason or error).replace("_", " ").lower()
    if "CERTIFICATE_REQUIRED" in str(error.reason) or "HANDSHAKE_FAILURE" in str(error.reason):
        hint = "name it with --tls-cert FILE and --tls-key FILE"
        return MemcachedError("memcached wants a client certificate", server, f"{reason}; {hint}")
    if "ALERT" in str(error.reason):
        return MemcachedError("memcached refuses the client certificate", server, f"{reason}; see --tls-cert")
    return MemcachedError("cannot reach memcached over TLS", server, reason)


def reason_of(error: Exception) -> str:
    """Return the reason of a failure in the words of the system or the library."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

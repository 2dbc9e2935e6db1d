"""The names of memcached servers, and the TLS settings for a server."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from fasthits.errors import UsageError

if TYPE_CHECKING:
    from ssl import SSLContext

DEFAULT_PORT = 11211
FORMS = "HOST:PORT, [IPV6]:PORT, unix:/PATH or tls://HOST:PORT"
TLS = "tls://"

Result = TypeVar("Result")

# Only digits would be a host, too, as an address in one number: people mean a port.
_NAME = re.compile(
    r"(?:unix:)?(?P<path>/.*)"
    r"|(?P<tls>tls://)?(?:\[(?P<ipv6>[\w:.%]+)\]|(?P<host>(?!\d+(?::|$))[^\s:/\[\]]+))(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)


class TlsFiles(NamedTuple):
    """Files in PEM format for TLS; None for a file that is not needed."""

    ca: str | None = None
    """The certificates of the authorities to trust, instead of the system's."""
    cert: str | None = None
    """A client certificate, for a server that demands one."""
    key: str | None = None
    """Its private key, unless the certificate's file holds the key."""

    def context(self) -> "SSLContext":
        """Return TLS settings that check the server's certificate and name. This reads the files, once.

        Raises UsageError when a file cannot be used.
        """
        import ssl  # takes 10 ms, which commands without TLS need not spend

        if self.key and not self.cert:
            raise UsageError("a TLS key without its certificate", self.key, "name the certificate with --tls-cert FILE")
        context = _using("--tls-ca", self.ca, lambda: ssl.create_default_context(cafile=self.ca))
        context.options |= ssl.OP_NO_RENEGOTIATION
        if cert := self.cert:
            _using("--tls-cert", cert, lambda: open(cert).close())  # Python's error does not name the missing file
            _using("--tls-key", self.key or cert, lambda: context.load_cert_chain(cert, self.key, _no_password))
        return context


class Server(str):
    """The name of a server, in one of FORMS, with its address and TLS settings."""

    address: tuple[str, int] | str
    """Host and port, or the path of a Unix socket, as pymemcache takes them."""
    tls: "SSLContext | None"

    @property
    def node(self) -> str:
        """The name by which pymemcache chooses the server of a key."""
        return self.address if isinstance(self.address, str) else "{}:{}".format(*self.address)

    def __new__(cls, name: str, tls: "SSLContext | None" = None) -> Self:
        """Return *name* as a server. Without *tls*, a ``tls://`` server is checked against the system's authorities.

        Raises UsageError when *name* is in none of the FORMS.
        """
        if isinstance(name, cls) and not tls:
            return name
        parts = _NAME.fullmatch(name)
        if not parts or not 0 < int(parts["port"] or DEFAULT_PORT) < 65536:
            raise UsageError("not a memcached server", repr(name), FORMS)
        server = super().__new__(cls, name)
        server.address = parts["path"] or (parts["ipv6"] or parts["host"], int(parts["port"] or DEFAULT_PORT))
        server.tls = tls or (TlsFiles().context() if parts["tls"] else None)
        return server


def check_servers(names: Iterable[str], files: TlsFiles | None = None) -> list[Server]:
    """Return the servers named in *names*; those with ``tls://`` use *files*.

    A text may hold several names, separated by commas or semicolons as in Django's LOCATION. Raises UsageError for a
    name in none of the FORMS, for no name at all, for invalid files, and for files that no server uses.
    """
    names = list(names)
    for text in names:
        if not isinstance(text, str):
            raise UsageError("not a memcached server", repr(text), FORMS)
    found = [name.strip() for text in names for name in re.split("[,;]", text) if name.strip()]
    if not found:
        raise UsageError("no memcached server", "--memcached", FORMS)
    files = files or TlsFiles()
    secure = [name for name in found if name.startswith(TLS)]
    if any(files) and not secure:
        raise UsageError("TLS files, but no TLS server", ", ".join(found), f"write {TLS}HOST:PORT")
    tls = files.context() if secure else None
    return [Server(name, tls if name in secure else None) for name in found]


def _using(option: str, file: str | None, read: Callable[[], Result]) -> Result:
    try:
        return read()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError: no PEM, or the wrong key
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot use {option}", file, reason) from error


def _no_password() -> str:
    raise ValueError("the key has a password, and nobody can type it: decrypt the file")

"""URLs: which names are URLs of stores and of databases, and how to show them without a password."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode

from fasthits.errors import FasthitsError, TableError, UsageError

SCHEME = r"[a-z][a-z0-9+.-]*://"
"""A regular expression for the beginning of the URL of a store."""
STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hdfs", "sftp")
"""How addresses of stores and of servers with files begin, before ``://``."""
POSTGRES_STARTS = ("postgresql://", "postgres://")
HARMLESS = ("host", "hostaddr", "port", "dbname", "user", "service")
"""The parameters of a URL that tell which database it is. Others can hold secrets."""
_HOST = r"(?:\[[\da-fA-F:.%]*\]|[\w.%-]*)(?::\d*)?"
_USER, _PLACE = re.compile(r"[\w.%-]*"), re.compile(rf"{_HOST}(?:,{_HOST})*(?:/[\w.%-]*)?")


def is_url(name: object) -> bool:
    """Tell whether a name or a PATTERN names files in a store, such as ``s3://logs/access.log``."""
    return isinstance(name, str) and re.match(SCHEME, name) is not None


def check_url(name: str) -> None:
    """Raise UsageError, which does not tell the password, for an address that has a password."""
    if (without := without_password(name)) != name:
        hint = "credentials do not belong into an address: logs, mails and lists of processes show it"
        raise UsageError("the address of a store has a password", without, hint)


def without_password(url: str) -> str:
    """Return a URL with three stars in place of a user and a password, if it has both."""
    return re.sub(rf"^({SCHEME})[^/]*:[^/]*@", r"\1***@", url)


def check_database(name: str, error: type[FasthitsError] = UsageError) -> None:
    """Raise an error for a URL of a database that fasthits does not know, also for one as SQLAlchemy writes it."""
    if name.partition("://")[0] not in STORES:
        hint = "name SQLite's file, such as hits.db, or postgresql://USER@HOST:PORT/DATABASE"
        raise error("no database that fasthits knows", without_password(name), hint)


def is_postgres(name: object) -> bool:
    """Tell whether a name is a URL of PostgreSQL."""
    return isinstance(name, str) and name.startswith(POSTGRES_STARTS)


def shown(name: object) -> str:
    """Return the name of a database for messages: of a URL only the parts that cannot be secret.

    >>> shown("postgresql://stats:se@cret@db.example/hits?sslmode=require&password=s3")
    'postgresql://stats@db.example/hits'
    >>> shown("postgresql:///hits?host=/run/postgresql&passfile=x"), shown("hits.db")
    ('postgresql:///hits?host=/run/postgresql', 'hits.db')
    """
    text = str(name)
    if not is_postgres(name):
        return text
    scheme, _, rest = text.partition("://")
    before, query_mark, query = rest.rpartition("?") if "?" in rest.rpartition("@")[2] else (rest, "", "")
    user, at, place = before.rpartition("@")
    user = user.partition(":")[0]
    if not _PLACE.fullmatch(place) or not _USER.fullmatch(user):
        return f"{scheme}://..."  # any part may be the password
    kept = [(key, value) for key, value in parse_qsl(query) if key in HARMLESS and query_mark]
    return f"{scheme}://{user}{at}{place}" + (f"?{urlencode(kept, safe='/:,')}" if kept else "")


def is_loopback(host: str) -> bool:
    """Tell whether *host* is a name or an address that only programs on this machine reach.

    >>> is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    from ipaddress import ip_address  # few commands need it

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def needs_extra(extra: str, name: object) -> Iterator[None]:
    """Let an import of the block raise TableError, which names the extra, if the extra is not installed."""
    try:
        yield
    except ImportError as error:
        if error.name and error.name.startswith("fasthits"):
            raise
        hint = f"pip install 'fasthits[{extra}]'"
        raise TableError(f"this needs the extra `{extra}`", shown(name), hint) from error

"""Connections to stores: which kinds of stores there are, what each needs, and what their errors mean."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from fasthits.daily.urls import STORES, check_url
from fasthits.errors import LogFileError, StoreError, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TEXT_CHARACTERS = 300
"""How much of an error's text a message has: a store chooses the text."""
_LOGGERS = ("gcsfs", "azure", "asyncssh")
_LOST = ("Connect", "HTTPClientError", "DNS", "Timeout", "gaierror", "SSLError")
_NO_CREDENTIALS = ("Credential", "RefreshError", "ClientAuthentication")


class Kind(NamedTuple):
    """A kind of store."""

    extra: str
    """The name of the extra that installs its packages."""
    sign_in: str
    """Advice on credentials."""
    where: str
    """Advice on the store's address."""
    has_prefixes: bool = True
    """Whether it lists only the names that begin with some text."""
    root: str = ""
    """What the host in its addresses names, if a listing does not show that there is none."""
    is_server: bool = False
    """Whether its files are those of a server, which may write to them, and decides on each who reads it."""


_S3 = Kind(
    "s3",
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "AWS_ENDPOINT_URL_S3 names the server, if it is not Amazon's",
)
_GS = Kind(
    "gs",
    "set GOOGLE_APPLICATION_CREDENTIALS, or type gcloud auth application-default login",
    "STORAGE_EMULATOR_HOST names the server, if it is not Google's",
    root="bucket",
)
_AZ = Kind(
    "az",
    "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CONNECTION_STRING names the server",
    root="container",
)
_HDFS = Kind("hdfs", "type kinit", "set HADOOP_HOME, JAVA_HOME and CLASSPATH", has_prefixes=False)
_SFTP = Kind("sftp", "type ssh-copy-id HOST", "ssh HOST tells more", has_prefixes=False, is_server=True)
KINDS = {
    "s3": _S3,
    "s3a": _S3,
    "gs": _GS,
    "gcs": _GS,
    "az": _AZ,
    "abfs": _AZ,
    "abfss": _AZ,
    "hdfs": _HDFS,
    "sftp": _SFTP,
}
"""The kinds of stores, by the beginning of their addresses."""
_INSTEAD = {"file": "name files of this machine by their paths", **dict.fromkeys(("ssh", "scp"), "write sftp://")}
"""What to do about other addresses."""


def replaced(name: str) -> LogFileError:
    """Return the error of a file that is another one than it was when it was listed."""
    return LogFileError("log file was replaced while it was read", name, "run it again")


def check_writable(url: str) -> None:
    """Raise UsageError for an address where nothing can be written."""
    if kind_of(url).is_server:
        raise UsageError("fasthits only reads from servers", url, "name a folder, or a store such as s3://BUCKET/...")


def kind_of(url: str) -> Kind:
    """Return the kind of a store. Raises UsageError for an address that is not of a store."""
    scheme = url.partition("://")[0]
    check_url(url)
    if scheme not in KINDS:
        raise UsageError("no such kind of store", url, _INSTEAD.get(scheme, f"{', '.join(STORES)} are known"))
    return KINDS[scheme]


def connect(url: str) -> "AbstractFileSystem":
    """Return the store of an address. Raises UsageError, and StoreError if it cannot be reached."""
    kind_of(url)
    scheme, _, place = url.partition("://")
    root = f"{scheme}://{place.partition('/')[0]}/"
    with errors_of(root):
        store = _connect(root, os.getpid())
        if getattr(store, "is_lost", False):
            _connect.cache_clear()
            store = _connect(root, os.getpid())
        return store


@cache
def _connect(root: str, process: int) -> "AbstractFileSystem":
    """Return a connection to a store. No process can use that of another, from which it was forked."""
    kind = kind_of(root)
    for name in _LOGGERS:  # an error is reported in one line, once
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        if kind.is_server:
            from fasthits.daily.logs import sftp  # fsspec's own class trusts any server

            store = sftp.connect(root)
        elif kind is _S3:
            from fasthits.daily.logs.s3 import S3

            store = S3(skip_instance_cache=True)
        else:
            import fsspec

            store, _ = fsspec.core.url_to_fs(root, skip_instance_cache=True)
    except ImportError as error:
        needed = f"pip install 'fasthits[{kind.extra}]'"
        raise UsageError("logs in a store need more packages", root, needed) from error
    store.dircache.use_listings_cache = False
    return store


class MissingError(LogFileError):
    """There is no such file or folder."""


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Raise LogFileError for all that goes wrong with a file or folder, StoreError if it is wrong with the store."""
    try:
        yield
    except (LogFileError, UsageError):
        raise
    except Exception as error:
        raise _explained(name, error) from error


def _explained(name: str, error: Exception) -> LogFileError:
    causes = list(_causes(error))
    kinds, text = " ".join(type(each).__name__ for each in causes), _text(error)
    bucket = name.partition("://")[2].partition("/")[0]
    if "FileExpired" in kinds:
        return replaced(name)
    if "SFTPPermissionDenied" in kinds:
        hint = f"{text}; log in as a user who may read it: sftp://USER@HOST/..."
        return LogFileError("the server denies access", name, hint)
    codes = " ".join(map(str, causes))
    if "InvalidObjectState" in codes:
        return LogFileError("log file is archived", name, "restore it in the store, then run this again")
    if "RequestTimeTooSkewed" in codes:
        return StoreError("this machine's clock is wrong", name, f"{text}; set it: timedatectl set-ntp true")
    if any(each in kinds for each in _NO_CREDENTIALS):
        return StoreError("no credentials for the store", name, f"{text}; {kind_of(name).sign_in}")
    if isinstance(error, PermissionError):
        return StoreError("the store denies access", name, f"{text}; {kind_of(name).sign_in}")
    if "NoSuchBucket" in codes:
        return StoreError("no such bucket", bucket, f"look at the name: {name}")
    if isinstance(error, FileNotFoundError):
        return MissingError("log file is gone", name, "it was there a moment ago; run it again")
    if any(each in text for each in ("SlowDown", "reduce your request rate", "TooManyRequests", "Please try again")):
        return StoreError("the store is too busy", name, f"{text}; try again later, or with fewer --threads")
    if "libjvm" in text or "libhdfs" in text:
        return StoreError("cannot load Hadoop's libraries", name, kind_of(name).where)
    if isinstance(error, ConnectionError | TimeoutError) or any(each in kinds for each in _LOST):
        return StoreError("cannot reach the store", name, f"{text}; {kind_of(name).where}")
    return LogFileError("cannot read log file in the store", name, text)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _text(error: Exception) -> str:
    """Return the beginning of the message of an error, in one line and without a password."""
    text = next((each for each in reversed(error.args) if isinstance(each, str)), "") or str(error)
    text = re.sub(r"//[^/@\s]*@", "//***@", " ".join(text.split()))
    if len(text) > TEXT_CHARACTERS:
        return f"{text[:TEXT_CHARACTERS]} ..."
    return text.rstrip(".") or ("no answer" if isinstance(error, TimeoutError) else type(error).__name__)

"""Servers of S3 that are half dead, or not what they seem.

What they leave out is missed. They neither stop a rollup for ever nor fill the memory.
"""

import itertools
import re
import threading
import time
import xml.sax.saxutils
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from fasthits.daily.logs import s3, store_connections
from fasthits.daily.logs.logfiles import LogFile, find
from fasthits.errors import LogFileError, StoreError
from tests.support.commands import fasthits, hit, write

DAY = date(2026, 3, 12)
KEPT = b"date,path,views\r\n2026-03-12,/kept,1\r\n"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAFASTHITSTEST",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
}
TEXT = hit("/a") * 800  # more than the first range
FILES = {f"web1/{DAY}.log": TEXT, f"web2/{DAY}.log": TEXT.replace(b"/a ", b"/b ")}
SICK = f"web2/{DAY}.log"


class Server(BaseHTTPRequestHandler):
    """A server of S3 with `FILES`. What `sick` answers instead is for the folder or the object of web2 only."""

    protocol_version = "HTTP/1.1"
    sick: "Callable[[Server, str, str], bool]"
    """Answers a request, LIST, HEAD or GET, for a key or a prefix; tells whether it did."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        key = query.get("prefix", [""])[0] if "list-type" in query else unquote(url.path).split("/", 2)[2]
        method = "LIST" if "list-type" in query else self.command
        with suppress(OSError):  # the client has hung up
            if not (key.startswith("web2/") and self.sick(method, key)):
                self.serve(method, key)

    def serve(self, method: str, key: str) -> None:
        """Answer as a sound server does."""
        if method == "LIST":
            found = "".join(
                f"<Contents><Key>{name}</Key><Size>{len(text)}</Size><ETag>{self.tag(text)}</ETag>"
                "<LastModified>2026-03-14T10:00:00Z</LastModified></Contents>"
                for name, text in FILES.items()
                if name.startswith(key) and key
            ) or "".join(f"<CommonPrefixes><Prefix>web{at}/</Prefix></CommonPrefixes>" for at in (1, 2) if not key)
            self.answer(200, self.page(found))
        elif key in FILES:
            start, end = self.asked(len(FILES[key]))
            self.answer(206 if "Range" in self.headers else 200, FILES[key][start:end], tag=self.tag(FILES[key]))
        else:
            self.error(404, "NoSuchKey")

    def asked(self, size: int) -> tuple[int, int]:
        """Return the range that is asked for."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        return (int(found[1]), min(int(found[2]) + 1, size)) if found else (0, size)

    @staticmethod
    def tag(text: bytes) -> str:
        return f'"{md5(text).hexdigest()}"'

    @staticmethod
    def page(found: str, token: str = "") -> bytes:
        more = f"<NextContinuationToken>{token}</NextContinuationToken>" * bool(token)
        truncated = f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>"
        return f"<ListBucketResult>{truncated}{more}{found}</ListBucketResult>".encode()

    def answer(self, status: int, body: bytes, tag: str = '"x"', length: int | None = None) -> None:
        """Answer with *body*, of which the header says that it has *length*."""
        self.send_response(status)
        self.send_header("ETag", tag)
        self.send_header("Last-Modified", "Sat, 14 Mar 2026 10:00:00 GMT")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status: int, code: str, message: str = "no") -> None:
        self.close_connection = True
        text = xml.sax.saxutils.escape(message)
        self.answer(status, f"<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode())

    def log_message(self, *_: object) -> None:
        pass


Sick = Callable[[Server, str, str], bool]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Sick], None]]:
    """Starts a server that answers as a function says, and makes it the S3 of this process."""
    servers = []

    def start(sick: Sick) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Sick", (Server,), {"sick": sick}))
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
        store_connections._connect.cache_clear()

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
    store_connections._connect.cache_clear()


def lines_of(url: str) -> bytes:
    return read(*find(url))


def read(found: LogFile) -> bytes:
    buffer = bytearray(1 << 16)
    return b"".join(bytes(block) for each in found.segments() for block in each.blocks(buffer, lambda size: None))


def for_each(wanted: str, answer: Callable[[Server], None]) -> Sick:
    """Return a `Server.sick` that answers all requests of one method, LIST or GET."""

    def sick(server: Server, method: str, key: str) -> bool:
        if method == wanted:
            answer(server)
        return method == wanted

    return sick


def cut(server: Server) -> None:
    server.close_connection = True
    server.answer(206, TEXT[:5000], server.tag(FILES[SICK]), 65536)


def send_all(server: Server) -> None:
    server.close_connection = True
    server.answer(200, FILES[SICK], server.tag(FILES[SICK]), 1 << 40)


def send_slowly(server: Server) -> None:
    server.answer(206, b"", server.tag(FILES[SICK]), 65536)
    while True:
        server.wfile.write(b"x")
        time.sleep(0.01)


NO_LISTINGS: dict[str, Callable[[Server], None]] = {
    "a proxy's page": lambda server: server.answer(200, b"<html><body>Please log in</body></html>"),
    "nothing": lambda server: server.answer(200, b""),
    "no end": lambda server: server.answer(200, b"<ListBucketResult></ListBucketResult>"),
    "an error": lambda server: server.error(200, "InternalError"),
}


@pytest.mark.parametrize("answer", NO_LISTINGS.values(), ids=NO_LISTINGS)
def test_an_answer_that_is_no_listing_is_no_empty_folder(
    serve: Callable[[Sick], None], answer: Callable[[Server], None], tmp_path: Path
) -> None:
    serve(for_each("LIST", answer))
    kept = write(tmp_path / "hits.csv", KEPT)
    done = fasthits("rollup", str(DAY), "--logs", "s3://logs/*/%F.log", "--to", kept)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("fasthits: cannot read log file in the store: s3://logs/web2/ (")
    assert kept.read_bytes() == KEPT


def test_a_listing_that_never_ends_is_an_error(serve: Callable[[Sick], None]) -> None:
    serve(for_each("LIST", lambda server: server.answer(200, server.page("", "T"))))
    with pytest.raises(LogFileError, match=r"cannot read .* s3://logs/web2/ .the server sends the same page"):
        find("s3://logs/*/*.log")


@pytest.mark.parametrize("found", ["", f"<Contents><Key>{SICK}</Key><Size>9</Size></Contents>"], ids=["empty", "full"])
def test_a_listing_that_never_ends_although_its_token_changes_is_an_error(
    serve: Callable[[Sick], None], found: str
) -> None:
    tokens = map(str, itertools.count(1))
    serve(for_each("LIST", lambda server: server.answer(200, server.page(found, next(tokens)))))
    with pytest.raises(LogFileError, match=r"cannot read .* s3://logs/web2/ .101 pages of a listing have no new name"):
        find("s3://logs/*/*.log")
    assert int(next(tokens)) < 110


def test_a_listing_may_have_many_empty_pages(serve: Callable[[Sick], None]) -> None:
    pages = itertools.count(1)

    def answer(server: Server) -> None:
        at = next(pages)
        server.answer(200, server.page("", str(at))) if at < s3.STALE_PAGES else server.serve("LIST", "web2/")

    serve(for_each("LIST", answer))
    assert lines_of("s3://logs/web2/*.log") == FILES[SICK]


def test_what_was_not_asked_for_is_not_read(serve: Callable[[Sick], None]) -> None:
    serve(for_each("GET", send_all))
    with pytest.raises(LogFileError, match=r"sent more than it was asked for; does a proxy ignore the header Range"):
        lines_of(f"s3://logs/{SICK}")
    assert lines_of(f"s3://logs/web1/{DAY}.log") == TEXT


def test_a_server_that_sends_a_byte_at_a_time_is_an_error(
    serve: Callable[[Sick], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(for_each("GET", send_slowly))
    (found,) = find(f"s3://logs/{SICK}")
    monkeypatch.setattr(s3, "READ_SECONDS", 0.5)
    with pytest.raises(StoreError, match=f"cannot reach the store: s3://logs/{SICK}"):
        read(found)


def test_a_server_that_stops_in_the_middle_of_an_object_is_an_error(
    serve: Callable[[Sick], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3.S3, "read_timeout", 2.0)
    hung = threading.Event()

    def hang(server: Server) -> None:
        server.answer(206, TEXT[:5000], server.tag(FILES[SICK]), 65536)
        hung.wait()

    serve(for_each("GET", hang))
    with pytest.raises(StoreError, match=f"cannot reach the store: s3://logs/{SICK} .Read timeout"):
        lines_of(f"s3://logs/{SICK}")
    hung.set()


ERRORS: dict[str, tuple[Callable[[Server], None], str]] = {
    "busy": (lambda server: server.error(503, "SlowDown", "Please reduce your request rate."), "the store is too busy"),
    "cut": (cut, "cannot read log file|cannot reach the store"),
    "archived": (lambda server: server.error(403, "InvalidObjectState"), "archived: .* .restore it in the store"),
    "clock": (lambda server: server.error(403, "RequestTimeTooSkewed"), "clock is wrong: .*timedatectl"),
    "long": (lambda server: server.error(400, "Odd", "y" * 100_000), "y{200,300} "),
}


@pytest.mark.parametrize(("answer", "message"), ERRORS.values(), ids=ERRORS)
def test_an_error_of_the_store_is_told(
    serve: Callable[[Sick], None], answer: Callable[[Server], None], message: str
) -> None:
    serve(for_each("GET", answer))
    with pytest.raises(LogFileError, match=message) as raised:
        lines_of(f"s3://logs/{SICK}")
    assert len(str(raised.value)) < 1000

"""The lines of logs one by one: from files, buffers and blocks, in the same format as when they are counted."""

import ctypes
import gzip
import mmap
import os
import socket
from array import array
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import date
from http.client import HTTPResponse
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits import count_hits, explain_line
from fasthits.daily.logs import lines as library
from fasthits.daily.logs.lines import parse_lines
from fasthits.errors import DamagedLogError, LogFileError, UsageError
from fasthits.rules.rules import Rules
from tests.rules.test_compiled import DAY, SAMPLES, detect_format, mixed_logs
from tests.support.commands import hit, write
from tests.support.reference import LINE_BYTES, judge, split_lines
from tests.support.strategies import blocks_of

LOG = hit("/a") + b"junk\n" + hit("/b?c=1", method="HEAD").rstrip()


def paths(source: object, **options: object) -> list[bytes | None]:
    return [line and line.path for line in parse_lines(source, **options)]


def as_mmap(data: bytes) -> mmap.mmap:
    mapping = mmap.mmap(-1, len(data))
    mapping[:] = data
    return mapping


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview, lambda data: array("B", data), as_mmap])
def test_a_buffer_is_read_like_a_log(buffer: object) -> None:
    assert paths(buffer(LOG)) == [b"/a", None, b"/b"]


def test_files_are_found_by_name_and_pattern_and_decompressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.log", LOG)
    write(tmp_path / "b.log.gz", gzip.compress(SAMPLES["short"]))
    monkeypatch.chdir(tmp_path)
    assert paths("a.log") == paths(tmp_path / "a.log") == [b"/a", None, b"/b"]
    assert paths("b.log") == [b"/a"]
    assert paths("*.log") == [b"/a", None, b"/b", b"/a"]
    with open("a.log", "rb") as file:
        assert paths(file) == [b"/a", None, b"/b"]


@given(st.data(), mixed_logs)
def test_lines_agree_with_the_oracle_wherever_blocks_end(data: st.DataObject, log: bytes) -> None:
    log_format = detect_format(log)
    whole = list(parse_lines(log))
    judged = [judge(text, rules=Rules(), log_format=log_format) for text in split_lines(log)]
    assert [line and line.day for line in whole] == [day for _, day, _ in judged]
    assert [line is None for line in whole] == [bucket == "malformed" for bucket, _, _ in judged]
    if log_format.parts:  # a named format is the only one
        found = list(parse_lines(data.draw(blocks_of(log)), log_format=log_format.name))
        named = [judge(text, log_format=log_format) for text in split_lines(log)]
        assert [line is None for line in found] == [bucket == "malformed" for bucket, _, _ in named]
        assert all(line in (None, same) for line, same in zip(found, whole, strict=True))


@given(log=mixed_logs)
def test_as_many_lines_are_malformed_as_are_counted(log: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = write(tmp_path_factory.mktemp("log") / "access.log", log)
    counted = count_hits(file)
    lines = list(parse_lines(file))
    assert (len(lines), lines.count(None)) == (counted.lines, counted.malformed)
    assert {line.day for line in lines if line} == set(counted.days)


@pytest.mark.parametrize("name", SAMPLES)
def test_formats_are_detected(name: str) -> None:
    (line,) = parse_lines(SAMPLES[name])
    assert (line.day, line.method, line.path, line.status) == (DAY, b"GET", b"/a", 200)
    assert line.vhost == (None if name == "combined" else b"o.example")
    assert paths([SAMPLES[name][:9], SAMPLES[name][9:]]) == [b"/a"]


def test_a_line_that_is_no_request_has_no_fields() -> None:
    comments = b"#Version: 1.0\n#Fields: date time cs-method cs-uri-stem\n"
    log = comments + b"2026-03-12 10:00:00 GET /a\njunk\n"
    assert paths(log) == [None, None, b"/a", None]
    counted = count_hits(log)
    assert (counted.hits, counted.malformed, dict(counted.filtered)) == (1, 1, {"comment": 2})


@pytest.mark.parametrize("size", [1, 10, 50, 1000])
def test_columns_are_named_once_for_all_blocks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "BLOCK_BYTES", size)
    line, other = b"2026-03-12 10:00:00 GET /a\n", b"2026-03-12 11:00:00 /b GET\n"
    first, then = b"#Fields: date time cs-method cs-uri-stem\n", b"#Fields: date time cs-uri-stem cs-method\n"
    log = b"#Version: 1.0\n" + first + line * 9 + b"#Version: 1.0\n" + then + other * 9
    expected = [None, None, *[b"/a"] * 9, None, None, *[b"/b"] * 9]
    assert paths(log) == paths([log[at : at + size] for at in range(0, len(log), size)]) == expected


def test_a_format_can_be_given() -> None:
    log = b"2026-03-12T10:00:00Z GET /a?b 404\nx\n"
    first, second = parse_lines(log, log_format="$time_iso8601 $request_method $request_uri $status")
    assert (first.day, first.path, first.query, first.status, second) == (date(2026, 3, 12), b"/a", b"b", 404, None)
    (line,) = parse_lines(b'{"ts": 1773306000, "m": "GET", "u": "/a"}', "json", {"method": "m", "path": "u"})
    assert (line.method, line.path, line.status, line.vhost, line.host_part) == (b"GET", b"/a", None, None, None)


@pytest.mark.parametrize(
    "fields", [{"method": "m", "path": "u"}, MappingProxyType({"method": "m", "path": "u"}), "method=m,path=u"]
)
def test_names_of_json_fields_are_given_as_to_count_hits(fields: object) -> None:
    log = b'{"ts": 1773306000, "m": "GET", "u": "/a"}'
    assert paths(log, json_fields=fields) == [b"/a"]
    assert list(count_hits(log, json_fields=fields).rows()) == [(date(2026, 3, 12), "/a", 1)]
    assert explain_line(log, json_fields=fields).path == "/a"


@pytest.mark.parametrize(
    "options",
    [
        {"log_format": None},
        {"log_format": 5},
        {"log_format": ""},
        {"log_format": '%h \ud800 %t "%r" %>s'},
        {"json_fields": {"tim": "ts"}},
        {"json_fields": {"path": ""}},
        {"json_fields": {"path": 5}},
        {"json_fields": ""},
        {"json_fields": 5},
        {"json_fields": "path=u", "log_format": "combined"},
    ],
)
def test_a_mistake_is_the_same_error_in_all_functions(options: dict[str, object]) -> None:
    errors = set()
    for function in (parse_lines, count_hits, explain_line):
        with pytest.raises(UsageError) as raised:
            function(hit("/a"), **options)
        errors.add(str(raised.value))
    assert len(errors) == 1


def test_lines_are_cut_at_the_limit_and_blocks_at_any_place(monkeypatch: pytest.MonkeyPatch) -> None:
    long = hit("/long").rstrip() + b"x" * (3 * LINE_BYTES) + b"\n"
    monkeypatch.setattr(library, "BLOCK_BYTES", 1000)
    assert paths(long + hit("/a")) == [b"/long", b"/a"]


def test_a_stream_gives_its_lines_as_they_come() -> None:
    taken = []

    def stream() -> Iterable[bytes]:
        for number in range(10):
            taken.append(number)
            yield hit(f"/{number}")

    lines = parse_lines(stream())
    assert next(lines).path == b"/0"
    assert taken == [0]


def test_an_iterator_that_is_used_while_it_runs_goes_on() -> None:
    """As by two threads at once: `itertools.chain` freed the generator that ran, and Python crashed."""

    def stream() -> Iterable[bytes]:
        yield hit("/a")
        with pytest.raises(ValueError, match="already executing"):
            next(lines)
        yield hit("/b")

    lines = parse_lines(stream())
    assert [line.path for line in lines] == [b"/a", b"/b"]


@pytest.mark.parametrize("buffering", [0, -1])
@pytest.mark.parametrize("count", [parse_lines, count_hits])
def test_a_stream_that_does_not_wait_is_an_error(count: Callable[[object], object], buffering: int) -> None:
    """What is there was taken for the whole log."""
    from_log, to_log = os.pipe()
    os.set_blocking(from_log, False)
    with open(from_log, "rb", buffering) as stream, open(to_log, "wb") as writer:
        writer.write(LOG)
        writer.flush()
        with pytest.raises(UsageError, match=r"stream does not wait for its bytes: <stream> \(.*os\.set_blocking"):
            list(count(stream))


def test_a_stream_that_has_ended_need_not_wait(tmp_path: Path) -> None:
    from_log, to_log = os.pipe()
    os.write(to_log, LOG)
    os.close(to_log)
    os.set_blocking(from_log, False)
    with open(from_log, "rb") as stream:
        assert paths(stream) == [b"/a", None, b"/b"]
    file = os.open(write(tmp_path / "access.log", LOG), os.O_RDONLY | os.O_NONBLOCK)
    with open(file, "rb") as stream:
        assert count_hits(stream).lines == 3


@pytest.mark.parametrize("missing", [0, 10])
def test_a_response_that_is_cut_short_is_an_error(missing: int) -> None:
    """http.client ends it without an error, so what came was taken for the whole log."""
    server, client = socket.socketpair()
    with server, client, HTTPResponse(client) as response:
        server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(LOG) + missing) + LOG)
        server.shutdown(socket.SHUT_WR)
        response.begin()
        if not missing:
            assert paths(response) == [b"/a", None, b"/b"]
            return
        with pytest.raises(DamagedLogError, match=r"response is cut short: <stream> \(10 bytes are missing; try again"):
            count_hits(response)


def test_the_empty_content_of_a_compressed_file_is_a_log_without_lines(tmp_path: Path) -> None:
    """The name of gzip.open's file ends in .gz, but that of its content does not."""
    file = write(tmp_path / "access.log.gz", gzip.compress(b""))
    with gzip.open(file) as stream:
        assert count_hits(stream).lines == 0
    with open(write(tmp_path / "lost.log.gz", b""), "rb") as lost, pytest.raises(DamagedLogError, match="it is empty"):
        count_hits(lost)


def test_an_array_of_objects_is_no_bytes() -> None:
    """As numpy's: its bytes are the addresses of the objects. An array of numpy is read as its objects."""
    objects = (ctypes.py_object * 2)(hit("/a"), hit("/b"))
    with pytest.raises(TypeError, match="gives bytes, not py_object_Array_2"):
        count_hits([objects])


@pytest.mark.parametrize("source", [None, 5, [5], ["text"], memoryview(LOG)[::2]])
def test_an_object_without_bytes_is_refused(source: object) -> None:
    with pytest.raises(TypeError):
        list(parse_lines(source))


@pytest.mark.parametrize("name", SAMPLES)
def test_lines_without_newlines_are_an_error(name: str) -> None:
    """They would be one malformed line, or one hit."""
    lines = (SAMPLES[name] * 3).splitlines()
    for source in (lines, [b"junk", *lines], [b"", memoryview(lines[0]), *lines]):
        for function in (parse_lines, count_hits):
            with pytest.raises(
                UsageError, match=r"lines without newlines: b'.*\(blocks may end anywhere in a line: add "
            ):
                list(function(source))
    assert paths(lines[:1]) == paths([lines[0][:30], lines[0][30:]]) == [b"/a"]


def test_the_error_about_what_is_no_log_says_what_is() -> None:
    async def blocks() -> AsyncIterator[bytes]:
        yield LOG

    first, second = socket.socketpair()
    with first, second:
        for source, name in ((first, "socket"), (blocks(), "async_generator"), (None, "NoneType")):
            for function in (parse_lines, count_hits):
                with pytest.raises(TypeError, match=rf"not a log: {name} \(a log is a name of files, bytes"):
                    function(source)


def test_files_may_be_named_in_bytes_by_the_system(tmp_path: Path) -> None:
    write(tmp_path / "a.log", LOG)
    with os.scandir(os.fsencode(tmp_path)) as entries:
        (entry,) = entries
    assert paths(entry) == [b"/a", None, b"/b"]
    assert count_hits(entry).lines == 3


def test_missing_files_and_unknown_formats_are_errors(tmp_path: Path) -> None:
    with pytest.raises(LogFileError, match="no such log file"):
        parse_lines(tmp_path / "no.log")
    with pytest.raises(LogFileError, match=r"no such log file: %F.log \(write \* for a date\)"):
        parse_lines("%F.log")
    for name in ("a\0.log", "a\ud800.log"):
        with pytest.raises(UsageError, match="not a name of log files"):
            parse_lines(name)
    with pytest.raises(UsageError, match="no such log format: 'combind'"):
        parse_lines(LOG, log_format="combind")

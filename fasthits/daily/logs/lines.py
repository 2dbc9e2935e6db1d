"""The lines of logs in any format, one by one: read as the core reads them when it counts."""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from io import FileIO
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from fasthits import _parse
from fasthits._parse import LINE_BYTES, ParsedLine
from fasthits.daily.logs import logfiles
from fasthits.daily.logs.compression import DamagedError, suffix_of, unpack_blocks
from fasthits.daily.logs.detection import format_among, format_of, whole_lines
from fasthits.daily.logs.logfiles import BLOCK_BYTES, HEAD_BYTES, LogFile, Segment
from fasthits.errors import DamagedLogError, LogFileError, UsageError
from fasthits.formats import packing
from fasthits.formats.format import Format
from fasthits.formats.json_ltsv_w3c import NAMES_COLUMNS, W3C
from fasthits.formats.packing import packing_of
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.intake import are_comments
from fasthits.rules.keywords import rules_of

if TYPE_CHECKING:
    from typing_extensions import Buffer


class BinaryFile(Protocol):
    """An open file, response or decompressor that is read as bytes."""

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes, none only at the end."""


Stream: TypeAlias = "Buffer | BinaryFile | Iterable[Buffer]"
"""A log as bytes; an open binary file; or blocks of bytes, which may begin and end anywhere in a line."""
Source: TypeAlias = "str | os.PathLike[str] | Stream"
"""A name of log files, in which ``*`` stands for any characters, ``-`` for standard input; or a stream."""


def parse_lines(
    source: Source,
    log_format: str = "auto",
    json_fields: Mapping[str, str] | str | None = None,
) -> Iterator[ParsedLine | None]:
    """Yield the fields of each line of *source*: as many as there are lines. None is a line that is no request:
    malformed, a comment of W3C's format, or a message of the server among JSON lines.

    *source* is a name of log files, compressed or not, in which ``*`` stands for any characters; bytes, which are a
    log; an open binary file; or an iterable of blocks of bytes.

    *log_format* is the name of a format or its string in the server's configuration; ``auto`` detects it from the first
    lines of each log. *json_fields* names the fields of JSON lines, as ``--json-fields`` does: ``{"time": "ts"}`` or
    ``"time=ts"``. Texts of JSON have Apache's escapes.

    Raises LogFileError for a file that is missing or unreadable, and for compressed bytes that are damaged; UsageError
    for an unknown format, an invalid name of a file or of a field, lines without newlines; TypeError for a stream of
    text.

    >>> log = b'192.0.2.7 - - [12/Mar/2026:10:00:00 +0100] "GET /a?b HTTP/1.1" 200 512 "-" "curl/8"\\njunk\\n'
    >>> [line and (line.day.isoformat(), line.path, line.status) for line in parse_lines(log)]
    [('2026-03-12', b'/a', 200), None]
    """
    rules = {"log_format": log_format} | ({} if json_fields is None else {"json_fields": json_fields})
    compiled = CompiledRules(rules_of(rules))
    if isinstance(source, str | os.PathLike):
        name = os.fsdecode(source)
        try:
            files = logfiles.find(name)
        except ValueError as error:  # a NUL or half a character
            raise UsageError("not a name of log files", repr(name)) from error
        if not files:
            raise LogFileError("no such log file", name, "write * for a date" if "%" in name else "")
        return _parse_logs((open_log(log_file, compiled) for log_file in files), compiled)
    known, views = open_stream(source, compiled)
    return _parse_logs([_in_formats(map(bytes, views), known, compiled)], compiled)


def open_log(log_file: LogFile, compiled: CompiledRules) -> Iterator[tuple[Format, bytes]]:
    """Yield the lines of a log file in blocks of whole lines, each with the format that it is counted by.

    Raises LogFileError, and UsageError for a format without a field that the rules look at.
    """
    log_format = None if log_file.size is None else compiled.checked(format_of(log_file, *log_file.head(), compiled))
    blocks = Segment(log_file).blocks(bytearray(BLOCK_BYTES), lambda size: None)
    yield from _in_formats(map(bytes, blocks), log_format, compiled)


def _in_formats(
    blocks: Iterator[bytes], log_format: Format | None, compiled: CompiledRules
) -> Iterator[tuple[Format, bytes]]:
    """Yield blocks of whole lines, each with its format: *log_format*, or else the detected one, as `Intake` counts."""
    head = b""
    for lines in whole_lines(blocks):
        if log_format is None:
            head += lines
            if len(head) <= LINE_BYTES and are_comments(head.removesuffix(b"\n")):
                continue
            log_format = compiled.detect(head, ended=True)
            if log_format:
                compiled.check(log_format)
            lines, head = head, b""
        yield log_format or ASSUMED, lines
    if head:
        yield compiled.detect(head, ended=True) or ASSUMED, head


def open_stream(source: Stream, compiled: CompiledRules) -> tuple[Format | None, Iterator[memoryview]]:
    """Return the format of a buffer, detected as that of a file is, None for other streams; and blocks.

    Raises TypeError for a stream without bytes. UsageError for a format without a field that the rules look at; reading
    the blocks raises LogFileError for compressed bytes that are damaged, and UsageError for lines without newlines.
    """
    try:
        view = _view_of(source).cast("B")
    except TypeError:
        return None, _unpacked(_read_blocks(cast("BinaryFile | Iterable[Buffer]", source), compiled), source)
    blocks = partial(map, lambda at: view[at : at + BLOCK_BYTES], range(0, len(view), BLOCK_BYTES))
    if packing_of(bytes(view[: packing.HEAD_BYTES])):
        return None, _unpacked(blocks(), source)
    log_format = compiled.detect(bytes(view[:HEAD_BYTES]), ended=len(view) <= HEAD_BYTES)
    return compiled.checked(log_format or format_among(map(bytes, blocks()), compiled)), blocks()


def _unpacked(blocks: Iterator[memoryview], source: object) -> Iterator[memoryview]:
    name = _name_of(source)
    if _file_of(source) is None:  # that of gzip.open has the name of the compressed file, and may well be empty
        name = name.removesuffix(suffix_of(name))
    try:
        yield from unpack_blocks(blocks, name)
    except DamagedError as error:
        raise DamagedLogError("compressed log is damaged or cut short", name, str(error)) from error


def _name_of(source: object) -> str:
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "<stream>"


def _file_of(source: object) -> FileIO | None:
    """Return the file of the system that *source* reads without a change of its bytes; None for any other stream."""
    raw = getattr(source, "raw", source)
    return raw if isinstance(raw, FileIO) else None


def _read_blocks(source: "BinaryFile | Iterable[Buffer]", compiled: CompiledRules) -> Iterator[memoryview]:
    if hasattr(source, "read"):
        return _blocks_of_file(cast("BinaryFile", source))
    if isinstance(source, Iterable):
        return _checked_blocks(map(_bytes_of, source), compiled)
    hint = "a log is a name of files, bytes, a binary file, or an iterable of bytes"
    raise TypeError(f"not a log: {type(source).__name__} ({hint})")


def _blocks_of_file(source: BinaryFile) -> Iterator[memoryview]:
    """Yield all that *source* reads. Raises UsageError if it does not wait for its bytes, DamagedLogError if it ended
    too early: what is there would be taken for the whole log.
    """
    # One read of a pipe gives what is there; a whole block would have to be waited for.
    read = getattr(source, "read1", source.read)
    while (block := read(BLOCK_BYTES)) is not None and (view := _bytes_of(block)):
        yield view
    if block is None or _may_go_on(source):
        hint = "let it wait: os.set_blocking(stream.fileno(), True)"
        raise UsageError("stream does not wait for its bytes", _name_of(source), hint)
    # http.client does not tell if the connection is lost before all bytes of a response have come.
    if type(source).__module__ == "http.client" and (missing := getattr(source, "length", None)):
        raise DamagedLogError("response is cut short", _name_of(source), f"{missing:,} bytes are missing; try again")


def _may_go_on(source: BinaryFile) -> bool:
    """Tell whether a file that has given no bytes may give more: `read1` of one that does not wait gives b"", too."""
    file = _file_of(source)
    return file is not None and not os.get_blocking(file.fileno()) and file.read(1) != b""


def _checked_blocks(blocks: Iterator[memoryview], compiled: CompiledRules) -> Iterator[memoryview]:
    """Yield *blocks*. Raises UsageError if the first are lines that have lost their newlines, as `bytes.splitlines`
    gives them: all would be read as one line.

    Lines have the same words before their time. The rest of a line that another is glued to can be read, too, but has
    more.
    """
    rules = compiled.field_rules(compiled.log_format or ASSUMED)
    has_newline, begun = False, set[tuple[int, bool]]()
    for block in blocks:
        if not has_newline:
            text = bytes(block)
            has_newline = b"\n" in text
            if not has_newline and (parsed := _parse.parse_line(text, rules)):
                before = text[: text.find(parsed.time)]
                words = before.count(b" "), b'"' in before
                if words in begun:
                    hint = r"blocks may end anywhere in a line: add b'\n' to each line"
                    raise UsageError("lines without newlines", repr(text[:40]), hint)
                begun.add(words)
        yield block


def _bytes_of(block: object) -> memoryview:
    try:
        return _view_of(block)
    except TypeError as error:
        hint = "open a file with 'rb', and give names of files one by one: *names"
        raise TypeError(f"a stream of log lines gives bytes, not {type(block).__name__} ({hint})") from error


def _view_of(source: object) -> memoryview:
    view = memoryview(cast("Buffer", source))
    if "O" in view.format:  # an array of numpy, whose bytes are the addresses of objects
        raise TypeError("no bytes, but objects")
    return view


def _parse_logs(logs: Iterable[Iterator[tuple[Format, bytes]]], compiled: CompiledRules) -> Iterator[ParsedLine | None]:
    # Not itertools.chain: if two threads share the iterator, it frees the generator that one of them runs, and crashes.
    for blocks in logs:
        columns = b""
        for log_format, lines in blocks:
            rules = compiled.field_rules(log_format)
            if log_format != W3C:
                yield from _parse.parse_lines(lines, rules)
                continue
            yield from islice(_parse.parse_lines(columns + lines, rules), bool(columns), None)
            at = (b"\n" + lines).rfind(b"\n" + NAMES_COLUMNS)
            if at >= 0:
                columns = lines[at:].partition(b"\n")[0] + b"\n"

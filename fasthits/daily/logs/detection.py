"""The format of a log: of the first lines that have a known one, wherever these are.

Mostly the first bytes show it. But a log may begin with a hole of NULs, which copytruncate leaves if the server does
not append, with a huge line, or with messages of another program.
"""

from collections.abc import Iterable, Iterator

from fasthits._parse import LINE_BYTES
from fasthits.daily.logs.logfiles import BLOCK_BYTES, LogFile, Segment
from fasthits.errors import LogFileError, StoreError
from fasthits.formats.format import Format
from fasthits.rules.compiled import CompiledRules


def format_of(log_file: LogFile, head: bytes, ended: bool, compiled: CompiledRules) -> Format | None:
    """Return the format of a file that begins with *head*, None if no line has a known one. *ended* says that it ends
    there. Raises StoreError.
    """
    if (found := compiled.detect(head, ended)) or ended:
        return found
    try:
        return format_among(map(bytes, Segment(log_file).blocks(bytearray(BLOCK_BYTES), lambda size: None)), compiled)
    except StoreError:
        raise
    except LogFileError:  # counting the file reports it
        return None


def format_among(blocks: Iterable[bytes], compiled: CompiledRules) -> Format | None:
    """Return the format of the first lines in *blocks* that have a known one, None if no line has."""
    return next(filter(None, (compiled.detect(lines, ended=True) for lines in whole_lines(blocks))), None)


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same lines in blocks that end where a line ends, as much as is looked at of each."""
    tail = b""
    for block in blocks:
        whole, newline, rest = block.rpartition(b"\n")
        if newline:
            yield tail + whole + newline
            tail = b""
        tail = (tail + rest)[: LINE_BYTES + 1]
    if tail:
        yield tail

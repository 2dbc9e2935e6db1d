"""What the tests of log files share: the lines of a file, however it is packed."""

from pathlib import Path

from fasthits.daily.logs.logfiles import Segment, find


def lines_of(segment: Segment, buffer_bytes: int = 64) -> bytes:
    return b"".join(bytes(block) for block in segment.blocks(bytearray(buffer_bytes), lambda size: None))


def decompressed(file: Path) -> bytes:
    (found,) = find(str(file))
    (segment,) = found.segments()
    return lines_of(segment)

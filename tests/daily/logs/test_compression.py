"""Compressed logs, whatever their names: several members, damage, padding, and files that are cut short."""

import gzip
import os
import random
import struct
import sys
import threading
import zlib
from pathlib import Path

import pytest

from fasthits.daily.logs import compression, logfiles
from fasthits.daily.logs.logfiles import find
from fasthits.errors import DamagedLogError, LogFileError
from tests.daily.logs.support import decompressed, lines_of
from tests.support.packers import PACKERS

WITHOUT_ISAL = ".gz without isal"


@pytest.fixture(params=[*filter(None, PACKERS), WITHOUT_ISAL])
def suffix(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == WITHOUT_ISAL:
        monkeypatch.setitem(sys.modules, "isal.igzip_lib", None)  # its import fails
        return ".gz"
    return str(request.param)


def test_a_compressed_file_of_several_members_is_read_to_its_end(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    long = random.Random(1).randbytes(3 * logfiles.BLOCK_BYTES) + b"\n"
    file.write_bytes(b"".join(map(PACKERS[suffix], (b"one\n", long, b"three"))))
    assert decompressed(file) == b"one\n" + long + b"three"


@pytest.mark.parametrize("keep", [5, 12, -4, -1])
def test_a_compressed_file_that_is_cut_short_is_an_error_that_says_where(
    suffix: str, keep: int, tmp_path: Path
) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(PACKERS[suffix](os.urandom(1000))[:keep])
    size = file.stat().st_size
    with pytest.raises(LogFileError, match=rf"access\.log\{suffix} \(after {size:,} of {size:,} bytes"):
        decompressed(file)


def test_nothing_after_a_damaged_place_is_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    data = bytearray(PACKERS[suffix](b"".join(b"line %d\n" % number for number in range(300_000))))
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    file.write_bytes(data)
    with pytest.raises(LogFileError, match="damaged or cut short"):
        decompressed(file)


def test_lines_before_a_damaged_place_are_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    lines = b"".join(b"line %d of no pattern that repeats %x\n" % (n, hash(str(n))) for n in range(40_000))
    file.write_bytes(PACKERS[suffix](lines)[:-9])
    (found,) = find(str(file))
    (segment,) = found.segments()
    pieces: list[bytes] = []
    with pytest.raises(DamagedLogError, match="damaged or cut short"):
        pieces.extend(map(bytes, segment.blocks(bytearray(64), lambda size: None)))
    read = b"".join(pieces)
    assert lines.startswith(read)
    lost = {".gz": 1 << 17, ".zst": 1 << 17, ".bz2": 900_000, ".xz": 1 << 17}  # bzip2 needs its blocks whole
    assert len(lines) - len(read) <= lost[suffix]


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b\x08\x00" + b"\xff" * 100, bytes(4096), b"\x8b\x1f\x08 half\n" * 99]
)
def test_a_compressed_file_of_other_bytes_is_an_error(suffix: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(content)
    with pytest.raises(DamagedLogError, match="damaged or cut short"):
        decompressed(file)


def test_text_is_read_as_text_whatever_its_name(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "SEGMENT_BYTES", 100)
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(b"plain text\n" * 50)
    (found,) = find(str(file))
    assert len(found.segments()) == 6
    assert b"".join(map(lines_of, found.segments())) == b"plain text\n" * 50


@pytest.mark.parametrize("name", ["access.log", "access.log.1", "access.log.gz.1", "access.log.bz2", "access.log.old"])
def test_a_packed_file_is_recognised_whatever_its_name(suffix: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PACKERS[suffix](b"one\ntwo\n" * 500))
    assert decompressed(tmp_path / name) == b"one\ntwo\n" * 500
    assert find(str(tmp_path / name))[0].head() == (b"one\ntwo\n" * 500, True)


def test_a_file_that_is_compressed_twice_is_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / "access.log.gz"
    file.write_bytes(gzip.compress(PACKERS[suffix](b"one\n" * 99_999)))
    assert decompressed(file) == b"one\n" * 99_999


def test_bytes_that_unpack_without_end_are_an_error(tmp_path: Path) -> None:
    data = b"line\n"
    for _ in range(5):
        data = gzip.compress(data)
    (tmp_path / "a.log").write_bytes(data)
    with pytest.raises(LogFileError, match=r"compressed more than four times: .*a\.log \(decompress it"):
        decompressed(tmp_path / "a.log")


def test_nuls_between_and_after_members_are_padding(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    one, two = map(PACKERS[suffix], (b"one\n", b"two\n"))
    for padding in (1, 8, 512, 300_000):
        file.write_bytes(one + bytes(padding) + two + bytes(padding))
        assert decompressed(file) == b"one\ntwo\n"


@pytest.mark.parametrize("size", [1, 7, 600, 40_000])
def test_other_bytes_after_the_data_are_an_error_after_its_lines(suffix: str, size: int, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    one, two = map(PACKERS[suffix], (b"one\n", b"two\n"))
    file.write_bytes(one + b"x" * size + two)  # for example a second member whose first bytes are damaged
    (found,) = find(str(file))
    pieces: list[bytes] = []
    with pytest.raises(DamagedLogError, match="other bytes follow the compressed data"):
        pieces.extend(map(bytes, found.segments()[0].blocks(bytearray(64), lambda size: None)))
    assert b"".join(pieces) == b"one\n"


def test_members_are_read_however_few_bytes_come_at_a_time(suffix: str) -> None:
    """isal fails if it gets the header of a gzip member in parts. This header has a comment, a name and a check sum."""
    lines = b"".join(b"%d\n" % hash(str(n)) for n in range(300))
    member = PACKERS[suffix](lines)
    if suffix == ".gz":
        header = member[:3] + b"\x1e" + member[4:10] + b"\x04\0abcdaccess.log\0a comment\0"
        member = header + struct.pack("<H", zlib.crc32(header) & 0xFFFF) + member[10:]
        assert gzip.decompress(member) == lines
    for step in (1, 2, 5, 11, 64):
        data = memoryview(member * 3)
        blocks = (data[at : at + step] for at in range(0, len(data), step))
        assert b"".join(compression.unpack_blocks(blocks, "stream")) == lines * 3


def test_no_torn_line_of_a_damaged_file_is_read(suffix: str, tmp_path: Path) -> None:
    lines = b"".join(b"%d /path/%d\n" % (n, hash(str(n)) % 10**9) for n in range(60_000))
    file = tmp_path / f"access.log{suffix}"
    packed = PACKERS[suffix](lines)
    for kept in (0.3, 0.5, 0.9, 0.999):
        file.write_bytes(packed[: int(len(packed) * kept)])
        (found,) = find(str(file))
        pieces: list[bytes] = []
        with pytest.raises(DamagedLogError, match="it ends in the middle of the data"):
            pieces.extend(map(bytes, found.segments()[0].blocks(bytearray(64), lambda size: None)))
        read = b"".join(pieces)
        assert lines.startswith(read)
        assert read == b"" or read.endswith(b"\n")


@pytest.mark.parametrize("sizes", [(1, 5000), (5000,), (3, 0, 1, 5000), (600, 600), (512,), (513, 2), (1,), ()])
def test_blocks_of_text_are_passed_on_wherever_they_are_cut(sizes: tuple[int, ...]) -> None:
    blocks = [random.Random(size).randbytes(size).hex().encode()[:size] for size in sizes]
    found = list(map(bytes, compression.unpack_blocks(map(memoryview, blocks), "stream")))
    assert b"".join(found) == b"".join(blocks)
    assert len(blocks) != 1 or found[0] == blocks[0]


@pytest.mark.parametrize("text", [b"one line\nand a torn one", b"x" * 400 + b"\ny"])
def test_all_whole_lines_of_a_short_file_that_is_cut_off_are_read(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "access.log.gz"
    file.write_bytes(gzip.compress(text)[:-8])
    (found,) = find(str(file))
    pieces: list[bytes] = []
    with pytest.raises(DamagedLogError, match="it ends in the middle of the data"):
        pieces.extend(map(bytes, found.segments()[0].blocks(bytearray(64), lambda size: None)))
    assert b"".join(pieces) == text[: text.index(b"\n") + 1]
    assert found.head() == (text, False)


def test_blocks_end_where_lines_end_and_long_lines_are_cut(suffix: str, tmp_path: Path) -> None:
    line = b"x" * 300_000 + b"\n"
    long = b"y" * (3 * logfiles.BLOCK_BYTES) + b"\n"
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(PACKERS[suffix](line * 5 + long + line))
    (found,) = find(str(file))
    blocks = [bytes(block) for block in found.segments()[0].blocks(bytearray(64), lambda size: None)]
    assert b"".join(blocks) == line * 5 + long + line
    assert [block.endswith(b"\n") for block in blocks[:5]] == [True] * 5


def test_an_empty_compressed_file_has_no_lines(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(PACKERS[suffix](b""))
    assert decompressed(file) == b""


def test_a_compressed_named_pipe_is_read_to_its_end(suffix: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (found,) = find(str(pipe))
    packed = PACKERS[suffix](b"one\n" * 1000)

    def write_slowly() -> None:
        with pipe.open("wb", buffering=0) as file:
            for at in range(len(packed)):
                file.write(packed[at : at + 1])

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert b"".join(map(lines_of, found.segments())) == b"one\n" * 1000
    writer.join()


def test_a_compressed_file_that_grows_is_read_as_long_as_it_was(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(PACKERS[suffix](b"line\n" * 100))
    (found,) = find(str(file))
    with file.open("ab") as log:
        log.write(PACKERS[suffix](b"later\n"))
    assert lines_of(found.segments()[0]) == b"line\n" * 100


def test_a_compressed_file_that_shrinks_or_is_replaced_is_an_error(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(PACKERS[suffix](os.urandom(100_000)))
    (found,) = find(str(file))
    os.truncate(file, 50_000)
    with pytest.raises(DamagedLogError, match="after 50,000 of 100,"):
        lines_of(found.segments()[0])
    file.rename(tmp_path / "old")
    file.write_bytes(PACKERS[suffix](b"line\n"))
    with pytest.raises(LogFileError, match="replaced"):
        lines_of(found.segments()[0])

"""Finding log files, and reading them in segments: no line is lost or read twice."""

import bz2
import gzip
import lzma
import os
import random
import struct
import sys
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fasthits.daily.logs import compression, logfiles, matching
from fasthits.daily.logs.logfiles import LogFile, Segment, find, search
from fasthits.errors import DamagedLogError, LogFileError
from tests.support.commands import hit

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def lines_of(segment: Segment, buffer_bytes: int = 64) -> bytes:
    return b"".join(bytes(block) for block in segment.blocks(bytearray(buffer_bytes), lambda size: None))


def names(found: list[LogFile]) -> list[str]:
    return [log_file.name for log_file in found]


def test_segments_give_every_line_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = random.Random(1)
    for case in range(300):
        lines = [bytes(choice.choices(b"ab", k=choice.choice([0, 1, 3, 30, 300]))) for _ in range(choice.randrange(12))]
        data = b"\n".join(lines) + b"\n" * choice.randrange(2)
        file = tmp_path / f"{case}.log"
        file.write_bytes(data)
        monkeypatch.setattr(logfiles, "SEGMENT_BYTES", choice.randrange(1, 60))
        monkeypatch.setattr(logfiles, "SCAN_BYTES", choice.randrange(1, 20))
        (found,) = find(str(file))
        parts = [lines_of(segment, choice.randrange(1, 70)) for segment in found.segments()]
        assert b"".join(parts) == data
        assert all(part.endswith(b"\n") for part in parts[:-1] if part and not data.endswith(part))


def test_segments_begin_and_end_between_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "SEGMENT_BYTES", 10)
    file = tmp_path / "access.log"
    file.write_bytes(b"123456789\nabcdefghi\n" + b"x" * 25 + b"\nlast")
    (found,) = find(str(file))
    parts = [lines_of(segment) for segment in found.segments()]
    assert parts == [b"123456789\n", b"abcdefghi\n", b"x" * 25 + b"\n", b"", b"last"]


def test_progress_through_segments_adds_up_to_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "SEGMENT_BYTES", 100)
    file = tmp_path / "access.log"
    file.write_bytes(b"".join(b"line %d\n" % number for number in range(500)))
    sizes: list[int] = []
    (found,) = find(str(file))
    for segment in found.segments():
        for _ in segment.blocks(bytearray(64), sizes.append):
            pass
    assert sum(sizes) == file.stat().st_size


def test_only_stars_are_wildcards(tmp_path: Path) -> None:
    for name in ("a/access.log", "b/access.log", "[x]/access.log", "q?/access.log"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert names(find(f"{tmp_path}/*/access.log")) == sorted(
        f"{tmp_path}/{name}/access.log" for name in ("a", "b", "[x]", "q?")
    )
    assert names(find(f"{tmp_path}/[x]/*.log")) == [f"{tmp_path}/[x]/access.log"]
    assert names(find(f"{tmp_path}/q?/access*")) == [f"{tmp_path}/q?/access.log"]
    assert find(f"{tmp_path}/[ab]/*.log") == []


def test_the_compressed_copy_of_a_plain_file_is_found_but_not_read(tmp_path: Path) -> None:
    for suffix in (".xz", ".bz2", ".zst", ".gz"):
        (tmp_path / f"1.log{suffix}").touch()
        (found,) = names(find(f"{tmp_path}/1.log"))
        assert found.startswith(f"{tmp_path}/1.log.")
    (tmp_path / "1.log").touch()
    (tmp_path / "2.log.gz").touch()
    assert names(find(f"{tmp_path}/1.log")) == [f"{tmp_path}/1.log"]
    both = [f"{tmp_path}/1.log", f"{tmp_path}/2.log.gz"]
    assert names(find(f"{tmp_path}/*.log")) == both
    assert names(find(f"{tmp_path}/*.log*")) == both


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstd.compress,
    ".bz2": bz2.compress,
    ".xz": partial(lzma.compress, preset=0),
}


WITHOUT_ISAL = ".gz without isal"


@pytest.fixture(params=[*COMPRESS, WITHOUT_ISAL])
def suffix(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == WITHOUT_ISAL:
        monkeypatch.setitem(sys.modules, "isal.igzip_lib", None)  # its import fails
        return ".gz"
    return str(request.param)


def decompressed(file: Path) -> bytes:
    (found,) = find(str(file))
    (segment,) = found.segments()
    return lines_of(segment)


def test_a_compressed_file_of_several_members_is_read_to_its_end(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    long = random.Random(1).randbytes(3 * logfiles.BLOCK_BYTES) + b"\n"
    file.write_bytes(b"".join(map(COMPRESS[suffix], (b"one\n", long, b"three"))))
    assert decompressed(file) == b"one\n" + long + b"three"


@pytest.mark.parametrize("keep", [5, 12, -4, -1])
def test_a_compressed_file_that_is_cut_short_is_an_error_that_says_where(
    suffix: str, keep: int, tmp_path: Path
) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(COMPRESS[suffix](os.urandom(1000))[:keep])
    size = file.stat().st_size
    with pytest.raises(LogFileError, match=rf"access\.log\{suffix} \(after {size:,} of {size:,} bytes"):
        decompressed(file)


def test_nothing_after_a_damaged_place_is_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    data = bytearray(COMPRESS[suffix](b"".join(b"line %d\n" % number for number in range(300_000))))
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    file.write_bytes(data)
    with pytest.raises(LogFileError, match="damaged or cut short"):
        decompressed(file)


def test_lines_before_a_damaged_place_are_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    lines = b"".join(b"line %d of no pattern that repeats %x\n" % (n, hash(str(n))) for n in range(40_000))
    file.write_bytes(COMPRESS[suffix](lines)[:-9])
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
    (tmp_path / name).write_bytes(COMPRESS[suffix](b"one\ntwo\n" * 500))
    assert decompressed(tmp_path / name) == b"one\ntwo\n" * 500
    assert find(str(tmp_path / name))[0].head() == (b"one\ntwo\n" * 500, True)


def test_a_file_that_is_compressed_twice_is_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / "access.log.gz"
    file.write_bytes(gzip.compress(COMPRESS[suffix](b"one\n" * 99_999)))
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
    one, two = map(COMPRESS[suffix], (b"one\n", b"two\n"))
    for padding in (1, 8, 512, 300_000):
        file.write_bytes(one + bytes(padding) + two + bytes(padding))
        assert decompressed(file) == b"one\ntwo\n"


@pytest.mark.parametrize("size", [1, 7, 600, 40_000])
def test_other_bytes_after_the_data_are_an_error_after_its_lines(suffix: str, size: int, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    one, two = map(COMPRESS[suffix], (b"one\n", b"two\n"))
    file.write_bytes(one + b"x" * size + two)  # for example a second member whose first bytes are damaged
    (found,) = find(str(file))
    pieces: list[bytes] = []
    with pytest.raises(DamagedLogError, match="other bytes follow the compressed data"):
        pieces.extend(map(bytes, found.segments()[0].blocks(bytearray(64), lambda size: None)))
    assert b"".join(pieces) == b"one\n"


def test_members_are_read_however_few_bytes_come_at_a_time(suffix: str) -> None:
    """isal fails if it gets the header of a gzip member in parts. This header has a comment, a name and a check sum."""
    lines = b"".join(b"%d\n" % hash(str(n)) for n in range(300))
    member = COMPRESS[suffix](lines)
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
    packed = COMPRESS[suffix](lines)
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
    file.write_bytes(COMPRESS[suffix](line * 5 + long + line))
    (found,) = find(str(file))
    blocks = [bytes(block) for block in found.segments()[0].blocks(bytearray(64), lambda size: None)]
    assert b"".join(blocks) == line * 5 + long + line
    assert [block.endswith(b"\n") for block in blocks[:5]] == [True] * 5


# --- Archives and UTF-16 ------------------------------------------------------------------------------------------


def zipped(file: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_archive_of_one_file_is_read(method: int, tmp_path: Path) -> None:
    lines = b"one line\n" * 100_000
    file = zipped(tmp_path / "2026-03-12.log.zip", ("logs/", b""), ("logs/access.log", lines), method=method)
    assert decompressed(tmp_path / "2026-03-12.log") == lines
    assert find(str(file))[0].head() == (lines[: logfiles.HEAD_BYTES], False)


def test_the_error_about_a_zip_archive_of_several_files_says_how_to_unpack_it(tmp_path: Path) -> None:
    for number in (0, 2):
        file = zipped(tmp_path / "my logs.zip", *((f"{n}.log", b"line\n") for n in range(number)))
        hint = rf"zip archive of {number} files: {file} \(unpack it: unzip '{file}' -d FOLDER\)"
        with pytest.raises(LogFileError, match=hint):
            decompressed(file)


def test_the_error_about_a_zip_archive_with_a_password_says_how_to_unpack_it(tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", ("access.log", b"line\n"))
    data = bytearray(file.read_bytes())
    data[6] |= 1  # the flag in the header of the file, and in the directory of the archive
    data[data.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(data)
    with pytest.raises(LogFileError, match="zip archive with a password"):
        decompressed(file)


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_zip_archive_that_is_cut_short_is_damaged(part: float, tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", ("access.log", random.Random(1).randbytes(100_000)))
    os.truncate(file, int(file.stat().st_size * part))
    with pytest.raises(DamagedLogError, match="damaged or cut short"):
        decompressed(file)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_the_error_about_a_tar_archive_says_how_to_unpack_it(
    form: int, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    (tmp_path / "in.log").write_bytes(b"line\n")
    with tarfile.open(tmp_path / "tar", "w", format=form) as archive:
        archive.add(tmp_path / "in.log", "access.log")
    file = tmp_path / "access.log.gz"
    file.write_bytes(pack((tmp_path / "tar").read_bytes()))
    with pytest.raises(LogFileError, match=rf"is a tar archive: {file} \(unpack it: tar -xf {file} -C FOLDER\)"):
        decompressed(file)


@pytest.mark.parametrize(
    ("head", "command"),
    [
        (b"\x1f\x9d\x90", "gzip -dc"),
        (b"\x04\x22\x4d\x18", "lz4 -dc"),
        (b"7z\xbc\xaf\x27\x1c", "7z x"),
        (b"LZIP\x01", "lzip"),
        ("\ufeffline".encode("utf-32-le"), "iconv -f UTF-32"),
        ("\ufeffline".encode("utf-32-be"), "iconv -f UTF-32"),
    ],
)
def test_the_error_about_an_unsupported_packing_names_the_command(head: bytes, command: str, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_bytes(head + bytes(100))
    with pytest.raises(LogFileError, match=rf"log file is a .*: {file} \(unpack it: {command}"):
        decompressed(file)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_with_and_without_its_mark(encoding: str, tmp_path: Path) -> None:
    text = hit("/\u00fc\u4e2d\U0001f600".encode()).decode() * 5_000
    for pack in (bytes, gzip.compress):
        (tmp_path / "access.log").write_bytes(pack(text.encode(encoding)))
        assert decompressed(tmp_path / "access.log") == text.encode()


def test_lines_that_end_with_cr_are_read(tmp_path: Path) -> None:
    lines = hit("/first?" + "x" * 9_000) + hit("/a") * 5_000
    ends_with_cr = lines.replace(b"\n", b"\r")
    for data in (ends_with_cr, gzip.compress(ends_with_cr), ends_with_cr.decode().encode("utf-16")):
        (tmp_path / "access.log").write_bytes(data)
        assert decompressed(tmp_path / "access.log") == lines
        assert find(str(tmp_path / "access.log"))[0].head()[0] == lines[: logfiles.HEAD_BYTES]


def test_a_log_with_one_lf_keeps_its_crs(tmp_path: Path) -> None:
    for lines in (b"one\r\n" * 3, b"one\rtwo\nthree\rfour\r", b"one\r", b"one\r\r"):
        (tmp_path / "access.log").write_bytes(lines)
        assert decompressed(tmp_path / "access.log") == lines


def test_the_error_about_packing_that_needs_too_much_memory_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 30})
    (tmp_path / "a.zst").write_bytes(long.compress(b"line\n") + long.flush())
    with pytest.raises(LogFileError, match=r"too much memory.*\(unpack it: zstd -dc --long=31 .*a\.zst > FILE"):
        decompressed(tmp_path / "a.zst")
    monkeypatch.setattr(compression, "XZ_BYTES", 1 << 20)
    (tmp_path / "a.xz").write_bytes(lzma.compress(b"line\n"))
    with pytest.raises(LogFileError, match=r"[Mm]emory.*\(unpack it: xz -dc .*a\.xz > FILE"):
        decompressed(tmp_path / "a.xz")


def test_an_empty_compressed_file_has_no_lines(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(COMPRESS[suffix](b""))
    assert decompressed(file) == b""


def test_a_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (found,) = find(str(pipe))
    writer = threading.Thread(target=pipe.write_bytes, args=(b"one\ntwo\n",))
    writer.start()
    assert b"".join(map(lines_of, found.segments())) == b"one\ntwo\n"
    writer.join()


def test_a_compressed_named_pipe_is_read_to_its_end(suffix: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (found,) = find(str(pipe))
    packed = COMPRESS[suffix](b"one\n" * 1000)

    def write_slowly() -> None:
        with pipe.open("wb", buffering=0) as file:
            for at in range(len(packed)):
                file.write(packed[at : at + 1])

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert b"".join(map(lines_of, found.segments())) == b"one\n" * 1000
    writer.join()


def test_a_pattern_may_have_thousands_of_folders(tmp_path: Path) -> None:
    (tmp_path / "access.log").touch()
    slashes = "/" * 3_000
    assert matching.match(f"{tmp_path}{slashes}a*.log", [""]) == ([f"{tmp_path}{slashes}access.log"], [])


def test_a_star_leaves_out_folders_and_special_files(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_bytes(b"line\n")
    (tmp_path / "access.log.1").mkdir()
    (tmp_path / "access.log.2").symlink_to("nothing")
    os.mkfifo(tmp_path / "access.log.3")
    found = search(f"{tmp_path}/access.log*")
    assert names(found.files) == [f"{tmp_path}/access.log"]
    assert [error.failed for error in found.left_out] == [
        "log file is a directory",
        "log file is a broken link",
        "log file is a pipe or a device",
    ]
    with pytest.raises(LogFileError, match="is a directory"):
        search(f"{tmp_path}/access.log.1*")
    with pytest.raises(LogFileError, match="is a broken link"):
        search(f"{tmp_path}/access.log.2*")


def test_an_unreachable_folder_is_listed_with_its_problem(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "access.log").write_bytes(b"line\n")
    (tmp_path / "b").symlink_to("b")
    for pattern, problem, message in (
        ("*/access.log*", "b/", r"cannot list the folder of log files: .*/b "),
        ("*/access.log", "b/access.log", r"cannot read log file: .*/b/access\.log "),
    ):
        found = find(f"{tmp_path}/{pattern}")
        assert [(each.name, bool(each.problem)) for each in found] == [
            (f"{tmp_path}/a/access.log", False),
            (f"{tmp_path}/{problem}", True),
        ]
        with pytest.raises(LogFileError, match=message):
            lines_of(found[1].segments()[0])


def test_a_folder_is_an_error_and_a_missing_file_is_not(tmp_path: Path) -> None:
    with pytest.raises(LogFileError, match="is a directory"):
        find(str(tmp_path))
    assert find(str(tmp_path / "nothing.log")) == []
    assert find(str(tmp_path / "nothing" / "*.log")) == []


def test_a_file_that_shrinks_or_is_replaced_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_bytes(b"line\n" * 100)
    (found,) = find(str(file))
    os.truncate(file, 250)
    with pytest.raises(LogFileError, match="shrank"):
        lines_of(found.segments()[0])
    file.rename(tmp_path / "access.log.1")
    file.write_bytes(b"line\n" * 100)
    with pytest.raises(LogFileError, match="replaced"):
        lines_of(found.segments()[0])


def test_a_file_that_grows_is_read_as_long_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_bytes(b"line\n" * 100)
    (found,) = find(str(file))
    with file.open("ab") as log:
        log.write(b"later\n")
    assert lines_of(found.segments()[0]) == b"line\n" * 100


def test_a_compressed_file_that_grows_is_read_as_long_as_it_was(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(COMPRESS[suffix](b"line\n" * 100))
    (found,) = find(str(file))
    with file.open("ab") as log:
        log.write(COMPRESS[suffix](b"later\n"))
    assert lines_of(found.segments()[0]) == b"line\n" * 100


def test_a_compressed_file_that_shrinks_or_is_replaced_is_an_error(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(COMPRESS[suffix](os.urandom(100_000)))
    (found,) = find(str(file))
    os.truncate(file, 50_000)
    with pytest.raises(DamagedLogError, match="after 50,000 of 100,"):
        lines_of(found.segments()[0])
    file.rename(tmp_path / "old")
    file.write_bytes(COMPRESS[suffix](b"line\n"))
    with pytest.raises(LogFileError, match="replaced"):
        lines_of(found.segments()[0])


def test_a_file_that_disappears_before_it_is_read_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "access.log.1"
    file.write_bytes(b"line\n")
    (found,) = find(str(file))
    file.unlink()
    with pytest.raises(LogFileError, match=r"access\.log\.1 \(it was there a moment ago; run it again\)"):
        lines_of(found.segments()[0])


def test_a_link_and_its_file_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "vhost1").mkdir()
    (tmp_path / "vhost1" / "access.log").touch()
    (tmp_path / "current").symlink_to("vhost1")
    assert names(find(f"{tmp_path}/*/access.log")) == [f"{tmp_path}/current/access.log"]


def test_a_file_is_the_same_however_it_has_grown(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_bytes(b"one\n")
    before = find(str(file))
    file.write_bytes(b"one\ntwo\n")
    assert before == find(str(file))
    assert len({*before, *find(str(file))}) == 1


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_reader_knows_whether_a_head_is_the_whole_log(suffix: str, tmp_path: Path) -> None:
    pack = gzip.compress if suffix else bytes
    whole = random.Random(1).randbytes(2 * logfiles.BLOCK_BYTES)
    for data in (b"", b"a\nb", b"a\n"):
        (tmp_path / f"a{suffix}").write_bytes(pack(data))
        (log_file,) = find(f"{tmp_path}/a")
        assert log_file.head() == (data, True)
    for kept in (1.0, 0.9):  # and a file that is damaged after its head
        packed = pack(whole)
        (tmp_path / f"a{suffix}").write_bytes(packed[: int(kept * len(packed))])
        (log_file,) = find(f"{tmp_path}/a")
        head, ended = log_file.head()
        assert whole.startswith(head)
        assert (len(head) >= logfiles.HEAD_BYTES, ended) == (True, False)
    assert LogFile(logfiles.STDIN).head() == (b"", False)

"""Finding log files, and reading them in segments that lose and double no line."""

import bz2
import gzip
import lzma
import os
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fasthits.daily.logs import logfiles
from fasthits.daily.logs.logfiles import LogFile, Segment, find
from fasthits.errors import DamagedLogError, LogFileError

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


def test_stars_match_and_other_signs_stand_for_themselves(tmp_path: Path) -> None:
    for name in ("a/access.log", "b/access.log", "[x]/access.log", "q?/access.log"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert names(find(f"{tmp_path}/*/access.log")) == sorted(
        f"{tmp_path}/{name}/access.log" for name in ("a", "b", "[x]", "q?")
    )
    assert names(find(f"{tmp_path}/[x]/*.log")) == [f"{tmp_path}/[x]/access.log"]
    assert names(find(f"{tmp_path}/q?/access*")) == [f"{tmp_path}/q?/access.log"]
    assert find(f"{tmp_path}/[ab]/*.log") == []


def test_the_compressed_copy_is_found_but_not_read_beside_the_plain_file(tmp_path: Path) -> None:
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
    ".xz": lzma.compress,
}


@pytest.fixture(params=COMPRESS)
def suffix(request: pytest.FixtureRequest) -> str:
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


def test_what_is_behind_a_damaged_place_is_not_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    data = bytearray(COMPRESS[suffix](b"".join(b"line %d\n" % number for number in range(300_000))))
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    file.write_bytes(data)
    with pytest.raises(LogFileError, match="damaged or cut short"):
        decompressed(file)


def test_what_is_in_front_of_a_damaged_place_comes_first(suffix: str, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("content", [b"plain text, and much more of it\n", b"\x1f\x8b\x08\x00" + b"\xff" * 100])
def test_a_compressed_file_that_is_none_is_an_error(suffix: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"access.log{suffix}"
    file.write_bytes(content)
    with pytest.raises(LogFileError, match="damaged or cut short"):
        decompressed(file)


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


def test_a_folder_is_an_error_and_nothing_is_none(tmp_path: Path) -> None:
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
def test_a_head_is_known_to_be_all_of_a_log(suffix: str, tmp_path: Path) -> None:
    pack = gzip.compress if suffix else bytes
    whole = random.Random(1).randbytes(2 * logfiles.BLOCK_BYTES)
    for data in (b"", b"a\nb", b"a\n"):
        (tmp_path / f"a{suffix}").write_bytes(pack(data))
        (log_file,) = find(f"{tmp_path}/a")
        assert log_file.head() == (data, True)
    for kept in (1.0, 0.9):  # and one that is damaged behind its head
        packed = pack(whole)
        (tmp_path / f"a{suffix}").write_bytes(packed[: int(kept * len(packed))])
        (log_file,) = find(f"{tmp_path}/a")
        head, ended = log_file.head()
        assert whole.startswith(head)
        assert (len(head) >= logfiles.HEAD_BYTES, ended) == (True, False)
    assert LogFile(logfiles.STDIN).head() == (b"", False)

"""Log files are read in segments and encodings: no line is lost or read twice."""

import gzip
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fasthits.daily.logs import logfiles
from fasthits.daily.logs.logfiles import LogFile, Segment, find
from fasthits.errors import LogFileError
from tests.daily.logs.support import decompressed, lines_of
from tests.support.commands import hit


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


def test_a_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (found,) = find(str(pipe))
    writer = threading.Thread(target=pipe.write_bytes, args=(b"one\ntwo\n",))
    writer.start()
    assert b"".join(map(lines_of, found.segments())) == b"one\ntwo\n"
    writer.join()


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


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_shrinks_where_a_line_or_a_member_ends_is_an_error(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Such as a log in W3C's format, which is read from its start."""
    file = tmp_path / "access.log"
    half = pack(b"line\n" * 100)
    file.write_bytes(half * 2)
    (found,) = find(str(file))
    os.truncate(file, len(half))
    with pytest.raises(LogFileError, match="shrank"):
        lines_of(Segment(found))


def test_a_part_of_a_file_that_is_no_longer_there_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_bytes(b"line\n" * 100)
    (found,) = find(str(file))
    first, second = found.segments(250)
    os.truncate(file, 250)
    with pytest.raises(LogFileError, match="shrank"):
        lines_of(first)
    with pytest.raises(LogFileError, match="shrank"):
        lines_of(second)


def test_a_file_that_grows_is_read_as_long_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_bytes(b"line\n" * 100)
    (found,) = find(str(file))
    with file.open("ab") as log:
        log.write(b"later\n")
    assert lines_of(found.segments()[0]) == b"line\n" * 100


def test_a_file_that_disappears_before_it_is_read_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "access.log.1"
    file.write_bytes(b"line\n")
    (found,) = find(str(file))
    file.unlink()
    with pytest.raises(LogFileError, match=r"access\.log\.1 \(it was there a moment ago; run it again\)"):
        lines_of(found.segments()[0])


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

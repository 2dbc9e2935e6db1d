"""Logs in zip and tar archives, and packings that fasthits does not read: what the errors say."""

import gzip
import lzma
import os
import random
import re
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fasthits.daily.logs import compression, logfiles
from fasthits.daily.logs.logfiles import find
from fasthits.errors import DamagedLogError, LogFileError
from tests.daily.logs.support import decompressed
from tests.support.packers import PACKERS, zstd


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


@pytest.mark.parametrize(
    ("name", "module", "command"),
    [
        ("a.log.zst", zstd.__name__, "zstd -dc --long=31 {}"),
        ("a.log.bz2", "bz2", "bzip2 -dc {}"),
        ("a.log.xz", "lzma", "xz -dc {}"),
        ("a.zip", "lzma", "7z x {} "),
    ],
)
def test_a_log_is_not_damaged_where_python_has_no_library_for_it(
    name: str, module: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Python was built without the library's headers."""
    file = tmp_path / name
    if file.suffix == ".zip":
        zipped(file, ("access.log", b"line\n"), method=zipfile.ZIP_LZMA)
        monkeypatch.setattr(zipfile, module, None)
    else:
        file.write_bytes(PACKERS[file.suffix](b"line\n"))
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LogFileError, match=re.escape(f"(unpack it: {command.format(file)}")) as raised:
        decompressed(file)
    assert not isinstance(raised.value, DamagedLogError)


def test_the_error_about_a_zip_archive_that_needs_too_much_memory_says_how_to_unpack_it(tmp_path: Path) -> None:
    """A small archive may fill a dictionary of 4 GiB."""
    file = zipped(tmp_path / "a.zip", ("access.log", b"line\n"), method=zipfile.ZIP_LZMA)
    data = bytearray(file.read_bytes())
    at = data.index(b"access.log") + len(b"access.log") + 5
    data[at : at + 4] = b"\xff" * 4
    file.write_bytes(data)
    hint = rf"log file needs more than 256 MiB of memory: {file} \(unpack it: 7z x {file} -oFOLDER\)"
    with pytest.raises(LogFileError, match=hint):
        decompressed(file)


def test_an_archive_of_very_many_files_is_refused_without_memory_for_all_their_names(tmp_path: Path) -> None:
    empty = [(f"{number}/{'x' * 200}.log", b"") for number in range(5_000)]
    file = zipped(tmp_path / "a.zip", *empty)
    tracemalloc.start()
    with pytest.raises(LogFileError, match="zip archive of too many files"):
        decompressed(file)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_zip_archive_that_is_cut_short_is_damaged(part: float, tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", ("access.log", random.Random(1).randbytes(100_000)))
    os.truncate(file, int(file.stat().st_size * part))
    with pytest.raises(DamagedLogError, match="damaged or cut short"):
        decompressed(file)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, PACKERS[".zst"]])
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

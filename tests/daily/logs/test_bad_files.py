"""Files that cannot be read, or not to their end: their days stay unchanged, and other days are still rolled up."""

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from datetime import timedelta
from pathlib import Path

import pytest

from fasthits._parse import HitTable
from fasthits.daily.counting.count_days import count_days
from fasthits.daily.counting.threads import Progress, Reading
from fasthits.daily.logs import logfiles
from tests.daily.logs.rotated import KEPT, TODAY, YESTERDAY, every, keep_one_hit, line, midnight, rolled
from tests.support.commands import write


def tar_of(name: str) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return archive.getvalue()


def zip_of(*names: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name in names:
            packed.writestr(name, b"line\n")
    return archive.getvalue()


def test_the_error_about_a_damaged_file_says_how_to_count_its_readable_part(tmp_path: Path) -> None:
    noon = midnight(YESTERDAY) + timedelta(hours=12)
    write(tmp_path / "web1" / f"{YESTERDAY}.log", line("/a", noon) * 10)
    data = gzip.compress(b"".join(line(f"/{number}", noon) for number in range(50_000)))
    write(tmp_path / "web2" / f"{YESTERDAY}.log.gz", data[: len(data) // 2])
    keep_one_hit(tmp_path)
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "*/%F.log")
    assert (code, rows) == (1, KEPT)
    damaged = f"compressed log file is damaged or cut short: web2/{YESTERDAY}.log.gz (after {len(data) // 2:,} of "
    assert f"not the whole day, left unchanged: {YESTERDAY}: {damaged}" in said
    assert "--partial counts what is there" in said
    code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", "*/%F.log", "--partial")
    assert code == 0
    assert rows[str(YESTERDAY), "/a"] == 10
    assert 20_000 < len(rows) < 30_000
    assert summary["hits"] == sum(rows.values())
    assert f"  {YESTERDAY} is only a part: {damaged}" in said


def test_text_with_compressed_data_behind_it_is_damaged(tmp_path: Path) -> None:
    """`cat access.log access.log.2.gz`: its lines were malformed, and the day was kept without them."""
    noon = midnight(YESTERDAY) + timedelta(hours=12)
    packed = gzip.compress(b"".join(line(f"/{number}", noon) for number in range(2_000)))
    write(tmp_path / f"{YESTERDAY}.log", line("/a", noon) * 1_000 + packed)
    keep_one_hit(tmp_path)
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "%F.log")
    assert (code, rows) == (1, KEPT)
    told = f"left unchanged: {YESTERDAY}: compressed data between lines of text: {YESTERDAY}.log ("
    assert f"{told}do not join text and compressed files with cat, but with zcat -f)" in said


def test_a_few_control_characters_are_no_compressed_data(tmp_path: Path) -> None:
    noon = midnight(YESTERDAY) + timedelta(hours=12)
    write(tmp_path / f"{YESTERDAY}.log", line("/a", noon) + b"\1\2\3\n")
    code, rows, _, _ = rolled(tmp_path, "yesterday", "--logs", "%F.log", "--partial")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 1})


def test_a_damaged_file_leaves_only_its_own_day_of_a_range_unchanged(tmp_path: Path) -> None:
    days = [YESTERDAY - timedelta(n) for n in (2, 1, 0)]
    for day in days:
        data = gzip.compress(b"".join(line(f"/{n}", midnight(day) + timedelta(hours=12)) for n in range(5_000)))
        write(tmp_path / f"{day}.log.gz", data[:-9] if day == days[1] else data)
    write(tmp_path / f"{TODAY}.log.gz", b"\0damaged from its beginning")
    code, rows, said, summary = rolled(tmp_path, f"{days[0]}..{days[2]}", "--logs", "%F.log")
    assert (code, {day for day, _ in rows}, summary["days"]) == (1, {str(days[0])}, [str(days[0])])
    damaged = "compressed log file is damaged or cut short"
    assert f"left unchanged: {days[1]}: {damaged}: {days[1]}.log.gz (after " in said
    assert f"left unchanged: {days[2]}: {damaged}: {TODAY}.log.gz (after " in said
    code, rows, _, _ = rolled(tmp_path, f"{days[0]}..{days[2]}", "--logs", "%F.log", "--partial")
    assert (code, {day for day, _ in rows}) == (0, set(map(str, days)))


def test_the_whole_lines_of_a_file_that_is_still_being_compressed_count(tmp_path: Path) -> None:
    """The file ends in the middle of a path. Half a path must not count."""
    name = "access.log.2.gz"
    stamps = every(1, midnight(YESTERDAY), midnight(TODAY))
    data = b"".join(f"{at:%Y-%m-%dT%H:%M:%S}Z GET /{at:%H/%M}/{'x' * 50}\n".encode() for at in stamps)
    whole = data[: len(data) // 2].count(b"\n")
    writer = zlib.compressobj(wbits=31)
    write(tmp_path / name, writer.compress(data[: len(data) // 2]) + writer.flush(zlib.Z_SYNC_FLUSH))
    options = ("--logs", "access.log*", "--format", "$time_iso8601 $request_method $request_uri")
    code, rows, said, _ = rolled(tmp_path, "yesterday", *options)
    assert (code, rows) == (1, {})
    assert f"cut short: {name} (after " in said
    assert f"it ends in the middle of the data), counted up to {YESTERDAY} {stamps[whole - 1]:%H:%M:%S}" in said
    assert "--partial counts what is there" in said
    code, rows, said, summary = rolled(tmp_path, "yesterday", *options, "--partial")
    assert (code, len(rows), summary["lines"], summary["malformed"]) == (0, whole, whole, 0)
    assert all(path.endswith("x" * 50) for _, path in rows)


BAD_FILES = {
    "a tar archive": (tar_of("2024.log"), "log file is a tar archive: {} (unpack it: tar -xf {} -C FOLDER)"),
    "two files in a zip": (
        zip_of("a", "b"),
        "log file is a zip archive of 2 files: {} (unpack it: unzip {} -d FOLDER)",
    ),
    "an empty .gz": (b"", "compressed log file is damaged or cut short: {} (after 0 of 0 bytes: it is empty)"),
    "a file of NULs": (bytes(4096), "cut short: {} (after 4,096 of 4,096 bytes: it does not begin like a .gz file)"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_days_that_a_damaged_file_may_hold_are_left_unchanged(what: str, tmp_path: Path) -> None:
    """The file was last changed on the day before yesterday, so it cannot hold yesterday."""
    data, said_of_it = BAD_FILES[what]
    days = [YESTERDAY - timedelta(n) for n in (2, 1, 0)]
    hours = [hour for hour in every(60, midnight(days[0] - timedelta(1)), midnight(TODAY)) if hour.date() != days[1]]
    write(tmp_path / "access.log", *(line("/a", hour) for hour in hours), line("/a", midnight(TODAY)))
    bad = write(tmp_path / "access.log.7.gz", data)
    at = midnight(days[1]) + timedelta(hours=2)
    os.utime(bad, (at.timestamp(), at.timestamp()))
    write(tmp_path / "hits.csv", f"date,path,views\n{days[0]},/kept,1\n".encode())
    code, rows, said, summary = rolled(tmp_path, f"{days[0]}..{days[2]}", "--logs", "access.log*")
    assert code == 1
    assert rows == {(str(days[0]), "/kept"): 1, (str(YESTERDAY), "/a"): 24}
    assert said_of_it.format(*[bad.name] * 2) in said
    assert f"not the whole day, left unchanged: {days[0]}: " in said
    assert summary["days"] == [str(YESTERDAY)]
    code, rows, said, _ = rolled(tmp_path, str(days[0]), "--logs", "access.log*", "--partial")
    assert (code, rows[str(days[0]), "/a"]) == (0, 24)
    assert f"  {days[0]} is only a part: " in said


def test_an_unreachable_folder_leaves_all_days_and_skipped_files_are_named(tmp_path: Path) -> None:
    hours = every(60, midnight(YESTERDAY - timedelta(1)), midnight(TODAY) + timedelta(hours=1))
    write(tmp_path / "web1" / "access.log", *(line("/a", hour) for hour in hours))
    (tmp_path / "web1" / "access.log.d").mkdir()
    (tmp_path / "web1" / "access.log.9").symlink_to("gone")
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "*/access.log*", "--quiet")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 24})
    note = "left out of */access.log*: web1/access.log.9 is a broken link, web1/access.log.d is a directory\n"
    assert f"  {note}" in said
    (tmp_path / "web2").symlink_to("web2")
    keep_one_hit(tmp_path)
    for pattern, what in (
        ("*/access.log*", "list the folder of log files: web2"),
        ("*/access.log", "read log file: web2"),
    ):
        code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", pattern)
        assert (code, rows) == (1, KEPT)
        assert f"left unchanged: {YESTERDAY}: cannot {what}" in said
    code, rows, _, _ = rolled(tmp_path, "yesterday", "--logs", "*/access.log*", "--partial")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 24})


def test_if_no_file_can_be_read_the_error_says_so(tmp_path: Path) -> None:
    for name in ("access.log", "access.log.1"):
        write(tmp_path / name, tar_of("a.log"))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "access.log*")
    assert (code, rows) == (1, {})
    assert said == "fasthits: log file is a tar archive: access.log (unpack it: tar -xf access.log -C FOLDER)\n"


@pytest.mark.parametrize("change", ["shrinks", "is replaced", "goes"])
def test_days_of_a_file_that_changes_during_the_count_are_left_unchanged(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files change as logrotate changes them: copytruncate, create, and compress."""
    days = (YESTERDAY - timedelta(2), YESTERDAY)
    for day in (days[0], days[0] + timedelta(1), days[1]):
        write(tmp_path / f"{day}.log", line("/a", midnight(day) + timedelta(hours=12)) * 50)
    write(tmp_path / f"{TODAY}.log", b"")
    changing = tmp_path / f"{YESTERDAY}.log"
    monkeypatch.setattr(logfiles, "SEGMENT_BYTES", 1000)
    run = Reading.run

    def change_and_run(reading: Reading, progress: Progress | None = None) -> HitTable:
        if change == "shrinks":
            os.truncate(changing, 500)
        else:
            changing.rename(changing.with_suffix(".1"))
        if change == "is replaced":
            changing.write_bytes(b"")
        return run(reading, progress)

    monkeypatch.setattr(Reading, "run", change_and_run)
    counted, _ = count_days(days, (f"{tmp_path}/%F.log",), lambda whole, tables: None, threads=2)
    assert counted.days == [days[0]]
    assert counted.hits >= 50
    (error,) = counted.damaged
    assert error.hint.endswith("run it again")


def test_a_compressed_copy_next_to_its_file_is_not_counted(tmp_path: Path) -> None:
    """Logrotate leaves both if it is killed before it deletes the file. The copy may be whole or cut short."""
    lines = b"".join(line("/a", hour) for hour in every(60, midnight(YESTERDAY - timedelta(1)), midnight(TODAY)))
    copy = gzip.compress(lines)
    for data in (copy, copy[: len(copy) // 2], b""):
        write(tmp_path / "access.log.1", lines)
        write(tmp_path / "access.log.1.gz", data)
        write(tmp_path / "access.log", line("/a", midnight(TODAY)))
        assert rolled(tmp_path, "yesterday", "--logs", "access.log*")[:2] == (0, {(str(YESTERDAY), "/a"): 24})


def test_a_compressed_file_next_to_a_different_file_of_its_name_is_counted(tmp_path: Path) -> None:
    """Cronolog leaves both if a slow request ends after the day's file was compressed: it makes the file again."""
    hours = every(60, midnight(YESTERDAY), midnight(TODAY))
    write(tmp_path / f"{YESTERDAY}.log.gz", gzip.compress(b"".join(line("/a", hour) for hour in hours)))
    write(tmp_path / f"{TODAY}.log", line("/a", midnight(TODAY)))
    for late in (line("/late", hours[-1]), b""):
        write(tmp_path / f"{YESTERDAY}.log", late)
        code, rows, _, _ = rolled(tmp_path, "yesterday", "--logs", "%F.log", "--replace")
        assert (code, rows[str(YESTERDAY), "/a"], (str(YESTERDAY), "/late") in rows) == (0, 24, bool(late))


def test_rotated_files_of_docker_belong_to_one_log(tmp_path: Path) -> None:
    """Docker rotates the files of json-file: with max-file they get numbers, with compress a .gz after the number."""
    folder, name = tmp_path / "containers" / ("0a" * 32), "0a" * 32 + "-json.log"
    day = midnight(YESTERDAY)
    parts = {"": (day + timedelta(1),), ".1": (day + timedelta(hours=20),), ".2.gz": (day - timedelta(1), day)}
    for suffix, stamps in parts.items():
        data = b"".join(line("/a", at) for at in stamps)
        write(folder / (name + suffix), gzip.compress(data) if suffix.endswith(".gz") else data)
    code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", "containers/*/*-json.log*")
    assert (code, rows, summary["files"]) == (0, {(str(YESTERDAY), "/a"): 2}, 3), said
    (folder / f"{name}.1").unlink()
    assert (
        f"a file is missing: containers/{folder.name}/{name}.1"
        in rolled(tmp_path, "yesterday", "--logs", "containers/*/*-json.log*")[2]
    )

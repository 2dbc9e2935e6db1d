"""Log files that are followed, one look after the other: all kinds of rotation."""

import gzip
import lzma
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from fasthits.live.follow import files
from fasthits.live.follow import tail as followed
from fasthits.live.follow.files import Files
from fasthits.live.follow.open_files import OpenFiles
from fasthits.live.follow.positions import HEAD_BYTES, Positions


def find_files(patterns: Sequence[str], said: list[str]) -> tuple[OpenFiles, Files]:
    """Return the files that are read, and what finds them, before the first look."""

    def report(cause: str, text: str) -> None:
        said.append(text)

    opened = OpenFiles(said.append, report)
    return opened, Files(patterns, opened, said.append, report)


class Following:
    """Followed files. Each call of `lines` looks at them and reads them to their end."""

    def __init__(
        self, *patterns: Path | str, positions: Positions = (), known: dict[tuple[int, int], int] | None = None
    ):
        self.said: list[str] = []
        names = list(map(str, patterns))
        self.opened, self.files = find_files(names, self.said)
        if known is not None:
            self.files.resume(positions, names, known, 0.0)
        self.files.look()

    def lines(self, *renames: tuple[Path, Path]) -> list[str]:
        """Return the new lines."""
        self.files.look([(str(old), str(new)) for old, new in renames])
        found = b""
        again = True
        while again:
            again = False
            for tail in list(self.opened.tails.values()):
                block = self.opened.read(tail)
                found += block
                again |= bool(block)
        return sorted(found.decode().splitlines())

    def again(self, *patterns: Path | str) -> "Following":
        """Return the object that goes on after a restart."""
        positions = self.files.positions()
        known = self.files.known
        self.opened.close()
        return Following(*patterns, positions=positions, known=known)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture(autouse=True)
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take logs for older than they are."""
    monkeypatch.setattr(followed, "YOUNG_SECONDS", 0.0)


def append(file: Path, text: str) -> None:
    with file.open("a") as opened:
        opened.write(text)


def read_whole(log: Path) -> tuple[Following, list[str]]:
    """Write a log of 1000 lines, 10,000 bytes, and follow it to its end; return the lines, too."""
    log.touch()
    following = Following(log)
    lines = [f"line {number:04}" for number in range(1000)]
    append(log, "\n".join([*lines, ""]))
    assert following.lines() == lines
    return following, lines


def test_at_the_first_start_counting_begins_at_the_end_and_says_so(log: Path) -> None:
    append(log, "old\n")
    following = Following(log)
    append(log, "new\n")
    assert following.lines() == ["new"]
    hint = f"(fasthits warm --logs {log} counts what was there already)"
    assert following.said == [f"{log} is followed for the first time: counting from the end {hint}"]


def test_at_the_first_start_many_files_are_reported_in_one_line(tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "c.log"):
        append(tmp_path / name, "old\n")
    (said,) = Following(tmp_path / "*.log").said
    assert said.startswith(f"3 files of {tmp_path}/*.log are followed for the first time: counting from the end (")


def test_a_line_waits_for_its_newline(log: Path) -> None:
    following = Following(log)
    append(log, "one\ntw")
    assert following.lines() == ["one"]
    append(log, "o\n")
    assert following.lines() == ["two"]


def test_a_long_line_is_one_line(log: Path) -> None:
    following = Following(log)
    append(log, "x" * 300_000)
    assert following.lines() == []
    append(log, "\nnext\n")
    assert following.lines() == ["next", "x" * 300_000]


def test_a_renamed_file_is_read_to_its_end_however_late(log: Path) -> None:
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    old = log.rename(log.with_name("access.log.1"))
    append(old, "two\n")
    assert following.lines() == ["two"]
    append(log, "three\n")
    append(old, "late\n")
    assert following.lines() == ["late", "three"]
    older = old.rename(log.with_name("access.log.2"))
    log.rename(old)
    append(older, "very late\n")
    append(old, "four\n")
    assert following.lines() == ["four", "very late"]


def test_a_rotated_file_is_closed_when_nothing_has_come_for_long(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    following = Following(log)
    append(log, "one\nlast")
    assert following.lines() == ["one"]
    log.rename(log.with_name("access.log.1"))
    append(log, "two\n")
    assert following.lines() == ["two"]
    monkeypatch.setattr(followed, "KEEP_SECONDS", -1.0)
    assert following.lines() == ["last"]
    assert len(following.opened.tails) == 1


def test_a_file_that_was_renamed_before_it_was_seen_is_read(log: Path) -> None:
    following = Following(log)
    append(log, "one\n")
    first, second = log.with_name("access.log.1"), log.with_name("access.log.2")
    log.rename(first)
    first.rename(second)
    append(log, "two\n")
    log.rename(first)
    append(log, "three\n")
    renames = [(log, first), (first, second), (log, first)]
    assert following.lines(*renames) == ["one", "three", "two"]


def test_old_rotated_files_are_not_counted_when_they_are_renamed(log: Path) -> None:
    first, second = log.with_name("access.log.1"), log.with_name("access.log.2")
    append(first, "old\n")
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    first.rename(second)
    log.rename(first)
    assert following.lines((first, second), (log, first)) == []


def copytruncate(log: Path, copy: Path) -> None:
    copy.write_bytes(log.read_bytes())
    os.truncate(log, 0)


def test_after_truncation_the_rest_is_read_from_the_copy(log: Path) -> None:
    log.touch()
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    append(log, "two\n")
    copytruncate(log, log.with_name("access.log.1"))
    append(log, "three\n")
    assert following.lines() == ["three", "two"]
    assert following.said == []


def test_copies_that_are_made_while_there_is_no_room_for_lines_are_read_later(log: Path) -> None:
    """Then the follower looks at the files, but reads nothing."""
    log.touch()
    following = Following(log)
    for number in (3, 2, 1):
        append(log, f"before copy {number}\n")
        following.files.look()
        copytruncate(log, log.with_name(f"access.log.{number}"))
        following.files.look()
    append(log, "last\n")
    assert following.lines() == ["before copy 1", "before copy 2", "before copy 3", "last"]
    assert following.said == []


def test_a_truncated_file_that_is_longer_than_before_is_noticed(log: Path) -> None:
    log.touch()
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    os.truncate(log, 0)
    append(log, "two\nthree\n")
    assert following.lines() == ["three", "two"]
    assert following.said == [f"{log} was truncated and has no copy in its folder: lines not read before are lost"]


def test_a_hole_of_a_writer_that_does_not_append_is_skipped(log: Path) -> None:
    following = Following(log)
    with log.open("w") as writer:
        for number in range(20_000):
            writer.write(f"{number}\n")
        writer.flush()
        assert len(following.lines()) == 20_000
        copytruncate(log, log.with_name("access.log.1"))
        assert following.lines() == []
        writer.write("two\n")
        writer.flush()
        assert log.stat().st_size > 100_000
        assert following.lines() == ["two"]


def test_a_file_with_nothing_new_is_not_read_again_before_the_next_look(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hundreds of logs, a line in one of them costs little in the others."""
    following = Following(log)
    append(log, "one\ntw")
    assert following.lines() == ["one"]
    (tail,) = following.opened.tails.values()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", None)
        assert following.opened.read(tail) == b""
    append(log, "o\n")
    assert following.opened.read(tail) == b"two\n"


def test_a_line_in_room_that_its_writer_had_reserved_is_read(log: Path) -> None:
    following = Following(log)
    first = "1" * HEAD_BYTES
    append(log, f"{first}\n" + "\0" * 100)
    assert following.lines() == [first]
    with log.open("r+b") as file:
        file.seek(len(first) + 1)
        file.write(b"two\n")
    assert following.lines() == ["two"]


def test_a_copy_is_not_read_while_the_log_still_has_its_lines(log: Path) -> None:
    following = Following(f"{log}*")
    append(log, "one\n")
    assert following.lines() == ["one"]
    log.with_name("access.log.1").write_bytes(log.read_bytes())
    assert following.lines() == []


def test_files_that_appear_later_are_read_from_their_beginning(tmp_path: Path) -> None:
    append(tmp_path / "a.log", "old\n")
    following = Following(tmp_path / "*.log*")
    for name in ("b.log", "a.log.1", "a.log.2.gz", "b.log-20261125", "b-2.log"):
        append(tmp_path / name, f"{name}\n")
    append(tmp_path / "a.log", "a.log\n")
    assert following.lines() == ["a.log", "b-2.log", "b.log"]


def test_folders_that_appear_later_are_searched(tmp_path: Path) -> None:
    following = Following(tmp_path / "one" / "access.log", tmp_path / "sites" / "*" / "access.log")
    assert following.lines() == []
    (tmp_path / "one").mkdir()
    (tmp_path / "sites" / "a").mkdir(parents=True)
    append(tmp_path / "one" / "access.log", "one\n")
    append(tmp_path / "sites" / "a" / "access.log", "a\n")
    assert following.lines() == ["a", "one"]


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [os.mkfifo, make_folder], ids=["FIFO", "folder"])
def test_a_path_that_is_not_a_file_is_reported_until_it_is_one(log: Path, make: Callable[[Path], None]) -> None:
    make(log)
    following = Following(log)
    assert following.lines() == []
    assert following.said == [f"cannot follow, not a regular file: {log} (name the file that the server writes to)"] * 2
    log.unlink() if log.is_fifo() else log.rmdir()
    append(log, "one\n")
    assert following.lines() == ["one"]


def test_a_symbolic_link_may_change_to_another_file(log: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    log.symlink_to(first)
    following = Following(log)
    append(first, "one\n")
    assert following.lines() == ["one"]
    append(second, "two\n")
    log.unlink()
    log.symlink_to(second)
    append(first, "late\n")
    assert following.lines() == ["late", "two"]


def test_two_names_of_one_file_count_once(log: Path, tmp_path: Path) -> None:
    following = Following(tmp_path / "*.log")
    append(log, "one\n")
    (tmp_path / "link.log").symlink_to(log)
    assert following.lines() == ["one"]


def test_after_a_restart_a_renamed_file_and_new_files_are_found(log: Path) -> None:
    append(log.with_name("access.log.1"), "before anything\n")
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    append(log, "two\n")
    log.with_name("access.log.1").rename(log.with_name("access.log.3"))
    log.rename(log.with_name("access.log.2"))
    append(log, "three\n")
    log.rename(log.with_name("access.log.1"))
    append(log, "four\n")
    assert following.again(log).lines() == ["four", "three", "two"]


def test_after_a_restart_the_rest_is_read_from_the_copy(log: Path) -> None:
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    append(log, "two\n")
    copytruncate(log, log.with_name("access.log.1"))
    append(log, "three\nfour\nfive\n")
    restarted = following.again(log)
    assert restarted.lines() == ["five", "four", "three", "two"]
    assert restarted.again(log).lines() == []


def test_after_a_kill_a_file_may_disappear_while_memcached_is_asked(log: Path) -> None:
    following = Following(log)
    append(log, "one" * 9 + "\n")
    assert following.lines() == ["one" * 9]
    append(log, "two\n")
    (position,) = (tail.position() for tail in following.opened.tails.values())
    following.opened.close()
    said: list[str] = []
    opened, files = find_files([str(log)], said)
    opened.hold((position,))
    log.unlink()
    append(log, "three\n")
    files.resume((position,), [str(log)], {}, 0.0)
    files.look()
    assert sorted(opened.read(tail) for tail in opened.tails.values()) == [b"three\n", b"two\n"]
    assert said == []
    opened.close()


def test_after_a_restart_no_line_of_a_copy_counts_twice(log: Path) -> None:
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    log.with_name("access.log.1").write_bytes(log.read_bytes())
    assert following.again(log).lines() == []


def test_after_a_restart_a_missing_file_is_named(log: Path) -> None:
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    log.rename(log.with_name("access.log.1.gz")).write_bytes(b"\x1f\x8b compressed")
    append(log, "two\n")
    restarted = following.again(log)
    assert restarted.lines() == ["two"]
    assert len(restarted.said) == 1
    assert restarted.said[0].startswith(f"{log}, read up to byte 4, is gone")


@contextmanager
def hidden(log: Path) -> Iterator[Path]:
    """Take the folder of a log away meanwhile; give its name."""
    folder = log.parent
    away = folder.rename(folder.with_name(f"{folder.name}.away"))
    try:
        yield folder
    finally:
        away.rename(folder)


@contextmanager
def unreadable(log: Path) -> Iterator[None]:
    """Make a log unreadable meanwhile, for root, too: a folder that is a link to itself cannot be searched."""
    with hidden(log) as folder:
        folder.symlink_to(folder)
        try:
            yield
        finally:
            folder.unlink()


@contextmanager
def missing(log: Path) -> Iterator[None]:
    """Leave an empty folder meanwhile, as if the disk of the log was not mounted yet."""
    with hidden(log) as folder:
        folder.mkdir()
        try:
            yield
        finally:
            folder.rmdir()


@pytest.mark.parametrize("hide", [unreadable, missing])
@pytest.mark.parametrize("name", ["access.log", "*.log"])
def test_a_log_that_is_missing_or_unreadable_at_a_restart_goes_on_when_it_is_back(
    hide: Callable[[Path], AbstractContextManager[None]], name: str, log: Path
) -> None:
    following = Following(log.with_name(name))
    append(log, "one\n")
    assert following.lines() == ["one"]
    append(log, "two\n")
    with hide(log):
        for _ in range(2):  # after one more restart, too
            following = following.again(log.with_name(name))
            assert following.lines() == []
            where = f"{log}, read up to byte 4, is missing or unreadable: counting goes on there when it is back"
            assert any(text.startswith(where) for text in following.said)
    append(log, "three\n")
    assert following.lines() == ["three", "two"]
    assert not any("is gone" in text for text in following.said)


def test_another_log_in_the_place_of_a_missing_log_is_read_whole(log: Path) -> None:
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    log.unlink()
    following = following.again(log)
    assert following.lines() == []
    append(log, "two\n")
    assert following.lines() == ["two"]
    assert following.said[-1].startswith(f"{log}, read up to byte 4, is gone")
    assert len(following.files.positions()) == 1


def test_a_missing_log_that_was_rotated_before_it_is_back_is_read_to_its_end(log: Path) -> None:
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    with missing(log):
        following = following.again(log)
    append(log, "two\n")
    log.rename(log.with_name("access.log.1"))
    assert following.lines() == []
    append(log, "three\n")
    assert following.lines() == ["three", "two"]


def test_a_missing_log_is_not_waited_for_longer_than_a_day(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    log.unlink()
    monkeypatch.setattr(files, "ABSENT_SECONDS", 0.0)
    following = following.again(log)
    assert following.said[-1].startswith(f"{log}, read up to byte 4, is gone")
    assert following.files.positions() == ()


def test_where_a_server_was_ahead_a_missing_log_goes_on_there(log: Path) -> None:
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    behind = following.files.positions()
    append(log, "two\n")
    assert following.lines() == ["two"]
    ahead = following.files.positions()
    known = following.files.known
    following.opened.close()
    with missing(log):
        following = Following(log, positions=behind, known=known)
        following.files.move_absent_to(ahead)
        following.files.move_absent_to(ahead)
    assert sum(" does not get the others (" in text for text in following.said) == 1
    append(log, "three\n")
    assert following.lines() == ["three"]


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lzma.compress,
        lambda text: text.decode().encode("utf-16"),
        lambda text: text.replace(b"\n", b"\r"),
    ],
)
def test_a_packed_file_is_not_followed_whatever_its_name(pack: Callable[[bytes], bytes], log: Path) -> None:
    log.write_bytes(pack(b"old\n" * 10))
    following = Following(log)
    assert following.lines() == []
    assert following.said[0].startswith("cannot follow a ")
    assert following.said[0].endswith(f"{log} (name the file that the server writes to)")
    log.unlink()
    append(log, "new\n")
    assert following.lines() == ["new"]


def test_a_rotated_file_that_is_compressed_under_its_old_name_is_not_read_as_lines(log: Path) -> None:
    append(log, "one\n")
    following = Following(log)
    log.rename(log.with_name("access.log.1"))
    append(log, "two\n")
    log.with_name("access.log.1").unlink()
    log.with_name("access.log.1").write_bytes(gzip.compress(b"one\n"))
    assert following.again(log).lines() == ["two"]


def test_after_a_restart_a_new_pattern_begins_at_the_end(log: Path, tmp_path: Path) -> None:
    following = Following(log)
    other = tmp_path / "other.log"
    append(other, "old\n")
    positions = tuple(tail.position() for tail in following.opened.tails.values())
    said: list[str] = []
    opened, files = find_files([str(log), str(other)], said)
    files.resume(positions, [str(log)], {}, 0.0)
    files.look()
    assert [opened.read(tail) for tail in opened.tails.values()] == [b""]
    assert "other.log is followed for the first time" in said[0]


def test_after_a_restart_a_file_that_is_no_longer_followed_is_left_alone(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.log"
    following = Following(log, other)
    append(log, "one\n")
    append(other, "two\n")
    assert following.lines() == ["one", "two"]
    restarted = following.again(log)
    append(log, "three\n")
    append(other, "four\n")
    assert restarted.lines() == ["three"]


@pytest.mark.parametrize("name", ["site[1].log", "site?.log"])
def test_only_a_star_stands_for_other_characters(tmp_path: Path, name: str) -> None:
    log, other = tmp_path / name, tmp_path / "site1.log"
    append(other, "other\n")
    for pattern in (log, tmp_path / f"{name}*"):
        log.unlink(missing_ok=True)
        following = Following(pattern)
        append(log, "one\n")
        append(other, "other\n")
        assert following.lines() == ["one"]
        append(log, "two\n")
        restarted = following.again(pattern)
        assert restarted.lines() == ["two"]
        assert not any("gone" in each for each in restarted.said)


def test_a_missing_log_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "site.log").touch()
    patterns = [tmp_path / "ngnix" / "access.log", tmp_path / "*.lgo", tmp_path / "*.log"]
    following = Following(*patterns)
    assert [each.partition(" (")[0] for each in following.said] == [
        f"no such log file yet: {pattern}" for pattern in patterns[:2]
    ]
    assert following.lines() == []
    assert len(following.said) == 2


@pytest.mark.parametrize("restarts", [False, True])
def test_rotated_files_are_no_logs_while_the_name_of_the_log_is_missing(log: Path, restarts: bool) -> None:
    for name in ("access.log-20261113", "access.log.2"):
        append(log.with_name(name), "old\n")
    append(log, "older\n")
    following = Following(f"{log}*")
    append(log, "one\n")
    assert following.lines() == ["one"]
    log.rename(log.with_name("access.log.1"))
    if restarts:
        following = following.again(f"{log}*")
    assert following.lines() == []
    append(log, "two\n")
    assert following.lines() == ["two"]


def replace_by_copy(log: Path) -> None:
    """Give the log another inode, as `sed -i`, editors, a restored backup and a new number of its device do."""
    copy = log.with_name("copy")
    copy.write_bytes(log.read_bytes())
    copy.rename(log)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_log_that_was_replaced_by_its_copy_goes_on(log: Path, restarts: bool) -> None:
    log.touch()
    following = Following(log)
    append(log, "one\ntwo\n")
    assert following.lines() == ["one", "two"]
    replace_by_copy(log)
    append(log, "three\n")
    if restarts:
        following = following.again(log)
    assert following.lines() == ["three"]
    append(log, "four\n")
    assert (following.lines(), following.said) == (["four"], [])


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("to", ["access.log.bak", "access.log~", "access.log.1", "elsewhere/access.log", ""])
def test_a_log_that_was_moved_away_and_copied_back_goes_on(log: Path, to: str, restarts: bool) -> None:
    """The copy appears empty and grows, as `cp` and editors make it. Until then the log may have no name at all."""
    following, _ = read_whole(log)
    text = log.read_text()
    (log.parent / "elsewhere").mkdir()
    if to:
        log.rename(log.parent / to)
    else:
        log.unlink()
    assert following.lines() == []
    if restarts and to.startswith("access"):  # otherwise a follower that starts finds no trace of the log
        following = following.again(log)
    log.touch()
    assert following.lines() == []
    for part in (text[:500], text[500:5005], text[5005:]):
        append(log, part)
        assert following.lines() == []
    append(log, "three\n")
    assert following.lines() == ["three"]
    append(log, "four\n")
    assert (following.lines(), following.said) == (["four"], [])


def test_a_log_that_was_rotated_and_copied_back_counts_late_lines_of_both(log: Path) -> None:
    following, _ = read_whole(log)
    old = log.rename(log.with_name("access.log.1"))
    log.write_bytes(old.read_bytes())
    append(old, "late\n")
    append(log, "new\n")
    assert following.lines() == ["late", "new"]


def test_a_new_log_that_begins_with_the_line_of_the_old_log_is_no_copy(log: Path) -> None:
    log.touch()
    following = Following(log)
    append(log, "one\ntwo\n")
    assert following.lines() == ["one", "two"]
    log.rename(log.with_name("access.log.1"))
    append(log, "one\n")
    found = following.lines()
    append(log, "three\n")
    assert found + following.lines() == ["one", "three"]


def test_a_new_log_that_begins_in_the_same_second_is_no_copy(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "YOUNG_SECONDS", 60.0)
    log.touch()
    following = Following(log)
    for _ in range(3):
        append(log, "one\n" * 500)
        assert following.lines() == ["one"] * 500
        log.rename(log.with_name("access.log.1"))
        log.touch()
        assert following.lines() == []


@pytest.mark.parametrize("in_place", [False, True])
def test_a_new_log_that_began_in_the_same_second_is_no_copy_if_it_is_seen_late(
    log: Path, in_place: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine is so busy that the follower does not run for long."""
    monkeypatch.setattr(followed, "YOUNG_SECONDS", 60.0)
    log.touch()
    following = Following(log)
    append(log, "one\n" * 500)
    assert following.lines() == ["one"] * 500
    late = time.monotonic() + 100
    monkeypatch.setattr(followed, "time", SimpleNamespace(monotonic=lambda: late))
    if in_place:
        log.write_text("")
        assert following.lines() == []
    else:
        log.rename(log.with_name("access.log.1"))
    append(log, "one\n" * 300)
    assert following.lines() == ["one"] * 300


def test_an_edited_copy_of_a_log_is_reported_and_counts_from_the_first_change(log: Path) -> None:
    following, lines = read_whole(log)
    log.rename(log.with_name("access.log~"))
    append(log, "\n".join([*lines[:500], *lines[501:], ""]))
    assert len(following.lines()) <= 500
    (said,) = following.said
    assert said.startswith(f"{log} was replaced by another file, which counts from byte 5,00")


@pytest.mark.parametrize("at_once", [0, 5, 500, 5005, 10_000])
def test_a_log_that_is_written_again_in_place_goes_on(log: Path, at_once: int) -> None:
    """`cp` of a backup to the log keeps the inode, and so do some editors."""
    following, _ = read_whole(log)
    text = log.read_text()
    log.write_text(text[:at_once])
    assert following.lines() == []
    append(log, text[at_once:])
    assert following.lines() == []
    append(log, "new\n")
    assert following.lines() == ["new"]
    hint = "truncated and has no copy"
    assert [hint in said for said in following.said] == [True] * (at_once < 1024)


def test_a_log_that_was_edited_in_place_is_reported(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    following, lines = read_whole(log)
    log.write_text("")
    assert following.lines() == []
    append(log, "\n".join([*lines[:500], *lines[501:], ""]))
    assert following.lines() == []
    monkeypatch.setattr(followed, "REWRITE_SECONDS", 0.0)
    assert following.lines() == []
    assert following.said[1].startswith(f"{log} has lost the 10 bytes behind byte 9,990, which were counted: counting")
    append(log, "new\n")
    assert following.lines() == ["new"]


def test_a_log_that_begins_again_in_the_same_second_is_not_written_again(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "YOUNG_SECONDS", 60.0)
    log.touch()
    following = Following(log)
    for _ in range(2):
        append(log, "one\n" * 500)
        assert following.lines() == ["one"] * 500
        log.write_text("")
        assert following.lines() == []


def test_a_log_that_begins_again_after_a_truncation_does_not_wait(log: Path) -> None:
    log.touch()
    following = Following(log)
    append(log, "one\ntwo\n")
    assert following.lines() == ["one", "two"]
    log.write_text("")
    assert following.lines() == []
    append(log, "on")
    assert following.lines() == []
    append(log, "ce\n")
    assert following.lines() == ["once"]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_log_that_has_lost_its_end_goes_on_there(
    log: Path, restarts: bool, replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure a disk may lack lines that were counted; an older backup lacks them, too."""
    monkeypatch.setattr(followed, "REWRITE_SECONDS", 0.0)
    following, _ = read_whole(log)
    if replaced:
        replace_by_copy(log)
    os.truncate(log, 9000 + 5)
    if restarts:
        following = following.again(log)
    assert following.lines() == []
    append(log, "new\n")
    assert following.lines() == ["new"]
    if restarts or not replaced:
        (said,) = following.said
        assert said.startswith(f"{log} has lost the 995 bytes behind byte 9,005, which were counted: counting goes on")


@pytest.mark.parametrize("replaced", [False, True])
def test_a_log_that_has_lost_its_end_and_has_grown_again_is_reported(log: Path, replaced: bool) -> None:
    log.touch()
    following = Following(log)
    append(log, "".join(f"line {number:04}\n" for number in range(1000)))
    following.lines()
    os.truncate(log, 9000)
    append(log, "".join(f"new line {number:04}\n" for number in range(1000)))
    if replaced:
        replace_by_copy(log)
    following = following.again(log)
    assert following.lines()[-1] == "new line 0999"
    (said,) = following.said
    assert said.startswith(f"{log} has other lines before byte 10,000 than those that were counted: counting goes on")


def test_a_log_with_a_hole_is_the_same_log_after_a_restart(log: Path) -> None:
    """A writer that does not append goes on behind a hole when its log is truncated."""
    log.touch()
    following = Following(log)
    append(log, "one\n" * 3000)
    following.lines()
    os.truncate(log, 0)
    with log.open("r+b") as writer:
        writer.seek(12_288)
        writer.write(b"two\n")
    assert following.lines() == ["two"]
    following = following.again(log)
    append(log, "three\n")
    assert following.lines() == ["three"]
    assert following.said == []


def test_lines_of_a_replaced_log_that_were_not_read_before_count_once(log: Path) -> None:
    log.touch()
    following = Following(log)
    append(log, "one\n")
    assert following.lines() == ["one"]
    with log.open("a") as writer:
        append(log, "two\n")
        replace_by_copy(log)
        writer.write("three\n")
        writer.flush()
        assert following.lines() == ["three", "two"]


def test_an_edited_log_is_reported(log: Path) -> None:
    log.touch()
    following = Following(log)
    append(log, "one\ntwo\n")
    assert following.lines() == ["one", "two"]
    copy = log.with_name("copy")
    copy.write_bytes(b"One\ntwo\n")
    copy.rename(log)
    assert following.lines() == ["One", "two"]
    assert following.said[0].startswith(f"{log} was replaced by another file, which counts from its beginning (if an")


def test_a_log_that_is_named_like_a_rotated_file_is_reported_when_it_grows(log: Path) -> None:
    other = log.with_name("access.8443.log")
    log.touch()
    other.touch()
    following = Following(log.with_name("*.log"))
    append(log, "one\n")
    append(other, "two\n")
    assert following.lines() == ["one"]
    (said,) = following.said
    assert said.startswith(f"not followed, although it grows: {other} (")
    assert said.endswith(f"add --follow {other})")
    assert Following(log.with_name("*.log"), other, known={}).lines() == ["one", "two"]


def test_a_copy_that_is_being_made_is_not_reported(log: Path) -> None:
    log.touch()
    following = Following(f"{log}*")
    append(log, "one\ntwo\n")
    assert following.lines() == ["one", "two"]
    for text in ("one\n", "two\n"):
        append(log.with_name("access.log.1"), text)
        assert following.lines() == []
    assert following.said == []


@pytest.mark.parametrize("beginning", ["#Fields: a b\n", "#Software: x\n#Fields: a\n1\n#Fields: a b\n"])
def test_the_columns_of_a_w3c_log_are_known_after_a_restart(
    log: Path, beginning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "LONGEST_LINE_BYTES", 16)
    log.touch()
    following = Following(log)
    append(log, f"{beginning}1 2\n")
    assert following.lines() == sorted([*beginning.split("\n")[:-1], "1 2"])
    following = following.again(log)
    append(log, "3 4\n")
    assert following.lines() == ["#Fields: a b", "3 4"]
    append(log, "5 6\n")
    assert following.lines() == ["5 6"]

"""Which log files a pattern stands for."""

import os
from pathlib import Path

import pytest

from fasthits.daily.logs import matching
from fasthits.daily.logs.logfiles import LogFile, find, search
from fasthits.errors import LogFileError
from tests.daily.logs.support import lines_of


def names(found: list[LogFile]) -> list[str]:
    return [log_file.name for log_file in found]


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


def test_a_link_and_its_file_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "vhost1").mkdir()
    (tmp_path / "vhost1" / "access.log").touch()
    (tmp_path / "current").symlink_to("vhost1")
    assert names(find(f"{tmp_path}/*/access.log")) == [f"{tmp_path}/current/access.log"]

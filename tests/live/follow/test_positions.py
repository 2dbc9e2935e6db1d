"""The state file of a follower: it is whole or an error, and only one follower uses it."""

import errno
import json
import os
import resource
import stat
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from fasthits.errors import StateError, UsageError
from fasthits.live.follow.positions import (
    DEFAULT_STATE,
    Mark,
    Position,
    State,
    StateFile,
    check_patterns,
    check_place,
    fingerprint,
    read_state,
    state_path,
    unwritable,
)

POSITION = Position("/var/log/nginx/access.log", 64768, 4711, 815, 20, fingerprint(b"x" * 20), fingerprint(b"y"))
STATE = State("c0ffee", ["/var/log/nginx/*.log"], {"a:1": Mark(7, (POSITION,)), "b:2": Mark(3, ())}, {(1, 2): 3}, True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "follow.state"


def saved(path: Path) -> bytes:
    file = StateFile(str(path))
    file.save(STATE)
    file.close()
    return path.read_bytes()


def load(path: Path) -> State | None:
    return read_state(str(path), STATE.patterns)


def test_saved_positions_can_be_loaded(path: Path) -> None:
    assert load(path) is None
    saved(path)
    loaded = load(path)
    assert loaded is not None
    assert loaded.saved_at == path.stat().st_mtime
    loaded.saved_at = STATE.saved_at
    assert loaded == STATE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(os.listdir(path.parent)) == ["follow.state", "follow.state.lock"]


def test_a_file_that_is_cut_short_anywhere_is_damaged(path: Path) -> None:
    whole = saved(path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(StateError, match=r"damaged: .*follow\.state \(delete it: counting then starts"):
            load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"servers": {"a:1": 8}},
        {"servers": []},
        {"follower": 1},
        {"patterns": [1]},
        {"known": [[1, 2]]},
        {"marks": [[7, [["/a", 1, 2, 3, 4]]]]},
        {"marks": [[7, [["/a", 1, 2, "3", 4, "5", "6"]]]]},
        {"marks": [[7, [["/a", 1, 2, -3, 4, "5", "6"]]]]},
        {"marks": [["7", []]]},
        {"marks": None},
    ],
    ids=str,
)
def test_a_file_with_something_else_in_it_is_damaged(path: Path, change: dict[str, object]) -> None:
    held = json.loads(saved(path))
    path.write_text(json.dumps(held | change))
    with pytest.raises(StateError, match="damaged"):
        load(path)


def test_a_file_with_endless_nesting_is_damaged(path: Path) -> None:
    path.write_text('{"format": ' + "[" * 100_000)
    with pytest.raises(StateError, match="damaged"):
        load(path)


@pytest.mark.parametrize("line", ['192.0.2.7 - - [12/Mar/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5', '{"time": 1}'])
def test_nobody_is_told_to_delete_another_file(path: Path, line: str) -> None:
    path.write_text(f"{line}\n")
    with pytest.raises(StateError) as told:
        load(path)
    assert str(told.value) == f"this is no state file: {path} (name another with --state FILE)"


def test_a_file_of_zeros_is_damaged(path: Path) -> None:
    path.write_bytes(bytes(100))
    with pytest.raises(StateError, match="damaged"):
        load(path)


def test_a_file_of_another_version(path: Path) -> None:
    path.write_text(json.dumps(json.loads(saved(path)) | {"format": 2}))
    with pytest.raises(StateError, match="comes from another version of fasthits"):
        load(path)


def test_a_second_follower_cannot_use_the_state_file(path: Path) -> None:
    file = StateFile(str(path))
    with pytest.raises(StateError, match=f"another follower .process {os.getpid()}. uses the state file"):
        StateFile(str(path))
    file.close()
    StateFile(str(path)).close()


def test_a_full_disk_fails_no_earlier_than_the_state_is_saved(path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        file = StateFile(str(path))
        with closing(file), pytest.raises(OSError, match="File too large"):
            file.save(STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_impossible_places_of_the_state_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=f"no folder for the state file: {tmp_path}/a .make it: install -d"):
        StateFile(str(tmp_path / "a" / "state"))
    with pytest.raises(StateError, match="is a folder"):
        StateFile(str(tmp_path))
    with pytest.raises(StateError, match=r"the state file is no regular file: /dev/null .name a file with --state"):
        StateFile("/dev/null")
    assert not os.path.exists("/dev/null.lock")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(StateError, match=f"no regular file: {fifo}"):
        StateFile(str(fifo))
    assert os.listdir(tmp_path) == ["fifo"]


def test_the_default_place_of_the_state_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_path(None) == DEFAULT_STATE
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/hits:/var/lib/other")
    assert state_path(None) == "/var/lib/hits/follow.state"
    assert state_path("here") == "here"
    with pytest.raises(UsageError, match=r"not a state file: '' \(name a file with --state FILE\)"):
        state_path("")


def test_patterns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_patterns(["a.log", f"{tmp_path}/a.log", "/b/*"]) == [f"{tmp_path}/a.log", "/b/*"]
    for nothing in ("", "-"):
        with pytest.raises(UsageError, match="not a file to follow"):
            check_patterns([nothing])


def test_a_read_only_file_system_is_named_as_such(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    for flag, told in ((os.ST_RDONLY, "Read-only file system"), (0, "Permission denied")):
        monkeypatch.setattr(os, "statvfs", lambda _, flag=flag: SimpleNamespace(f_flag=flag))
        with pytest.raises(StateError, match=rf"cannot write the state file \({told}\)") as raised:
            check_place(str(path))
        assert ("must own" in str(raised.value)) == (flag == 0)


def test_too_many_open_files_are_no_reason_for_another_name_of_the_state_file() -> None:
    assert str(unwritable("/kept/state", errno.EMFILE)) == (
        "cannot write the state file (Too many open files): /kept/state "
        "(raise the limit: ulimit -n, or LimitNOFILE= in the unit)"
    )

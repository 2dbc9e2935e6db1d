"""How `fasthits log` behaves as a process: signals, the end of its input, its courier, its user, its arguments."""

import grp
import os
import pwd
import signal
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from fasthits.live.keys import hit_key
from tests.support.logger import DAY, Logger, access_line
from tests.support.processes import PROJECT, eventually, is_alive, run_fasthits
from tests.support.servers import IS_ROOT, Memcached

StartLogger = Callable[..., Logger]

KEY = hit_key(DAY, b"/a")
IGNORED = [
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGQUIT, signal.SIGPIPE, signal.SIGALRM),
    *(signal.SIGUSR2, signal.SIGIO, signal.SIGXCPU, signal.SIGPWR, signal.SIGVTALRM, signal.SIGPROF, signal.SIGRTMIN),
]


def count_one(memcached: Memcached, logger: Logger, views: int) -> None:
    """Write a hit and return when the counter has risen to *views*."""
    logger.write(access_line("/a"))
    eventually(lambda: memcached.views(KEY) == views, what=lambda: f"{views} views; the logger said {logger.stderr!r}")


def courier_of(logger: Logger) -> int:
    """Return the id of the courier, the one child of the reader."""
    (courier,) = eventually(logger.children, what="the logger has a courier")
    return courier


def status_of(pid: int, *names: str) -> list[list[int]]:
    """Return the numbers in these lines of /proc/PID/status."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return [[int(number) for number in fields[name].split()] for name in names]


@pytest.mark.parametrize("number", IGNORED, ids=lambda number: number.name)
def test_a_signal_to_the_reader_does_not_end_it(memcached: Memcached, logger: Logger, number: signal.Signals) -> None:
    count_one(memcached, logger, 1)
    for views in (2, 3, 4):
        logger.signal(number)
        count_one(memcached, logger, views)
    assert logger.finish() == 0
    assert memcached.counters() == {KEY: 4}
    assert logger.stderr == ""


def test_signals_to_both_processes_at_once_lose_no_hit(memcached: Memcached, logger: Logger) -> None:
    """Ctrl-C on an Apache in the foreground goes to its whole process group."""
    count_one(memcached, logger, 1)
    courier = courier_of(logger)
    for _ in range(10):
        for number in IGNORED:
            os.killpg(logger.pid, number)
            logger.write(access_line("/a"))
    assert courier_of(logger) == courier
    assert logger.finish() == 0
    assert memcached.counters() == {KEY: 1 + 10 * len(IGNORED)}
    assert logger.stderr == ""


def test_the_end_of_input_ends_both_processes(memcached: Memcached, logger: Logger) -> None:
    count_one(memcached, logger, 1)
    courier = courier_of(logger)
    assert is_alive(courier)
    assert logger.finish() == 0
    assert not is_alive(courier)
    assert logger.processes() == []


def test_hits_written_just_before_the_end_are_delivered(memcached: Memcached, start_logger: StartLogger) -> None:
    for views in range(1, 6):
        logger = start_logger("--memcached", memcached.spec)
        logger.write(access_line("/a"))
        assert logger.finish() == 0
        assert memcached.counters() == {KEY: views}


def test_only_the_reader_holds_the_pipe(memcached: Memcached, logger: Logger) -> None:
    count_one(memcached, logger, 1)
    courier = courier_of(logger)
    assert os.readlink(f"/proc/{logger.pid}/fd/0") == logger.pipe
    held = {name: os.readlink(f"/proc/{courier}/fd/{name}") for name in os.listdir(f"/proc/{courier}/fd")}
    assert logger.pipe not in held.values(), held


def test_the_courier_ends_when_the_reader_is_killed(memcached: Memcached, logger: Logger) -> None:
    count_one(memcached, logger, 1)
    courier = courier_of(logger)
    logger.signal(signal.SIGKILL)
    assert logger.wait() == -signal.SIGKILL
    eventually(lambda: not is_alive(courier), 60, "the courier has ended")


def test_a_killed_courier_is_replaced(memcached: Memcached, logger: Logger) -> None:
    for views in range(1, 4):
        count_one(memcached, logger, views)
        courier = courier_of(logger)
        os.kill(courier, signal.SIGKILL)
        eventually(lambda courier=courier: not is_alive(courier), 60, "the courier is gone")
    count_one(memcached, logger, 4)
    assert logger.finish() == 0
    assert memcached.counters() == {KEY: 4}


def private_python(directory: Path) -> dict[str, str]:
    """Return the environment of a Python that only root can read. *directory* holds its modules, also fasthits."""
    directory.mkdir(mode=0o700)
    (directory / "lib").mkdir()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (directory / "lib" / version).symlink_to(sysconfig.get_path("stdlib"))
    links = []
    for number, path in enumerate(path for path in (str(PROJECT), *sys.path) if os.path.isdir(path)):
        links.append(directory / str(number))
        links[-1].symlink_to(os.path.abspath(path))
    return {"PYTHONHOME": str(directory), "PYTHONPATH": os.pathsep.join(map(str, links))}


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
@pytest.mark.parametrize("unix", [False, True], ids=["port", "socket"])
def test_started_as_root_both_processes_become_the_user(
    place: Path, start_memcached: Callable[..., Memcached], start_logger: StartLogger, unix: bool
) -> None:
    """That user need not be able to read the package or Python."""
    user = pwd.getpwnam("www-data")
    memcached = start_memcached(unix=unix)
    options = ("--memcached", memcached.spec, "--user", user.pw_name)
    environment = private_python(place / "private")
    own_groups = os.getgroups()
    os.setgroups([0, 4])  # those of root after a login; the logger starts with them
    try:
        logger = start_logger(*options, env=environment)
    finally:
        os.setgroups(own_groups)
    for views in (1, 2):
        count_one(memcached, logger, views)
        courier = courier_of(logger)
        for pid in (logger.pid, courier):
            uids, gids, groups = status_of(pid, "Uid", "Gid", "Groups")
            assert (uids, gids) == ([user.pw_uid] * 4, [user.pw_gid] * 4)
            assert sorted(groups) == sorted(os.getgrouplist(user.pw_name, user.pw_gid))
        os.kill(courier, signal.SIGKILL)  # the next courier, too
        eventually(lambda courier=courier: not is_alive(courier), 60, "the courier is gone")
    count_one(memcached, logger, 3)
    assert logger.finish() == 0
    assert memcached.counters() == {KEY: 3}
    assert "Traceback" not in logger.stderr


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_the_user_opens_sockets_of_his_groups(
    place: Path, start_memcached: Callable[..., Memcached], start_logger: StartLogger
) -> None:
    """On Debian memcached's socket is for the group memcache. PostgreSQL's user is in a group like that, ssl-cert."""
    group = next(group for group in grp.getgrall() if group.gr_mem and group.gr_mem[0] != "root")
    user = pwd.getpwnam(group.gr_mem[0])
    memcached = start_memcached("-a", "0770", unix=True)
    assert memcached.socket_path
    os.chown(memcached.socket_path, 0, group.gr_gid)
    logger = start_logger("--memcached", memcached.spec, "--user", user.pw_name)
    count_one(memcached, logger, 1)
    for pid in (logger.pid, courier_of(logger)):
        uids, gids, groups = status_of(pid, "Uid", "Gid", "Groups")
        assert (uids, gids) == ([user.pw_uid] * 4, [user.pw_gid] * 4)
        assert group.gr_gid in groups
        assert sorted(groups) == sorted(os.getgrouplist(user.pw_name, user.pw_gid))
    assert logger.finish() == 0


@pytest.mark.parametrize("option", ["--ttl", "--max-paths", "--drain-timeout"])
@pytest.mark.parametrize("value", ["-1", "soon"])
def test_an_impossible_number_is_a_usage_error(option: str, value: str) -> None:
    done = run_fasthits("log", option, value, stdin=access_line("/a"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert option.encode() in done.stderr
    assert b"Traceback" not in done.stderr

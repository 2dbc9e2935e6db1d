"""Logs on an SSH server, a real SFTP server on this machine. They count like the same files on a disk."""

import multiprocessing
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import asyncssh
import pytest

from fasthits.daily.counting.count_hits import count_hits
from fasthits.daily.logs import sftp, store_connections, stores
from fasthits.daily.logs.logfiles import find
from fasthits.errors import LogFileError, StoreError
from tests.support.commands import fasthits, hit, write
from tests.support.packers import PACKERS
from tests.support.servers import public_directory
from tests.support.sftp import SftpServer, sftp_server

DAY = date(2026, 3, 12)
NEXT = DAY + timedelta(1)


@pytest.fixture(scope="module")
def module_server() -> Iterator[SftpServer]:
    with public_directory() as folder, sftp_server(folder) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def server(module_server: SftpServer) -> Iterator[SftpServer]:
    """The server with an empty folder, known to the client."""
    store_connections._connect.cache_clear()
    yield module_server
    module_server.mend()


def lines_of(url: str) -> bytes:
    (found,) = find(url)
    buffer = bytearray(1 << 16)
    return b"".join(bytes(block) for each in found.segments() for block in each.blocks(buffer, lambda size: None))


def roll_up(place: str, *options: str) -> "subprocess.CompletedProcess[bytes]":
    return fasthits("rollup", str(DAY), "--logs", place, "--to", "-", *options)


def refusal(place: str) -> str:
    """Return the line with which a rollup of *place* ends."""
    done = roll_up(place)
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    return line


def test_a_rollup_is_that_of_the_same_files_on_a_disk(server: SftpServer) -> None:
    for number, (suffix, pack) in enumerate(PACKERS.items()):
        for day in (DAY, NEXT):
            text = hit("/late", day - timedelta(1), "23:59:59") + hit(f"/{number}", day) * 3 + b"torn"
            server.put(f"web{number}/{day}.log{suffix}", pack(text))
    stored, local = roll_up(f"{server.url}/*/%F.log"), roll_up(f"{server.files}/*/%F.log")
    assert stored.returncode == local.returncode == 0
    assert stored.stdout == local.stdout
    assert b"/late,5" in stored.stdout


def test_rotated_files_are_one_log_and_a_missing_one_is_missed(server: SftpServer) -> None:
    server.put("access.log", hit("/late", DAY, "23:59:59"), hit("/new", NEXT))
    server.put("access.log.1", hit("/old", DAY - timedelta(1)), hit("/a") * 2)
    done = roll_up(f"{server.url}/access.log*")
    assert done.returncode == 0
    assert done.stdout == b"date,path,views\n2026-03-12,/a,2\n2026-03-12,/late,1\n"
    done = roll_up(f"{server.url}/access.log")
    assert done.returncode == 1
    assert b"its beginning is missing" in done.stderr


def test_names_of_all_kinds_are_read_and_links_followed(server: SftpServer) -> None:
    for name in ("a?b#c.log", "%41.log", "\udcff.log", "a b.log"):
        assert lines_of(server.put(name, hit(f"/{name!a}"))) == hit(f"/{name!a}")
    server.put("logs/access.log", hit("/linked"))
    (server.files / "broken.log").symlink_to("nowhere")
    (server.files / "link.log").symlink_to("a b.log")
    (server.files / "folder").symlink_to("logs")
    os.mkfifo(server.files / "pipe.log")
    assert lines_of(f"{server.url}/link.log") == lines_of(f"{server.url}/a b.log")
    assert lines_of(f"{server.url}/fold*/access.log") == hit("/linked")
    assert len(find(f"{server.url}/*.log")) == 4


def test_a_file_and_the_links_to_it_count_once(server: SftpServer) -> None:
    server.put("logs/access.log", hit("/a"), hit("/late", NEXT))
    (server.files / "current").symlink_to("logs")
    (server.files / "logs" / "link.log").symlink_to("access.log")
    for places in ([f"{server.url}/*/*.log"], [f"{server.url}/logs/a*.log", f"{server.url}/current/access.log"]):
        assert count_hits(*places).views == {DAY: {"/a": 1}, NEXT: {"/late": 1}}


def test_a_server_writes_to_a_file_that_has_a_link(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.put("access.log", hit("/a"))
    (server.files / "current.log").symlink_to("access.log")
    real = stores._begun

    def grow(entry: stores.Entry) -> stores.Entry:
        with (server.files / "access.log").open("ab") as file:
            file.write(hit("/b"))
        return real(entry)

    monkeypatch.setattr(stores, "_begun", grow)
    monkeypatch.setattr(stores, "ASKED_AT_ONCE", 1)
    assert lines_of(f"{server.url}/*.log") == hit("/a") + hit("/b")


def test_the_user_and_the_settings_of_ssh_are_taken(server: SftpServer) -> None:
    server.put("access.log", hit("/a"))
    config = server.home / ".ssh" / "config"
    config.write_text(f"Host web1\n  HostName 127.0.0.1\n  Port {server.port}\n  HostKeyAlias other\n")
    known = server.known_hosts.read_text()
    server.known_hosts.write_text(f"other {known.partition(' ')[2]}")
    assert lines_of("sftp://me@web1/access.log") == hit("/a")
    server.known_hosts.write_text(known)
    config.write_text("UserKnownHostsFile none\nStrictHostKeyChecking no\n")  # for asyncssh: trust any server
    assert lines_of(f"{server.url}/access.log") == hit("/a")
    server.known_hosts.unlink()
    store_connections._connect.cache_clear()
    with pytest.raises(StoreError, match="no known host key"):
        find(f"{server.url}/access.log")


def test_a_server_may_write_to_a_file_that_is_read(server: SftpServer) -> None:
    url = server.put("access.log", hit("/a"))
    (found,) = find(url)
    with (server.files / "access.log").open("ab") as file:
        file.write(hit("/b"))
    (segment,) = found.segments()
    blocks = segment.blocks(bytearray(1 << 16), lambda size: None)
    assert bytes(next(blocks)) == hit("/a")
    with (server.files / "access.log").open("ab") as file:
        file.write(hit("/c"))
    assert list(blocks) == []


def test_a_file_that_is_rotated_while_it_is_read_stays_the_same(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "RANGE_BYTES", 1 << 16)
    text = hit("/a") * 10_000
    (found,) = find(server.put("access.log", text))
    blocks = found.segments()[0].blocks(bytearray(1 << 16), lambda size: None)
    read = bytes(next(blocks))
    (server.files / "access.log").rename(server.files / "access.log.1")
    server.put("access.log", hit("/b"))
    assert read + b"".join(map(bytes, blocks)) == text


@pytest.mark.parametrize("change", ["replaced", "longer", "emptied", "gone"])
def test_a_file_that_is_another_by_now_is_an_error(server: SftpServer, change: str) -> None:
    url = server.put("access.log", hit("/a") * 2)
    (found,) = find(url)
    (segment,) = found.segments()
    file = server.files / "access.log"
    file.unlink()
    if change != "gone":
        file.write_bytes({"replaced": hit("/b") * 2, "longer": hit("/b") * 9, "emptied": b""}[change])
    with pytest.raises(LogFileError, match="gone" if change == "gone" else "replaced while it was read"):
        list(segment.blocks(bytearray(1 << 16), lambda size: None))


def test_files_that_are_rotated_while_they_are_found_are_not_read_twice(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("access.log", "access.log.1")):
        server.put(name, hit(f"/{number}"))
        os.utime(server.files / name, (1000 - number, 1000 - number))
    real = stores._begun

    def rotate_between(entry: stores.Entry) -> stores.Entry:
        if entry.name.endswith(".1"):
            server.files.joinpath("access.log").rename(server.files / "access.log.1")
        return real(entry)

    monkeypatch.setattr(stores, "_begun", rotate_between)
    monkeypatch.setattr(stores, "ASKED_AT_ONCE", 1)
    found = find(f"{server.url}/access.log*")
    assert len(found) == 2
    for each in found:
        with pytest.raises(LogFileError, match="run it again"), each.opened():
            pass


def test_one_file_that_nobody_may_read_leaves_its_day_unchanged(server: SftpServer) -> None:
    server.put(f"web1/{DAY}.log", hit("/a"))
    server.put(f"secret/{DAY}.log", hit("/b"))
    done = roll_up(f"{server.url}/*/%F.log")
    assert done.returncode == 1
    assert f"the server denies access: {server.url}/secret/{DAY}.log (Permission denied".encode() in done.stderr


def test_a_missing_file_or_folder_is_no_log(server: SftpServer) -> None:
    server.put("access.log", hit("/a"))
    for name in ("none/%F.log", "access.log/other.log"):
        assert "no log file for 2026-03-12" in refusal(f"{server.url}/{name}")


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_a_server_with_another_key_is_refused(server: SftpServer, kind: str, tmp_path: Path) -> None:
    server.put("access.log", hit("/a"))
    asyncssh.generate_private_key(kind).write_public_key(tmp_path / "other.pub")
    server.learn(tmp_path / "other.pub")
    line = refusal(f"{server.url}/access.log")
    assert line.startswith(f"fasthits: the server shows no known host key: {server.url}/")
    assert f"ssh -p {server.port} 127.0.0.1" in line


def test_a_user_without_a_key_is_told_what_to_type(server: SftpServer) -> None:
    (server.home / ".ssh" / "id_ed25519").rename(server.home / ".ssh" / "id_away")
    line = refusal(f"sftp://me@127.0.0.1:{server.port}/access.log")
    assert line.startswith(f"fasthits: the server takes no key of this user: sftp://me@127.0.0.1:{server.port}/")
    assert f"ssh-copy-id -p {server.port} me@127.0.0.1" in line


def test_no_server_and_a_server_that_says_nothing_are_errors(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr(sftp, "CONNECT_SECONDS", 0.2)
        with pytest.raises(StoreError, match=r"cannot reach the server: .*no answer"):
            find(f"sftp://127.0.0.1:{port}/access.log")
    with pytest.raises(StoreError, match=r"cannot reach the server: .*ssh -p"):
        find(f"sftp://127.0.0.1:{port}/access.log")
    with pytest.raises(StoreError, match="cannot reach the server"):
        find("sftp://nosuch.invalid/access.log")


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_dies_or_stops_while_a_file_is_read_is_an_error(
    server: SftpServer, way: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "RANGE_BYTES", 1 << 16)
    url = server.put("access.log", hit("/a") * 10_000)
    (found,) = find(url)
    blocks = found.segments()[0].blocks(bytearray(1 << 16), lambda size: None)
    next(blocks)
    os.kill(server.pid, way)
    with monkeypatch.context() as patch:
        patch.setattr(sftp, "ANSWER_SECONDS", 0.5)
        with pytest.raises(StoreError, match="cannot reach the store"):
            list(blocks)
    server.restart()
    assert len(lines_of(f"{server.url}/access.log")) == found.size


def test_an_answer_that_does_not_come_is_an_error(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp, "ANSWER_SECONDS", 0.2)
    url = server.put("stuck", hit("/a"))
    with pytest.raises(StoreError, match="cannot reach the store"):
        find(url)


def test_a_folder_that_is_not_listed_is_an_error_also_if_it_is_not_closed(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp, "ANSWER_SECONDS", 0.2)
    server.put("stuck/access.log", hit("/a"))
    with pytest.raises(StoreError, match=f"cannot reach the store: {server.url}/stuck/ "):
        find(f"{server.url}/stuck/*.log")


def test_a_server_that_sends_a_byte_at_a_time_is_an_error(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = find(server.put("slow", hit("/a") * 200))
    monkeypatch.setattr(sftp, "READ_SECONDS", 0.5)
    with pytest.raises(StoreError, match="cannot reach the store"), found.opened() as file:
        file.read_at(memoryview(bytearray(found.size or 0)), 0)


def test_nothing_is_written_to_a_server(server: SftpServer, tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", hit("/a"))
    for target, *options in ((f"{server.url}/x/",), ("hits.csv", "--cluster", "local:1", "--scratch", server.url)):
        done = fasthits("rollup", str(DAY), "--logs", log, "--to", target, *options)
        assert done.returncode == 2
        assert b"fasthits only reads from servers" in done.stderr


def set_environment(environment: dict[str, str]) -> None:
    os.environ.update(environment)


def test_workers_read_from_a_server(server: SftpServer, tmp_path: Path) -> None:
    for web in ("web1", "web2"):
        server.put(f"{web}/{DAY}.log", hit(f"/{web}"), hit("/a") * 2)
        server.put(f"{web}/{NEXT}.log", hit("/a", NEXT))
    processes = multiprocessing.get_context("forkserver")  # which may have been started by another test, with its HOME
    with ProcessPoolExecutor(1, processes, set_environment, (server.environment,)) as pool:
        count = count_hits(f"{server.url}/*/{DAY}.log", executor=pool, scratch=tmp_path)
    assert count.views == {DAY: {"/a": 4, "/web1": 1, "/web2": 1}}

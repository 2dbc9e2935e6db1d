"""`fasthits doctor` on memcached: reachable, large enough, with counters that are integers."""

import contextlib
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import write
from tests.support.gateways import Haproxy
from tests.support.processes import eventually
from tests.support.proxy import HalfDead
from tests.support.servers import IS_ROOT, Apache, Memcached, closed_port, free_port, require_program
from tests.upkeep.doctor.support import AS_ROOT, AT_ONCE, doctor, failing, run_doctor


def can_connect(port: int, address: str = "127.0.0.1") -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port)):
        return True
    return False


def test_without_memcached_the_other_checks_are_made(folder: Path) -> None:
    said = doctor(folder, f"127.0.0.1:{closed_port()}")
    assert (list(said.failed()), len(said.checks)) == (["memcached"], 10)
    assert said.checks["memcached"][1].endswith("(Connection refused)"), "the advice is in the remedy"
    assert "systemctl start memcached" in said.checks["memcached"][2]


def test_an_unreachable_server_among_several_is_named(folder: Path, memcached: Memcached) -> None:
    away = f"127.0.0.1:{closed_port()}"
    assert list(failing(folder, f"{memcached.spec},{away}")) == [f"memcached {away}"]


def test_a_memcached_that_hangs_is_reported(folder: Path, memcached: Memcached) -> None:
    memcached.pause()
    told = failing(folder, memcached.spec)["memcached"]
    assert "it accepted the connection and said nothing" in told
    assert "-> systemctl restart memcached" in told


@pytest.mark.parametrize("reply", [b"", b"VALUE x 2 1\r\n5\r\nEND\r\n"], ids=["nothing", "another key"])
def test_a_memcached_that_answers_only_version_is_reported(folder: Path, reply: bytes) -> None:
    """The counter cannot be tried, and nobody waits for ever."""
    soon = f"{AT_ONCE}; import fasthits.live.memcached as m; m.WHOLE_SECONDS = 1.0"
    with HalfDead(reply) as half_dead:
        said = run_doctor(folder, half_dead.spec, patch=soon)
    assert said.checks["memcached"][0] == "ok"
    verdict, text, remedy = said.checks["counters are ints"]
    assert verdict == "FAIL"
    assert half_dead.spec in text
    if not reply:
        assert text == f"memcached has not answered for 1 s: {half_dead.spec}"
        assert remedy == "systemctl restart memcached"


def test_a_server_that_wants_tls_is_reported_with_how_to_write_it(folder: Path) -> None:
    for name in ("key.pem", "cert.pem"):
        write(folder / name).chmod(0o644)
    make = "openssl req -x509 -newkey ed25519 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=localhost"
    subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
    files = f"ssl_chain_cert={folder}/cert.pem,ssl_key={folder}/key.pem"
    port = str(free_port())
    command = [require_program("memcached"), "-Z", "-o", files, "-l", "127.0.0.1", "-p", port, "-U", "0"]
    with subprocess.Popen([*command, *(["-u", "root"] if IS_ROOT else [])]) as server:
        try:
            eventually(lambda: can_connect(int(port)), what="memcached listens")
            told = failing(folder, f"127.0.0.1:{port}")["memcached"]
            secure = [f"tls://localhost:{port}", "--tls-ca", f"{folder}/cert.pem"]
            trusted = run_doctor(folder, *secure).checks["memcached"]
        finally:
            server.kill()
    assert told == f"memcached wants TLS: 127.0.0.1:{port} -> write tls://127.0.0.1:{port}"
    assert trusted[0] == "ok", trusted


def test_doctor_reports_a_server_that_is_not_memcached(folder: Path) -> None:
    with Apache(folder / "apache", []) as apache:
        assert list(failing(folder, f"127.0.0.1:{apache.port}")) == ["memcached"]


def test_a_proxy_without_statistics_is_not_a_failure(folder: Path, memcached: Memcached) -> None:
    port = free_port()
    write(
        folder / "proxy.yml",
        f"pool:\n  listen: 127.0.0.1:{port}\n  servers:\n   - {memcached.spec}:1\n".encode(),
    )
    program = require_program("nutcracker")
    stats = str(free_port())
    with subprocess.Popen([program, "-c", str(folder / "proxy.yml"), "-s", stats], stderr=subprocess.DEVNULL) as proxy:
        try:
            eventually(lambda: can_connect(port), what="the proxy listens")
            said = doctor(folder, f"127.0.0.1:{port}")
        finally:
            proxy.kill()
    assert said.failed() == {}
    assert said.checks["evictions"][0] == "warn"
    assert "no statistics, as behind a proxy" in said.checks["evictions"][1]
    assert said.checks["counters are ints"][0] == "ok"


SEVERAL = "leads to several memcacheds: a new counter is missing over another connection -> name each memcached by an"


def test_a_load_balancer_before_several_memcacheds_is_reported(
    folder: Path, start_memcached: Callable[..., Memcached]
) -> None:
    with Haproxy(folder, start_memcached(), start_memcached()) as balancer:
        assert SEVERAL in failing(folder, balancer.spec)["counters are ints"]
    with Haproxy(folder, start_memcached()) as proxy:
        assert failing(folder, proxy.spec) == {}


def test_a_name_with_the_addresses_of_several_memcacheds_is_reported(
    folder: Path, start_memcached: Callable[..., Memcached]
) -> None:
    memcached = start_memcached()
    two = "import socket; ask = socket.getaddrinfo; places = ['127.0.0.1', '127.0.0.2']"
    two += "; socket.getaddrinfo = lambda _, *a, **k: [place for name in places for place in ask(name, *a, **k)]"
    assert failing(folder, memcached.spec, patch=f"{AT_ONCE}; {two}") == {}, "nothing listens at the second address"
    user = ["-u", "root"] if IS_ROOT else []
    command = [require_program("memcached"), "-l", "127.0.0.2", "-p", str(memcached.port), "-U", "0", *user]
    with subprocess.Popen(command) as other:
        try:
            eventually(lambda: can_connect(memcached.port, "127.0.0.2"), what="the other memcached listens")
            found = failing(folder, memcached.spec, patch=f"{AT_ONCE}; {two}")
        finally:
            other.kill()
    assert SEVERAL in found["counters are ints"]


def fill(memcached: Memcached, size: int, keys: str = "i=$((i+1))") -> "subprocess.Popen[bytes]":
    """Start a process that keeps storing items of *size* bytes."""
    loop = f"i=0; while :; do {keys}; printf 'set %s 0 0 {size} noreply\\r\\n%0{size}d\\r\\n' $i 0; done"
    command = f"exec 3<>/dev/tcp/127.0.0.1/{memcached.port}; ({loop}) >&3"
    return subprocess.Popen(["bash", "-c", command], stderr=subprocess.DEVNULL)


def statistic(memcached: Memcached, name: str, which: bytes = b"stats") -> int:
    found = re.findall(rb"STAT [\w:]*%b (\d+)" % name.encode(), memcached.ask(which, b"END\r\n"))
    return sum(map(int, found))


@pytest.mark.parametrize(("size", "told"), [(60, "memcached evicts: "), (60_000, None)])
def test_evictions_of_items_as_small_as_counters_are_reported(
    folder: Path, start_memcached: Callable[..., Memcached], size: int, told: str | None
) -> None:
    memcached = start_memcached("-m", "2")
    with fill(memcached, size) as filling:
        eventually(lambda: statistic(memcached, "evictions"), 60, "memcached evicts")
        failed = failing(folder, memcached.spec)
        filling.kill()
        memcached.kill()  # this also ends the process that fills memcached, because it loses its connection
    assert told is None or (told in failed["evictions"] and "-m 64 in /etc/memcached.conf" in failed["evictions"])
    assert told or "evictions" not in failed


@pytest.mark.parametrize(
    ("option", "statistics", "told"),
    [((), "evicted", "it removed"), (("-M",), "outofmemory", "it refused")],
)
def test_a_memcached_that_was_full_is_reported(
    folder: Path, start_memcached: Callable[..., Memcached], option: tuple[str, ...], statistics: str, told: str
) -> None:
    memcached = start_memcached("-m", "2", *option)
    items = b"".join(b"set %d 0 0 100 noreply\r\n%0100d\r\n" % (number, 0) for number in range(60_000))
    with memcached.connect() as connection:
        connection.sendall(items + b"version\r\n")
        assert connection.recv(100).startswith(b"VERSION")  # it is no longer filled: doctor must tell what was
    assert statistic(memcached, statistics, b"stats items")
    found = failing(folder, memcached.spec)["evictions"]
    assert f"memcached was full: {told}" in found
    assert "items as small as counters in the" in found
    assert "-> give memcached more memory: -m 64" in found


@AS_ROOT
def test_a_socket_that_the_user_may_not_open_is_reported(
    folder: Path, start_memcached: Callable[..., Memcached]
) -> None:
    memcached = start_memcached(unix=True)
    assert memcached.socket_path
    memcached.socket_path.chmod(0o700)
    assert "Permission denied" in failing(folder, memcached.spec, "--user", "www-data")["memcached"]
    assert "memcached" not in failing(folder, memcached.spec)

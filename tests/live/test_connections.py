"""A connection is used if memcached has answered on it. Any other server is reported, with what to do.

The servers are real: memcached with different options, a web server, HAProxy.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fasthits.live import memcached as memcached_module
from fasthits.live.connections import KEEPALIVE, RETRY_SECONDS, UNANSWERED_SECONDS, Connector, Conversation
from fasthits.live.counters import add_views
from fasthits.live.keys import hit_key
from tests.support.certificates import Authority
from tests.support.gateways import Haproxy
from tests.support.logger import DAY, Logger, access_lines
from tests.support.processes import (
    end_process,
    environment,
    eventually,
    fasthits_command,
    marked_processes,
    run_fasthits,
)
from tests.support.proxy import HalfDead, Proxy, Stranger, hang_up, hang_up_later, say_nothing
from tests.support.servers import IS_ROOT, Memcached, closed_port, free_port, require_program
from tests.support.sockets import has_connection

StartMemcached = Callable[..., Memcached]
StartLogger = Callable[..., Logger]


def problem(spec: str) -> str:
    """Return the error of `fasthits today` about a server."""
    done = run_fasthits("today", "/a", "--memcached", spec)
    assert (done.returncode, done.stdout) == (1, b"")
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@contextmanager
def odd_memcached(*args: str) -> Iterator[str]:
    """Give the address of a memcached with other options, as soon as it accepts connections."""
    program, port = require_program("memcached"), free_port()
    user = ["-u", "root"] if IS_ROOT else []
    process = subprocess.Popen([program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", *user, *args])
    try:
        eventually(lambda: takes_connections(port), what="memcached takes connections")
        yield f"127.0.0.1:{port}"
    finally:
        end_process(process)


def takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_server_of_the_binary_protocol_is_reported() -> None:
    with odd_memcached("-B", "binary") as spec:
        said = problem(spec)
    assert said == f"fasthits: memcached speaks only the binary protocol: {spec} (start it without -S and -B)"


def test_a_server_that_wants_a_password_is_reported(place: Path) -> None:
    (place / "passwords").write_text("user:password\n")
    with odd_memcached("-Y", str(place / "passwords")) as spec:
        said = problem(spec)
    assert said == f"fasthits: memcached wants a password: {spec} (start it without -Y: fasthits sends none)"


def test_a_mismatch_of_tls_is_reported_in_both_directions(start_memcached: StartMemcached, place: Path) -> None:
    memcached = start_memcached(certificate=Authority(place).issue("127.0.0.1"))
    secure = memcached.tls_spec.removeprefix("tls://")
    assert problem(secure) == f"fasthits: memcached wants TLS: {secure} (write tls://{secure})"
    plain = f"tls://{memcached.spec}"
    hint = f"start it with -Z, or write {memcached.spec}"
    assert problem(plain) == f"fasthits: memcached speaks no TLS: {plain} ({hint})"


def test_a_server_without_a_connection_to_spare_is_reported(start_memcached: StartMemcached) -> None:
    server = start_memcached("-c", "40")
    with ExitStack() as held:
        for _ in range(40):
            connection = held.enter_context(server.connect())
            with suppress(ConnectionError):  # the last connections are too many
                connection.sendall(b"version\r\n")
                connection.recv(100)  # so that memcached has accepted it
        said = problem(server.spec)
    assert said == f"fasthits: memcached has no connection left: {server.spec} (start it with a higher -c)"


@pytest.mark.parametrize("scheme", ["", "tls://"])
def test_a_web_server_is_reported(scheme: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        spec = f"{scheme}127.0.0.1:{web.server_port}"
        said = problem(spec)
        web.shutdown()
    answer = '"HTTP/1.0 400' if sys.version_info >= (3, 14) else "'<!DOCTYPE HTML>'"
    assert said.startswith(f"fasthits: this is not memcached: {spec} (it says {answer}")
    assert said.endswith("check host and port)")


def greet(client: socket.socket) -> None:
    client.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    say_nothing(client)


def say_much(client: socket.socket) -> None:
    client.sendall(b"x" * 100_000)
    say_nothing(client)


@pytest.mark.parametrize(
    ("treat", "said"),
    [
        (say_nothing, "memcached does not answer: {} (it accepted the connection and said nothing for 2 s)"),
        (hang_up, "memcached hung up without an answer: {} (a proxy whose memcached is down?)"),
        (greet, "this is not memcached: {} (it says 'SSH-2.0-OpenSSH_9.2p1': check host and port)"),
        (say_much, "this is not memcached: {} (it says '" + "x" * 80 + "': check host and port)"),
        (
            lambda client: (client.recv(100), client.sendall(b"VERSION 1\r\nVERSION 1\r\n")),
            "this is not memcached: {} (it says 'VERSION 1': check host and port)",
        ),
        (
            lambda client: (client.recv(100), client.sendall(b"SERVER_ERROR Connection refused\r\n")),
            "the proxy cannot reach its memcached: {} (SERVER_ERROR Connection refused)",
        ),
        (
            lambda client: (client.recv(100), client.sendall(b"-ERR unknown command 'version'\r\n")),
            "this is not memcached: {} (it says \"-ERR unknown command 'version'\": check host and port)",
        ),
    ],
)
def test_a_server_that_is_not_memcached_is_reported(treat: Callable[[socket.socket], object], said: str) -> None:
    with Stranger(treat) as stranger:
        assert problem(stranger.spec) == "fasthits: " + said.format(stranger.spec)


def reset_tls(client: socket.socket) -> None:
    """Hang up in a TLS handshake, as an overloaded TLS server does. Send a TLS alert to other clients."""
    if not client.recv(100).startswith(b"\x16"):
        client.sendall(b"\x15\x03\x03\x00\x02\x02\x28")


@pytest.mark.parametrize(
    ("treat", "said"),
    [
        (say_nothing, "memcached does not answer: {} (no TLS handshake within 2 s)"),
        (hang_up, "memcached hung up: {} (in the TLS handshake: look at its log)"),
        (reset_tls, "memcached hung up: {} (in the TLS handshake: look at its log)"),
    ],
)
def test_a_server_that_fails_the_tls_handshake_is_reported(treat: Callable[[socket.socket], object], said: str) -> None:
    with Stranger(treat) as stranger:
        assert problem(f"tls://{stranger.spec}") == "fasthits: " + said.format(f"tls://{stranger.spec}")


def test_a_logger_says_what_is_wrong_with_a_server_and_its_hits_wait(place: Path, start_logger: StartLogger) -> None:
    with odd_memcached("-B", "binary") as spec:
        logger = start_logger("--memcached", spec, "--drain-timeout", "0")
        logger.write(access_lines(["/a"] * 3))
        eventually(lambda: "binary protocol" in logger.stderr, what="the logger to say so")
    assert logger.finish() == 0
    assert "(start it without -S and -B): 3 hits waiting" in logger.stderr


def test_hits_that_were_never_sent_are_not_in_doubt_when_the_log_ends(start_logger: StartLogger) -> None:
    with Stranger(say_nothing) as stranger:
        logger = start_logger("--memcached", stranger.spec, "--drain-timeout", "0.1")
        logger.write(access_lines(["/a"] * 3))
        eventually(lambda: stranger.accepted, what="the courier waits for an answer")
        assert logger.finish() == 0
    assert "3 hits waiting" in logger.stderr
    assert "in doubt" not in logger.stderr


@pytest.fixture
def hosts(place: Path) -> Path:
    """A file for /etc/hosts, in which a name has an IPv6 address and then an IPv4 address."""
    file = place / "hosts"
    file.write_text("::1 counters\n127.0.0.1 counters\n")
    return file


def with_hosts(hosts: Path, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `fasthits` with *hosts* as /etc/hosts. Other processes do not see it."""
    alone = ["unshare", "--mount", *([] if IS_ROOT else ["--map-root-user"])]
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    with marked_processes() as mark:
        return subprocess.run(
            [*alone, "sh", "-c", script, str(hosts), *fasthits_command(*args)],
            input=stdin,
            capture_output=True,
            timeout=60,
            env=environment(mark),
            check=False,
        )


@pytest.mark.parametrize("scheme", ["", "tls://"])
def test_each_address_of_a_name_is_tried(
    start_memcached: StartMemcached, hosts: Path, place: Path, scheme: str
) -> None:
    authority = Authority(place)
    memcached = start_memcached(certificate=authority.issue("counters"))
    port = memcached.tls_port if scheme else memcached.port
    options = ["--memcached", f"{scheme}counters:{port}", *(["--tls-ca", str(authority.file)] if scheme else [])]
    done = with_hosts(hosts, "log", *options, stdin=access_lines(["/a"] * 3))
    assert (done.returncode, done.stderr) == (0, b"")
    assert memcached.counters() == {hit_key(DAY, b"/a"): 3}
    done = with_hosts(hosts, "today", "/a", "--date", DAY.isoformat(), *options)
    assert (done.stdout, done.stderr) == (b"3\t/a\n", b"")
    done = with_hosts(hosts, "top", "--once", *options)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_fault_of_each_address_is_reported(hosts: Path) -> None:
    spec = f"counters:{closed_port()}"
    done = with_hosts(hosts, "today", "/a", "--memcached", spec)
    said = done.stderr.decode()
    remedy = "start memcached, or correct its address"
    assert said == f"fasthits: cannot reach memcached: {spec} (Connection refused; {remedy})\n"


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_a_socket_of_others_is_told_from_a_memcached_that_is_down(start_memcached: Callable[..., Memcached]) -> None:
    memcached = start_memcached(unix=True)
    os.chmod(memcached.spec.removeprefix("unix:"), 0o600)
    done = run_fasthits("log", "--check", "--user", "games", "--memcached", memcached.spec)
    assert done.returncode == 0
    assert b" (Permission denied; this user may not use the socket: start memcached with -a 0660, " in done.stderr


def test_connections_have_a_time_out_for_unacknowledged_data(memcached: Memcached) -> None:
    """This test looks at the options of the connection. In test_vanished_machine.py a machine vanishes."""
    with Connector(memcached.spec).connect().socket as connection:
        option = {name: connection.getsockopt(socket.IPPROTO_TCP, name) for name in KEEPALIVE}
        assert option == KEEPALIVE
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNANSWERED_SECONDS * 1000
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    idle, interval, count = KEEPALIVE.values()
    assert max(idle + interval * count, UNANSWERED_SECONDS) <= 60


def test_an_answer_has_a_limit_of_silence_of_time_and_of_size() -> None:
    with HalfDead(b"") as silent:
        conversation = Conversation(Connector(silent.spec).connect())
        conversation.sendall(b"stats\r\n")
        with pytest.raises(TimeoutError, match="nothing within 2 s"):
            conversation.recv(4096)
        conversation.close()
    for limits in ({"seconds": 0.1}, {"size": 1 << 20}):
        with HalfDead(b"STAT a 1\r\n", endless=True) as endless:
            conversation = Conversation(Connector(endless.spec).connect())
            conversation.sendall(b"stats\r\n", **limits)  # type: ignore[arg-type]
            with pytest.raises(TimeoutError, match="its answer does not end"):
                all(iter(lambda talk=conversation: talk.recv(4096), b""))
            conversation.close()


@pytest.mark.parametrize("command", ["today /", "check --settle 0", "warm --settle 0"])
def test_a_server_that_does_not_end_its_answer_is_reported(place: Path, command: str) -> None:
    (place / "access.log").write_bytes(access_lines(["/a"], date.today()))
    logs = () if command.startswith("today") else ("--logs", str(place / "access.log"))
    with HalfDead(b"VALUE", endless=True) as endless:
        done = run_fasthits(*command.split(), *logs, "--memcached", endless.spec)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"fasthits: memcached does not answer: {endless.spec} (its answer does not end)\n"


def test_hits_in_a_piece_that_is_not_answered_in_time_are_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could end the wait of `fasthits.add_views`. A courier waits, because its reader can end it."""
    monkeypatch.setattr(memcached_module, "WHOLE_SECONDS", 0.1)
    rows = [(DAY, f"/{number:0200}", 1) for number in range(1000)]
    with HalfDead(b"") as silent:
        delivery = add_views(rows, silent.spec)
    assert delivery.delivered == 0
    assert delivery.in_doubt + len(delivery.returned) == 1000
    assert 0 < delivery.in_doubt < 1000
    assert delivery.problems == {"lost": f"memcached has not answered for 0.1 s: {silent.spec}"}


@pytest.mark.parametrize("change", ["surplus", "late surplus", "missing", "none"])
def test_hits_are_not_sent_again_unless_each_command_has_its_answer(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """With an answer too many or too few, NOT_FOUND may be about other hits, which were counted."""
    monkeypatch.setattr(memcached_module, "WHOLE_SECONDS", 0.1)
    counted = Counter[bytes]()
    full = hit_key(DAY, b"/2").encode()

    def treat(client: socket.socket) -> None:
        for line in client.makefile("rb"):
            name, *words = line.split()
            if name == b"version":
                client.sendall(b"VERSION 1.6.18\r\n")
            elif name == b"incr" and words[1] == b"0":
                client.sendall(b"NOT_FOUND\r\n")
            elif name == b"incr":
                counted[words[0]] += int(words[1]) * (words[0] != full)
                answer = b"NOT_FOUND" if words[0] == full else b"%d" % counted[words[0]]
                is_first = words[0].endswith(b"/0")
                times = 0 if is_first and change == "missing" else 2 if is_first and change == "surplus" else 1
                client.sendall(b"STORED\r\n%b\r\n" % answer * times)
                if change == "late surplus" and words[0].endswith(b"/3"):
                    time.sleep(0.1)
                    client.sendall(b"STORED\r\n1\r\n")

    with Stranger(treat) as odd:
        delivery = add_views([(DAY, f"/{number}", 1) for number in range(4)], odd.spec)
    assert counted.total() == 3
    assert sum(views for _, _, views in delivery.returned) == (1 if change == "none" else 0)
    assert delivery.delivered + delivery.in_doubt == (3 if change == "none" else 4)
    assert bool(delivery.in_doubt) == (change != "none")
    assert ("doubt" in delivery.problems) == (change != "none")


@pytest.mark.parametrize("command", ["today /", "check --settle 0"])
@pytest.mark.parametrize(
    "reply",
    [b"VALUE other 2 1\r\n5\r\nEND\r\n", b"VALUE {} 2 zz\r\n1\r\nEND\r\n", b"VALUE {}\r\nEND\r\n"],
)
def test_an_answer_that_is_not_memcacheds_is_reported(place: Path, command: str, reply: bytes) -> None:
    (place / "access.log").write_bytes(access_lines(["/"], date.today()))
    logs = () if command.startswith("today") else ("--logs", str(place / "access.log"))
    with HalfDead(reply.replace(b"{}", hit_key(date.today(), b"/").encode())) as odd:
        done = run_fasthits(*command.split(), *logs, "--memcached", odd.spec)
    hint = "its answer is not that of memcached: check host and port"
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"fasthits: memcached does not answer: {odd.spec} ({hint})\n"


@pytest.mark.parametrize("treat", [hang_up, hang_up_later], ids=["at once", "at the first batch"])
def test_a_server_that_hangs_up_gets_few_connections_even_at_the_end(
    start_logger: StartLogger, treat: Callable[[socket.socket], object]
) -> None:
    begun = time.monotonic()
    with Stranger(treat) as stranger:
        logger = start_logger("--memcached", stranger.spec, "--drain-timeout", "2", patch=OFTEN)
        for number in range(100):
            logger.write(access_lines([f"/{number}"]))
            logger.wait_until_read()
            time.sleep(0.01)
        assert logger.finish() == 0
        tries = (time.monotonic() - begun) / RETRY_SECONDS
        assert 3 <= stranger.accepted <= tries + PROBES


OFTEN = "import fasthits.live.statistics; fasthits.live.statistics.PUBLISH_SECONDS = 0.05\n"
"""So that the figures would make a connection far more often."""
PROBES = 3


SELDOM = f"import fasthits.live.statistics; fasthits.live.statistics.PUBLISH_SECONDS = {2 * RETRY_SECONDS}\n"
"""So that no connection that the figures ask for is refused as too early."""


def test_no_connection_is_made_only_for_figures(start_logger: StartLogger) -> None:
    """A lost connection changes a figure. That is no reason for a new connection."""
    with Stranger(hang_up_later) as stranger:
        logger = start_logger("--memcached", stranger.spec, patch=SELDOM)
        for connections in (1, 2):  # the second connection replaces a lost one
            logger.write(b"no line of a log\n")
            eventually(lambda number=connections: stranger.accepted == number, what="the figures are sent")
        time.sleep(6 * RETRY_SECONDS)  # in which further connections would be made
        assert stranger.accepted == 2
        assert logger.finish() == 0
        assert stranger.accepted <= 3


@pytest.mark.parametrize("scheme", ["", "tls://"])
def test_a_courier_ends_with_its_reader_while_it_waits_for_an_answer(start_logger: StartLogger, scheme: str) -> None:
    with Stranger(say_nothing) as stranger:
        patient = "import fasthits.live.connections as c; c.ANSWER_SECONDS = c.CONNECT_SECONDS = 1e3"
        logger = start_logger("--memcached", scheme + stranger.spec, patch=patient)
        logger.write(access_lines(["/a"]))
        eventually(lambda: stranger.accepted, what="the courier connects")
        logger.signal(signal.SIGKILL)
        logger.wait()
        eventually(lambda: not logger.processes(), what="the courier ends")


def test_a_dead_connection_loses_no_hit(memcached: Memcached, start_logger: StartLogger) -> None:
    soon = "import fasthits.live.memcached; fasthits.live.memcached.IDLE_SECONDS = 0.05\n"
    with Proxy(memcached, seed=1) as proxy:
        logger = start_logger("--memcached", proxy.spec, patch=soon)
        logger.write(access_lines(["/a"]))
        memcached.expect({hit_key(DAY, b"/a"): 1})
        proxy.forget()
        time.sleep(0.1)  # idle
        logger.write(access_lines(["/a"] * 5))
        memcached.expect({hit_key(DAY, b"/a"): 6})
        assert logger.finish() == 0
        assert logger.stderr == ""


@pytest.mark.parametrize("program", ["a proxy", "haproxy"])
def test_a_proxy_that_accepts_connections_while_memcached_restarts_loses_no_hit(
    memcached: Memcached, start_logger: StartLogger, place: Path, program: str
) -> None:
    gateway = Haproxy(place, memcached) if program == "haproxy" else Proxy(memcached, seed=1)
    with gateway:
        logger = start_logger("--memcached", gateway.spec)
        logger.write(access_lines(["/a"] * 5))
        memcached.expect({hit_key(DAY, b"/a"): 5})
        memcached.kill()  # at rest, and its counters are gone
        eventually(lambda: not has_connection(gateway.port), what="the proxy has closed the logger's connection")
        for number in range(40):
            logger.write(access_lines([f"/{number}"] * 10))
            logger.wait_until_read()
            time.sleep(0.05)
        memcached.start(keep_port=True)
        memcached.expect({hit_key(DAY, f"/{number}".encode()): 10 for number in range(40)}, timeout=60)
        assert logger.finish() == 0
    assert "in doubt" not in logger.stderr

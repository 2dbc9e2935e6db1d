"""memcached over TLS (``-Z``): all commands, and the errors about wrong certificates."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pymemcache.client.hash import HashClient

from fasthits.live.keys import hit_key
from fasthits.live.servers import check_servers
from tests.live.test_status_signal import wait_until_settled
from tests.support.certificates import Authority
from tests.support.gateways import Stunnel
from tests.support.logger import DAY, Logger, access_lines
from tests.support.processes import run_fasthits
from tests.support.servers import IS_ROOT, Memcached

StartMemcached = Callable[..., Memcached]
StartLogger = Callable[..., Logger]

PATHS = [f"/page/{number}" for number in range(3000)]


@pytest.fixture
def authority(place: Path) -> Authority:
    return Authority(place)


@pytest.fixture
def memcached(start_memcached: StartMemcached, authority: Authority) -> Memcached:
    """A memcached with TLS on its second port."""
    return start_memcached(certificate=authority.issue("127.0.0.1", "localhost"))


def test_hits_are_counted_and_read_over_tls(memcached: Memcached, authority: Authority, place: Path) -> None:
    options = ["--memcached", memcached.tls_spec, "--tls-ca", str(authority.file)]
    log, today = place / "access.log", date.today()
    log.write_bytes(access_lines(PATHS * 2, today))
    done = run_fasthits("log", *options, stdin=log.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert memcached.counters() == {hit_key(today, path.encode()): 2 for path in PATHS}
    assert run_fasthits("today", "/page/7", *options).stdout == b"2\t/page/7\n"
    assert b"6,000 views of 3,000 paths" in run_fasthits("top", "--once", *options).stdout
    log.write_bytes(access_lines(PATHS * 3, today))
    checked = run_fasthits("check", "--logs", str(log), "--settle", "0", *options)
    assert (checked.returncode, checked.stdout.count(b"missing\t3\t2\t/page/")) == (1, 3000)
    assert run_fasthits("warm", "--logs", str(log), "--settle", "0", *options).returncode == 0
    assert memcached.counters() == {hit_key(today, path.encode()): 3 for path in PATHS}
    doctor = run_fasthits("doctor", "--logs", str(log), "--to", str(place / "hits.db"), *options).stdout.decode()
    assert [line.split()[0] for line in doctor.splitlines() if memcached.tls_spec in line] == ["ok"] * 2, doctor


def test_the_environment_names_the_files_as_well(memcached: Memcached, authority: Authority) -> None:
    env = {"FASTHITS_MEMCACHED": memcached.tls_spec, "FASTHITS_TLS_CA": str(authority.file)}
    assert run_fasthits("log", stdin=access_lines(["/a"] * 3), env=env).returncode == 0
    assert run_fasthits("today", "/a", "--date", DAY.isoformat(), env=env).stdout == b"3\t/a\n"


@pytest.mark.parametrize(
    ("names", "expired", "trusts", "said"),
    [
        (["127.0.0.1"], False, "", "unable to get local issuer certificate; name the authority that signed it with "),
        (["127.0.0.1"], False, "other", "unable to get local issuer certificate; name the authority that signed it "),
        (["127.0.0.1"], True, "ca", "certificate has expired; renew the server's certificate, or check the clock "),
        (["db.example"], False, "ca", "IP address mismatch, certificate is not valid for '127.0.0.1'; use the name "),
    ],
    ids=["unknown authority", "another authority", "expired", "another name"],
)
def test_a_certificate_that_does_not_fit_is_reported(
    start_memcached: StartMemcached, place: Path, names: list[str], expired: bool, trusts: str, said: str
) -> None:
    authorities = {name: Authority(place, name) for name in ("ca", "other")}
    server = start_memcached(certificate=authorities["ca"].issue(*names, expired=expired))
    options = ["--tls-ca", str(authorities[trusts].file)] if trusts else []
    done = run_fasthits("today", "/a", "--memcached", server.tls_spec, *options)
    assert (done.returncode, done.stdout) == (1, b"")
    text = done.stderr.decode()
    assert text.startswith(f"fasthits: memcached's certificate is not trusted: {server.tls_spec} ({said}")
    assert text.count("\n") == 1


def test_a_client_certificate_is_shown_to_a_server_that_demands_one(
    start_memcached: StartMemcached, authority: Authority, place: Path
) -> None:
    demand = f"ssl_verify_mode=2,ssl_ca_cert={authority.file}"
    server = start_memcached("-o", demand, certificate=authority.issue("127.0.0.1"))
    options = ["--memcached", server.tls_spec, "--tls-ca", str(authority.file)]
    lines = access_lines(["/a"] * 3)
    done = run_fasthits("log", *options, "--drain-timeout", "1", stdin=lines)
    assert b"client certificate" in done.stderr
    assert b"--tls-cert FILE and --tls-key FILE" in done.stderr
    assert b"3 hits waiting" in done.stderr
    stranger = Authority(place, "other").issue("me@example.org")
    done = run_fasthits("log", *options, "--tls-cert", str(stranger), "--drain-timeout", "1", stdin=lines)
    assert b"client certificate" in done.stderr
    assert server.counters() == {}
    own = authority.issue("me@example.org")
    done = run_fasthits("log", *options, "--tls-cert", str(own), stdin=lines)
    assert (done.returncode, done.stderr) == (0, b"")
    assert server.counters() == {hit_key(DAY, b"/a"): 3}


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_the_files_are_read_before_the_user_changes_and_not_again(
    memcached: Memcached, authority: Authority, start_logger: StartLogger, place: Path
) -> None:
    own = authority.issue("me@example.org")
    files = [place / "ca-of-root", place / "cert-of-root"]
    for file, source in zip(files, (authority.file, own), strict=True):
        file.write_bytes(source.read_bytes())
        file.chmod(0o600)
    options = ("--tls-ca", str(files[0]), "--tls-cert", str(files[1]), "--user", "www-data")
    logger = start_logger("--memcached", memcached.tls_spec, *options)
    logger.write(access_lines(["/a"]))
    memcached.expect({hit_key(DAY, b"/a"): 1})
    for file in files:
        file.unlink()
    memcached.restart()
    logger.write(access_lines(["/a"] * 3))
    memcached.expect({hit_key(DAY, b"/a"): 3})
    assert logger.finish() == 0


def test_a_tls_server_that_comes_and_goes_counts_no_hit_twice(
    memcached: Memcached, authority: Authority, start_logger: StartLogger, place: Path
) -> None:
    with Stunnel(place, memcached, authority.issue("127.0.0.1")) as gateway:
        logger = start_logger("--memcached", gateway.spec, "--tls-ca", str(authority.file))
        sent = 0
        for _ in range(3):
            for _ in range(30):
                logger.write(access_lines(PATHS[:100]))
            gateway.kill()
            logger.write(access_lines(PATHS[:100]))
            sent += 3100
            logger.wait_until_read()
            gateway.start()
        (status,) = wait_until_settled([logger])
        assert logger.finish() == 0
    assert status.delivered + status.in_doubt == sent
    assert status.delivered <= sum(memcached.counters().values()) <= status.delivered + status.in_doubt


def test_tls_does_not_change_how_servers_share_keys(start_memcached: StartMemcached, authority: Authority) -> None:
    """Host and port decide which server has a key, because Django's list has no ``tls://``."""
    certificate = authority.issue("127.0.0.1")
    servers = [start_memcached(certificate=certificate) for _ in range(3)]
    mixed = [servers[0].tls_spec, servers[1].spec, servers[2].tls_spec]
    as_django = [server.removeprefix("tls://") for server in mixed]
    options = ["--memcached", ",".join(mixed), "--tls-ca", str(authority.file)]
    assert run_fasthits("log", *options, stdin=access_lines(PATHS[:200])).returncode == 0
    cluster = HashClient(as_django)
    keys = [hit_key(DAY, path.encode()) for path in PATHS[:200]]
    assert [server.node for server in check_servers(as_django)] == list(cluster.clients)
    expected = {node: {key: 1 for key in keys if cluster.hasher.get_node(key) == node} for node in cluster.clients}
    assert [server.counters() for server in servers] == list(expected.values())

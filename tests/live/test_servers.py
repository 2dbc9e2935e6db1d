"""Names of servers, and the files of TLS."""

import ssl
import subprocess

import pytest
from pymemcache.client.hash import HashClient

from fasthits.errors import UsageError
from fasthits.live.servers import Server, TlsFiles, check_servers
from tests.support.certificates import Authority


@pytest.mark.parametrize(
    ("name", "address", "node"),
    [
        ("127.0.0.1:11211", ("127.0.0.1", 11211), "127.0.0.1:11211"),
        ("web1", ("web1", 11211), "web1:11211"),
        ("[::1]:11311", ("::1", 11311), "::1:11311"),
        ("[::1]", ("::1", 11211), "::1:11211"),
        ("unix:/run/m.sock", "/run/m.sock", "/run/m.sock"),
        ("/run/m.sock", "/run/m.sock", "/run/m.sock"),
        ("tls://cache.example.org:1", ("cache.example.org", 1), "cache.example.org:1"),
        ("tls://[::1]", ("::1", 11211), "::1:11211"),
    ],
)
def test_the_address_is_read_from_the_name_of_a_server(name: str, address: tuple[str, int] | str, node: str) -> None:
    (server,) = check_servers([name])
    assert server == name
    assert (server.address, server.node) == (address, node)
    assert (server.tls is not None) == name.startswith("tls://")
    assert list(HashClient([name.removeprefix("tls://")]).clients) == [node], "Django's cache calls it otherwise"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "11211",
            "11211:11211",
            "host:0",
            "host:65536",
            "host:port",
            "::1",
            "a b",
            "http://host:1",
            "memcached://h",
            "tls://",
            "tls:host:1",
        ),
        *("tls:///run/m.sock", "TLS://host", "tls://host:1/", "unix:run/m.sock", "tls://tls://host"),
    ],
)
def test_an_invalid_name_of_a_server_is_reported_with_the_valid_forms(name: str) -> None:
    with pytest.raises(UsageError, match=r"HOST:PORT, \[IPV6\]:PORT, unix:/PATH or tls://HOST:PORT"):
        check_servers([name])


def test_several_names_may_be_in_one_text_and_share_the_settings_of_tls() -> None:
    plain, *secure = check_servers(["a:1, tls://b:2;", "tls://c"])
    assert [plain, *secure] == ["a:1", "tls://b:2", "tls://c"]
    assert plain.tls is None
    assert secure[0].tls is secure[1].tls


def test_tls_checks_the_certificate_and_the_name() -> None:
    context = Server("tls://a").tls
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    tmp_path = tmp_path_factory.mktemp("tls")
    authority = Authority(tmp_path)
    found = {"ca": authority.file, "cert": authority.issue("me@example.org"), "other": authority.issue("x@example.org")}
    found |= {"text": tmp_path / "text", "locked": tmp_path / "locked", "missing": tmp_path / "missing"}
    found["text"].write_text("no certificate\n")
    locked = ["openssl", "genrsa", "-aes128", "-passout", "pass:secret", "-out", str(found["locked"])]
    subprocess.run(locked, check=True, capture_output=True)
    return {name: str(file) for name, file in found.items()}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ca": "missing"}, "cannot use --tls-ca: {missing} (No such file or directory)"),
        ({"ca": "text"}, "cannot use --tls-ca: {text} ("),
        ({"cert": "missing"}, "cannot use --tls-cert: {missing} (No such file or directory)"),
        ({"cert": "cert", "key": "missing"}, "cannot use --tls-key: {missing} (No such file or directory)"),
        ({"cert": "cert", "key": "other"}, "cannot use --tls-key: {other} (KEY_VALUES_MISMATCH)"),
        ({"cert": "cert", "key": "locked"}, "cannot use --tls-key: {locked} (the key has a password"),
        ({"cert": "ca"}, "cannot use --tls-key: {ca} ("),
        ({"key": "cert"}, "a TLS key without its certificate: {cert} (name the certificate with --tls-cert FILE)"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported(files: dict[str, str], given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        check_servers(["tls://a"], TlsFiles(**{option: files[name] for option, name in given.items()}))
    assert str(error.value).startswith(said.format(**files))


def test_files_of_tls_without_a_tls_server_are_an_error(files: dict[str, str]) -> None:
    """A user who names these files wants TLS, and would not notice plain text."""
    with pytest.raises(UsageError, match=r"TLS files, but no TLS server: a:1, b:2 \(write tls://HOST:PORT\)"):
        check_servers(["a:1,b:2"], TlsFiles(ca=files["ca"]))

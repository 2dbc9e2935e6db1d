"""The token: only it opens the page, by a header, an address, a cookie or a form; it may come from a file."""

import hmac
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from fasthits.web.openapi import describe
from tests.support.commands import write
from tests.support.processes import run_fasthits
from tests.support.webserver import Answer, Served


def test_only_the_token_opens_the_page(start: Callable[..., Served]) -> None:
    served = start("--host", "0.0.0.0", "--token", "s3cret-s3cret café")
    for target in ("/", "/api/top", "/events", "/metrics", "/static/page.js", "/api/top?token=wrong", "/badge.svg"):
        answer = served.ask(target)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert list(answer.json()) == ["error"]
    assert served.ask("/api/top", Authorization="Bearer wrong").status == 401
    assert served.ask("/api/top", Authorization="Bearer s3cret-s3cret café".encode().decode("latin-1")).status == 200
    assert served.ask(f"/api/top?token={quote('s3cret-s3cret café')}", Host="any.example").status == 401
    described = served.ask("/openapi.json", Authorization="Bearer s3cret-s3cret café".encode().decode("latin-1")).json()
    assert described == json.loads(json.dumps(describe(with_token=True)))
    page = served.ask(f"/?token={quote('s3cret-s3cret café')}")
    check_cookie(served, page)
    assert [scheme["type"] for scheme in described["components"]["securitySchemes"].values()] == ["http"], (
        "the name of the page's cookie depends on the secret"
    )
    assert served.ask("/", Cookie="fasthits=; a b=\x7f; [").status == 401
    assert served.ask("/?token=", Accept="text/html").status == 401


def check_cookie(served: Served, page: Answer) -> None:
    """Check that the answer redirects to the page and sets a cookie that opens the page and expires."""
    assert (page.status, page.headers["location"]) == (303, "./")
    cookie = page.headers["set-cookie"]
    assert {"HttpOnly", "Max-Age=2592000", "SameSite=strict"} <= set(cookie.split("; "))
    assert "s3cret-s3cret" not in cookie
    assert "Path" not in cookie, "the browser keeps it for the folder of the page"
    value = cookie.partition(";")[0]
    assert served.ask("/", Cookie=value).status == 200
    for others in ('consent={"stats": true, "ads": false}', "a[0]=x", "flag", 'a="', "path=/"):
        assert served.ask("/", Cookie=f"{others}; {value}; b=c d").status == 200, (
            "the site at the same address has these"
        )
    name, _, quoted = value.partition("=")
    assert served.ask("/", Cookie=f"{name}=1.2; {value}; {name}=").status == 200, "a page in the folder above"
    assert served.ask("/", Cookie=f'{name}="{quoted}"').status == 401, "removing quotes can take seconds"
    ends_at, _, proof = quoted.partition(".")
    expired = f"1.{hmac.digest('s3cret-s3cret café'.encode(), b'fasthits 1', 'sha256').hex()}"
    for forged in (
        expired,
        f"{int(ends_at) + 1}.{proof}",
        f"1.{proof}",
        f"{ends_at}.",
        ends_at,
        f"-1.{proof}",
        "²." + proof,
    ):
        assert served.ask("/api/top", Cookie=f"{name}={forged}".encode().decode("latin-1")).status == 401


def test_a_browser_keeps_the_cookies_of_two_servers_on_one_host(start: Callable[..., Served]) -> None:
    """It sends a cookie to every port of a host, and replaces it by a cookie of the same name."""
    servers = {token: start("--token", token) for token in ("s3cret-s3cret café", "another s3cret")}
    cookies: dict[str, str] = {}
    for token, served in servers.items():
        name, _, value = served.submit("/", token=token).headers["set-cookie"].partition(";")[0].partition("=")
        cookies[name] = value
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    assert [served.ask("/", Cookie=header).status for served in servers.values()] == [200, 200]


def test_a_person_is_asked_for_the_token_in_a_form(start: Callable[..., Served]) -> None:
    served = start("--token", "s3cret-s3cret café")
    form = served.ask("/", Accept="text/html,*/*;q=0.8")
    assert (form.status, form.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert b'<form method="post" action="./">' in form.body
    assert "form-action 'self'" in form.headers["content-security-policy"]
    for name in re.findall(rb'href="(static/[^"]+)"', form.body):
        assert served.ask(f"/{name.decode()}").status == 200
    wrong = served.submit("/", token="wrong")
    assert (wrong.status, b"This is not the token." in wrong.body) == (401, True)
    assert served.submit("/", token="x" * 20_000).status == 401
    check_cookie(served, served.submit("/", token="s3cret-s3cret café"))
    assert served.submit("/api/top", token="s3cret-s3cret café").status == 401
    assert "Secure" not in served.submit("/", token="s3cret-s3cret café").headers["set-cookie"]
    behind_https = served.submit("/", {"X-Forwarded-Proto": "https"}, token="s3cret-s3cret café")
    assert "; Secure" in behind_https.headers["set-cookie"]


def test_the_token_comes_from_a_file_that_others_cannot_read(start: Callable[..., Served], tmp_path: Path) -> None:
    file = write(tmp_path / "token", b"s3cret-s3cret\n")
    file.chmod(0o640)
    served = start("--token-file", str(file))
    assert served.ask("/api/top", Authorization="Bearer s3cret-s3cret").status == 200
    assert served.ask("/api/top").status == 401


@pytest.mark.parametrize(
    ("content", "mode", "options", "said"),
    [
        (b"s3cret-s3cret", 0o644, (), "everybody on this machine may read the token: "),
        (b"\n", 0o600, (), "token is empty: "),
        (b"\xff", 0o600, (), "cannot read the token: "),
        (b"s3cret-s3cret\n# of the web page\n", 0o600, (), "not a token: "),
        (b" s3cret-s3cret\n", 0o600, (), "not a token: "),
        (b"FASTHITS_TOKEN=s3cret-s3cret\n", 0o600, (), "not a token: "),
        (b"s3cret-s3cret \n", 0o600, (), "not a token: "),
        (b"\xef\xbb\xbfs3cret-s3cret\n", 0o600, (), "not a token: "),
        (None, 0o600, (), "cannot read the token: "),
        (b"s3cret-s3cret", 0o600, ("--token", "other"), "choose one of these: "),
        (b"s3cret-s3cret", 0o600, ("--public",), "choose one of these: "),
    ],
)
def test_a_token_file_that_is_not_safe_or_not_clear_is_refused(
    tmp_path: Path, content: bytes | None, mode: int, options: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        write(file, content).chmod(mode)
    done = run_fasthits("serve", "--port", "0", "--token-file", str(file), *options)
    assert (done.returncode, done.stderr.startswith(f"fasthits: {said}".encode())) == (2, True), done.stderr


def test_a_token_file_may_be_a_pipe_that_somebody_writes_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    done = run_fasthits("serve", "--port", "0", "--token-file", str(tmp_path / "pipe"))
    assert (done.returncode, done.stderr.partition(b": /")[0]) == (2, b"fasthits: token is empty")
    done = run_fasthits("serve", "--port", "0", "--token-file", "/dev/stdin", stdin=b"short\n")
    assert (done.returncode, done.stderr.partition(b": /")[0]) == (2, b"fasthits: token is too short")


@pytest.mark.parametrize("token", [b"s3cr\xe9t", b"s3cret-s3cret\n", b" s3cret-s3cret"])
def test_a_token_that_nobody_can_send_is_refused(token: bytes) -> None:
    done = run_fasthits("serve", "--port", "0", env={"FASTHITS_TOKEN": os.fsdecode(token)})
    assert done.returncode == 2
    assert done.stderr.startswith(b"fasthits: not a token: --token or FASTHITS_TOKEN (a token is one line of UTF-8")


def test_a_token_that_others_could_guess_is_refused(start: Callable[..., Served]) -> None:
    for options, env in ((["--token", "elevenchars"], {}), ([], {"FASTHITS_TOKEN": "short"})):
        done = run_fasthits("serve", "--port", "0", *options, env=env)
        assert done.returncode == 2
        assert done.stderr.startswith(b"fasthits: token is too short: --token or FASTHITS_TOKEN (others could guess it")
    assert start("--token", "twelve chars").ask("/api/top", Authorization="Bearer twelve chars").status == 200


def test_an_empty_token_is_refused() -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        done = run_fasthits("serve", "--host", host, "--public", "--token", "", "--port", "0")
        assert (done.returncode, done.stderr.partition(b" (")[0]) == (2, b"fasthits: token is empty: --token")
        for options in ((), ("--public",)):
            done = run_fasthits("serve", "--host", host, "--port", "0", *options, env={"FASTHITS_TOKEN": ""})
            assert (done.returncode, done.stderr.partition(b" (")[0]) == (2, b"fasthits: token is empty: --token")

"""Who gets an answer: own host names, --public, reading requests; and what each answer tells the browser."""

from collections.abc import Callable

import pytest

from tests.support.processes import run_fasthits
from tests.support.webserver import Served


@pytest.mark.parametrize(
    "target", ["/", "/api/top", "/badge.svg?path=/", "/nothing", "/static/style.css", "/api/today"]
)
def test_every_answer_tells_the_browser_to_be_strict(idle: Served, target: str) -> None:
    headers = idle.ask(target).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert "server" not in headers


def test_only_reading_requests_are_answered(idle: Served) -> None:
    assert [idle.ask("/api/top", method).status for method in ("POST", "PUT", "DELETE", "TRACE")] == [405] * 4
    assert [idle.ask("/events", method).status for method in ("POST", "OPTIONS", "DELETE")] == [405] * 3
    assert [idle.ask(target, "HEAD").status for target in ("/api/top", "/events")] == [200, 200]
    assert [idle.ask(target).status for target in ("/api/top/", "/static")] == [404, 404]  # and not elsewhere
    for target in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/", "/static/uplot"):
        assert idle.ask(target).status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_name_is_refused(idle: Served, host: str) -> None:
    assert idle.ask("/api/top", Host=host).status == 421
    assert idle.ask("/events", Host=host).status == 421
    for own in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"):
        assert idle.ask("/api/top", Host=own).status == 200


def test_public_answers_everybody_and_the_scripts_of_other_sites(start: Callable[..., Served], served: Served) -> None:
    public = start("--host", "0.0.0.0", "--public")
    answer = public.ask("/api/top", Host="any.example", Origin="https://other.example")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    for target in ("/", "/static/page.js"):
        assert "access-control-allow-origin" not in public.ask(target).headers
    assert "access-control-allow-origin" not in served.ask("/api/top").headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "some.example"])
def test_listening_beyond_loopback_needs_a_token_or_public(host: str) -> None:
    done = run_fasthits("serve", "--host", host)
    assert done.returncode == 2
    assert done.stderr.startswith(b"fasthits: others could read the numbers: ")


def test_an_ipv6_address_may_have_the_brackets_of_a_url() -> None:
    done = run_fasthits("serve", "--host", "[::1]", "--port", "0", "--site", "")
    assert done.stderr.startswith(b"fasthits: not the address of a site: "), "that is looked at after the host"


@pytest.mark.parametrize("site", ["example.org", "https://", "https://example.org/a", "https://a b", "javascript:x"])
def test_an_invalid_address_of_a_site_is_refused(site: str) -> None:
    done = run_fasthits("serve", "--port", "0", "--site", site)
    assert (done.returncode, done.stderr.partition(b": ")[2].partition(b":")[0]) == (2, b"not the address of a site")

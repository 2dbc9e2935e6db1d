"""`fasthits conf`: its lines for the web page work: proxies, the report by mail, the job of Prometheus."""

import email
import email.policy
import http.client
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from fasthits.daily.days import ONE_DAY
from tests.support.commands import fasthits, hit, write
from tests.support.processes import environment, eventually, marked_processes
from tests.support.servers import Apache, Memcached, free_port, require_program
from tests.support.webserver import Served
from tests.upkeep.support import conf, run_as_cron

SECRET = "s3cret-s3cret"


@pytest.fixture
def page(place: Path, memcached: Memcached) -> Iterator[Served]:
    """A page that needs a secret, with one kept day."""
    write(place / "a.log", hit("/a", date.today() - ONE_DAY))
    yesterday = str(date.today() - ONE_DAY)
    done = fasthits("rollup", yesterday, "--logs", place / "a.log", "--to", place / "hits.db", "--partial")
    assert done.returncode == 0, done.stderr
    arguments = ("--memcached", memcached.spec, "--database", str(place / "hits.db"), "--token", SECRET)
    with Served(place, *arguments) as served:
        yield served


def part(begin: str) -> str:
    """Return the part of the output of `conf` that begins with this text."""
    (found,) = [each for each in conf().split("\n\n") if each.startswith(begin)]
    return found


def check_proxy(port: int) -> None:
    """Check that a proxy on this port shows the page below /stats/, and that the page knows of TLS in front of it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(target: str, method: str = "GET", body: str | None = None, **headers: str) -> http.client.HTTPResponse:
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, target, body, {"Accept": "text/html", **form, **headers})
        answer = connection.getresponse()
        answer.text = answer.read()  # type: ignore[attr-defined]
        return answer

    with closing(connection):
        assert ask("/stats").headers["Location"].endswith("/stats/")
        assert ask("/stats/").status == 401
        opened = ask("/stats/", "POST", f"token={SECRET}")
        assert (opened.status, opened.headers["Location"]) == (303, "./")
        cookie = opened.headers["Set-Cookie"]
        assert "Secure" not in cookie
        assert "path" not in cookie.lower()
        page = ask("/stats/", Cookie=cookie.partition(";")[0])
        assert (page.status, b"fasthits" in page.text) == (200, True)  # type: ignore[attr-defined]
        assert ask("/stats/api/history", Cookie=cookie.partition(";")[0]).status == 200
        connection.request("GET", "/stats/events", headers={"Cookie": cookie.partition(";")[0]})
        events = connection.getresponse()
        assert events.readline() == b"event: sample\n"
        assert events.readline().startswith(b"data: ")


def test_nginx_shows_the_page_with_these_lines(place: Path, page: Served) -> None:
    nginx = require_program("nginx")
    port = free_port()
    block = part("# nginx, in a server with TLS").replace(":8765", f":{page.port}")
    folders = "".join(f"{name}_temp_path {place};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    server = f"server {{ listen 127.0.0.1:{port}; {block} }}"
    logs = f"access_log {place}/access.log; {folders}"
    write(place / "nginx.conf", f"daemon off; events {{}} http {{ {logs} {server} }}".encode())
    command = [nginx, "-p", str(place), "-c", str(place / "nginx.conf"), "-e", f"{place}/error.log"]
    with marked_processes() as mark:
        pid_file = f"pid {place}/nginx.pid;"
        process = subprocess.Popen([*command, "-g", pid_file], env=environment(mark), stderr=subprocess.DEVNULL)
        eventually(lambda: accepts(port), what="nginx listens")
        check_proxy(port)
        process.terminate()
        process.wait(10)
    assert (place / "access.log").read_bytes().count(b"\n") == 1, "only /stats, not what the page asks for"


def test_apache_shows_the_page_with_these_lines(place: Path, page: Served) -> None:
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        for name in ("proxy", "proxy_http", "headers", "alias")
    )
    block = part("# Apache, in a virtual host with TLS").replace(":8765", f":{page.port}")
    with Apache(place / "apache", [], extra=modules + block) as apache:
        check_proxy(apache.port)
        apache.stop()


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_report_is_mailed_as_a_file_each_week(place: Path, page: Served) -> None:
    text = conf("--database", f"{place}/hits.db")
    (command,) = re.findall(r"^0 7 \* \* 1  \S+  (.*)$", text, re.M)
    assert not re.search(r"(?<!\\)%", command)
    command = command.replace(r"\%", "%").replace("/usr/sbin/sendmail -t", f"cat >{place}/mail")
    assert run_as_cron(command, place) == (0, "")
    mail = email.message_from_bytes((place / "mail").read_bytes(), policy=email.policy.default)
    assert (mail["To"], mail.get_content_type(), mail.get_filename()) == ("root", "text/html", "hits.html")
    assert mail.get_content().startswith("<!doctype html>")
    assert max(map(len, (place / "mail").read_bytes().splitlines())) < 998
    (place / "mail").unlink()
    (place / "hits.db").unlink()
    code, said = run_as_cron(command, place)
    assert (code, "no such database" in said, (place / "mail").exists()) == (1, True, False)


def test_prometheus_sends_the_secret_of_the_page(place: Path, page: Served) -> None:
    job = part("# Prometheus")
    (make,) = re.findall(r"^# (\(umask.*sed .*)$", job, re.M)
    write(place / "fasthits.env", f"FASTHITS_TOKEN={SECRET}\n".encode())
    make = make.replace("/etc/fasthits.env", f"{place}/fasthits.env").replace("/etc/prometheus", str(place))
    subprocess.run(make, shell=True, check=True)
    secret = (place / "fasthits.token").read_text().strip()
    assert (place / "fasthits.token").stat().st_mode & 0o077 == 0
    assert page.ask("/metrics", Authorization=f"Bearer {secret}").status == 200
    assert f'- targets: ["127.0.0.1:{8765}"]' in job
    assert "credentials_file: /etc/prometheus/fasthits.token" in job


def test_the_secret_that_the_manual_line_makes_is_long_and_private(place: Path) -> None:
    (make,) = re.findall(r"^# (\(umask 077; echo \"FASTHITS_TOKEN=.*)$", part("# The web page"), re.M)
    subprocess.run(make.replace("/etc/fasthits.env", f"{place}/env"), shell=True, check=True, capture_output=True)
    assert re.fullmatch(r"FASTHITS_TOKEN=[0-9a-f]{32}\n", (place / "env").read_text())
    assert (place / "env").stat().st_mode & 0o777 == 0o600

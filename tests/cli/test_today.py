"""`fasthits today PATH...`: a line with views and path for each path, from the live counters."""

import os
from datetime import date, timedelta

import pytest

from fasthits.live.keys import hit_key
from tests.support.logger import DAY, access_line, access_lines
from tests.support.processes import run_fasthits
from tests.support.servers import NO_NUMBERS, Memcached, closed_port


def log(memcached: Memcached, lines: bytes, *args: str) -> None:
    """Count *lines* in memcached."""
    done = run_fasthits("log", "--memcached", memcached.spec, *args, stdin=lines)
    assert (done.returncode, done.stderr) == (0, b"")


def test_each_path_has_a_line_in_the_order_asked_for(memcached: Memcached) -> None:
    log(memcached, access_lines(["/a"] * 12 + ["/b"] + ["http://o.example/a"] * 2))
    asked = ["/b", "/a", "http://o.example/a"]
    done = run_fasthits("today", *asked, "--date", "2026-03-12", "--memcached", memcached.spec)
    answer = b"1\t/b\n12\t/a\n2\thttp://o.example/a\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, answer, b"")


def test_a_path_that_nobody_read_today_is_zero(memcached: Memcached) -> None:
    log(memcached, access_line("/a", date.today()))
    done = run_fasthits("today", "/never-read", "--memcached", memcached.spec)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0\t/never-read\n", b"")


def test_an_unknown_number_is_not_zero(memcached: Memcached) -> None:
    done = run_fasthits("today", "/", "--memcached", memcached.spec)
    assert (done.returncode, done.stdout) == (1, b"-\t/\n")
    assert done.stderr == (
        b"fasthits: no counter of %s: / (no logger has counted a line today: fasthits doctor)\n"
        % str(date.today()).encode()
    )
    yesterday = date.today() - timedelta(1)
    log(memcached, access_line("/late", yesterday))
    done = run_fasthits("today", "/", "/late", "--date", "yesterday", "--memcached", memcached.spec)
    assert (done.returncode, done.stdout) == (1, b"-\t/\n1\t/late\n")
    assert f"fasthits history PATH --date {yesterday})\n" in done.stderr.decode()
    tomorrow = date.today() + timedelta(1)
    done = run_fasthits("today", "/", "--date", str(tomorrow), "--memcached", memcached.spec)
    assert (done.returncode, done.stdout) == (1, b"-\t/\n")
    assert b"(that day has not begun)" in done.stderr


def test_paths_with_a_query_and_of_a_host_can_be_asked_for(memcached: Memcached) -> None:
    log(memcached, access_line("/", date.today(), query="?page=2"), "--keep-query=page")
    log(memcached, b"www.example.org:80 " + access_line("/a", date.today()), "--by-host")
    asked = ["/?page=2", "//www.example.org/a", "/?page=3", "//WWW.example.org/A"]
    done = run_fasthits("today", *asked, "--memcached", memcached.spec)
    answers = b"1\t/?page=2\n1\t//www.example.org/a\n0\t/?page=3\n0\t//WWW.example.org/A\n"
    assert (done.returncode, done.stdout) == (0, answers)
    assert done.stderr == (
        b"fasthits: no counter: /?page=3 (a query counts only if the loggers run with --keep-query)\n"
        b"fasthits: no counter: //WWW.example.org/A (hosts are counted in lower case: www.example.org)\n"
    )


def test_a_url_is_no_path(memcached: Memcached) -> None:
    log(memcached, access_line("/a", date.today()))
    done = run_fasthits("today", "https://example.org/a?b", "http://example.org", "--memcached", memcached.spec)
    assert (done.returncode, done.stdout) == (0, b"0\thttps://example.org/a?b\n0\thttp://example.org\n")
    why = b"only the log of a proxy has whole URLs: fasthits today"
    assert done.stderr == (
        b"fasthits: no counter: https://example.org/a?b (%b /a?b)\nfasthits: no counter: http://example.org (%b /)\n"
        % (why, why)
    )


def test_a_path_that_browsers_encode_is_named_as_they_send_it(memcached: Memcached) -> None:
    log(memcached, access_line("/caf%C3%A9", date.today()))
    done = run_fasthits("today", "/café", "/caf%C3%A9", "--memcached", memcached.spec)
    assert (done.returncode, done.stdout.decode()) == (0, "0\t/café\n1\t/caf%C3%A9\n")
    why = "browsers send it, and most logs have it, as /caf%C3%A9"
    assert done.stderr.decode() == f"fasthits: no counter: /café ({why})\n"


def test_a_path_without_its_host_has_no_counter_where_each_host_is_counted_separately(memcached: Memcached) -> None:
    log(memcached, b"www.example.org:80 " + access_line("/a", date.today()), "--by-host")
    log(memcached, (b"www.example.org:80 " + access_line("/" + "x" * 300, date.today())) * 2, "--by-host")
    done = run_fasthits("today", "/a", "//www.example.org/b", "--memcached", memcached.spec)
    assert (done.returncode, done.stdout) == (0, b"0\t/a\n0\t//www.example.org/b\n")
    hint = b"each host is counted separately: put the host before the path, as in //www.example.org/about"
    assert done.stderr == b"fasthits: no counter: /a (%b)\n" % hint


def test_without_a_date_it_is_today(memcached: Memcached) -> None:
    for _ in range(2):  # once more if midnight came between
        today = date.today()
        log(memcached, access_line("/a", today) + access_line("/a", DAY) * 3)
        done = run_fasthits("today", "/a", "--memcached", memcached.spec)
        if date.today() == today:
            break
    assert (done.returncode, done.stdout) == (0, b"1\t/a\n")


def test_the_servers_come_from_the_environment_too(memcached: Memcached) -> None:
    log(memcached, access_lines(["/a", "/a"]))
    done = run_fasthits("today", "/a", "--date", "2026-03-12", env={"FASTHITS_MEMCACHED": memcached.spec})
    assert (done.returncode, done.stdout) == (0, b"2\t/a\n")


def test_the_prefix_is_that_of_the_logger(memcached: Memcached) -> None:
    log(memcached, access_lines(["/a"]), "--prefix", "site:3:")
    common = ("today", "/a", "--date", "2026-03-12", "--memcached", memcached.spec)
    assert run_fasthits(*common, "--prefix", "site:3:").stdout == b"1\t/a\n"
    assert run_fasthits(*common).stdout == b"-\t/a\n"


def test_long_and_odd_paths_are_found_under_their_hashed_keys(memcached: Memcached) -> None:
    paths = [b"/" + b"x" * 300, "/café".encode(), b"/caf\\xc3\\xa9"]
    log(memcached, access_lines([paths[0]] + [paths[1]] * 2 + [paths[2]] * 3))
    asked = [os.fsdecode(path) for path in paths]
    done = run_fasthits("today", *asked, "--date", "2026-03-12", "--memcached", memcached.spec, env={"PYTHONUTF8": "1"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"".join(b"%d\t%b\n" % (views, path) for views, path in enumerate(paths, start=1))


def test_a_path_that_is_not_utf8_is_written_as_history_does(memcached: Memcached) -> None:
    log(memcached, access_lines([b"/caf\xe9"]))
    common = ("--date", "2026-03-12", "--memcached", memcached.spec)
    done = run_fasthits("today", "/caf\udce9", *common)
    assert (done.stdout, done.stderr) == (b"1\t/caf\\xe9\n", b"")
    done = run_fasthits("today", "/th\udce9", *common)
    assert done.stdout == b"-\t/th\\xe9\n"
    assert b"fasthits: no counter of 2026-03-12: /th\\xe9 (" in done.stderr


def test_a_path_that_is_not_utf8_has_the_views_that_a_rollup_adds_up(memcached: Memcached) -> None:
    """Apache writes such a byte as ``\\xhh``. A server without escapes logs the byte, so live it has another key."""
    paths = [b"/caf\xe9"] * 3 + [rb"/caf\xe9"] + ["/é".encode()] * 2 + [rb"/\xc3\xa9"] * 5 + [b"/\xe9\xc3\xa9"]
    lines = access_lines(paths)
    log(memcached, lines)
    rolled = run_fasthits("rollup", str(DAY), "--logs", "-", "--partial", "--to", "-", stdin=lines).stdout
    kept = dict(line.split(b",")[1:] for line in rolled.splitlines()[1:])
    assert kept[rb"/caf\xe9"] == b"4"
    common = ("--date", str(DAY), "--memcached", memcached.spec)
    done = run_fasthits("today", *map(os.fsdecode, kept), *common, env={"PYTHONUTF8": "1"})
    assert dict(line.split(b"\t")[::-1] for line in done.stdout.splitlines()) == kept


@pytest.mark.parametrize("value", NO_NUMBERS, ids=range(len(NO_NUMBERS)))
def test_a_value_that_no_counter_has_is_an_error(memcached: Memcached, value: bytes) -> None:
    client = memcached.client()
    client.set(hit_key(DAY, b"/a"), value, noreply=False)
    client.close()
    done = run_fasthits("today", "/a", "--date", "2026-03-12", "--memcached", memcached.spec)
    assert (done.returncode, done.stdout) == (1, b"")
    hint = "something else uses this key; try another --prefix"
    assert done.stderr.decode() == f"fasthits: no number in counter: {hit_key(DAY, b'/a')} ({hint})\n"


def test_a_number_that_memcached_has_lowered_is_read(memcached: Memcached) -> None:
    """It keeps its length, with spaces."""
    log(memcached, access_lines(["/a"] * 10))
    memcached.ask(f"decr {hit_key(DAY, b'/a')} 1".encode())
    done = run_fasthits("today", "/a", "--date", "2026-03-12", "--memcached", memcached.spec)
    assert (done.stdout, done.stderr) == (b"9\t/a\n", b"")


def test_a_server_that_refuses_is_one_line_on_stderr() -> None:
    spec = f"127.0.0.1:{closed_port()}"
    done = run_fasthits("today", "/a", "/b", "--memcached", spec)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"fasthits: ")
    assert done.stderr.count(b"\n") == 1
    assert spec.encode() in done.stderr


@pytest.mark.parametrize("path", ["a.html", "", "*", "ftp://o.example/a"])
def test_an_impossible_path_is_a_usage_error(memcached: Memcached, path: str) -> None:
    done = run_fasthits("today", "/a", path, "--memcached", memcached.spec)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr
    assert done.stderr


@pytest.mark.parametrize("day", ["2026-02-31", "12/Mar/2026", "20260312", ""])
def test_a_date_that_makes_no_sense_is_a_usage_error(memcached: Memcached, day: str) -> None:
    done = run_fasthits("today", "/a", "--date", day, "--memcached", memcached.spec)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("today", "/", "--date"), ("check",), ("warm",), ("explain", "-", "--date")])
def test_a_date_that_cannot_be_a_range_is_asked_for_as_one_day(command: tuple[str, ...]) -> None:
    done = run_fasthits(*command, "tomorrow")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"fasthits: not a DATE: 'tomorrow' (YYYY-MM-DD, today or yesterday)\n"


def test_a_path_is_needed(memcached: Memcached) -> None:
    done = run_fasthits("today", "--memcached", memcached.spec)
    assert (done.returncode, done.stdout) == (2, b"")

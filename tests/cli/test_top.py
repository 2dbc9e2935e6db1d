"""`fasthits top`: in a real terminal, and printed once."""

import json
import re
import signal
import sys
from collections.abc import Iterator
from datetime import date

import pexpect
import pyte
import pytest

from tests.support.logger import Logger, access_line
from tests.support.processes import environment, eventually, kill_marked, new_mark, run_fasthits
from tests.support.servers import Memcached, closed_port

WIDTH, HEIGHT = 100, 24
LEAVES_SCREEN = b"\x1b[?25h\x1b[?1049l"
HOSTILE = "/\\x1b[2J<b>[red]"


class Terminal:
    """A `fasthits top` in its own terminal, and the text on the screen."""

    def __init__(self, *args: str, term: str = "xterm-256color") -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self.screen)
        self.mark = new_mark()
        command = ["-m", "fasthits", "top", *args]
        size = {"COLUMNS": str(WIDTH), "LINES": str(HEIGHT), "TERM": term}
        settings = environment(self.mark, size)
        self.process = pexpect.spawn(
            sys.executable,
            command,
            dimensions=(HEIGHT, WIDTH),
            env=settings,
            timeout=60,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job would ignore it
        )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        kill_marked(self.mark)  # pexpect would wait for a tenth of a second, and then fail
        self.process.wait()
        self.process.close()

    def text(self) -> str:
        try:
            while True:
                self._stream.feed(self.process.read_nonblocking(65536, timeout=0))
        except (pexpect.TIMEOUT, pexpect.EOF):
            return "\n".join(line.rstrip() for line in self.screen.display)

    def shows(self, *words: str) -> str:
        """Return the screen once all *words* are on it."""
        return eventually(lambda: all(word in self.text() for word in words) and self.text(), 60, self.text)

    def end(self) -> tuple[int | None, bytes]:
        """Return the exit status when it has ended, and its last output."""
        self.process.expect(pexpect.EOF)
        self.process.close()
        return self.process.exitstatus, self.process.before


@pytest.fixture
def terminal(memcached: Memcached) -> Iterator[Terminal]:
    with Terminal("--memcached", memcached.spec) as shown:
        yield shown


def hits(**views: int) -> bytes:
    return b"".join(access_line("/" + path, date.today()) * count for path, count in views.items())


def test_the_numbers_rise_while_lines_come(terminal: Terminal, logger: Logger) -> None:
    terminal.shows("0 views today")
    logger.write(hits(a=3, b=2))
    terminal.shows("5 views today", "2 paths", "/a", "/b")
    logger.write(hits(b=2) + access_line(HOSTILE, date.today()))
    screen = terminal.shows("8 views today", "8 in the last ", "3 paths")
    rows = [line.split() for line in screen.splitlines() if line.rstrip().endswith(("/a", "/b", HOSTILE))]
    assert [(row[0], row[1], row[-1]) for row in rows] == [("4", "+4", "/b"), ("3", "+3", "/a"), ("1", "+1", HOSTILE)]


@pytest.mark.parametrize("end", ["q", "\x03"])
def test_it_ends_on_request_and_restores_the_terminal(terminal: Terminal, end: str) -> None:
    terminal.shows("q quits")
    terminal.process.send(end)
    status, last = terminal.end()
    assert status == 0
    assert last.endswith(LEAVES_SCREEN)


def test_the_terminal_is_restored_after_sigterm_too(terminal: Terminal) -> None:
    terminal.shows("q quits")
    terminal.process.kill(signal.SIGTERM)
    status, last = terminal.end()
    assert status == 128 + signal.SIGTERM
    assert last.endswith(LEAVES_SCREEN)


def test_it_goes_on_when_memcached_goes_and_comes_back(terminal: Terminal, memcached: Memcached) -> None:
    terminal.shows("0 views today")
    memcached.kill()
    terminal.shows("cannot reach memcached")
    memcached.start(keep_port=True)
    eventually(lambda: "cannot reach memcached" not in terminal.text(), 60)


def test_old_numbers_tell_their_age(terminal: Terminal, memcached: Memcached, logger: Logger) -> None:
    logger.write(hits(a=3))
    terminal.shows("3 views today")
    memcached.kill()
    terminal.shows("these numbers are ", " s old: cannot reach memcached", "3 views today")


def test_a_screen_that_becomes_smaller_is_filled(terminal: Terminal, logger: Logger) -> None:
    logger.write(hits(**{f"p{number}": 40 - number for number in range(40)}))
    terminal.shows("40 paths", "/p18", "q quits")
    assert "/p19" not in terminal.text()


def test_the_last_minute_says_how_long_it_is(terminal: Terminal, logger: Logger) -> None:
    terminal.shows("… in the last minute")
    logger.write(hits(a=3))
    screen = terminal.shows("3 views today", "+3")
    assert re.search(r"3 in the last [1-9]\d? s ", screen)
    assert re.search(r"views ↓ +last [1-9]\d? s", screen)


def test_keys_scroll_filter_and_pause(terminal: Terminal, logger: Logger) -> None:
    logger.write(hits(**{f"p{number:02}": 50 - number for number in range(40)}))
    terminal.shows("40 paths", "/p00", "/p18")
    terminal.process.send("\x1b[B\x1b[B")
    assert "/p01" not in terminal.shows("/p20", "3 to 21 of 40")
    terminal.process.send("\x1b[F")
    assert "/p20" not in terminal.shows("/p21", "/p39", "22 to 40 of 40")
    terminal.process.send("/P3\x7f3")
    terminal.shows("/P3▏", "10 paths")
    terminal.process.send("\r")
    assert "/p29" not in terminal.shows("10 paths with P3: Escape shows all", "/p38")
    terminal.process.send("\x1b")
    terminal.shows("/p00")
    terminal.process.send("?")
    assert "/p00" not in terminal.shows("show only paths that contain a text;", "any key goes back")
    terminal.process.send("? ")
    terminal.shows("/p00", "paused ")
    logger.write(hits(p00=1))
    terminal.process.send(" ")
    terminal.shows("   51 ")


def test_paths_are_sorted_by_their_last_minute_too(terminal: Terminal, logger: Logger, memcached: Memcached) -> None:
    logger.write(hits(a=5, b=2))
    terminal.shows("7 views today")
    with Terminal("--memcached", memcached.spec) as later:
        later.shows("7 views today")
        logger.write(hits(b=1))
        later.shows("8 views today", "+1")
        later.process.send("s")
        rows = [line.split()[-1] for line in later.shows(" s ↓").splitlines() if line.endswith(("/a", "/b"))]
    assert rows == ["/b", "/a"]


def test_a_bar_becomes_shorter_to_leave_space_for_a_path(terminal: Terminal, logger: Logger) -> None:
    short, long = "/" + "s" * 40, "/" + "l" * 75
    logger.write(access_line(short, date.today()))
    assert "████" in terminal.shows(short)
    logger.write(access_line(long, date.today()))
    assert "█" not in terminal.shows(long, short)


def test_counters_that_no_logger_has_made_are_reported(memcached: Memcached, logger: Logger) -> None:
    """Nothing of today, as with a forgotten prefix, is no quiet site."""
    logger.write(access_line("/a", date.today()))
    assert logger.finish() == 0
    where = ("--memcached", memcached.spec)
    done = run_fasthits("top", "--once", *where, "--prefix", "other:")
    assert done.stderr == b"fasthits: no logger has counted a line today: fasthits doctor\n"
    document = json.loads(run_fasthits("top", "--json", *where, "--prefix", "other:").stdout)
    assert (document["views"], document["warnings"]) == (0, ["no logger has counted a line today: fasthits doctor"])
    assert run_fasthits("top", "--once", *where).stderr == b""


def test_once_is_a_table_of_numbers_bars_and_paths(memcached: Memcached, logger: Logger) -> None:
    logger.write(hits(a=4, b=2) + access_line(HOSTILE, date.today()))
    assert logger.finish() == 0
    done = run_fasthits("top", "--once", "--limit", "2", "--memcached", memcached.spec)
    head, *rows = done.stdout.decode().splitlines()
    assert (done.returncode, done.stderr) == (0, b"")
    assert head.endswith("  7 views of 3 paths")
    assert [row.split() for row in rows] == [["4", "█" * 24, "/a"], ["2", "█" * 12, "/b"]]


def test_a_path_that_cannot_have_a_key_is_an_error(memcached: Memcached, logger: Logger) -> None:
    logger.write(hits(**{"l" * 300: 2}))
    assert logger.finish() == 0
    row = run_fasthits("top", "--once", "--memcached", memcached.spec).stdout.decode().splitlines()[1]
    assert re.search(r" #[0-9a-f]{12}… \(a long or unusual path\)$", row)


def test_a_terminal_that_can_only_print_gets_one_table(memcached: Memcached, logger: Logger) -> None:
    logger.write(hits(a=4))
    assert logger.finish() == 0
    with Terminal("--memcached", memcached.spec, term="dumb") as shown:
        status, output = shown.end()
    assert status == 0
    assert output.split()[-1] == b"/a"
    assert b"\x1b" not in output


def test_json_is_one_document(memcached: Memcached, logger: Logger) -> None:
    logger.write(hits(a=4, b=2))
    assert logger.finish() == 0
    document = json.loads(run_fasthits("top", "--json", "--memcached", memcached.spec).stdout)
    assert document["views"] == 6
    assert document["most_read"] == [
        {"path": "/a", "views": 4, "last_minute": 0},
        {"path": "/b", "views": 2, "last_minute": 0},
    ]
    assert (document["day"], document["window_seconds"], document["rate"]) == (str(date.today()), 0, None)
    assert memcached.figures()["delivered"] == 6  # it is there, and no path


def test_without_memcached_it_ends_with_one_line() -> None:
    spec = f"127.0.0.1:{closed_port()}"
    done = run_fasthits("top", "--memcached", spec)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"fasthits: cannot reach memcached: " + spec.encode())
    assert done.stderr.count(b"\n") == 1

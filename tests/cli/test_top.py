"""`fasthits top`: on a real terminal, and printed once."""

import json
import signal
import sys
from collections.abc import Iterator
from datetime import date

import pexpect
import pyte
import pytest

from tests.support.logger import Logger, access_line
from tests.support.processes import environment, eventually, kill_marked, new_mark, run_fasthits
from tests.support.servers import Memcached, free_port

WIDTH, HEIGHT = 100, 24
LEAVES_SCREEN = b"\x1b[?25h\x1b[?1049l"
HOSTILE = "/\\x1b[2J<b>[red]"


class Terminal:
    """A `fasthits top` in a terminal of its own, and what that shows."""

    def __init__(self, *args: str) -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self.screen)
        self.mark = new_mark()
        command = ["-m", "fasthits", "top", *args]
        size = {"COLUMNS": str(WIDTH), "LINES": str(HEIGHT), "TERM": "xterm-256color"}
        settings = environment(self.mark, size)
        self.process = pexpect.spawn(
            sys.executable,
            command,
            dimensions=(HEIGHT, WIDTH),
            env=settings,
            timeout=60,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job would ignore it
        )

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
        """Return the exit status when it has ended, and what it wrote last."""
        self.process.expect(pexpect.EOF)
        self.process.close()
        return self.process.exitstatus, self.process.before


@pytest.fixture
def terminal(memcached: Memcached) -> Iterator[Terminal]:
    shown = Terminal("--memcached", memcached.spec)
    yield shown
    shown.process.close(force=True)
    kill_marked(shown.mark)


def hits(**views: int) -> bytes:
    return b"".join(access_line("/" + path, date.today()) * count for path, count in views.items())


def test_the_numbers_rise_while_lines_come(terminal: Terminal, logger: Logger) -> None:
    terminal.shows("0 views today")
    logger.write(hits(a=3, b=2))
    terminal.shows("5 views today", "2 paths", "/a", "/b")
    logger.write(hits(b=2) + access_line(HOSTILE, date.today()))
    screen = terminal.shows("8 views today", "8 in the last minute", "3 paths")
    rows = [line.split() for line in screen.splitlines() if line.rstrip().endswith(("/a", "/b", HOSTILE))]
    assert [(row[0], row[1], row[-1]) for row in rows] == [("4", "+4", "/b"), ("3", "+3", "/a"), ("1", "+1", HOSTILE)]


@pytest.mark.parametrize("end", ["q", "\x03"])
def test_it_ends_when_asked_to_and_leaves_the_terminal_as_it_was(terminal: Terminal, end: str) -> None:
    terminal.shows("q ends")
    terminal.process.send(end)
    status, last = terminal.end()
    assert status == 0
    assert last.endswith(LEAVES_SCREEN)


def test_a_terminal_is_as_it_was_after_sigterm_too(terminal: Terminal) -> None:
    terminal.shows("q ends")
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


def test_a_screen_that_becomes_smaller_is_filled(terminal: Terminal, logger: Logger) -> None:
    logger.write(hits(**{f"p{number}": 40 - number for number in range(40)}))
    terminal.shows("40 paths", "/p16", "q ends")
    assert "/p17" not in terminal.text()


def test_once_is_a_table_of_numbers_bars_and_paths(memcached: Memcached, logger: Logger) -> None:
    logger.write(hits(a=4, b=2) + access_line(HOSTILE, date.today()))
    assert logger.finish() == 0
    done = run_fasthits("top", "--once", "--limit", "2", "--memcached", memcached.spec)
    head, *rows = done.stdout.decode().splitlines()
    assert (done.returncode, done.stderr) == (0, b"")
    assert head.endswith("  7 views of 3 paths")
    assert [row.split() for row in rows] == [["4", "█" * 24, "/a"], ["2", "█" * 12, "/b"]]


def test_json_is_one_document(memcached: Memcached, logger: Logger) -> None:
    logger.write(hits(a=4, b=2))
    assert logger.finish() == 0
    document = json.loads(run_fasthits("top", "--json", "--memcached", memcached.spec).stdout)
    assert document["views"] == 6
    assert document["most_read"] == [{"path": "/a", "views": 4}, {"path": "/b", "views": 2}]
    assert memcached.figures()["delivered"] == 6  # it is there, and no path


def test_without_memcached_it_ends_with_one_line() -> None:
    spec = f"127.0.0.1:{free_port()}"
    done = run_fasthits("top", "--memcached", spec)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"fasthits: cannot reach memcached: " + spec.encode())
    assert done.stderr.count(b"\n") == 1

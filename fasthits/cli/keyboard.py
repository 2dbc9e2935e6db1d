"""Reads the keys of a terminal when they are pressed."""

import codecs
import os
import re
import select
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

_NAMES = {
    **dict.fromkeys(("\x1b[A", "\x1bOA"), "up"),
    **dict.fromkeys(("\x1b[B", "\x1bOB"), "down"),
    **dict.fromkeys(("\x1b[H", "\x1bOH", "\x1b[1~"), "home"),
    **dict.fromkeys(("\x1b[F", "\x1bOF", "\x1b[4~"), "end"),
    **dict.fromkeys(("\r", "\n"), "enter"),
    **dict.fromkeys(("\x7f", "\b"), "backspace"),
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b": "escape",
    "\x15": "clear line",
}
_KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|[\s\S]")


class Keyboard:
    """The keyboard of the terminal at standard input."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")

    def wait(self, seconds: float) -> list[str] | None:
        """Wait at most *seconds* for keys; return them by name or character.

        None means that the terminal has gone.
        """
        if not select.select([0], [], [], max(0, seconds))[0]:
            return []
        pressed = os.read(0, 256)
        return [_NAMES.get(key, key) for key in _KEY.findall(self._decoder.decode(pressed))] if pressed else None


@contextmanager
def keys_at_once() -> Iterator[Keyboard]:
    """Read keys when they are pressed, and do not show them."""
    before = termios.tcgetattr(0)
    tty.setcbreak(0)
    try:
        yield Keyboard()
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)

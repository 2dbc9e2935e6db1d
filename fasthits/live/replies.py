"""The meaning of memcached's replies to ``add`` and ``incr`` for hits: counted, not counted, or unknown.

Only memcached's own words prove that a hit was not counted: ``NOT_FOUND``, and out of memory. A proxy answers for a
server that it cannot reach, or that is late: twemproxy says ``SERVER_ERROR Connection timed out`` about hits that may
be counted a moment later.
"""

from enum import Enum, auto
from typing import NamedTuple

REPLY_BYTES = 2048
"""No line of a reply is as long."""

OUT_OF_MEMORY = b"SERVER_ERROR out of memory"
"""The beginning of the reply; older versions add ``in incr/decr`` (process_arithmetic_command)."""
NO_NUMBER = b"CLIENT_ERROR cannot increment or decrement non-numeric value"


class Outcome(Enum):
    """The meaning of two lines of reply, to ``add`` and to ``incr``, for a counter's hits."""

    COUNTED = auto()
    NOT_COUNTED = auto()
    """They may be sent again."""
    REFUSED = auto()
    """Not counted, and never would be."""
    UNKNOWN = auto()
    """They may not be sent again."""


class Answer(NamedTuple):
    """The outcome for one counter, and the line that tells it."""

    outcome: Outcome
    text: str


COUNTED = Answer(Outcome.COUNTED, "")
CREATED = Answer(Outcome.COUNTED, "new")
"""Counted, and there was no counter before."""
STORED = {b"STORED": CREATED, b"NOT_STORED": COUNTED}
"""The answer after each reply to ``add``, if ``incr`` has counted."""


class Replies:
    """Makes answers of a stream of replies: two lines are an answer."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.trusted = True
        """Whether no answer so far leaves doubt, so that further hits may be risked."""
        self.in_step = True
        """Whether all lines so far are replies to these commands; if not, the next line may reply to anything."""
        self._lines: list[bytes] = []
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the bytes that have come."""
        *complete, self._rest = (self._rest + data).split(b"\r\n")
        self._lines += complete
        used = len(self._lines) // 2 * 2
        added, counted = self._lines[0:used:2], self._lines[1:used:2]
        del self._lines[:used]
        if STORED.keys() >= set(added) and all(map(bytes.isdigit, counted)):  # nearly always; this is 1.5 times as fast
            self.answers += map(STORED.__getitem__, added)
        else:
            for pair in zip(added, counted, strict=True):
                self.answers.append(self._read(*pair))
                if not self.in_step:
                    break
        if len(self._rest) > REPLY_BYTES or b"\n" in self._rest:
            self.in_step = self.trusted = False

    def left(self, number: int) -> bool:
        """Return whether more than *number* answers have come."""
        return len(self.answers) > number or bool(self._lines or self._rest)

    def _read(self, added: bytes, counted: bytes) -> Answer:
        if added in STORED or added.startswith(b"SERVER_ERROR "):
            if counted.isdigit():
                return STORED.get(added, COUNTED)
            if counted == b"NOT_FOUND":
                return Answer(Outcome.NOT_COUNTED, "it was gone at once" if added in STORED else _text(added))
            if counted.startswith(OUT_OF_MEMORY):
                return Answer(Outcome.NOT_COUNTED, _text(counted))
            if counted.startswith(NO_NUMBER):
                return Answer(Outcome.REFUSED, _text(counted))
            self.in_step = counted.startswith(b"SERVER_ERROR ")
        else:
            self.in_step = False
        self.trusted = False
        return Answer(Outcome.UNKNOWN, f"{_text(added)}, {_text(counted)}")


def _text(reply: bytes) -> str:
    return reply.decode("ascii", "backslashreplace")

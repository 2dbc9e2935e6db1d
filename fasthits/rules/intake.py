"""Counts one log that is read once, and detects its format from its first lines."""

from collections.abc import Callable

from fasthits._parse import EXAMPLES, LINE_BYTES, HitTable, LineRules
from fasthits.rules.formats import Format
from fasthits.rules.selection import ASSUMED, Selection


class Intake:
    """Counts the lines of one log that is read once, and learns its format from them."""

    def __init__(
        self, selection: Selection, open_hit_table: Callable[[LineRules], HitTable], log_format: Format | None = None
    ) -> None:
        """*open_hit_table* is called for a counter with some rules; again, when they turn out to be others."""
        self.log_format = log_format or selection.log_format
        """None as long as it is not known."""
        self._detected: Format | None = None
        self._selection = selection
        self._open_hit_table = open_hit_table
        self._head = b""
        self._examples: list[tuple[int, bytes]] = []
        self._use(self.log_format or ASSUMED)

    def _use(self, log_format: Format) -> None:
        self.hit_table = self._open_hit_table(self._selection.line_rules(log_format))
        """What has counted; another one when the format becomes known, with all that this one has."""
        self._lines = self._selection.lines_into(self.hit_table, log_format)

    @property
    def examples(self) -> list[tuple[int, bytes]]:
        """The first malformed lines, as a counter has them."""
        return (self._examples + self.hit_table.examples)[:EXAMPLES]

    def feed(self, block: bytes | memoryview) -> None:
        """Count the lines of *block*, which may begin and end anywhere in a line.

        Raises UsageError, once and with the lines counted, when their format lacks what the rules look at.
        """
        if self.log_format:
            self._lines.feed(block)
            return
        self._head += block
        whole, newline, tail = self._head.rpartition(b"\n")
        if self._learn(whole + newline, ASSUMED if len(tail) > LINE_BYTES else None):
            self._lines.feed(self._head)
            self._head = b""
            self._check()
        else:
            self._lines.feed(whole + newline)
            self._head = tail

    def finish(self) -> None:
        """Count the last line, if it has no newline: the input ends here. Raises UsageError as `feed` does."""
        if self._head:
            self._learn(self._head, ASSUMED, ended=True)
            self._lines.feed(self._head)
            self._head = b""
        self._lines.finish()
        self._check()

    def _check(self) -> None:
        if self._detected:
            detected, self._detected = self._detected, None
            self._selection.check(detected)

    def _learn(self, head: bytes, otherwise: Format | None, ended: bool = False) -> bool:
        """Detect the format of the lines in *head*, and tell whether it is known now.

        Lines that came before the first of a format that is known have been counted as ASSUMED.
        """
        self._detected = self._selection.detect(head, ended)
        self.log_format = self._detected or otherwise
        if self.log_format:
            before, self._examples = self.hit_table, self.hit_table.examples
            self._use(self.log_format)
            self.hit_table.max_paths, self.hit_table.share = before.max_paths, before.share
            self.hit_table.merge(before)
        return self.log_format is not None

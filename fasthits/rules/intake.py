"""Counts a log in one reading, and detects its format on the way if it is not known.

A stranger's request for ``http://other.example/`` makes a line like those of Varnish, whose targets are all absolute,
and in a pipe it may be the first line. So such a format stays in doubt until DETECTED_LINES lines have come.
"""

from collections.abc import Callable

from fasthits._parse import EXAMPLES, LINE_BYTES, HitTable, LineRules, parse_lines
from fasthits.formats.format import Format
from fasthits.rules.compiled import ASSUMED, DETECTED_LINES, CompiledRules


class Intake:
    """Counts the lines of one log in one reading. It detects the format from the lines if the format is not known."""

    def __init__(
        self, compiled: CompiledRules, open_hit_table: Callable[[LineRules], HitTable], log_format: Format | None = None
    ) -> None:
        """*open_hit_table* makes a hit table for rules. It is called again if the detected format needs other rules."""
        self.log_format = log_format or compiled.log_format
        """None while no line has a known format."""
        self._detected: Format | None = None
        self.lines_in_doubt = 0
        """The number of lines that may still show that the log has another format."""
        self._compiled = compiled
        self._open_hit_table = open_hit_table
        self._head = b""
        self._examples: list[tuple[int, bytes]] = []
        self._use(self.log_format or ASSUMED)

    def _use(self, log_format: Format) -> None:
        self.hit_table = self._open_hit_table(self._compiled.line_rules(log_format))
        """All that has been counted. When the format becomes known, another hit table takes over with all hits."""

    @property
    def examples(self) -> list[tuple[int, bytes]]:
        """The first malformed lines, as in `HitTable.examples`."""
        return (self._examples + self.hit_table.examples)[:EXAMPLES]

    def feed(self, block: bytes | memoryview) -> None:
        """Count the lines of *block*, which may begin and end anywhere in a line.

        Raises UsageError if the detected format lacks a field that a rule needs: once, after counting the lines.
        """
        if self.log_format and not self.lines_in_doubt:
            self.hit_table.feed(block)
            return
        if len(self._head) > LINE_BYTES and b"\n" not in bytes(block):
            return  # the head is a huge line, and nobody looks at its rest
        self._head += block
        whole, newline, tail = self._head.rpartition(b"\n")
        if not self.log_format and len(self._head) <= LINE_BYTES and are_comments(whole):
            return
        if newline and self._learn(whole + newline) and not self.lines_in_doubt:
            self.hit_table.feed(self._head)
            self._head = b""
        else:
            self.hit_table.feed(whole + newline)
            self._head = tail
        self._check()

    def finish(self) -> None:
        """Count a last line without a newline: the input ends here. Raises UsageError as `feed` does."""
        if self._head:
            self._learn(self._head, ended=True)
            self.hit_table.feed(self._head)
            self._head = b""
        self.hit_table.finish()
        self._check()

    def _check(self) -> None:
        if self._detected:
            detected, self._detected = self._detected, None
            self._compiled.check(detected)

    def _learn(self, head: bytes, ended: bool = False) -> bool:
        """Detect the format of the lines in *head*, and tell whether it is known now.

        Lines before the first line of a known format have been counted as ASSUMED.
        """
        if self.log_format:
            self.lines_in_doubt = max(0, self.lines_in_doubt - head.count(b"\n"))
            if not self._has_other_targets(head):
                return True
        self._detected = self._compiled.detect(head, ended)
        if self._detected:
            is_first = self.log_format is None
            self.log_format = self._detected
            before, self._examples = self.hit_table, self.examples
            self._use(self.log_format)
            self.hit_table.max_paths = before.max_paths
            self.hit_table.merge(before)
            if is_first and self.log_format.absolute:
                self.lines_in_doubt = max(0, DETECTED_LINES - head.count(b"\n"))
            else:
                self.lines_in_doubt = 0
        return self.log_format is not None

    def _has_other_targets(self, lines: bytes) -> bool:
        """Tell whether there is a target that is not absolute: then the log is not of the detected format."""
        assert self.log_format
        found = parse_lines(lines, self._compiled.field_rules(self.log_format))
        return any(fields is not None and (fields.target or b"").startswith(b"/") for fields in found)


def are_comments(lines: bytes) -> bool:
    """Tell whether all lines begin with ``#``, as those at the beginning of a log in W3C's format do."""
    return lines.startswith(b"#") and lines.count(b"\n") == lines.count(b"\n#")

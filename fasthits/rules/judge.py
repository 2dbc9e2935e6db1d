"""Tells whether a line counts, for messages about single lines: the core itself counts the line."""

from collections import Counter
from collections.abc import Collection
from datetime import date
from itertools import chain

from fasthits._parse import HitTable
from fasthits.formats.format import Format
from fasthits.rules.compiled import CompiledRules

HIT, MALFORMED = "hit", "malformed"


class Judge:
    """Finds the buckets of the lines of one log, in their order."""

    def __init__(self, compiled: CompiledRules, log_format: Format, days: Collection[date] | None = None) -> None:
        """With *days*, only their hits count."""
        self._compiled = compiled
        self._hit_table = HitTable(rules=compiled.line_rules(log_format))
        self._hit_table.count_only(days)

    def __call__(self, line: bytes) -> tuple[str, bytes]:
        """Return the bucket of a line, HIT, MALFORMED or why it is filtered, and the path of a hit."""
        table = self._hit_table
        hits, malformed, filtered = table.hits, table.malformed, table.filtered
        table.feed(line + b"\n")
        if table.malformed > malformed:
            return MALFORMED, b""
        if table.hits == hits:
            (reason,) = (Counter(table.filtered) - Counter(filtered)).keys()
            return reason, b""
        rejected = Counter[str]()
        drained = self._compiled.finish(table.drain(), rejected)
        for reason in rejected:
            return reason, b""
        rows = chain(drained.rows(), drained.bots.rows() if drained.bots else ())
        return HIT, next(path for _, path, _ in rows)

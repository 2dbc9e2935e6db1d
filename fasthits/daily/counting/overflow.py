"""The rows of a count in bounded memory: in hit tables or, where these have no room, in a temporary file."""

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING

from fasthits._parse import HitTable
from fasthits.daily.counting.max_memory import bytes_of_tables
from fasthits.daily.counting.threads import Bound
from fasthits.daily.layouts import Rows
from fasthits.rules.compiled import CompiledRules

if TYPE_CHECKING:
    from fasthits.daily.counting.runs import Spill


class BoundedRows:
    """The rows of a count, under their final paths."""

    def __init__(
        self,
        compiled: CompiledRules,
        max_bytes: int | None,
        threads: int | None = None,
        groups: int = 1,
        key: bytes = bytes(16),
    ) -> None:
        """*max_bytes* is what the process may take; None for no bound. `Rows.dump` is to divide the rows into *groups*
        under *key*.
        """
        self._compiled = compiled
        self._threads = threads or 1
        self._groups, self._key = groups, key
        self._lock = Lock()
        self._spill: Spill | None = None
        # Final paths have tables of their own, beside those that they are made from.
        self._most = bytes_of_tables(max_bytes or 0) // (1 + compiled.rules.looks_at_paths)
        self.bound = Bound(self._most, self._put_away) if max_bytes else None
        """Takes the rows that memory has no room for."""
        self.rejected = Counter[str]()
        """The hits that rules reject by their paths, by reason."""

    @property
    def spooled(self) -> int:
        """How many bytes went through the temporary file."""
        return self._spill.spool.size if self._spill else 0

    def finish(self, raw: HitTable) -> Rows:
        """Return all rows. *raw* has those that were not put away, and all figures."""
        if self._spill is None:
            return self._finished(raw)
        self._put_away(raw.drain())
        if not self._compiled.rules.knows_hours:
            raw.take_hours()
        return self._spill.rows(raw)

    def _put_away(self, raw: HitTable) -> None:
        from fasthits.daily.counting.runs import Spill, Spool, Workshop  # few counts need it

        with self._lock:
            if self._spill is None:
                self._spill = Spill(Workshop(Spool(), self._most, self._threads), self._groups, self._key)
        self._spill.add(self._finished(raw))

    def _finished(self, raw: HitTable) -> HitTable:
        rejected = Counter[str]()
        table = self._compiled.finish(raw, rejected)
        with self._lock:
            self.rejected.update(rejected)
        return table

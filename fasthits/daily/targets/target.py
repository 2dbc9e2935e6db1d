"""What every target of a rollup can do: check, replace days together or not at all, catch up. And the rows it gets."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fasthits.daily.days import ONE_DAY, Range, name_days
from fasthits.daily.layouts import OPTIONS_OF, Cell, Layout, Rows
from fasthits.daily.targets.refusals import Change, Compared, compare

if TYPE_CHECKING:
    from fasthits.daily.counting.threads import Progress

NO_FIGURES: Mapping[str, Any] = {}


class Replaced(NamedTuple):
    """The result of a replacement."""

    rows: int
    """The number of new rows of views."""
    fewer: list[Change]
    """Days that were left unchanged, because the table has more hits."""
    more: list[Change]
    """Replaced days of which the table had fewer hits."""


class Target(Protocol):
    """A target of rollups."""

    def check(self) -> None:
        """Raise TableError if `replace` cannot work, as far as that shows without changing anything."""

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        """Replace all rows of *days*, which are in order, by *rows*. Rows of other days are ignored.

        *figures* are the figures of the count, for targets that keep them.

        Without *with_fewer*, a day that has more hits in the table is left unchanged, in all tables. No other rollup
        comes between the comparison and the replacement. Bytes that are not UTF-8 are written as ``\\xhh``, as Apache
        does. All or nothing, and on the disk when it returns. Raises TableError with the old rows intact.
        """

    def catch_up(self, progress: "Progress | None" = None) -> None:
        """Make the sums that the table is without: of days that an older version has kept, or that others have changed.

        *progress* receives the number of days. Each step is on the disk when it is done, so that the next call goes on
        after a kill. Raises TableError. A table without sums has nothing to do.
        """
        return

    def newest_before(self, day: str) -> str | None:
        """Return the newest kept day before *day*, which has been replaced. Raises TableError.

        Other programs may have written it. Without such a day it is None, or no day.
        """
        return None

    def stale(self, days: Sequence[date]) -> list[str]:
        """Return the tables of BESIDE that `replace` does not fill, but that have rows of *days*: an earlier count has
        written them. Raises TableError."""
        return []

    def lacks(self, days: Sequence[date]) -> Iterator[str]:
        """Yield what the replaced *days*, which are in order, leave to do, and what to run: tables with old rows, and
        days without rows between them and the day before that is kept. Raises TableError."""
        if not days:  # there may be no target yet
            return
        for table in self.stale(days):
            yield (
                f"warning: the table {table} keeps the rows of an earlier count of {name_days(days)}, as this run has "
                f"not filled it (run this again with {OPTIONS_OF[table]})"
            )
        with suppress(ValueError):
            kept = date.fromisoformat(self.newest_before(str(days[0])) or "")
            if missing := name_days(Range(kept + ONE_DAY, days[0] - ONE_DAY).days):
                yield f"warning: no rows are kept of {missing} (run the rollup with {missing} while the logs are there)"


class RowsOfDays:
    """The rows of some days."""

    def __init__(self, days: Sequence[date], rows: Rows) -> None:
        self._rows = rows
        self.days = list(days)
        found = Counter(rows.views_by_day())
        if rows.bots is not None:
            found.update(rows.bots.views_by_day())
        self.hits: Mapping[date, int] = {day: found[day] for day in days if day in found}
        """The hits of each day that has any, all paths together."""

    def compare(self, kept: Mapping[date, int]) -> Compared:
        """Compare the hits with those that are *kept*, and leave out the days that have fewer."""
        compared = compare(self.hits, kept)
        left = {day for day, *_ in compared.fewer}
        self.days = [day for day in self.days if day not in left]
        return compared

    def rows(self, layout: Layout) -> Iterator[tuple[Cell, ...]]:
        """Yield a table's rows in the order of its primary key, each key once."""
        wanted = set(map(date.isoformat, self.days))
        return (row for row in layout.rows(self._rows) if row[0] in wanted)

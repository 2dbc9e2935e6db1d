"""The answers of commands and of the web server as JSON documents, so that both have the same shape."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

from fasthits.daily.days import ONE_DAY, Range
from fasthits.daily.past.gaps import missing_days
from fasthits.daily.past.history import History, Sort

Document = dict[str, Any]

DEFAULT_DAYS = 30


class Days(NamedTuple):
    """The days of a question: from *first* to *last*, or the last *number* days that end with the newest kept day."""

    number: int = DEFAULT_DAYS
    first: date | None = None
    last: date | None = None

    def of(self, history: History) -> Range | None:
        """Return the range; None if the database holds no day and the question names none."""
        if self.first and self.last:
            return Range(self.first, self.last)
        return history.range_of(self.number)


class Pages(NamedTuple):
    """The paths of a question: a path, or all that begin with *prefix*, or all; of one host or of all hosts."""

    path: str | None = None
    prefix: str | None = None
    host: str | None = None
    pages: bool = False
    """Whether static files are left out."""

    @property
    def key(self) -> str | None:
        """The key of these paths for `History`."""
        return f"{self.prefix}*" if self.prefix is not None else self.path

    def by_day(self, history: History, span: Range) -> list[int | None]:
        """Return the views on each day of *span*; None for a day that is not kept."""
        if self.key is None:
            return history.site(span, self.host, self.pages)
        return history.by_day(self.key, span, self.host, self.pages)


class Part(NamedTuple):
    """Which rows of a long list: *limit* rows from row *offset* on."""

    limit: int = 20
    offset: int = 0

    def next(self, count: int) -> int | None:
        """Return the offset of the rows after these rows, or None if no rows follow."""
        after = self.offset + self.limit
        return after if after < count else None


EVERYTHING = Pages()
FIRST_ROWS = Part()


def history_document(history: History, days: Days, asked: Pages = EVERYTHING) -> Document:
    """Return the views by day of some paths, and their sum in the range before."""
    span = days.of(history)
    views = asked.by_day(history, span) if span else []
    return {
        "path": asked.path and history.path_of(asked.path),
        "prefix": asked.prefix,
        "host": asked.host,
        **_frame(history, span),
        "days": [str(day) for day in span.days] if span else [],
        "views": views,
        "total": _total(views),
        "before": _sum_before(history, span, asked) if span else None,
    }


def most_read_document(
    history: History,
    days: Days,
    asked: Pages = EVERYTHING,
    part: Part = FIRST_ROWS,
    text: str = "",
    sort: Sort = "views",
    by_day: bool = False,
) -> Document:
    """Return the most read paths, or with *sort* ``rise`` the paths that rose most, with their views in the range
    before.

    With *by_day*, each path has its views by day.
    """
    span = days.of(history)
    frame = _frame(history, span)
    if span is None:
        return {**frame, "before": None, "count": 0, "views": 0, "paths": [], "next": None}
    before = history.before(span)
    found = history.most_read(
        span,
        limit=part.limit,
        offset=part.offset,
        text=text,
        prefix=asked.prefix or "",
        host=asked.host,
        pages=asked.pages,
        sort=sort,
        before=before,
    )
    rows = [each._asdict() for each in found.paths]
    if by_day:
        views = history.by_days([row["path"] for row in rows], span, asked.host)
        rows = [{**row, "by_day": each} for row, each in zip(rows, views, strict=True)]
    kept_before = _kept_in(history.days, before)
    return {
        **frame,
        "before": {"from": str(before.first), "to": str(before.last), "kept_days": kept_before}
        if kept_before
        else None,
        "count": found.count,
        "views": found.views,
        "paths": rows,
        "next": part.next(found.count),
    }


def sections_document(history: History, days: Days, asked: Pages = EVERYTHING, part: Part = FIRST_ROWS) -> Document:
    """Return the sections that were read most, and their share of all views. A section is /blog/*, or a path."""
    span = days.of(history)
    depth = (asked.prefix or "/").count("/")
    found = (
        history.sections(span, depth, part.limit + 1, part.offset, asked.prefix or "", asked.host, asked.pages)
        if span
        else []
    )
    views = history.total(span, asked.host, asked.pages) if span else 0
    rows = [{"section": section, "views": count, "share": count / views} for section, count in found]
    return _rows_document(history, span, rows, part)


def hosts_document(history: History, days: Days) -> Document:
    """Return the hosts, most read first, and their share of all views."""
    span = days.of(history)
    found = history.hosts(span) if span else []
    views = sum(count for _, count in found)
    rows = [{"host": host, "views": count, "share": count / views} for host, count in found]
    return _rows_document(history, span, rows or None, Part(len(rows)))


def referrers_document(history: History, days: Days, asked: Pages = EVERYTHING, part: Part = FIRST_ROWS) -> Document:
    """Return where most readers came from."""
    span = days.of(history)
    found = history.referrers(span, asked.key, part.limit + 1, part.offset, asked.host) if span else None
    rows = None if found is None else [{"referrer": referrer, "views": views} for referrer, views in found]
    return _rows_document(history, span, rows, part)


def searches_document(history: History, days: Days, asked: Pages = EVERYTHING, part: Part = FIRST_ROWS) -> Document:
    """Return the most frequent search terms."""
    span = days.of(history)
    found = history.searches(span, asked.key, part.limit + 1, part.offset, asked.host) if span else None
    rows = (
        None
        if found is None
        else [{"engine": engine, "terms": terms, "views": views} for engine, terms, views in found]
    )
    return _rows_document(history, span, rows, part)


def bots_document(history: History, days: Days, asked: Pages = EVERYTHING) -> Document:
    """Return the views of bots by day."""
    span = days.of(history)
    found = history.bots(span, asked.key, asked.host) if span else None
    if span is None or found is None:
        return {**_rows_document(history, span, None, FIRST_ROWS), "total": None}
    rows = [{"day": str(day), "views": views} for day, views in zip(span.days, found, strict=True)]
    return {**_rows_document(history, span, rows, Part(len(rows))), "total": _total(found)}


def read_by_bots_document(history: History, days: Days, asked: Pages = EVERYTHING, part: Part = FIRST_ROWS) -> Document:
    """Return the paths that bots read most."""
    span = days.of(history)
    found = history.read_by_bots(span, part.limit + 1, part.offset, asked.prefix or "", asked.host) if span else None
    rows = None if found is None else [{"path": path, "views": views} for path, views in found]
    return _rows_document(history, span, rows, part)


def not_found_document(history: History, days: Days, asked: Pages = EVERYTHING, part: Part = FIRST_ROWS) -> Document:
    """Return the paths that were requested but not found."""
    span = days.of(history)
    found = history.not_found(span, part.limit + 1, part.offset, asked.prefix or "", asked.host) if span else None
    rows = None if found is None else [{"path": path, "views": views} for path, views in found]
    return _rows_document(history, span, rows, part)


def hours_document(history: History, day: date) -> Document:
    """Return the views in each hour of a day; null if they are not kept."""
    return {"day": str(day), "hours": history.hours(day)}


def _rows_document(history: History, span: Range | None, rows: list[Document] | None, part: Part) -> Document:
    """Return *rows*, of which there is one more than asked for if more follow; None if no such rows are kept."""
    found = rows or []
    return {
        **_frame(history, span),
        "kept": rows is not None,
        "rows": found[: part.limit],
        "next": part.next(part.offset + len(found)),
    }


def kept_document(history: History) -> Document:
    """Return which days the database holds, and which are missing between them and until yesterday."""
    kept = history.days
    return _frame(history, Range(kept[0], kept[-1]) if kept else None)


def past_views(history: History, path: str, number: int | None) -> Document:
    """Return the views of *path* on the *number* days before today, or on all; ``missing`` says how many are not kept.

    The views are None if none of the days is kept.
    """
    kept = history.days
    yesterday = date.today() - ONE_DAY
    first = kept[0] if kept else yesterday
    span = Range(first if number is None else max(first, yesterday - (number - 1) * ONE_DAY), yesterday)
    views = history.by_day(path, span) if kept and span.first <= span.last else []
    known = [count for count in views if count is not None]
    return {"views": sum(known) if known else None, "missing": len(views) - len(known)}


def _frame(history: History, span: Range | None) -> Document:
    """Return the part of every answer that describes its range: which of its days are kept, and which days the database
    holds.

    For the days that are missing see `missing_days`.
    """
    kept = history.days
    missing = missing_days(kept, span, date.today()) if span else []
    return {
        "from": _iso(span and span.first),
        "to": _iso(span and span.last),
        "oldest": _iso(kept[0] if kept else None),
        "newest": _iso(kept[-1] if kept else None),
        "kept_days": _kept_in(kept, span),
        "missing": list(map(str, missing)),
    }


def _sum_before(history: History, span: Range, asked: Pages) -> Document | None:
    before = history.before(span)
    views = asked.by_day(history, before)
    kept = [count for count in views if count is not None]
    if not kept:
        return None
    return {"from": str(before.first), "to": str(before.last), "kept_days": len(kept), "total": sum(kept)}


def _kept_in(kept: Sequence[date], span: Range | None) -> int:
    return sum(span.first <= day <= span.last for day in kept) if span else 0


def _total(views: Iterable[int | None]) -> int:
    return sum(count for count in views if count is not None)


def _iso(day: date | None) -> str | None:
    return str(day) if day else None

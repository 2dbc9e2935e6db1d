"""Prints past days as tables for people: headings that name the kept days, lines with bars, and one line per day."""

import shutil
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from fasthits.cli.output import echo
from fasthits.daily.days import Range
from fasthits.daily.past.gaps import describe_missing
from fasthits.display import counted, fit_days, long_bar, printable, sparkline

if TYPE_CHECKING:
    from fasthits.daily.past.documents import Document

LEAST_BARS = 8
DAY_BAR_WIDTH = 40


class Line(NamedTuple):
    """A line of a table: a name, its views, and its views by day; the cells between are text."""

    name: str
    views: int
    by_day: Sequence[int | None]
    cells: tuple[str, ...] = ()


def print_heading(found: "Document", name: str = "") -> None:
    """Print the path and its days, and which of these days are missing."""
    span = range_of(found)
    title = f"{printable(name)}  " if name else ""
    echo(f"{title}{span.first}..{span.last}, {counted(found['kept_days'], 'day')} kept")
    if found["missing"]:
        echo(describe_missing(date.fromisoformat(found["newest"]), map(date.fromisoformat, found["missing"])))


def print_lines(found: "Document", lines: Sequence[Line], heads: Sequence[str] = ()) -> None:
    """Print a line for each path: views, cells, views a day, bars, the path. *heads* stand above the cells."""
    names = [printable(line.name) for line in lines]
    widths = [max(len(head), *(len(line.cells[at]) for line in lines), 0) for at, head in enumerate(heads)]
    taken = 12 + 2 + 9 + 2 + sum(2 + width for width in widths) + 2
    room = shutil.get_terminal_size().columns - taken - max(map(len, names), default=0)
    days = range_of(found).days
    step, bars = 1, []
    for line in lines:
        step, values = fit_days(line.by_day, max(room, LEAST_BARS))
        bars.append(sparkline(values))
    width = max([len(bar) for bar in bars] or [len(days)])
    cells = "".join(f"  {head:>{size}}" for head, size in zip(heads, widths, strict=True))
    echo(f"{'views':>12}{cells}  {'a day':>9}  {_step_name(step):{width}}  path")
    for line, name, bar in zip(lines, names, bars, strict=True):
        cells = "".join(f"  {cell:>{size}}" for cell, size in zip(line.cells, widths, strict=True))
        echo(f"{line.views:>12,}{cells}  {a_day(line.views, found['kept_days']):>9}  {bar:{width}}  {name}")


def print_days(found: "Document") -> None:
    """Print the sum of the views, the sum of the same number of days before, and the views of each day."""
    total, before = found["total"], found["before"]
    echo(f"{counted(total, 'view')}, {a_day(total, found['kept_days'])} a day")
    if before:
        rise = change(total, found["kept_days"], before["total"], before["kept_days"])
        average = a_day(before["total"], before["kept_days"])
        text = f"{before['from']}..{before['to']}: {counted(before['total'], 'view')}, {average} a day"
        echo(f"{text}  {rise}".rstrip())
    if not total:
        return
    echo()
    most = max((views for views in found["views"] if views), default=0)
    width = _bar_width()
    for day, views in zip(range_of(found).days, found["views"], strict=True):
        number, bar = ("·", "not kept") if views is None else (f"{views:,}", long_bar(views, most, width))
        echo(f"{day:%Y-%m-%d %a}  {number:>12}  {bar}".rstrip())


def print_hours(hours: Sequence[int]) -> None:
    """Print the views of each hour of a day."""
    echo()
    for hour, views in enumerate(hours):
        begin = f"{hour:02}:00"
        echo(f"{begin:14}  {views:>12,}  {long_bar(views, max(hours), _bar_width())}".rstrip())


def _bar_width() -> int:
    return max(LEAST_BARS, min(DAY_BAR_WIDTH, shutil.get_terminal_size().columns - 30))


def range_of(found: "Document") -> Range:
    """Return the days of a document."""
    return Range(date.fromisoformat(found["from"]), date.fromisoformat(found["to"]))


def a_day(views: int, kept_days: int) -> str:
    """Return the average of kept days.

    >>> a_day(1000, 3), a_day(0, 0)
    ('333.3', '-')
    """
    return f"{views / kept_days:,.1f}" if kept_days else "-"


def change(views: int, days: int, views_before: int, days_before: int) -> str:
    """Return the change of the views a day, in percent.

    >>> change(30, 3, 10, 2), change(5, 1, 10, 1), change(5, 1, 0, 1), change(0, 1, 0, 1), change(5, 0, 1, 1)
    ('+100 %', '-50 %', 'new', '', '')
    """
    if not (days and days_before) or not (views or views_before):
        return ""
    if not views_before:
        return "new"
    return f"{(views / days) / (views_before / days_before) - 1:+.0%}".replace("%", " %")


def _step_name(step: int) -> str:
    """Return what a bar stands for.

    >>> _step_name(1), _step_name(7), _step_name(28)
    ('', 'weeks', '4 weeks each')
    """
    return "" if step == 1 else "weeks" if step == 7 else f"{step // 7} weeks each"


def print_ranking(title: str, rows: Sequence[tuple[int, str]]) -> None:
    """Print a list of names with their views; nothing for an empty list."""
    if rows:
        echo(f"\n{'':12}  {title}")
    for views, name in rows:
        echo(f"{views:>12,}  {printable(name)}")

"""The past days as one HTML file to mail or keep: no script, nothing to load, everything in it escaped.

It is built as a tree of elements, so that a path can be nothing but text in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, Self
from xml.etree.ElementTree import Element, SubElement, tostring

from fasthits import __version__
from fasthits.daily.past.documents import (
    Days,
    Document,
    Pages,
    Part,
    history_document,
    hours_document,
    most_read_document,
    not_found_document,
    read_by_bots_document,
    referrers_document,
    searches_document,
)
from fasthits.daily.past.gaps import describe_missing
from fasthits.daily.past.history import History
from fasthits.display import counted, fit_days, long_date, printable
from fasthits.errors import TableError

DOCTYPE = "<!doctype html>\n"
"""How a report begins."""


class Shape(NamedTuple):
    """The size of a chart: for a wide page, or for a phone."""

    name: str
    width: int
    height: int
    bars: int
    labels: int
    """The most bars, and the most dates below them."""


WIDE = Shape("wide", 880, 240, 120, 8)
NARROW = Shape("narrow", 350, 200, 45, 4)
AXIS_BOTTOM = 24
DIGIT_WIDTH, LETTER_WIDTH = 8.0, 8.5
"""Of the numbers beside the chart and the dates below it, in its units, at most."""
SPARK_WIDTH, SPARK_HEIGHT, SPARK_BARS = 120, 22, 40
BAR_SHARE = 0.74
HOURS_HEIGHT = 140
GRID_LINES = 5
"""At most so many above the lowest."""
WEEK = 7

STYLE = """
:root { color-scheme: light dark; --text: #132022; --quiet: #536366; --line: #dfe6e6; --accent: #0f766e; --page: #fff;
  --gap: #e9eeee; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e7eeee; --quiet: #9aabad; --line: #273233; --accent: #2dd4bf; --page: #151c1d;
    --gap: #222c2d; }
}
body { margin: 0 auto; max-width: 900px; padding: 28px 20px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 24px; letter-spacing: -.02em; }
h2 { margin: 30px 0 6px; font-size: 17px; }
p { margin: 2px 0; color: var(--quiet); }
dl { display: flex; flex-wrap: wrap; gap: 8px 40px; margin: 20px 0; }
dt { color: var(--quiet); font-size: 13px; }
dd { margin: 0; font-size: 24px; font-weight: 650; font-variant-numeric: tabular-nums; }
svg { display: block; max-width: 100%; height: auto; fill: var(--accent); }
td svg { max-width: none; }
svg line { stroke: var(--line); }
svg text { fill: var(--quiet); font-size: 12px; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 8px; border-bottom: 1px solid var(--line); text-align: left; font-weight: 400; }
thead th { color: var(--quiet); font-size: 13px; }
figure { margin: 0; }
figcaption { color: var(--quiet); font-size: 13px; }
.gap { fill: var(--gap); }
.missing { color: var(--text); }
.narrow { display: none; }
.number { text-align: right; white-space: nowrap; }
.path { width: 100%; overflow-wrap: anywhere; unicode-bidi: isolate; }
@media (max-width: 600px) {
  body { padding: 20px 16px; }
  .wide { display: none; }
  .narrow { display: block; }
}
"""


@dataclass(frozen=True)
class Report:
    """The content of a report."""

    site: Document
    """The views of all paths together, as `history_document` returns them."""
    most_read: Document
    """As `most_read_document` returns it, by day."""
    referrers: Document
    searches: Document
    by_bots: Document
    not_found: Document
    """As `referrers_document`, `searches_document`, `read_by_bots_document` and `not_found_document` return them."""
    hours: list[int] | None
    """The views by hour, if the report covers one day and all paths, and the hours are kept."""
    made_at: datetime

    @classmethod
    def of(cls, history: History, days: Days, asked: Pages, limit: int) -> Self:
        """Return the report of these days and paths, with at most *limit* rows in a list.

        Raises TableError if no day is kept.
        """
        site = history_document(history, days, asked)
        if site["newest"] is None:
            raise TableError("nothing is kept yet", history.name, f"fill it: fasthits rollup --to {history.name}")
        return cls(
            site=site,
            most_read=most_read_document(history, days, asked, Part(limit), by_day=True),
            referrers=referrers_document(history, days, asked, Part(limit)),
            searches=searches_document(history, days, asked, Part(limit)),
            by_bots=read_by_bots_document(history, days, asked, Part(limit)),
            not_found=not_found_document(history, days, asked, Part(limit)),
            hours=hours_document(history, date.fromisoformat(site["from"]))["hours"]
            if site["from"] == site["to"] and asked == Pages(pages=asked.pages)
            else None,
            made_at=datetime.now().astimezone(),
        )

    def html(self) -> str:
        """Return the whole file."""
        root = Element("html", {"lang": "en"})
        root.extend([_head(f"fasthits: {self._range()}"), self._body()])
        return f"{DOCTYPE}{tostring(root, encoding='unicode', method='html')}\n"

    @property
    def _days(self) -> list[date]:
        return [date.fromisoformat(day) for day in self.site["days"]]

    def _range(self) -> str:
        first, last = self._days[0], self._days[-1]
        return long_date(first) if first == last else f"{long_date(first)} to {long_date(last)}"

    def _body(self) -> Element:
        page = Element("body")
        body = SubElement(page, "main")
        _text(body, "h1", "How often was each page read?")
        days, kept = len(self._days), self.site["kept_days"]
        of_days = f"{counted(days, 'day')}" if kept == days else f"{kept:,} of {counted(days, 'day')} kept"
        _text(body, "p", f"{self._range()}, {of_days}")
        if self.site["missing"]:
            newest, *missing = map(date.fromisoformat, (self.site["newest"], *self.site["missing"]))
            text = describe_missing(newest, missing, long_date, " to ")
            _text(body, "p", f"{text[0].upper()}{text[1:]}.", {"class": "missing"})
        body.append(self._totals())
        for shape in (WIDE, NARROW):
            body.append(_chart(shape, self._days, self.site["views"]))
        if self.hours:
            _text(body, "h2", "By hour")
            body.extend(_hours_chart(shape, self.hours) for shape in (WIDE, NARROW))
        _text(body, "h2", "Most read")
        body.append(self._table())
        for title, name, found in (
            ("Where readers came from", "referrer", self.referrers),
            ("What readers searched for", "terms", self.searches),
            ("Read by bots", "path", self.by_bots),
            ("Not found", "path", self.not_found),
        ):
            if found["rows"]:
                _text(body, "h2", title)
                body.append(_list(name, found["rows"]))
        _text(
            body,
            "p",
            f"Made by fasthits {__version__} from the access log, {long_date(self.made_at)} {self.made_at:%H:%M %z}.",
        )
        return page

    def _totals(self) -> Element:
        site, before = self.site, self.site["before"]
        totals = Element("dl")
        pairs = [("views", f"{site['total']:,}")]
        if site["kept_days"]:
            average = site["total"] / site["kept_days"]
            pairs.append(("a day", f"{average:,.0f}"))
            if before and before["total"]:
                rise = average / (before["total"] / before["kept_days"]) - 1
                pairs.append((f"against {counted(before['kept_days'], 'day')} before", f"{rise:+.0%}"))
            views, day = max(
                (views, day) for day, views in zip(self._days, site["views"], strict=True) if views is not None
            )
            pairs.append(("best day", f"{views:,} on {day:%a} {long_date(day)}"))
        for name, value in pairs:
            pair = SubElement(totals, "div")
            _text(pair, "dt", name)
            _text(pair, "dd", value)
        return totals

    def _table(self) -> Element:
        table, body = _headed(("views", "number"), ("share", "number wide"), ("over time", "wide"), ("path", ""))
        for each in self.most_read["paths"]:
            row = SubElement(body, "tr")
            _text(row, "td", f"{each['views']:,}", {"class": "number"})
            _text(row, "td", f"{each['share']:.1%}", {"class": "number wide"})
            SubElement(row, "td", {"class": "wide"}).append(_spark(each["by_day"]))
            _text(row, "th", printable(each["path"]), {"scope": "row", "class": "path"})
        return table


def _list(name: str, rows: Sequence[Document]) -> Element:
    engines = [("engine", "wide")] if "engine" in rows[0] else []
    table, body = _headed(("views", "number"), *engines, (name, ""))
    for each in rows:
        row = SubElement(body, "tr")
        _text(row, "td", f"{each['views']:,}", {"class": "number"})
        if engines:
            _text(row, "td", printable(each["engine"]), {"class": "wide"})
        _text(row, "th", printable(each[name]), {"scope": "row", "class": "path"})
    return table


def _headed(*columns: tuple[str, str]) -> tuple[Element, Element]:
    """Return a table with a head, and its body. *columns* are names and classes."""
    table = Element("table")
    row = SubElement(SubElement(table, "thead"), "tr")
    for name, kind in columns:
        _text(row, "th", name, {"scope": "col", "class": kind})
    return table, SubElement(table, "tbody")


def _head(title: str) -> Element:
    head = Element("head")
    SubElement(head, "meta", {"charset": "utf-8"})
    policy = "default-src 'none'; style-src 'unsafe-inline'"  # the style is in the file; nothing is loaded
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": policy})
    SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    _text(head, "title", title)
    _text(head, "style", STYLE)
    return head


def _chart(shape: Shape, days: Sequence[date], by_day: Sequence[int | None]) -> Element:
    """Draw a bar for each day, or for each week and more where they would be too thin; a day not kept is a gap."""
    step, values = fit_days(by_day, shape.bars)
    starts = [days[max(0, len(days) - step * (len(values) - at))] for at in range(len(values))]
    total = sum(views for views in by_day if views)
    label = f"Views per day from {long_date(days[0])} to {long_date(days[-1])}: {total:,} in all"
    figure = Element("figure", {"class": shape.name})
    chart = _picture(shape.width, shape.height, {"role": "img", "aria-label": label})
    figure.append(chart)
    most = max((value for value in values if value), default=0)
    grid = _round_up(most / GRID_LINES)
    lines = max(1, -(-int(most) // grid))
    left = DIGIT_WIDTH * len(f"{grid * lines:,}") + 12
    width, height = shape.width - left, shape.height - AXIS_BOTTOM - 8
    for line in range(lines + 1):
        y = 8 + height - height * line / lines
        ends = {"x1": f"{left:.1f}", "x2": str(shape.width), "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        SubElement(chart, "line", ends)
        place = {"x": f"{left - 8:.1f}", "y": f"{y + 4:.1f}", "text-anchor": "end"}
        SubElement(chart, "text", place).text = f"{grid * line:,}"
    slot = width / len(values)
    for at, (start, value) in enumerate(zip(starts, values, strict=True)):
        x, tall = left + slot * at, height if value is None else height * value / (grid * lines)
        bar = _bar(chart, x + slot * (1 - BAR_SHARE) / 2, 8 + height - tall, slot * BAR_SHARE, tall)
        if value is None:
            bar.set("class", "gap")
        _text(bar, "title", _bar_title(start, step, value))
    end = 0.0
    for at, text in _date_labels(starts, shape.labels, with_year=days[0].year != days[-1].year):
        half = LETTER_WIDTH * len(text) / 2
        x = min(max(left + slot * (at + 0.5), half), shape.width - half)
        if x - half < end:  # it would touch the previous label
            continue
        end = x + half + LETTER_WIDTH
        place = {"x": f"{x:.1f}", "y": str(shape.height - 6), "text-anchor": "middle"}
        SubElement(chart, "text", place).text = text
    if step > 1:
        weeks = "a week" if step == WEEK else f"{step // WEEK} weeks"
        _text(figure, "figcaption", f"Each bar is the average day of {weeks}.")
    return figure


def _hours_chart(shape: Shape, hours: Sequence[int]) -> Element:
    """Draw a bar for each hour of a day."""
    chart = _picture(shape.width, HOURS_HEIGHT, {"role": "img", "aria-label": "Views by hour", "class": shape.name})
    slot, most = shape.width / len(hours), max(hours) or 1
    for hour, views in enumerate(hours):
        tall = (HOURS_HEIGHT - AXIS_BOTTOM) * views / most
        bar = _bar(chart, slot * hour, HOURS_HEIGHT - AXIS_BOTTOM - tall, slot * BAR_SHARE, tall)
        _text(bar, "title", f"{hour}:00: {counted(views, 'view')}")
        if hour % 6 == 0:
            place = {"x": f"{slot * hour:.1f}", "y": str(HOURS_HEIGHT - 6)}
            SubElement(chart, "text", place).text = f"{hour}:00"
    return chart


def _bar_title(start: date, step: int, value: float | None) -> str:
    day = long_date(start) if step == 1 else f"{long_date(start)} and {counted(step - 1, 'day')} more"
    return f"{day}: {'not kept' if value is None else f'{value:,.0f}'}"


def _date_labels(days: Sequence[date], most: int, with_year: bool) -> Iterator[tuple[int, str]]:
    """Yield places and texts of labels, at most *most*; *with_year*, the first label of each year has the year."""
    every = -(-len(days) // most)
    year = 0 if with_year else days[0].year
    for at in range(every // 2 if len(days) > 1 else 0, len(days), every):
        yield at, f"{days[at]:%-d %b}" if days[at].year == year else long_date(days[at])
        year = days[at].year


def _spark(by_day: Sequence[int | None]) -> Element:
    spark = _picture(SPARK_WIDTH, SPARK_HEIGHT, {"aria-hidden": "true", "width": str(SPARK_WIDTH)})
    _, values = fit_days(by_day, SPARK_BARS)
    slot, most = SPARK_WIDTH / len(values), max((value for value in values if value), default=0) or 1
    for at, value in enumerate(values):
        tall = SPARK_HEIGHT * (value or 0) / most
        if value:
            _bar(spark, slot * at, SPARK_HEIGHT - tall, slot * BAR_SHARE, tall)
    return spark


def _picture(width: int, height: int, attributes: dict[str, str]) -> Element:
    return Element("svg", {"viewBox": f"0 0 {width} {height}", **attributes})


def _bar(parent: Element, x: float, y: float, width: float, height: float) -> Element:
    box = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}"}
    return SubElement(parent, "rect", box)


def _text(parent: Element, tag: str, text: str, attributes: dict[str, str] | None = None) -> None:
    SubElement(parent, tag, attributes or {}).text = text


def _round_up(number: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50, ... from *number* on.

    >>> _round_up(0), _round_up(3.1), _round_up(60)
    (1, 5, 100)
    """
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= number:
                return factor * power
        power *= 10

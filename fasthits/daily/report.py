"""The past days as one HTML file to mail or keep: no script, nothing to load, everything in it escaped.

It is built as a tree of elements, so that a path can be nothing but text in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from fasthits import __version__
from fasthits.daily.days import name_days
from fasthits.daily.history import PathHistory
from fasthits.display import printable

DOCTYPE = "<!doctype html>\n"
"""How a report begins."""
CHART_WIDTH, CHART_HEIGHT = 880, 240
AXIS_LEFT, AXIS_BOTTOM = 52, 24
SPARK_WIDTH, SPARK_HEIGHT = 120, 22
BAR_SHARE = 0.74
GRID_LINES = 5
"""At most so many above the lowest."""
DAY_LABELS = 8

STYLE = """
:root { color-scheme: light dark; --text: #132022; --quiet: #536366; --line: #dfe6e6; --accent: #0f766e; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e7eeee; --quiet: #9aabad; --line: #273233; --accent: #2dd4bf; --page: #151c1d; }
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
.number { text-align: right; white-space: nowrap; }
.path { width: 100%; overflow-wrap: anywhere; unicode-bidi: isolate; }
"""


@dataclass(frozen=True)
class Report:
    """What a report shows."""

    days: Sequence[date]
    site: Sequence[int]
    """The views of all paths together on each of the days."""
    most_read: Sequence[PathHistory]
    made_at: datetime

    def html(self) -> str:
        """Return the whole file."""
        root = Element("html", {"lang": "en"})
        title = f"fasthits: {name_days(self.days)}"
        root.extend([_head(title), self._body()])
        return f"{DOCTYPE}{tostring(root, encoding='unicode', method='html')}\n"

    def _body(self) -> Element:
        body = Element("body")
        _text(body, "h1", "How often was each page read?")
        _text(body, "p", f"{self.days[0]:%-d %B %Y} to {self.days[-1]:%-d %B %Y}, {len(self.days)} days")
        body.append(self._totals())
        body.append(_chart(self.days, self.site))
        _text(body, "h2", "Most read")
        body.append(self._table())
        _text(body, "p", f"Made by fasthits {__version__} from the access log, {self.made_at:%Y-%m-%d %H:%M %z}.")
        return body

    def _totals(self) -> Element:
        views = sum(self.site)
        best = max(range(len(self.days)), key=self.site.__getitem__)
        totals = Element("dl")
        for name, value in (
            ("views", f"{views:,}"),
            ("a day", f"{views / len(self.days):,.0f}"),
            ("best day", f"{self.site[best]:,} on {self.days[best]:%a %-d %b}"),
        ):
            pair = SubElement(totals, "div")
            _text(pair, "dt", name)
            _text(pair, "dd", value)
        return totals

    def _table(self) -> Element:
        table = Element("table")
        row = SubElement(SubElement(table, "thead"), "tr")
        for name, kind in (("views", "number"), ("share", "number"), ("each day", ""), ("path", "")):
            _text(row, "th", name, {"scope": "col", "class": kind})
        body = SubElement(table, "tbody")
        all_views = sum(self.site) or 1
        for each in self.most_read:
            row = SubElement(body, "tr")
            _text(row, "td", f"{each.views:,}", {"class": "number"})
            _text(row, "td", f"{each.views / all_views:.1%}", {"class": "number"})
            SubElement(row, "td").append(_spark(each.by_day))
            _text(row, "th", printable(each.path), {"scope": "row", "class": "path"})
        return table


def _head(title: str) -> Element:
    head = Element("head")
    SubElement(head, "meta", {"charset": "utf-8"})
    policy = "default-src 'none'; style-src 'unsafe-inline'"  # its own style is in the file; nothing is ever loaded
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": policy})
    SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    _text(head, "title", title)
    _text(head, "style", STYLE)
    return head


def _chart(days: Sequence[date], views: Sequence[int]) -> Element:
    label = f"Views per day from {days[0]} to {days[-1]}: {sum(views):,} in all"
    chart = _picture(CHART_WIDTH, CHART_HEIGHT, {"role": "img", "aria-label": label})
    width, height = CHART_WIDTH - AXIS_LEFT, CHART_HEIGHT - AXIS_BOTTOM - 8
    step = _round_up(max(views) / GRID_LINES)
    lines = max(1, -(-max(views) // step))
    top = step * lines
    for line in range(lines + 1):
        y = 8 + height - height * line / lines
        ends = {"x1": str(AXIS_LEFT), "x2": str(CHART_WIDTH), "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        SubElement(chart, "line", ends)
        place = {"x": str(AXIS_LEFT - 8), "y": f"{y + 4:.1f}", "text-anchor": "end"}
        SubElement(chart, "text", place).text = f"{step * line:,}"
    slot = width / len(days)
    every = -(-len(days) // DAY_LABELS)
    for at, (day, count) in enumerate(zip(days, views, strict=True)):
        x, tall = AXIS_LEFT + slot * at, height * count / top
        bar = _bar(chart, x + slot * (1 - BAR_SHARE) / 2, 8 + height - tall, slot * BAR_SHARE, tall)
        _text(bar, "title", f"{day}: {count:,}")
        if at % every == 0:
            place = {"x": f"{x + slot / 2:.1f}", "y": str(CHART_HEIGHT - 6), "text-anchor": "middle"}
            SubElement(chart, "text", place).text = f"{day:%-d %b}"
    return chart


def _spark(views: Sequence[int]) -> Element:
    spark = _picture(SPARK_WIDTH, SPARK_HEIGHT, {"aria-hidden": "true", "width": str(SPARK_WIDTH)})
    slot, most = SPARK_WIDTH / len(views), max(views) or 1
    for at, count in enumerate(views):
        tall = SPARK_HEIGHT * count / most
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

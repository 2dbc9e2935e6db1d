"""The picture on speed: a bar for each program, as long as the logarithm of its seconds for the day."""

import math
from html import escape

from benchmarks.record import Record

WIDTH, LEFT, RIGHT, TOP = 760, 250, 80, 46
BAR, GAP = 20, 8
DRAWN = (
    "`cat`",
    "`wc -l`",
    "`fasthits rollup`",
    "`fasthits rollup` of a .gz",
    "`fasthits log`",
    "gawk `c[$7]++`",
    "DuckDB, regex, 2 threads",
    "Polars, regex, 2 threads",
    "GoAccess, requests alone",
    "apachelogs",
    "script: readline, regex, an incr a hit",
)
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px } .small { font-size: 12px; fill: #59636e }
  .value { paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
  .line { stroke: #d1d9e0 } .own { fill: #0969da } .other { fill: #afb8c1 }
  .paper { fill: #ffffff; stroke: #d1d9e0 } .name-own { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .line { stroke: #3d444d } .own { fill: #4493f8 }
    .other { fill: #656c76 } .paper { fill: #0d1117; stroke: #3d444d } .value { stroke: #0d1117 }
  }
"""


def draw(result: Record) -> str:
    """Return the picture of a day's record, as SVG that is readable on light and on dark pages."""
    bars = seconds_of_a_day(result)
    low = 10.0 ** math.floor(math.log10(min(bars.values())))
    high = max(bars.values())
    span = math.log10(high / low)
    bottom = TOP + len(bars) * (BAR + GAP)

    def x(seconds: float) -> float:
        return LEFT + math.log10(seconds / low) / span * (WIDTH - LEFT - RIGHT)

    size = f"{result['corpus']['bytes'] / 1e9:.3g} GB"
    parts = [
        f'<rect class="paper" x=".5" y=".5" width="{WIDTH - 1}" height="{bottom + 33}" rx="8"/>',
        f'<text class="title" x="16" y="28">Seconds for a day of {size}, '
        f"{result['corpus']['lines'] / 1e6:.1f} million lines (log scale)</text>",
    ]
    tick = low
    while tick <= high:
        parts.append(f'<line class="line" x1="{x(tick):.1f}" y1="{TOP - 4}" x2="{x(tick):.1f}" y2="{bottom}"/>')
        label = f"{tick:g} s"
        parts.append(f'<text class="small" x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
        tick *= 10
    for place, (name, seconds) in enumerate(bars.items()):
        top = TOP + place * (BAR + GAP) + GAP / 2
        kind = "own" if name.startswith("fasthits") else "other"
        base = top + BAR - 6
        parts += [
            f'<text class="name-{kind}" x="{LEFT - 10}" y="{base}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{x(seconds) - LEFT:.1f}" height="{BAR}" rx="3"/>',
            f'<text class="small value" x="{x(seconds) + 6:.1f}" y="{base}">{short(seconds)}</text>',
        ]
    height = bottom + 34
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="Seconds for a day of {size}, by program">\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def seconds_of_a_day(result: Record) -> dict[str, float]:
    """Return the programs that are drawn, fastest first, with their seconds for the whole day."""
    lines = result["corpus"]["lines"]
    seconds = {
        name.replace("`", ""): task["seconds"]["median"] * lines / task["lines"]
        for name, task in result["tasks"].items()
        if name in DRAWN
    }
    return dict(sorted(seconds.items(), key=lambda item: item[1]))


def short(seconds: float) -> str:
    """Return seconds as a short text."""
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"

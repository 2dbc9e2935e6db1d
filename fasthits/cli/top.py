"""``fasthits top``: the most read paths, live."""

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fasthits.cli.declare import Option
from fasthits.cli.keyboard import keys_at_once
from fasthits.cli.options import AsJson, Prefix, takes_servers
from fasthits.cli.output import echo, say
from fasthits.display import counted, printable
from fasthits.errors import MemcachedError
from fasthits.live.keys import DEFAULT_PREFIX, check_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fasthits.live.sampler import LivePath, LiveViews, Sample

REFRESH_SECONDS = 1.0
PATIENCE_SECONDS = 0.5
"""How long the keys wait for a memcached that hangs, once."""
BAR_WIDTH = 24
LEAST_BAR_WIDTH = 4
LINES_AROUND = 5
"""Screen lines without a path: the title, the totals, an empty line, the table's head, the last line."""
HASH_SHOWN = 13

HELP = """\
↑ ↓  j k           scroll by a line
Page Up, Page Down scroll by a screen
Home, End          first and last path
s                  sort by views, or by the last minute
/                  show only paths that contain a text; Escape shows all
Space              pause, and go on
?                  show this help
q, Ctrl-C          quit
"""


@takes_servers
def top(
    servers: list[str],
    prefix: Prefix = DEFAULT_PREFIX,
    once: Annotated[bool, Option("--once", help="Print the numbers once, and exit, as without a terminal.")] = False,
    limit: Annotated[
        int,
        Option(metavar="N", min=1, max=10_000, help="Number of paths to print. A screen shows as many as fit."),
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the most read paths of today, with their views in the last minute, from the live counters of all loggers.

    \b
        fasthits top
        fasthits top --once --limit 5
        fasthits top --json

    The screen refreshes each second, until q or Ctrl-C. Press ? for the other keys: they sort, filter, scroll and
    pause. A path that is too long for a memcached key, or has characters that a key cannot have, is shown as # and the
    first digits of its SHA-256. `fasthits history '#73c9c45d21e1'` finds the path if it was read on a past day.
    """
    from fasthits.live.sampler import LiveViews

    has_screen = os.isatty(0) and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    live = LiveViews(servers, check_prefix(prefix))
    if as_json:
        echo(json.dumps(live.sample(limit).document(limit), indent=2))
    elif once or not has_screen:
        _print_table(live.sample(limit))
    else:
        _watch(live, ", ".join(servers))


def _print_table(sample: "Sample") -> None:
    echo(f"{sample.at:%Y-%m-%d %H:%M:%S %Z}  {counted(sample.views, 'view')} of {counted(sample.paths, 'path')}")
    shown = [_shown(each.path) for each in sample.most_read]
    width = _bar_width(shutil.get_terminal_size().columns, 12 + 2 + 2, shown)
    most = max((each.views for each in sample.most_read), default=0) or 1
    for each, path in zip(sample.most_read, shown, strict=True):
        bar = f"{'█' * max(1, each.views * width // most):<{width}}  " if width else ""
        echo(f"{each.views:>12,}  {bar}{path}")
    for text in (*sample.problems, *sample.warnings):
        say(text)


def _shown(path: str) -> str:
    """Return a path for people. They see only the first digits of a hash.

    >>> _shown("#73c9c45d21e1aa")
    '#73c9c45d21e1… (a long or unusual path)'
    """
    return f"{path[:HASH_SHOWN]}… (a long or unusual path)" if path.startswith("#") else printable(path)


def _bar_width(width: int, taken: int, paths: "Sequence[str]") -> int:
    """Return the width of bars: what *taken* columns and *paths* leave of a line of *width*, or 0."""
    left = width - taken - max(map(cell_len, paths), default=0)
    return min(BAR_WIDTH, left) if left >= LEAST_BAR_WIDTH else 0


@dataclass
class View:
    """The part of the sample that the screen shows. Keys change the view."""

    by: Literal["views", "last_minute"] = "views"
    text: str = ""
    first: int = 0
    """The place of the first visible path among all that match."""
    typing: bool = False
    """The user is typing the text."""
    paused: bool = False
    helping: bool = False

    def take(self, key: str, rows: int) -> bool:
        """Change the view for a *key*; a screen has *rows*. Return False for the key that quits."""
        if self.typing:
            self._type(key)
        elif key == "q":
            return False
        elif self.helping:
            self.helping = False
        elif key == "?":
            self.helping = True
        elif key == "/":
            self.typing = True
        elif key == "escape":
            self.text, self.first = "", 0
        elif key == "s":
            self.by, self.first = "last_minute" if self.by == "views" else "views", 0
        elif key == " ":
            self.paused = not self.paused
        else:
            self._scroll(key, rows)
        return True

    def _type(self, key: str) -> None:
        if key == "escape":
            self.text, self.typing = "", False
        elif key == "enter":
            self.typing = False
        elif key == "backspace":
            self.text = self.text[:-1]
        elif key == "clear line":
            self.text = ""
        elif len(key) == 1 and key.isprintable():
            self.text += key
        self.first = 0

    def _scroll(self, key: str, rows: int) -> None:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -rows, "page down": rows}
        if key == "home":
            self.first = 0
        elif key == "end":
            self.first = sys.maxsize
        else:
            self.first = max(0, self.first + steps.get(key, 0))


def _watch(live: "LiveViews", servers: str) -> None:
    console = Console()
    screen = _Screen(live, servers, console)
    signal.signal(signal.SIGTERM, _end)
    with keys_at_once() as keyboard, Live(console=console, screen=True, auto_refresh=False) as shown:
        try:
            look_at = time.monotonic() + REFRESH_SECONDS
            while True:
                shown.update(screen.draw(), refresh=True)
                pressed = keyboard.wait(look_at - time.monotonic())
                if pressed is None or not all(screen.view.take(key, screen.rows) for key in pressed):
                    return
                if time.monotonic() >= look_at:
                    screen.look()
                    look_at = time.monotonic() + REFRESH_SECONDS
        except KeyboardInterrupt:
            return


def _end(number: int, frame: object) -> None:
    """End as after Ctrl-C, so that the terminal gets its settings back."""
    raise SystemExit(128 + number)


class _Screen:
    """The last sample, the view of it, and the drawing of both."""

    def __init__(self, live: "LiveViews", servers: str, console: Console) -> None:
        """Raises MemcachedError when no server answers."""
        self.view = View()
        self._live, self._servers, self._console = live, servers, console
        self._sample = live.sample(0)
        self._problem = ""

    def look(self) -> None:
        """Take a new sample, unless the view is paused."""
        if self.view.paused:
            return
        try:
            self._problem, self._sample = "", self._live.sample(0, PATIENCE_SECONDS)
        except MemcachedError as error:
            self._problem = str(error)

    @property
    def rows(self) -> int:
        """The number of paths that fit."""
        return max(1, self._console.height - LINES_AROUND - len(self._problems()))

    def draw(self) -> Group:
        """Return what to show."""
        parts: list[RenderableType] = [self._title(), self._totals(), *self._problems(), Text()]
        if self.view.helping:
            return Group(*parts, Text(HELP), Text("any key goes back, q quits", style="dim"))
        found, paths = self._find()
        return Group(*parts, self._table(paths), self._last_line(found, len(paths)))

    def _find(self) -> "tuple[int, list[LivePath]]":
        """Return the number of matching paths, and the paths that fit. Scroll back from behind the end."""
        view, rows = self.view, self.rows
        listed = self._live.list_paths(rows, min(view.first, self._sample.paths), view.text, view.by)
        if view.first and len(listed.paths) < rows:
            view.first = max(0, listed.found - rows)
            listed = self._live.list_paths(rows, view.first, view.text, view.by)
        return listed

    def _title(self) -> Text:
        now = datetime.now().astimezone()
        text = f"  {now:%Y-%m-%d %H:%M:%S %Z}  {printable(self._servers)}"
        return _one_line(Text.assemble(("fasthits top", "bold"), text))

    def _totals(self) -> Text:
        sample = self._sample
        rate = "…" if sample.rate is None else f"{sample.rate:,.1f}/s"
        recent = f"{sample.last_minute:,}" if sample.window_seconds else "…"
        totals = Text.assemble(
            (f"{sample.views:,}", "bold green"),
            " views today   ",
            (recent, "bold"),
            f" in the {self._window(long=True)}   ",
            (rate, "bold"),
            f"   {counted(sample.paths, 'path')}",
            style="dim" if self._age() else "",
        )
        return _one_line(totals)

    def _window(self, long: bool = False) -> str:
        """Return the time for which recent views are known."""
        seconds = self._sample.window_seconds
        return f"last {seconds:.0f} s" if 0 < seconds < 59.5 else "last minute" if long else "last min"

    def _age(self) -> str:
        """Return the age of the numbers; nothing if they are current."""
        if not (self._problem or self.view.paused):
            return ""
        seconds = (datetime.now().astimezone() - self._sample.at).total_seconds()
        return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"

    def _problems(self) -> list[Text]:
        age = f"these numbers are {self._age()} old: " if self._problem else ""
        texts = [*self._sample.problems, *([age + self._problem] if self._problem else [])]
        lines = [_one_line(Text(printable(text), style="bold red")) for text in texts]
        return lines + [_one_line(Text(text, style="yellow")) for text in self._sample.warnings]

    def _table(self, rows: "list[LivePath]") -> Table:
        views = [f"{each.views:,}" for each in rows]
        recent = [f"+{each.last_minute:,}" if each.last_minute else "" for each in rows]
        paths = [_shown(each.path) for each in rows]
        heads = ["views", self._window()]
        heads[self.view.by != "views"] += " ↓"
        taken = sum(
            2 + max(len(head), *map(len, column), 0) for head, column in zip(heads, (views, recent), strict=True)
        )
        width = _bar_width(self._console.width, taken + 2, paths)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True, header_style="dim")
        table.row_styles = ["dim" if self._age() else ""]
        for head in heads:
            table.add_column(head, justify="right", no_wrap=True)
        if width:
            table.add_column("", width=width)
        table.add_column("path", ratio=1, no_wrap=True, overflow="ellipsis")
        most = max((each.views for each in rows), default=0) or 1
        for each, number, rise, path in zip(rows, views, recent, paths, strict=True):
            bar = [Bar(most, 0, each.views, width=width, color="cyan")] if width else []
            table.add_row(number, Text(rise, style="green"), *bar, Text(path))
        return table

    def _last_line(self, found: int, shown: int) -> Text:
        """Return the last line: the typed text, or what the view leaves out, and the keys."""
        view = self.view
        if view.typing:
            return _one_line(Text.assemble("/", view.text, ("▏", "bold"), f"  {counted(found, 'path')}"))
        notes = []
        if view.paused:
            notes.append(f"paused {self._age()} ago: Space goes on")
        if view.text:
            notes.append(f"{counted(found, 'path')} with {view.text}: Escape shows all")
        if view.first:
            notes.append(f"{view.first + 1:,} to {view.first + shown:,} of {found:,}")
        keys = "q quits   / filters   s sorts   ? help"
        return _one_line(Text.assemble(("   ".join(notes) + "   " if notes else "", "bold"), (keys, "dim")))


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text

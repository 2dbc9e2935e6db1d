"""The tasks: each task does one job on a log, returns its seconds and memory, and checks the result."""

import csv
import importlib.util
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.installed import PROGRAMS
from benchmarks.judges import judge_nothing
from benchmarks.logs import Corpus
from benchmarks.server import Memcached
from benchmarks.truth import Difference, Totals, Truth, WrongTotals

ROOT = Path(__file__).parents[1]
LAUNCHER = Path(__file__).with_name("launcher.py")
SEARCH = os.pathsep.join([str(PROGRAMS), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])

Figures = dict[str, float]
"""The figures of a run: ``seconds``; ``peak`` in bytes if it was measured; some tasks have other names."""


def is_here(name: str) -> bool:
    """Tell whether this machine has a program, or this Python a module, with this name. True for an empty name."""
    return not name or bool(shutil.which(name, path=SEARCH) or importlib.util.find_spec(name))


def shown(path: Path) -> str:
    """Return the path relative to the project's folder, where commands run, quoted for the shell if necessary."""
    return shlex.quote(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path))


def environment(**settings: str) -> dict[str, str]:
    """Return an environment with this Python's programs first, the C locale (awk's fastest) and no FASTHITS_."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FASTHITS_")}
    return own | {"PATH": SEARCH, "LC_ALL": "C"} | settings


def shorten(thing: object) -> str:
    """Return the text of *thing*, or its beginning if it is long."""
    text = repr(thing)
    return text if len(text) < 300 else f"{text[:300]}..."


class Task(ABC):
    """One job on a log. Only `measure` is timed: not `prepare` before it, nor `check` and `close` after it."""

    def __init__(self, name: str, corpus: Corpus, command: str, needs: str = "") -> None:
        self.name = name
        self.corpus = corpus
        self.command = command
        """As one would type it in the project's folder."""
        self.needs = needs
        """The program or module without which it cannot be done."""

    def prepare(self) -> None:  # noqa: B027 (most tasks have nothing to prepare)
        """Get ready for one run."""

    @abstractmethod
    def measure(self) -> Figures:
        """Do the job once, keep the result, and return the figures."""

    @abstractmethod
    def check(self) -> str:
        """Return a remark on the result; raise `WrongTotals` if it is wrong."""

    def close(self) -> None:  # noqa: B027 (nor anything to close)
        """Stop all processes that still run, also after an error."""

    def demand(self, what: str, found: object, wanted: object) -> None:
        """Raise `WrongTotals` unless *found* equals *wanted*."""
        if found != wanted:
            raise WrongTotals(f"{what}: {shorten(found)} found, but {shorten(wanted)} in the log")

    def demand_right(self, difference: Difference) -> str:
        """Return a remark on views; raise `WrongTotals` if they are wrong."""
        if difference:
            raise WrongTotals(str(difference))
        return str(difference)


Judge = Callable[[Path, Truth], str]
"""Receives the file with the output of a command, and the truth about the log. Returns and raises as `Task.check`."""


class Command(Task):
    """A command line. Its output goes to a file."""

    def __init__(self, name: str, corpus: Corpus, command: str, judge: Judge, needs: str = "", **settings: str) -> None:
        super().__init__(name, corpus, command, needs)
        self.judge = judge
        self.settings = settings
        self.output, self.messages, self._report = (corpus.folder / kind for kind in ("output", "messages", "report"))

    def prepare(self) -> None:
        for file in (self.output, self.messages, self._report):
            file.unlink(missing_ok=True)

    def measure(self) -> Figures:
        words = shlex.split(self.command)
        argv = ["sh", "-c", self.command] if {"|", ">", "&"} & set(words) else words
        with self.output.open("wb") as output, self.messages.open("wb") as messages:
            subprocess.run(
                [sys.executable, "-I", LAUNCHER, self._report.absolute(), *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=messages,
                cwd=ROOT,
                env=environment(**self.settings),
                check=True,
            )
        seconds, peak, code = self._report.read_text().split()
        if int(code):
            raise WrongTotals(f"exit code {code}: {self.messages.read_text(errors='replace').strip()}")
        return {"seconds": float(seconds), "peak": float(peak)}

    def check(self) -> str:
        return self.judge(self.output, self.corpus.truth)


class Rollup(Command):
    """``fasthits rollup`` of the day as a user runs it, with Python's start, to a CSV file or a new SQLite file."""

    def __init__(
        self, name: str, corpus: Corpus, options: str = "", *, logs: str = "", copies: int = 1, to: str = "hits.csv"
    ) -> None:
        self._target, self._summary = corpus.folder / to, corpus.folder / "summary.json"
        pattern = shlex.quote(logs) if logs else shown(corpus.folder) + "/%Y/%m/%d/access.log"
        command = f"fasthits rollup {corpus.truth.day} --logs {pattern} --to {shown(self._target)}"
        super().__init__(name, corpus, f"{command} --summary {shown(self._summary)} {options}".strip(), judge_nothing)
        self._copies = copies

    def prepare(self) -> None:
        super().prepare()
        self._target.unlink(missing_ok=True)

    def check(self) -> str:
        found, wanted = json.loads(self._summary.read_text()), times(self.corpus.truth.summary(), self._copies)
        self.demand("summary", {name: found[name] for name in wanted}, wanted)
        with self._rows() as rows:
            views = ((path.encode(), self._of_one_copy(int(number))) for _, path, number in rows)
            return self.demand_right(self.corpus.truth.difference(views))

    @contextmanager
    def _rows(self) -> Iterator[Iterator[Sequence[str]]]:
        if self._target.suffix == ".db":
            with closing(sqlite3.connect(self._target)) as database:
                yield database.execute("SELECT date, path, views FROM hits")
            return
        with self._target.open(newline="") as file:
            rows = csv.reader(file)
            self.demand("header", next(rows), ["date", "path", "views"])
            yield rows

    def _of_one_copy(self, views: int) -> int:
        return views // self._copies if views % self._copies == 0 else -1


class Pages(Rollup):
    """``fasthits rollup --pages``. The truth does not say which hits count; the check is that no line is lost."""

    def check(self) -> str:
        found, wanted = json.loads(self._summary.read_text()), self.corpus.truth.summary()
        self.demand("lines", found["lines"], wanted["lines"])
        self.demand("sum", found["hits"] + sum(found["filtered"].values()) + found["malformed"], wanted["lines"])
        with self._rows() as rows:
            self.demand("views", sum(int(row[2]) for row in rows), found["hits"])
        return f"right: {found['hits']:,} hits of {found['lines']:,} lines"


class Start(Rollup):
    """``fasthits rollup`` of so few lines that their number does not matter. ``start`` is not scaled by lines."""

    def measure(self) -> Figures:
        return {"start": super().measure()["seconds"]}


class WithoutBots(Rollup):
    """``fasthits rollup --exclude-bots``. The truth does not say which lines are of bots; all else is checked."""

    def check(self) -> str:
        found, wanted = json.loads(self._summary.read_text()), self.corpus.truth.summary()
        bots = found["filtered"].pop("bot", 0)
        self.demand("summary", {name: found[name] for name in wanted}, wanted | {"hits": found["hits"]})
        self.demand("hits of all", found["hits"] + bots, wanted["hits"])
        with self._target.open(newline="") as file:
            next(rows := csv.reader(file))
            self.demand("views", sum(int(row[2]) for row in rows), found["hits"])
        return f"right: {found['hits']:,} hits and {bots:,} of bots"


def times(totals: Totals, copies: int) -> Totals:
    """Return the totals of that many copies of a log."""
    return {
        name: total * copies if isinstance(total, int) else {reason: lines * copies for reason, lines in total.items()}
        for name, total in totals.items()
    }


class IntoMemcached(Command):
    """A pipe whose end counts into a memcached of its own, from the first byte to its exit."""

    def __init__(self, name: str, corpus: Corpus, command: str, *, exact: bool = True) -> None:
        super().__init__(name, corpus, command, judge_nothing, "memcached")
        self._exact = exact
        self._memcached: Memcached | None = None

    def prepare(self) -> None:
        super().prepare()
        self._memcached = Memcached()
        self.settings = {"FASTHITS_MEMCACHED": self._memcached.address}

    def check(self) -> str:
        assert self._memcached is not None
        self.demand("messages", self.messages.read_bytes(), b"")
        difference = self._memcached.difference(self.corpus.truth)
        return self.demand_right(difference) if self._exact else str(difference)

    def close(self) -> None:
        if self._memcached is not None:
            self._memcached.stop()
            self._memcached = None

"""``manage.py parse_log``: the nightly batch, from a day's log to the history of each object."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from fasthits.days import name_days, parse_days
from fasthits.display import printable
from fasthits.django.conf import setting
from fasthits.django.history import Parsed, parse_logs
from fasthits.django.live import today
from fasthits.errors import FasthitsError, TableError
from fasthits.tables import replacing


class Command(BaseCommand):
    """Options in, a summary out."""

    help = (
        "Count the hits of a day in its log, tie them to the objects whose pages they are, and keep them. "
        "The hits of that day are replaced, so that running it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a DATE, and options as those of ``fasthits rollup``."""
        parser.add_argument(
            "days",
            metavar="DATE",
            nargs="?",
            default="yesterday",
            help="YYYY-MM-DD, yesterday (the default), today, or A..B with both ends in.",
        )
        parser.add_argument(
            "--logs",
            metavar="PATTERN",
            help='Where a day\'s log is, as for cronolog; by default FASTHITS["LOGS"]. - is standard input.',
        )
        parser.add_argument("--threads", type=int, help="How many threads count; by default one a processor.")
        parser.add_argument("--summary", metavar="FILE", type=Path, help="Also write the summary there, as JSON.")

    def handle(
        self, *, days: str, logs: str | None, threads: int | None, summary: Path | None, verbosity: int, **_: Any
    ) -> None:
        """Do it, and say what was done; an error that the user can act on is one line, and nothing was changed."""
        try:
            parsed = parse_logs(parse_days(days, today()), logs or setting("LOGS"), threads)
            if summary:
                _write_summary(parsed, summary)
        except FasthitsError as error:
            raise CommandError(printable(str(error)), returncode=error.exit_code) from error
        except DatabaseError as error:
            raise CommandError(f"cannot save hits, nothing changed: {printable(str(error))}") from error
        if verbosity > 0:
            self._say_what_was_done(parsed)
        if verbosity > 1:
            for views, path in parsed.top:
                self.stdout.write(f"  {views:>9,} {_text(path)}")
        for path, reason in parsed.resolver.errors:
            self.stderr.write(f"cannot resolve {_text(path)}: {type(reason).__name__}: {printable(str(reason))}")
        if more := parsed.resolver.failed - len(parsed.resolver.errors):
            self.stderr.write(f"and {_count(more, 'more path')}")

    def _say_what_was_done(self, parsed: Parsed) -> None:
        counted, counter = parsed.counted, parsed.counted.counter
        if counted.missing:
            self.stdout.write(f"no log file, left as it was: {name_days(counted.missing)}")
        elif not counted.days:
            self.stdout.write("no line of these days, nothing replaced")
        reasons = "".join(f", {lines:,} filtered ({reason})" for reason, lines in counter.filtered.items())
        self.stdout.write(
            f"{_count(counter.lines, 'line')} of {_count(counted.files, 'file')}: "
            f"{_count(counter.hits, 'hit')}{reasons}, {counter.malformed:,} malformed"
        )
        self.stdout.write(
            f"{_count(parsed.views.total(), 'hit')} of {_count(parsed.objects, 'object')} saved "
            f"for {name_days(counted.days) or 'no day'}"
        )
        loose = f"{_count(parsed.loose_views, 'hit')} of {_count(parsed.loose_paths, 'path')}"
        self.stdout.write(f"{loose} with no object")


def _write_summary(parsed: Parsed, file: Path) -> None:
    counter = parsed.counted.counter
    figures = {
        "files": parsed.counted.files,
        "bytes": parsed.counted.bytes,
        "lines": counter.lines,
        "hits": counter.hits,
        "filtered": counter.filtered,
        "malformed": counter.malformed,
        "objects": parsed.objects,
        "hits_of_objects": parsed.views.total(),
        "paths_without_object": parsed.loose_paths,
        "hits_without_object": parsed.loose_views,
        "errors": parsed.resolver.failed,
    }
    try:
        with replacing(file.resolve()) as new:
            new.write(json.dumps(figures, indent=2).encode() + b"\n")
    except OSError as error:
        raise TableError("cannot write summary", file, error.strerror or "") from error


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _text(path: bytes) -> str:
    return printable(path.decode("utf-8", "backslashreplace"))

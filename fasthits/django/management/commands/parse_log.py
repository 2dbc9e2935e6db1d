"""``manage.py parse_log``: the nightly batch, from a day's log to the history of each object."""

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from fasthits.daily.atomic import check_summary, write_summary
from fasthits.daily.counting.max_memory import MAX_MEMORY_HELP, parse_max_memory
from fasthits.daily.days import name_days, parse_days
from fasthits.daily.logs.places import choose_logs
from fasthits.daily.logs.sources import Patterns
from fasthits.daily.targets.refusals import (
    ONLY_RULES,
    days_left,
    examples,
    more_than_kept,
    needs_attention,
    remarks,
    said_of,
)
from fasthits.display import counted, printable
from fasthits.django import clock
from fasthits.django.commands import HitsCommand, remedy
from fasthits.django.conf import rules_with, setting
from fasthits.django.history import Parsed, parse_logs, publish
from fasthits.django.live import today
from fasthits.errors import FasthitsError, UsageError
from fasthits.rules.options import CONFIG_HELP, OPTIONS, Option, take_options
from fasthits.upkeep.doctor.verdicts import Finding


class Command(HitsCommand):
    """Turns options into a call of `parse_logs`, and its result into a summary."""

    failed = "cannot save hits, nothing changed"
    help = (
        "Count the hits of a day in its log, find the objects whose pages were read, and save their hits. "
        "The hits of that day are replaced, so a second run changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a DATE, and options of ``fasthits rollup``. Its ``--quiet`` is Django's ``-v 0``."""
        parser.add_argument(
            "days",
            metavar="DATE",
            nargs="?",
            default="yesterday",
            help="YYYY-MM-DD, yesterday (the default), today, or a range such as 2026-03-01..2026-03-12.",
        )
        parser.add_argument(
            "--logs",
            metavar="PATTERN",
            action="append",
            help='Log files, as for fasthits rollup. Default: FASTHITS["LOGS"]. - is standard input. Can be repeated.',
        )
        parser.add_argument(
            "--partial",
            action="store_true",
            help="Save a day even if its beginning or end is missing, or a file is damaged.",
        )
        parser.add_argument("--summary", metavar="FILE", help="Also write the summary to this file, as JSON.")
        parser.add_argument("--threads", metavar="N", type=int, help="Threads that count. Default: one per processor.")
        parser.add_argument("--max-memory", metavar="SIZE", help=MAX_MEMORY_HELP)
        parser.add_argument(
            "--replace", action="store_true", help="Replace a day even if more hits are saved than were counted."
        )
        counts = parser.add_argument_group("what counts", 'FASTHITS["RULES"] overrides the config file.')
        counts.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
        for name, option in OPTIONS.items():
            counts.add_argument(f"--{name}", help=option.help.replace("%", "%%"), **_how_to_take(option))

    def handle(
        self,
        *,
        days: str | date,
        logs: str | Path | list[str] | None,
        partial: bool,
        summary: str | Path | None,
        threads: int | None,
        max_memory: str | None,
        replace: bool,
        config: str | Path | None,
        verbosity: int,
        **others: Any,
    ) -> None:
        """Count, save and print a summary. After an error of one line nothing has changed.

        `call_command` may give a date and paths.
        """
        config, summary = (Path(file) if file else None for file in (config, summary))
        if threads is not None and threads < 1:
            raise UsageError("--threads must be 1 or more", threads)
        rules, max_bytes = rules_with(take_options(others), config), parse_max_memory(max_memory)
        wanted = parse_days(str(days), today())
        patterns = self._find_patterns([str(logs)] if isinstance(logs, (str, Path)) else logs or [], wanted)
        self._compare_clocks(patterns, wanted)
        if summary:
            check_summary(summary)
        parsed = parse_logs(wanted, patterns, rules, threads, max_bytes, partial, replace)
        self._publish(parsed)
        if summary:
            write_summary(summary, _figures(parsed))
        if verbosity > 0 or needs_attention(parsed.counted):
            self._say_what_was_done(parsed)
        if verbosity > 1:
            for views, path in parsed.tied.top:
                self.stdout.write(f"  {views:>9,} {_text(path)}")
        for path, reason in parsed.resolver.errors:
            self.stderr.write(f"cannot resolve {_text(path)}: {type(reason).__name__}: {printable(str(reason))}")
        if parsed.tied.loose_views and not parsed.tied.views:
            self.stderr.write(self._why_no_object(parsed))
        if more := parsed.resolver.failed - len(parsed.resolver.errors):
            self.stderr.write(f"and {counted(more, 'more path')}")
        if parsed.counted.advice:
            for line in examples(parsed.counted):
                self.stderr.write(f"  {line}")
        if left := list(map(printable, _left(parsed))):
            for line in left[:-1]:
                self.stderr.write(line)
            raise CommandError(left[-1], returncode=1)

    def _publish(self, parsed: Parsed) -> None:
        try:
            publish(parsed)
        except DatabaseError as error:
            hint = f"{todo}, then run it again" if (todo := remedy(error)) else "run it again"
            text = f"hits are saved, but not the lists of the most read: {printable(str(error))} ({hint})"
            raise CommandError(text) from error

    def _find_patterns(self, given: Sequence[str], days: Sequence[date]) -> Patterns:
        """Return the PATTERNs *given*, or in the settings, or else a log in a usual place, and print which log that
        is."""
        if named := tuple(given) or setting("LOGS"):
            return named
        found = choose_logs(days)
        self.stdout.write(f"no LOGS in FASTHITS: reading {found[0]}")
        return found

    def _compare_clocks(self, patterns: Patterns, days: Sequence[date]) -> None:
        try:
            if difference := clock.find_difference(patterns, days):
                self.stderr.write(f"warning: {printable(difference)}")
        except (FasthitsError, Finding):
            pass  # the run itself says which log it cannot read

    def _why_no_object(self, parsed: Parsed) -> str:
        if folder := parsed.resolver.mount_point(path for _, path in parsed.tied.top):
            return (
                f"the log has the site below {printable(folder)}, which Django does not know: "
                f'set FORCE_SCRIPT_NAME = "{printable(folder)}"'
            )
        return (
            "no hit is of an object: is this the log of this site? "
            "(parse_log -v 2 lists the paths, manage.py explain_path PATH says why a path has no object)"
        )

    def _say_what_was_done(self, parsed: Parsed) -> None:
        found = parsed.counted
        reasons = "".join(f", {lines:,} filtered ({reason})" for reason, lines in found.filtered.items())
        self.stdout.write(
            f"{counted(found.lines, 'line')} of {counted(found.files, 'file')}: "
            f"{counted(found.hits, 'hit')}{reasons}, {found.malformed:,} malformed"
        )
        saved = parsed.saved
        of_objects = f"{counted(saved.views, 'hit')} of {counted(saved.objects, 'object')}"
        self.stdout.write(f"{of_objects} saved for {name_days(saved.days) or 'no day'}")
        for line in more_than_kept(saved.more):
            self.stdout.write(line)
        loose = f"{counted(parsed.tied.loose_views, 'hit')} of {counted(parsed.tied.loose_paths, 'path')}"
        self.stdout.write(f"{loose} with no object")
        for remark in remarks(found):
            self.stdout.write(printable(remark))


def _left(parsed: Parsed) -> list[str]:
    """Return why days or objects were left unchanged."""
    hint = "has the address of a page changed since? --replace accepts fewer hits"
    losses = [f"objects would lose hits, left unchanged: {loss} ({hint})" for loss in parsed.losses]
    return [*days_left(parsed.counted, parsed.fewer, f"is a log missing? {ONLY_RULES}"), *losses]


def _how_to_take(option: Option) -> dict[str, Any]:
    """Return argparse's arguments for an option that sets a rule."""
    if option.kind is bool:
        return {"action": BooleanOptionalAction}
    if option.metavar and option.metavar.startswith("["):
        return {"metavar": option.metavar.strip("[]"), "nargs": "?", "const": "all", "action": "append"}
    return {"metavar": option.metavar, "action": "append" if option.kind == list[str] else "store"}


def _figures(parsed: Parsed) -> dict[str, object]:
    saved = parsed.saved
    return parsed.counted.figures() | {
        "days": list(map(str, saved.days)),
        "kept_before": {str(each.day): each.kept for each in saved.more},
        "objects": parsed.objects,
        "hits_of_objects": parsed.tied.views.total(),
        "paths_without_object": parsed.tied.loose_paths,
        "hits_without_object": parsed.tied.loose_views,
        "errors": parsed.resolver.failed,
        "warnings": said_of(parsed.counted, _left(parsed)),
    }


def _text(path: bytes) -> str:
    return printable(path.decode("utf-8", "backslashreplace"))

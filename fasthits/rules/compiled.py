"""The rules made ready for the core: how it reads lines of each format, which it counts, and their final paths."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from fasthits._parse import LINE_BYTES, HitTable, LineRules, parse_line, parse_lines
from fasthits.errors import UsageError
from fasthits.formats.detection import detect
from fasthits.formats.directives import Kind
from fasthits.formats.format import Format
from fasthits.formats.json_ltsv_w3c import LTSV, NAMES_COLUMNS, W3C
from fasthits.formats.jsonlines import core_names
from fasthits.formats.named import JSON, NAMES, find_format
from fasthits.records import replace
from fasthits.rules.memo import remember
from fasthits.rules.paths import final_path
from fasthits.rules.rules import NOT_FOUND_STATUSES, STATIC_ENDINGS, Rules

DETECTED_LINES = 100
"""The format of a log is detected from this many lines."""
REMEMBERED_AGENTS = 1 << 12

Keepers = Mapping[str, Callable[[bytes], bytes | None]]
"""Functions that map a referer to the text to keep, or None, by the name of their table: see `LineRules`."""
NO_KEEPERS: Keepers = {}


class Need(NamedTuple):
    """A field that an option needs. *otherwise* is another remedy than to log it."""

    kind: Kind
    option: str
    otherwise: str = ""


_ENDINGS = tuple(ending.encode() for ending in STATIC_ENDINGS)

ASSUMED = NAMES["combined"]
"""Format assumed when detection fails."""


class CompiledRules:
    """The rules, with the core's form of them for each log format. Threads that count at the same time share it.

    Raises UsageError if the format lacks a field that a rule needs.
    """

    def __init__(self, rules: Rules, keepers: Keepers = NO_KEEPERS) -> None:
        self.rules = rules
        self.log_format = None if rules.format == "auto" else find_format(rules.format)
        """The format of all logs; None if each log's format is to be detected."""
        self.keepers = keepers
        self._verdict = _verdict(rules) if rules.looks_at_agents else None
        self._line_rules: dict[Format, LineRules] = {}
        self._field_rules: dict[Format, LineRules] = {}
        self._alike: dict[str, LineRules] = {}
        self._ways: dict[Format, tuple[Format, ...]] = {}
        self._judge = final_path(rules)
        self._json = replace(JSON, names=tuple(core_names(rules.json_fields)))
        if self.log_format:
            self.check(self.log_format)
        if rules.json_fields and self.log_format not in (None, JSON):
            raise UsageError("--json-fields needs JSON lines", rules.format, "--format json")

    def check(self, log_format: Format) -> None:
        """Raise UsageError if *log_format* lacks a field that a rule needs."""
        for need in self.needs():
            log_format.require(*need)

    def needs(self) -> Iterator[Need]:
        """Yield the fields that the rules need, which a format may lack."""
        rules = self.rules
        if rules.by_host:
            yield Need("vhost", "--by-host")
        if "statuses" in rules.pages:
            yield Need("status", "--pages", "without --pages any status counts")
        elif rules.statuses is not None:
            yield Need("status", "--status")
        if rules.not_found == "apart":
            yield Need("status", "--not-found apart")
        if "bots" in rules.pages:
            yield Need("user_agent", "--pages", "to count bots, too: --bots count")
        for option, given in (
            ("--exclude-bots", rules.bots == "exclude"),
            ("--bots apart", rules.bots == "apart"),
            ("--include-agent", rules.include_agents),
            ("--exclude-agent", rules.exclude_agents),
        ):
            if given:
                yield Need("user_agent", option)
        if self.keepers:
            yield Need("referer", "--referrers")

    def checked(self, log_format: Format | None) -> Format:
        """Return *log_format*, or ASSUMED for None. Raises UsageError if it lacks a field that a rule needs."""
        if log_format:
            self.check(log_format)
        return log_format or ASSUMED

    def detect(self, head: bytes, ended: bool) -> Format | None:
        """Return the format of the first lines in *head* that have a known one; None if no line has.

        *ended* says that the log ends with the head. If not, a last line without its newline is incomplete and is left
        out, unless it is the only line.
        """
        if self.log_format:
            return self.log_format
        lines = head.split(b"\n")
        lines = lines if ended else lines[:-1] or lines
        return _format_of(lines[:DETECTED_LINES]) or _format_of(self._known_among(lines[DETECTED_LINES:]))

    def _known_among(self, lines: list[bytes]) -> list[bytes]:
        """Return DETECTED_LINES lines, from the first on that can be read: before it are those of another program."""
        found = parse_lines(b"\n".join(lines), self.field_rules(ASSUMED)) if lines else ()
        for at, (line, fields) in enumerate(zip(lines, found, strict=False)):
            if fields or line.startswith(NAMES_COLUMNS):
                return lines[at : at + DETECTED_LINES]
        return []

    def ways(self, log_format: Format) -> tuple[Format, ...]:
        """Return the formats in which the lines of a log of *log_format* are read, in this order.

        Its own format is the first. If formats are detected, JSON and the other named formats follow that have the
        fields of the rules; a format whose lines another one reads already is left out. If all lines are JSON, the
        others only read the lines that a JSON line wraps.
        """
        if not log_format.parts:
            log_format = self._json
        if log_format not in self._ways:
            further: list[Format] = []
            if self.log_format is None or log_format == self._json:
                known = [way for other in NAMES.values() if self._can_read(other) for way in other.ways]
                further = [replace(way, only_wrapped=self.log_format is not None) for way in (self._json, *known)]
            elif log_format != W3C:
                further = [replace(self._json, only_wrapped=True)]  # finds objects that are glued to lines
            found: dict[str, Format] = {}
            for way in (*log_format.ways, *further):
                found.setdefault(_shape(way), way)
            self._ways[log_format] = tuple(found.values())
        return self._ways[log_format]

    def _can_read(self, log_format: Format) -> bool:
        if not log_format.parts or log_format == W3C:
            return False
        try:
            self.check(log_format)
        except UsageError:
            return False
        return True

    def line_rules(self, log_format: Format) -> LineRules:
        """Return the core's rules for lines of *log_format*. Formats that the core reads in the same way share one
        object."""
        if known := self._line_rules.get(log_format):
            return known
        readings = [way.reading() for way in self.ways(log_format)]
        if not self.rules.by_host:
            for reading in readings:
                reading["host_end"] = None
        made = self._alike.setdefault(repr(readings), self._line_rules_of(readings))
        return self._line_rules.setdefault(log_format, made)

    def _line_rules_of(self, readings: list[dict[str, Any]]) -> LineRules:
        rules = self.rules
        return LineRules(
            methods=[method.encode() for method in rules.methods],
            statuses=rules.statuses,
            keep_query=bool(rules.keep_query),
            by_host=rules.by_host,
            verdict=self._verdict,
            apart=rules.bots == "apart",
            referers=self.keepers,
            not_found=NOT_FOUND_STATUSES if rules.not_found == "apart" else (),
            static_endings=_ENDINGS if rules.exclude_static and rules.knows_hours else (),
            is_static=self._is_static,
            rewrites=rules.decode or rules.fold_slash or rules.fold_session,
            ways=readings,
        )

    def _is_static(self, path: bytes) -> bool:
        return self._judge(b"- " + path if self.rules.by_host else path)[1] == "static"

    def field_rules(self, log_format: Format) -> LineRules:
        """Return the object with which `parse_line` and `find_fields` read lines of *log_format* as counting does."""
        if log_format not in self._field_rules:
            self._field_rules[log_format] = field_rules(self.ways(log_format))
        return self._field_rules[log_format]

    def finish(self, raw: HitTable, rejected: Counter[str]) -> HitTable:
        """Return the rows of *raw* under their final paths; rows whose paths become equal add up.

        Hits whose path the rules reject are added to *rejected*, by reason. The result is *raw* itself if no rule looks
        at paths. Otherwise *raw* is left empty. The result has its hours, unless globs choose paths: nobody knows when
        the hits of the other paths were.
        """
        if not self.rules.looks_at_paths:
            return raw
        final = HitTable(rules=self.line_rules(ASSUMED))
        self._finish_rows(raw, final, rejected)
        for day, hours in raw.take_hours().items():
            if self.rules.knows_hours:
                final.add_hours(day, hours)
        if raw.bots is not None and final.bots is not None:
            self._finish_rows(raw.bots, final.bots, rejected)
        for name, rows in raw.by_referer.items():
            for day, row, views in rows.rows():
                key, newline, kept = row.partition(b"\n")
                path = self.final_path(key)
                if path and len(path) + len(newline + kept) <= LINE_BYTES:
                    final.by_referer[name].add(day, path + newline + kept, views)
        raw.drain()
        return final

    def _finish_rows(self, raw: HitTable, final: HitTable, rejected: Counter[str]) -> None:
        for day, key, views in raw.rows():
            if path := self.final_path(key, rejected, views):
                final.add(day, path, views)

    def final_path(self, key: bytes, rejected: Counter[str] | None = None, views: int = 0) -> bytes | None:
        """Return the path of a raw key, cut to what a row can hold; None if the rules reject it.

        The *views* of a rejected key are added to *rejected*, by reason.
        """
        path, reason = self._judge(key)
        if reason is None:
            return path[:LINE_BYTES]
        if rejected is not None:
            rejected[reason] += views
        return None


def _shape(log_format: Format) -> str:
    """Return the parts that decide whether a line is of *log_format*."""
    reading = log_format.reading()
    names = reading["names"], reading["anchored"], reading["closed"], reading["absolute"]
    return repr((names, reading["steps"][: reading["needed"]]))


def _format_of(lines: list[bytes]) -> Format | None:
    """Return the format of the first of *lines* that has a known one."""
    if any(line.startswith(NAMES_COLUMNS) for line in lines):
        return W3C
    return detect(lines) or (LTSV if any(parse_line(line, field_rules((LTSV,))) for line in lines) else None)


@lru_cache
def field_rules(ways: tuple[Format, ...], guesses: bool = False) -> LineRules:
    """Return what `parse_line` and `find_fields` need to read lines in these *ways*, tried in their order."""
    return LineRules(ways=[way.reading() for way in ways], guesses=guesses)


def _verdict(rules: Rules) -> Callable[[bytes], int]:
    from fasthits.rules.bots import agent_verdict

    # Each hit table remembers verdicts itself; this memory is for all threads.
    return remember(agent_verdict(rules), REMEMBERED_AGENTS)

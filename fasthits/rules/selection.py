"""Rules at work on logs: counters that keep to them, the format of each log, and paths as the rules want them."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from fasthits._parse import LINE_BYTES, HitTable, LineRules
from fasthits.errors import UsageError
from fasthits.rules.formats import JSON, NAMES, Format, detect, parse_format
from fasthits.rules.memo import remember
from fasthits.rules.paths import final_path
from fasthits.rules.rules import Rules

DETECTED_LINES = 100
"""How many lines of a log tell its format."""
REMEMBERED_AGENTS = 1 << 12

Keepers = Mapping[str, Callable[[bytes], bytes | None]]
"""What is kept of a referer, by the name of the table where it stands in a row behind the path: see `LineRules`."""
NO_KEEPERS: Keepers = {}

ASSUMED = NAMES["combined"]
"""The format of lines that have none that is known."""


class Lines(Protocol):
    """What takes the lines of one log."""

    def feed(self, block: bytes | memoryview, /) -> None:
        """Count the lines of *block*, which may begin and end anywhere in a line."""

    def finish(self) -> None:
        """Count the last line, if it has no newline: the input ends here."""


class Selection:
    """What counts by some rules; shared by all that count at the same time.

    Raises UsageError for rules that want what their format does not have.
    """

    def __init__(self, rules: Rules, keepers: Keepers = NO_KEEPERS) -> None:
        self.rules = rules
        self.log_format = None if rules.format == "auto" else parse_format(rules.format)
        """The format of all logs, None where it is to be detected."""
        self._keepers = keepers
        self._verdict = _verdict(rules) if rules.looks_at_agents else None
        self._line_rules: dict[str, LineRules] = {}
        self._judge = final_path(rules)
        if self.log_format:
            self.check(self.log_format)
        if rules.json_fields and self.log_format not in (None, JSON):
            raise UsageError("--json-fields needs JSON lines", rules.format, "--format json")

    def check(self, log_format: Format) -> None:
        """Raise UsageError where *log_format* lacks what the rules look at."""
        rules = self.rules
        if rules.by_host:
            log_format.require("vhost", "--by-host")
        if rules.statuses is not None:
            log_format.require("status", "--status")
        for option, given in (
            ("--exclude-bots", rules.bots == "exclude"),
            ("--bots apart", rules.bots == "apart"),
            ("--include-agent", rules.include_agents),
            ("--exclude-agent", rules.exclude_agents),
        ):
            if given:
                log_format.require("user_agent", option)
        if self._keepers:
            log_format.require("referer", "--referrers")

    def checked(self, log_format: Format | None) -> Format:
        """Return *log_format*, or ASSUMED for None. Raises UsageError for one that lacks what the rules look at."""
        if log_format:
            self.check(log_format)
        return log_format or ASSUMED

    def detect(self, head: bytes, ended: bool) -> Format | None:
        """Return the format of a log that begins with *head*; None if no line of the head has a known format.

        *ended* says that the log ends there. If it does not, a last line without its newline goes on behind the head,
        so it tells nothing, unless it is all there is.
        """
        if self.log_format:
            return self.log_format
        lines = head.split(b"\n")
        return detect((lines if ended else lines[:-1] or lines)[:DETECTED_LINES])

    def line_rules(self, log_format: Format) -> LineRules:
        """Return the rules for lines of *log_format*: the same for all formats that are read alike."""
        rules = self.rules
        reading = (log_format if log_format.parts else NAMES["vhost_combined"]).reading()
        if not rules.by_host:
            reading.pop("host_end", None)
        return self._line_rules.setdefault(
            repr(reading),
            LineRules(
                methods=[method.encode() for method in rules.methods],
                statuses=rules.statuses,
                keep_query=bool(rules.keep_query),
                by_host=rules.by_host,
                verdict=self._verdict,
                apart=rules.bots == "apart",
                referers=self._keepers,
                **reading,  # type: ignore[arg-type]  # it is made for this
            ),
        )

    def lines_into(self, counter: HitTable, log_format: Format) -> Lines:
        """Return what takes lines of *log_format* for *counter*, which has the rules for it."""
        if log_format.parts:
            return counter
        from fasthits.rules.jsonlines import JsonLines

        return JsonLines(counter, self.rules.json_fields)

    def finish(self, raw: HitTable, rejected: Counter[str]) -> HitTable:
        """Return the rows of *raw* under their final paths, where rows that become equal add up.

        Hits that the rules do not want for their path are added to *rejected*, by reason. *raw* has no rows any more,
        unless it is the result. That has the share of *raw*: its rows are those that have come of that share.
        """
        if not self.rules.looks_at_paths:
            return raw
        final = HitTable(rules=self.line_rules(ASSUMED))
        final.share = raw.share
        self._finish_rows(raw, final, rejected)
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
        """Return the path of a raw key, as much of it as a row takes; None, with its views in *rejected*, for one that
        the rules do not want."""
        path, reason = self._judge(key)
        if reason is None:
            return path[:LINE_BYTES]
        if rejected is not None:
            rejected[reason] += views
        return None


def _verdict(rules: Rules) -> Callable[[bytes], int]:
    from fasthits.rules.bots import agent_verdict

    # Each counter remembers its own verdicts; this is for those of several threads.
    return remember(agent_verdict(rules), REMEMBERED_AGENTS)

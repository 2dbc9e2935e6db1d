"""Checks of the log files: that they exist, can be read, and have all of yesterday, and that their clock is this
machine's."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta

from fasthits._parse import HitTable, parse_lines
from fasthits.daily.days import ONE_DAY, file_name
from fasthits.daily.logs.logfiles import LogFile, Segment
from fasthits.daily.logs.sources import Sources
from fasthits.display import some_of
from fasthits.errors import LogFileError, StoreError, UsageError
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.config import CONFIG
from fasthits.rules.guidance import lacking, left_out, main_reason, shown
from fasthits.rules.timestamps import detect_format, timestamps
from fasthits.rules.unreadable import why_unreadable
from fasthits.upkeep.doctor.verdicts import Finding, Setup, Verdict

SAMPLE_BYTES = 1 << 18
SAMPLE_LINES = 1000
PARSED_SHARE = 0.9
NAMED_FILES = 3
SHOWN_CHARACTERS = 200
"""Most characters that a finding shows of a line."""
AHEAD = timedelta(minutes=1)
"""A log may be ahead of this machine's clock by this much."""
NAME_LOGS = "name the web server's log with --logs, such as --logs /var/log/apache2/access.log"
READABLE = "let the user read it: setfacl, as fasthits conf prints it, or usermod -aG GROUP-OF-THE-FILE USER"


def found(setup: Setup, today: date) -> str:
    """Say which files the rollup will read for yesterday, and that they have the whole day."""
    yesterday = today - ONE_DAY
    files = files_of(setup, yesterday)
    if not files and files_of(setup, today):
        text = f"no file {file_name(setup.logs[0], yesterday)} yet, but one of today"
        raise Finding(text, "wait until tomorrow for the first rollup, or name older files with --logs", Verdict.WARN)
    for each in _files_of(setup, today):
        if not sample(each):
            raise Finding(
                f"log file is empty: {each.name}", f"look whether the web server writes to it, or {NAME_LOGS}"
            )
    _check_whole(setup, yesterday, today)
    return some_of([each.name for each in files], NAMED_FILES)


def _check_whole(setup: Setup, day: date, today: date) -> None:
    """Raise Finding unless the logs have all of *day*, as a rollup judges it."""
    compiled = CompiledRules(setup.rules)
    sources = Sources(setup.logs, [day], compiled)
    ends = {}
    for each in sources.files:
        log_format = compiled.log_format or sources.formats[each] or ASSUMED
        if times := list(timestamps(sample(each, at_end=True), log_format, compiled)):
            ends[each] = max(times)
    judged = sources.judge(ends, today, datetime.now().astimezone())
    for gap in judged.gaps.get(day, []):
        text = f"{day} is not whole, so the rollup will leave it out: {gap.text}"
        raise Finding(text, gap.hint or "fasthits rollup --partial counts what is there")
    for names in judged.missing_servers.values():
        remedy = "check that these servers logged then, and that their files are in place"
        raise Finding(f"some logs have no line of {day}: {', '.join(names)}", remedy, Verdict.WARN)


def parsed(setup: Setup, today: date) -> str:
    """Say the format of the log, and how many of its lines parse."""
    log_file = _files_of(setup, today)[0]
    lines = sample(log_file)
    compiled = CompiledRules(setup.rules)
    log_format = detect_format(lines, compiled)
    hit_table = HitTable(rules=compiled.line_rules(log_format))
    hit_table.feed(b"\n".join(lines))
    hit_table.finish()
    good = hit_table.lines - hit_table.malformed
    if good < len(lines) * PARSED_SHARE or not good:
        number = hit_table.examples[0][0] if hit_table.examples else 1
        line = (lines or [b""])[number - 1]
        advice = why_unreadable(line, setup.rules)
        text = f"{len(lines) - good} of the first {len(lines)} lines cannot be read: {advice.misses[0]}: "
        also = f"; write it into {CONFIG}, too" if "--" in advice.remedy else ""
        remedy = f"{advice.remedy}{also}; fasthits explain {log_file.name} says more"
        raise Finding(f"{text}{log_file.name}:{number}: {shown(line, SHOWN_CHARACTERS)}", remedy)
    try:
        compiled.check(log_format)
    except UsageError as error:
        raise Finding(f"{error.failed}: {error.subject}", error.hint) from error
    rejected = Counter[str]()
    compiled.finish(hit_table, rejected)
    filtered = Counter(hit_table.filtered) + rejected
    if reason := main_reason(hit_table.hits - rejected.total(), filtered):
        advice = left_out(reason, compiled, [(log_format, b"\n".join(lines))])
        most = f"one rule filters {filtered[reason]} of them ({reason})"
        text = f"no hits in the first {len(lines)} lines, {most}: {advice.misses[0]}"
        raise Finding(text, advice.remedy, Verdict.WARN)
    if lack := lacking(compiled, log_format, parse_lines(b"\n".join(lines), compiled.field_rules(log_format))):
        raise Finding(lack.misses[0], lack.remedy, Verdict.WARN)
    return f"{log_format.name}, {good} of {len(lines)} lines parse"


def clock(setup: Setup, today: date) -> str:
    """Say that the log uses this machine's clock and time zone."""
    file = _newest(setup, today)
    compiled = CompiledRules(setup.rules)
    lines = sample(file, at_end=True)
    log_format = detect_format([*lines, *sample(file)], compiled)  # W3C's columns have their names at the beginning
    stamp = next(timestamps(reversed(lines), log_format, compiled), None)
    if not stamp:
        raise Finding(f"no line to read the time from: {file.name}", NAME_LOGS)
    here = stamp.astimezone()
    if stamp.utcoffset() != here.utcoffset():
        text = f"different time zones: {stamp:%z} in the log, {here:%z} here, which decides what today is"
        raise Finding(text, "set the same TZ for the web server and fasthits, or timedatectl set-timezone ZONE")
    if stamp > datetime.now().astimezone() + AHEAD:
        raise Finding(
            f"the log is ahead of this machine's clock: {stamp}", "timedatectl set-ntp true, on both machines"
        )
    return f"{here:%z} in both, last line at {stamp:%Y-%m-%d %H:%M:%S}"


def sample(log_file: LogFile, at_end: bool = False) -> list[bytes]:
    """Return the first or the last lines of a log file; a compressed file is read to its end for these.

    Raises Finding for a pipe or a device.
    """
    if log_file.size is None:
        raise Finding(f"not a file, so it cannot be looked at: {log_file.name}", NAME_LOGS)
    segment = (log_file.segments() or [Segment(log_file, 0, 0)])[-1 if at_end else 0]
    if at_end and segment.stop is not None:
        segment = Segment(log_file, max(0, segment.stop - SAMPLE_BYTES), segment.stop)
    text = b""
    with _permission_told():
        for block in segment.blocks(bytearray(SAMPLE_BYTES), lambda size: None):
            text = (text + block)[-SAMPLE_BYTES:]
            if not at_end:
                break
    lines = text.removesuffix(b"\n").split(b"\n") if text else []  # CR alone ends no line
    return lines[-SAMPLE_LINES:] if at_end else lines[:SAMPLE_LINES]


def files_of(setup: Setup, day: date) -> list[LogFile]:
    """Return the files that can hold lines of *day*, those named for it first; none if one of them cannot be opened.

    Raises Finding for files that the user may not read.
    """
    try:
        with _permission_told():
            files = list(Sources(setup.logs, [day], CompiledRules(setup.rules)).files)
            for each in files:
                if each.size is not None:
                    with each.opened():
                        pass
            return files
    except StoreError:
        raise
    except LogFileError:
        return []


@contextmanager
def _permission_told() -> Iterator[None]:
    """Raise Finding, with a command that gives the permission, for a file or a folder that the user may not read."""
    try:
        yield
    except LogFileError as error:
        if isinstance(error.__cause__, PermissionError):
            raise Finding(f"{error.failed}: {error.subject} (Permission denied)", READABLE) from error
        raise


def _newest(setup: Setup, today: date) -> LogFile:
    """Return today's log if it has lines, else yesterday's: the file that was written last."""
    files = [each for each in files_of(setup, today) if sample(each)]
    return max(files or _files_of(setup, today), key=lambda each: each.modified)


def _files_of(setup: Setup, today: date) -> list[LogFile]:
    """Return yesterday's log files, or today's if yesterday has no log files."""
    for day in (today - ONE_DAY, today):
        if files := files_of(setup, day):
            return files
    raise LogFileError("no log file", ", ".join(file_name(pattern, today - ONE_DAY) for pattern in setup.logs))

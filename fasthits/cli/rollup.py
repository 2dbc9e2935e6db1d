"""``fasthits rollup``: the nightly batch."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fasthits.cli.options import Logs
from fasthits.cli.output import counted, progress_bar, say
from fasthits.days import DEFAULT_LOGS, name_days, parse_days
from fasthits.display import printable
from fasthits.errors import TableError

if TYPE_CHECKING:
    from fasthits.rollup import Summary


def rollup(
    days: Annotated[
        str,
        typer.Argument(
            metavar="[DATE]", help="YYYY-MM-DD, yesterday, today, or A..B with both ends in.", show_default=True
        ),
    ] = "yesterday",
    logs: Logs = DEFAULT_LOGS,
    to: Annotated[
        str,
        typer.Option(
            metavar="TARGET",
            envvar="FASTHITS_TO",
            help="What is written: *.db, *.sqlite, *.sqlite3, *.csv, or - for CSV.",
        ),
    ] = "hits.db",
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the summary there, as JSON.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="How many threads count.", show_default="one a processor")
    ] = None,
) -> None:
    """Reduce a day's log to its views per path, in SQLite or CSV.

    \b
        fasthits rollup 2026-03-12
        fasthits rollup 2026-03-01..yesterday --logs '/srv/*/log/%Y-%m-%d.log' --to hits.csv
        zcat old.log.gz | fasthits rollup 2026-03-12 --logs - --to -

    A day's rows replace those of that day, so that running it again changes nothing. Hits count for the date that
    stands in their line; those that ended after midnight are found in the next day's file.
    """
    from fasthits.rollup import roll_up
    from fasthits.tables import open_table

    table = open_table(to)
    wanted = parse_days(days, date.today())
    with progress_bar() as progress:
        result = roll_up(wanted, logs, table, threads, progress)
    _print_summary(result, wanted, to)
    if summary is not None:
        _write_summary(result, summary)


def _print_summary(result: "Summary", wanted: list[date], target: str) -> None:
    found, counter = result.counted, result.counted.counter
    if found.missing:
        say(f"no log file, left as it was: {name_days(found.missing)}")
    elif not found.days:
        seen = sorted(counter.days_seen)
        there = f"they are of {name_days(seen)}" if seen else "there is none at all"
        say(f"no line of {name_days(wanted)}, nothing replaced: {there}")
    speed = found.bytes / result.seconds / 1e9
    lines, files = counted(counter.lines, "line"), counted(found.files, "file")
    say(f"{lines} of {files}, {found.bytes / 1e6:,.1f} MB in {result.seconds:.2f} s ({speed:.2f} GB/s)")
    reasons = ", ".join(f"{reason} {lines:,}" for reason, lines in counter.filtered.items())
    width = len(f"{counter.lines:,}")
    typer.echo(f"  {counter.hits:>{width},} hits", err=True)
    typer.echo(f"  {sum(counter.filtered.values()):>{width},} filtered{f' ({reasons})' * bool(reasons)}", err=True)
    typer.echo(f"  {counter.malformed:>{width},} malformed{', such as' * bool(found.examples)}", err=True)
    for example in found.examples:
        head = printable(example.head.decode("utf-8", "backslashreplace"))[:60]
        typer.echo(f"  {'':{width}}   {printable(example.file)}:{example.line}: {head}", err=True)
    if found.days:
        where = "standard output" if target == "-" else target
        typer.echo(f"  {counted(result.rows, 'row')} for {name_days(found.days)} in {printable(where)}", err=True)


def _write_summary(result: "Summary", file: Path) -> None:
    import json

    from fasthits.tables import replacing

    counter = result.counted.counter
    figures = {
        "files": result.counted.files,
        "bytes": result.counted.bytes,
        "lines": counter.lines,
        "hits": counter.hits,
        "filtered": counter.filtered,
        "malformed": counter.malformed,
        "seconds": result.seconds,
    }
    try:
        special = file.exists() and not file.is_file()  # such as /dev/stderr
        with file.open("w") if special else replacing(file.resolve()) as new:
            json.dump(figures, new, indent=2)
            new.write("\n")
    except OSError as error:
        raise TableError("cannot write summary", file, error.strerror or "") from error

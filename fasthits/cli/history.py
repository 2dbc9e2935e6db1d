"""``fasthits history`` and ``fasthits most-read``: the days that rollups have kept."""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fasthits.cli.options import DEFAULT_DATABASE, AsCsv, AsJson, Database, Limit, NumberOfDays
from fasthits.cli.output import say
from fasthits.daily.days import name_days
from fasthits.display import printable
from fasthits.errors import UsageError
from fasthits.live.keys import PATH_STARTS

if TYPE_CHECKING:
    from fasthits.daily.history import PathHistory


def history(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Paths as in the log, without the query: /news/")
    ],
    days: NumberOfDays = 30,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Print how often each PATH was read on past days: views, views a day, a bar for each day, the path.

    \b
        fasthits history / /news/
        fasthits history /news/ --days 365 --csv

    Past days are the days that `fasthits rollup` has kept. `--csv` prints date, path and views, with a row for each day
    on which somebody read the path.
    """
    from fasthits.daily.history import History

    _check(as_json, as_csv)
    for path in paths:
        if not path.startswith(PATH_STARTS):
            raise UsageError("not a PATH", repr(path), "a path begins with /, such as /news/")
    kept = History(Path(database))
    asked = [os.fsencode(path).decode("utf-8", "backslashreplace") for path in paths]
    with kept.at_one_moment():
        wanted = kept.last_days(days)
        rows = kept.paths(list(dict.fromkeys(asked)), wanted)
    _print(rows, wanted, as_json, as_csv)


def most_read(
    days: NumberOfDays = 7,
    limit: Limit = 20,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Print the most read paths of past days: views, views a day, a bar for each day, the path.

    \b
        fasthits most-read
        fasthits most-read --days 365 --limit 100 --json

    Past days are the days that `fasthits rollup` has kept. `--csv` prints date, path and views, with a row for each day
    on which somebody read the path.
    """
    from fasthits.daily.history import History

    _check(as_json, as_csv)
    kept = History(Path(database))
    with kept.at_one_moment():
        wanted = kept.last_days(days)
        last = kept.range_of(days)
        rows = kept.paths([each.path for each in kept.most_read(last, limit).paths], wanted) if last else []
    _print(rows, wanted, as_json, as_csv)


def _check(as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise UsageError("choose one of these options", "--json, --csv")


def _print(rows: "Sequence[PathHistory]", days: Sequence[date], as_json: bool, as_csv: bool) -> None:
    if as_json:
        _print_json(rows, days)
    elif as_csv:
        _print_csv(rows, days)
    else:
        _print_table(rows, days)


def _print_table(rows: "Sequence[PathHistory]", days: Sequence[date]) -> None:
    from fasthits.display import sparkline

    if not days:
        say("nothing is kept yet: fasthits rollup fills the database")
        return
    typer.echo(f"{name_days(days)}\n{'views':>12}  {'a day':>9}  {'':{len(days)}}  path")
    for row in rows:
        average = row.views / len(days)
        typer.echo(f"{row.views:>12,}  {average:>9,.1f}  {sparkline(row.by_day)}  {printable(row.path)}")


def _print_json(rows: "Sequence[PathHistory]", days: Sequence[date]) -> None:
    import json

    named = [str(day) for day in days]
    paths = [
        {"path": row.path, "views": row.views, "by_day": dict(zip(named, row.by_day, strict=True))} for row in rows
    ]
    typer.echo(json.dumps({"from": named[0], "to": named[-1], "paths": paths} if named else {"paths": []}, indent=2))


def _print_csv(rows: "Sequence[PathHistory]", days: Sequence[date]) -> None:
    import sys

    from fasthits.daily.csvfiles import write_csv

    write_csv(
        sys.stdout.buffer,
        ("date", "path", "views"),
        ((str(day), row.path, views) for row in rows for day, views in zip(days, row.by_day, strict=True) if views),
    )

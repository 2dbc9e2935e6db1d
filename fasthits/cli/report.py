"""``fasthits report``: the past days as one file."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fasthits.cli.options import DEFAULT_DATABASE, Database, NumberOfDays
from fasthits.cli.output import say
from fasthits.display import counted
from fasthits.errors import TableError
from fasthits.signals import ended_by_signals


@ended_by_signals()
def report(
    days: NumberOfDays = 30,
    to: Annotated[
        str, typer.Option(metavar="FILE", help="The HTML file to write; - is standard output.")
    ] = "report.html",
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Paths in the list of the most read.")
    ] = 50,
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Write an HTML file with a chart of past days and the most read paths, to mail or to keep.

    \b
        fasthits report --days 90 --to march.html

    The file has no script and loads nothing.
    """
    from fasthits.daily.atomic import check_start, replacing
    from fasthits.daily.history import History
    from fasthits.daily.report import DOCTYPE, Report

    kept = History(Path(database))
    with kept.at_one_moment():
        last = kept.range_of(days)
        if last is None:
            raise TableError("nothing is kept yet", database, "fasthits rollup fills it")
        site = [views or 0 for views in kept.site(last)]
        most_read = kept.paths([each.path for each in kept.most_read(last, limit).paths], last.days)
        wanted, found = last.days, Report(last.days, site, most_read, datetime.now().astimezone())
    page = found.html()
    if to == "-":
        sys.stdout.write(page)
        sys.stdout.flush()
        return
    try:
        check_start(Path(to), DOCTYPE.encode())
        with replacing(Path(to)) as (file,):
            file.write(page.encode())
    except OSError as error:
        raise TableError("cannot write report", to, error.strerror or str(error)) from error
    say(f"{counted(len(wanted), 'day')} in {to}")

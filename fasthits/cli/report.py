"""``fasthits report``: the past days as an HTML file."""

import sys
from pathlib import Path
from typing import Annotated

from fasthits.cli.declare import Option
from fasthits.cli.options import (
    DEFAULT_DATABASE,
    Database,
    Host,
    PagesOnly,
    RangeOfDays,
    choose_days,
    number_of_days_option,
)
from fasthits.cli.output import say
from fasthits.display import counted
from fasthits.errors import TableError, UsageError
from fasthits.signals import ended_by_signals


@ended_by_signals()
def report(
    days: Annotated[int | None, number_of_days_option(30)] = None,
    dates: RangeOfDays = None,
    to: Annotated[str, Option(metavar="FILE", help="The HTML file to write; - is standard output.")] = "report.html",
    limit: Annotated[int, Option(metavar="N", min=1, max=10_000, help="Paths in the list of the most read.")] = 50,
    host: Host = None,
    pages_only: PagesOnly = False,
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Write an HTML file with a chart of past days and the most read paths, to mail or to keep.

    \b
        fasthits report --date 2026-03 --to march.html

    The file has no script and loads nothing. If the database has referrers and search terms, it shows them, too. A day
    that is not kept is a gap in the chart and does not count for the average.
    """
    from fasthits.daily.atomic import write_whole
    from fasthits.daily.past.documents import Pages
    from fasthits.daily.past.history import History
    from fasthits.daily.past.report import DOCTYPE, Report

    if to.endswith("/"):
        raise UsageError("not a file", to, f"name the report with --to {to}report.html")
    kept = History(database)
    with kept.at_one_moment():
        chosen = choose_days(kept, days, dates, 30)
        found = Report.of(kept, chosen, Pages(host=host, pages=pages_only), limit)
    page = found.html()
    if to == "-":
        sys.stdout.write(page)
        sys.stdout.flush()
        return
    try:
        write_whole(Path(to), page.encode(), DOCTYPE.encode())
    except OSError as error:
        hint = "make its folder, or name another file with --to FILE" if isinstance(error, FileNotFoundError) else ""
        raise TableError("cannot write report", to, hint, reason=error.strerror or str(error)) from error
    say(f"{counted(found.site['kept_days'], 'day')} in {to}")

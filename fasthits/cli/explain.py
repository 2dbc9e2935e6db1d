"""``fasthits explain``: why lines count, or do not."""

from typing import Annotated

import typer

from fasthits.cli.completion import complete_day
from fasthits.cli.options import takes_rules
from fasthits.daily.days import parse_day
from fasthits.display import printable
from fasthits.rules.rules import Rules


@takes_rules
def explain(
    rules: Rules,
    log_file: Annotated[str, typer.Argument(metavar="LOGFILE", help="A log, compressed or not; - is standard input.")],
    lines: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[LINE]...", min=1, help="Numbers of lines; without them one line of each kind is shown."
        ),
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(
            "--date",
            metavar="DATE",
            help="Count the hits of this day alone, as rollup does.",
            autocompletion=complete_day,
        ),
    ] = None,
) -> None:
    """Print how lines of a log are read, and why each of them counts or does not.

    \b
        fasthits explain access.log
        fasthits explain access.log 17 1204 --exclude-bots
    """
    from datetime import date

    from fasthits.rules.selection import Selection
    from fasthits.upkeep import explain as library

    only = parse_day(day, date.today()) if day else None
    for each in library.explain(log_file, Selection(rules), lines or (), only):
        typer.echo(
            f"{printable(log_file)}:{each.number}: {each.bucket}: {printable(each.why)} ({each.log_format.name})"
        )
        width = max((len(name) for name, _ in each.fields), default=0)
        for name, text in [("", each.line)] if not each.fields else each.fields:
            typer.echo(f"    {name:{width}}  {printable(text.decode('utf-8', 'backslashreplace'))}")

"""``fasthits explain``: why lines count or do not."""

from typing import Annotated

from fasthits.cli.completion import complete_day
from fasthits.cli.declare import Argument, Option
from fasthits.cli.options import takes_rules
from fasthits.cli.output import echo
from fasthits.daily.days import parse_day
from fasthits.display import printable
from fasthits.rules.rules import Rules


@takes_rules
def explain(
    rules: Rules,
    log_file: Annotated[str, Argument(metavar="LOGFILE", help="Log file, compressed or not. - is standard input.")],
    lines: Annotated[
        list[int] | None,
        Argument(metavar="[LINE]...", min=1, help="Line numbers. Default: one line of each kind."),
    ] = None,
    day: Annotated[
        str | None,
        Option(
            "--date",
            metavar="DATE",
            help="Count only hits of this day, as rollup does.",
            autocompletion=complete_day,
        ),
    ] = None,
) -> None:
    """Show why lines of a log count or do not, and how fasthits reads them.

    \b
        fasthits explain access.log
        fasthits explain access.log 17 1204 --exclude-bots
        tail -n 1 access.log | fasthits explain -

    For a line that fasthits cannot read, it shows where the nearest log formats fail, the keys of JSON, and what to
    type. The exit code is 1 if fasthits can read no line of the log.
    """
    from datetime import date

    from fasthits.rules.compiled import CompiledRules
    from fasthits.rules.guidance import shown
    from fasthits.upkeep import explain as library

    only = parse_day(day, date.today()) if day else None
    for each in library.explain(log_file, CompiledRules(rules), lines or (), only):
        echo(f"{printable(log_file)}:{each.number}: {each.bucket}: {printable(each.why)} ({each.log_format.name})")
        width = max((len(name) for name, _ in each.fields), default=0)
        for name, text in [("", each.line)] if not each.fields else each.fields:
            echo(f"    {name:{width}}  {shown(text)}")
        for line in each.advice:
            echo(f"    {line}")

"""``fasthits history`` and ``fasthits most-read``: the days that rollups have kept."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

from fasthits.cli.declare import Argument, Option
from fasthits.cli.options import (
    DEFAULT_DATABASE,
    AsCsv,
    AsJson,
    Database,
    Host,
    Limit,
    PagesOnly,
    RangeOfDays,
    choose_days,
    number_of_days_option,
)
from fasthits.cli.output import as_kept, echo, say
from fasthits.cli.tables import (
    Line,
    change,
    print_days,
    print_heading,
    print_hours,
    print_lines,
    print_ranking,
    range_of,
)
from fasthits.daily.days import Range
from fasthits.display import as_sent, counted
from fasthits.errors import UsageError
from fasthits.live.keys import PATH_STARTS
from fasthits.rules.paths import part_host

if TYPE_CHECKING:
    from fasthits.daily.past.documents import Days, Document, Pages
    from fasthits.daily.past.history import History

SOURCES = 10
"""Referrers and search terms to print."""
CANDIDATES = 2000
"""The number of most read paths to compare a misspelt path with."""


def history(
    paths: Annotated[
        list[str] | None,
        Argument(
            metavar="[PATH]...",
            help="Paths as the rollup keeps them: /news/, with --keep-query /?page=2, with --by-host //HOST/news/; "
            "'/blog/*' is the sum of all paths that begin with /blog/. Default: all paths together.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[int | None, number_of_days_option(30)] = None,
    dates: RangeOfDays = None,
    host: Host = None,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Print how often the site, or each PATH, was read on past days.

    \b
        fasthits history
        fasthits history /news/ --date 2026-11
        fasthits history / '/blog/*' --days 365 --csv

    Shows the site, or a single PATH, day by day. Several PATHs get a line each: views, views a day, bars, the path.
    Past days are the days that `fasthits rollup` has kept. A day that is not kept is shown as · or left out, and does
    not count for the average. `--csv` prints a row for each kept day.
    """
    from fasthits.daily.past.documents import Pages, history_document
    from fasthits.daily.past.history import History

    _check(as_json, as_csv)
    asked = [_pages(path, host) for path in dict.fromkeys(paths or [])] or [Pages(host=host)]
    kept = History(database)
    with kept.at_one_moment():
        chosen = choose_days(kept, days, dates, 30)
        found = [history_document(kept, chosen, each) for each in asked]
        if as_json:
            _print_json(found if len(found) > 1 else found[0])
        elif as_csv:
            _print_csv((_name_of(each), each) for each in found)
        elif _something_kept(kept, found[0]):
            _print_table(found)
            if len(found) == 1:
                _print_hours(kept, found[0])
                _print_sources(kept, chosen, asked[0])
        unread = [each for each in found if _key_of(each) and each["kept_days"] and not each["total"]]
        notes = [_why_unread(kept, each) for each in unread]
    for note in notes:
        say(note)


def _print_table(found: "Sequence[Document]") -> None:
    if len(found) == 1:
        print_heading(found[0], _name_of(found[0]))
        print_days(found[0])
    else:
        print_heading(found[0])
        print_lines(found[0], [Line(_name_of(each), each["total"], each["views"]) for each in found])


def most_read(
    section: Annotated[
        str,
        Argument(metavar="[SECTION]", help="Only paths that begin so: '/blog/*'. Default: all.", show_default=False),
    ] = "",
    days: Annotated[int | None, number_of_days_option(7)] = None,
    dates: RangeOfDays = None,
    limit: Limit = 20,
    by_rise: Annotated[
        bool, Option("--by-rise", help="Sort by the rise in views, compared with the days before.")
    ] = False,
    host: Host = None,
    pages_only: PagesOnly = False,
    database: Database = DEFAULT_DATABASE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Print the most read paths of past days: views, their share, views a day, the change, bars, the path.

    \b
        fasthits most-read
        fasthits most-read --date 2026-11 --exclude-static
        fasthits most-read '/blog/*' --days 365 --limit 100 --json

    Past days are the days that `fasthits rollup` has kept. A day that is not kept does not count for the average. The
    change compares views a day with the same number of days before. `--csv` prints a row for each path and kept day.
    """
    from fasthits.daily.past.documents import Pages, Part, most_read_document
    from fasthits.daily.past.history import History

    _check(as_json, as_csv)
    if section and not section.startswith(PATH_STARTS):
        raise UsageError("not a SECTION", repr(section), "it begins with /, such as '/blog/*'")
    asked = Pages(None, as_kept(section.removesuffix("*")) or None, host, pages_only)
    kept = History(database)
    with kept.at_one_moment():
        chosen = choose_days(kept, days, dates, 7)
        found = most_read_document(kept, chosen, asked, Part(limit), sort="rise" if by_rise else "views", by_day=True)
        if as_json:
            _print_json(found)
        elif as_csv:
            _print_csv((each["path"], {**found, "views": each["by_day"]}) for each in found["paths"])
        elif _something_kept(kept, found):
            print_heading(found, section)
            print_lines(found, list(_ranked_lines(found)), ("share", "change") if found["before"] else ("share",))
            _print_sources(kept, chosen, asked)
            if not found["paths"] and (asked.prefix or "").endswith("/"):
                say(_why_unread(kept, {"path": None, "prefix": asked.prefix, "host": host}))


def _ranked_lines(found: "Document") -> "Iterator[Line]":
    for each in found["paths"]:
        cells = [f"{each['share']:.1%}".replace("%", " %")]
        if before := found["before"]:
            cells.append(change(each["views"], found["kept_days"], each["before"], before["kept_days"]))
        yield Line(each["path"], each["views"], each["by_day"], tuple(cells))


def _print_hours(kept: "History", found: "Document") -> None:
    """Print the views by hour, if the user asked for one day of the whole site, and its hours are kept."""
    if found["from"] != found["to"] or _name_of(found):
        return
    if hours := kept.hours(range_of(found).first):
        print_hours(hours)


def _print_sources(kept: "History", chosen: "Days", asked: "Pages") -> None:
    """Print where most readers came from, what they searched for, what bots read and what was not found, if kept."""
    from fasthits.daily.past.documents import (
        Part,
        bots_document,
        hosts_document,
        not_found_document,
        read_by_bots_document,
        referrers_document,
        searches_document,
    )

    if not (asked.host or asked.key):
        hosts = hosts_document(kept, chosen)["rows"]
        print_ranking("hosts", [(each["views"], each["host"]) for each in hosts[:SOURCES]])
    referrers = referrers_document(kept, chosen, asked, Part(SOURCES))["rows"]
    print_ranking("came from", [(each["views"], each["referrer"]) for each in referrers])
    searches = searches_document(kept, chosen, asked, Part(SOURCES))["rows"]
    print_ranking("searched for", [(each["views"], f"{each['terms']}  ({each['engine']})") for each in searches])
    bots = bots_document(kept, chosen, asked)["total"]
    if bots is not None:
        echo(f"\n{counted(bots, 'view')} more by bots")
    if bots and asked.path is None:
        rows = read_by_bots_document(kept, chosen, asked, Part(SOURCES))["rows"]
        print_ranking("read by bots", [(each["views"], each["path"]) for each in rows])
    if asked.path is None:
        rows = not_found_document(kept, chosen, asked, Part(SOURCES))["rows"]
        print_ranking("not found", [(each["views"], each["path"]) for each in rows])


def _check(as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise UsageError("choose one of these options", "--json, --csv")


def _pages(path: str, host: str | None) -> "Pages":
    from fasthits.daily.past.documents import Pages

    if not path.startswith((*PATH_STARTS, "#")):
        raise UsageError("not a PATH", repr(path), "a path begins with /, such as /news/")
    kept = as_kept(path)
    if kept.endswith("*") and not kept.endswith("/*"):
        raise UsageError("not a section", repr(path), f"a section ends in /*: '{kept.rstrip('*/')}/*'")
    return Pages(prefix=kept[:-1], host=host) if kept.endswith("*") else Pages(kept, host=host)


def _name_of(found: "Document") -> str:
    """Return the path or section as the live counters name it; nothing for all paths of all hosts."""
    key = _key_of(found)
    return f"//{found['host']}{key or '/*'}" if found["host"] else key


def _key_of(found: "Document") -> str:
    """Return the path or section without its host; nothing for all paths."""
    return found["path"] or (f"{found['prefix']}*" if found["prefix"] is not None else "")


def _something_kept(kept: "History", found: "Document") -> bool:
    if found["newest"] is None:
        say(f"the database is empty (fill it: fasthits rollup --to {kept.name})")
    return found["newest"] is not None


def _why_unread(kept: "History", found: "Document") -> str:
    """Return a note on a path or section that nobody read on the chosen days."""
    from fasthits.daily.past.documents import EVERYTHING, Days, Part, most_read_document

    path, host, days = _key_of(found), found["host"], kept.days
    whole = Range(days[0], days[-1])
    for day, views in zip(reversed(whole.days), reversed(kept.by_day(path, whole, host)), strict=True):
        if views:
            return f"not read on these days: {path} (it was on {day}: --date {day}..)"
    if not path.isascii() and any(kept.by_day(sent := as_sent(path), whole, host)):
        return f"never read: {path} (but {sent} was: browsers send it so)"
    shorter = path.partition("?")[0] if "?" in path else part_host(path)[1] if path.startswith("//") else path
    if shorter not in ("", path) and any(kept.by_day(shorter, whole, host)):
        hint = ": a query counts only with --keep-query" if "?" in path else ""
        return f"never read: {path} (but {shorter} was{hint})"
    if path.endswith("/*"):
        sections = [section for section, _ in kept.sections(whole, path.count("/") - 1, CANDIDATES, host=host)]
        return f"never read: {path}" + _suggestion(get_close_matches(path, sections, 1))
    everything = Days(first=whole.first, last=whole.last)
    stem = path.rstrip("/").rpartition("/")[2].partition(".")[0]
    found_by_name = most_read_document(kept, everything, EVERYTHING, Part(CANDIDATES), stem)["paths"] if stem else []
    found_by_views = most_read_document(kept, everything, EVERYTHING, Part(CANDIDATES))["paths"]
    candidates = [each["path"] for each in (*found_by_name, *found_by_views)]
    return f"never read: {path}" + _suggestion(get_close_matches(path, candidates, 1))


def _suggestion(near: "Sequence[str]") -> str:
    return f" (did you mean {near[0]}?)" if near else " (fasthits most-read lists paths)"


def _print_json(document: object) -> None:
    import json

    echo(json.dumps(document, indent=2))


def _print_csv(found: "Iterable[tuple[str, Document]]") -> None:
    """Print a row for each path and kept day; the whole site has no path."""
    from fasthits.daily.csv.files import write_csv

    rows = [
        (str(day), *([name] if name else []), views)
        for name, document in found
        if document["newest"]
        for day, views in zip(range_of(document).days, document["views"], strict=True)
        if views is not None
    ]
    columns = ("date", "views") if rows and len(rows[0]) == 2 else ("date", "path", "views")
    write_csv(sys.stdout.buffer, columns, rows)

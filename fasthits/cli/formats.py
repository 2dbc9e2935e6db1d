"""``fasthits formats``: the named log formats."""

import shutil
import sys
import textwrap

from fasthits.cli.options import AsJson
from fasthits.cli.output import echo
from fasthits.display import printable

INDENT = "    "
MIN_COLUMNS = 40


def formats(as_json: AsJson = False) -> None:
    """List the named log formats: what writes each, and an example line.

    fasthits detects these formats. With --format NAME it reads this format only.

    \b
        fasthits formats
        fasthits rollup --format haproxy
        fasthits formats --json | jq -r '.[].name'
    """
    from fasthits.formats.named import FORMATS

    if as_json:
        import json

        rows = [
            {"name": row.name, "writer": row.writer, "example": row.example}
            | {"strings": [*row.strings, *row.closed], "source": row.source}
            for row in FORMATS.values()
        ]
        echo(json.dumps(rows, indent=2))
        return
    width = max(map(len, FORMATS))
    for row in FORMATS.values():
        echo(_folded(f"{row.name:{width}}  {row.writer}", " " * (width + 2)))
        echo(_folded(INDENT + printable(row.example), INDENT))


def _folded(text: str, indent: str) -> str:
    """Return *text* folded to the width of the terminal; unchanged if the output is not a terminal."""
    if not sys.stdout.isatty():
        return text
    columns = max(shutil.get_terminal_size().columns, MIN_COLUMNS)
    return textwrap.fill(text, columns, subsequent_indent=indent, break_on_hyphens=False)

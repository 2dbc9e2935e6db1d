"""Lines that options count differently, a rollup of them, and what it has written."""

import csv
import io
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

from fasthits.rules.rules import Rules
from tests.support.commands import fasthits, write
from tests.support.reference import Counts

DAY = date(2026, 3, 12)
TIME = b"[12/Mar/2026:10:00:00 +0100]"
GOOGLEBOT = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def line(
    target: bytes, *, method: bytes = b"GET", status: bytes = b"200", agent: bytes = b"Mozilla/5.0",
    referer: bytes = b"-", host: bytes = b"o.example:443", user: bytes = b"-",
) -> bytes:  # fmt: skip
    fields = (host, user, TIME, method, target, status, referer, agent)
    return b'%b 2001:db8::7 - %b %b "%b %b HTTP/1.1" %b 5 "%b" "%b"\n' % fields


HOSTILE = b"".join(
    [
        *(
            line(target)
            for target in (b"/", b"/a", b"/a/", b"/a/index.html", b"/%61", b"/a?b=1&utm_source=x", b"/a?", b"*")
        ),
        *(
            line(target)
            for target in (b"/site.CSS", b"/x.js?v=3", b"/a.css/b", b"/private/x", b"/blog/2026", b"/b/../a")
        ),
        *(
            line(target)
            for target in (rb"/caf\xc3\xa9", b"/caf%C3%A9", b"/caf%c3%a9", b"/caf\xc3\xa9", rb"/\"q\"", b"/%zz", b"")
        ),
        *(
            line(target)
            for target in (b"http://o.example/a?b=2", b"HTTP://o.example/", b"//a", b"/a,b", b"/a?b=1?c=2&b=3")
        ),
        *(line(b"/a", method=method) for method in (b"HEAD", b"POST", b"get", b"-")),
        *(line(b"/a", status=status) for status in (b"304", b"404", b"500", b"20", b"999")),
        *(line(b"/a", agent=agent) for agent in (GOOGLEBOT, b"curl/8.0", b"-", b"", rb"Google\"bot", b"\xff")),
        *(line(b"/a", host=host) for host in (b"O.EXAMPLE:80", b"p.example:80", b"-", b"o/x:80", b"[::1]:80", b"[::1")),
        *(line(b"/a", user=user) for user in (b"jo [doe", b'jo "doe', TIME, b"a:b")),
        line(b"/a")[:40] + b"\n",
        b"\n# a comment\n",
        line(b"/a").replace(b"\n", b"\r\n"),
        line(b"/b").replace(b"12/Mar", b"11/Mar"),
        line(b"/end").rstrip(),
    ]
)


def rows_of(text: bytes) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(text.decode(), newline=""))
    return header, rows


def roll_up(
    tmp_path: Path, *options: str, data: bytes = HOSTILE, to: str = "-", code: int = 0, **env: str
) -> tuple[bytes, str]:
    """Roll the day up, and return the output of both streams."""
    write(tmp_path / "access.log", data)
    done = fasthits("rollup", str(DAY), "--logs", "access.log", "--to", to, *options, cwd=tmp_path, **env)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr.decode()


def by_text(counts: Counts) -> dict[str, int]:
    """Return the views of a day by path."""
    return {path.decode(): views for (_, path), views in counts.views.items()}


OF_PAGES = Rules(statuses=frozenset([*range(200, 300), 304]), exclude_static=True, bots="exclude")


def read(file: Path, columns: str, table: str = "hits") -> list[tuple[str, ...]]:
    """Return the rows of a table in any kind of target, as texts."""
    if file.suffix == ".csv":
        header, rows = rows_of(file.read_bytes())
        assert header == columns.split(", ")
        return [tuple(row) for row in rows]
    with closing(sqlite3.connect(file)) as database:
        cursor = database.execute(f"SELECT * FROM {table}")
        assert [name for name, *_ in cursor.description] == columns.split(", ")
        return [tuple(map(str, row)) for row in cursor]


JSON = b"".join(
    b'{"time_iso8601":"2026-03-12T10:00:00+01:00","request":"GET %b HTTP/2.0","status":%b,"http_user_agent":"%b"}\n'
    % each
    for each in ((b"/a", b"200", b"Mozilla/5.0"), (b"/a?b", b"404", b"Mozilla/5.0"), (b"/b", b"200", GOOGLEBOT))
)

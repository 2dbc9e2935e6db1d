"""The columns and tables that options add: hosts, bots, paths not found, referrers, searches."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fasthits.daily.layouts import hits_layout, referrers_layout
from fasthits.daily.rollup import roll_up as count_up
from fasthits.daily.targets.opening import open_target
from fasthits.formats.named import NAMES
from fasthits.records import replace
from fasthits.rules.rules import NOT_FOUND_STATUSES, STATUSES, Rules
from tests.daily.rollup.support import DAY, GOOGLEBOT, HOSTILE, OF_PAGES, by_text, line, read, roll_up, rows_of
from tests.support.commands import fasthits, write
from tests.support.reference import count


def test_hosts_get_a_column(tmp_path: Path) -> None:
    stdout, _ = roll_up(tmp_path, "--by-host", "--fold-slash")
    expected = by_text(count(HOSTILE, [DAY], Rules(by_host=True, fold_slash=True), NAMES["vhost_combined"]))
    header, rows = rows_of(stdout)
    assert header == ["date", "host", "path", "views"]
    assert {f"//{host}{path}": int(views) for _, host, path, views in rows} == expected
    assert {"o.example", "p.example", "-", "o%2Fx", "[::1]"} <= {host for _, host, _, _ in rows}


@pytest.mark.parametrize("target", ["hits.csv", "hits.db"])
def test_bots_get_a_column_and_no_views(target: str, tmp_path: Path) -> None:
    roll_up(tmp_path, "--bots", "apart", to=target)
    rows = read(tmp_path / target, "date, path, views, bots")
    people = by_text(count(HOSTILE, [DAY], Rules(bots="exclude"), NAMES["vhost_combined"]))
    everyone = by_text(count(HOSTILE, [DAY], Rules(), NAMES["vhost_combined"]))
    assert {path: int(views) for _, path, views, _ in rows if int(views)} == people
    assert {path: int(views) + int(bots) for _, path, views, bots in rows} == everyone


@pytest.mark.parametrize("target", ["hits.csv", "hits.db"])
@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ([], Rules()),
        (["--pages"], OF_PAGES),
        (["--bots", "apart", "--referrers"], Rules(bots="exclude")),
        (["--fold-slash", "--keep-query"], Rules(fold_slash=True, keep_query=True)),
        (["--exclude-path", "/c*"], Rules(exclude_paths=("/c*",))),
    ],
    ids=["any status", "pages", "bots apart", "queries", "paths"],
)
def test_paths_not_found_get_a_table_and_no_views(
    options: list[str], rules: Rules, target: str, tmp_path: Path
) -> None:
    missing = [
        line(path, status=status, agent=agent, referer=b"https://x.example/")
        for path in (b"/gone", b"/wp-login.php?a=1", b"/x.png", b"/dir/", b"/caf", b"http://o.example/abs")
        for status in (b"404", b"410", b"403", b"200")
        for agent in (b"Mozilla/5.0", GOOGLEBOT)
    ]
    missing += [
        line(b"/post", method=b"POST", status=b"404"),
        line(b"/old", status=b"404").replace(b"12/Mar", b"11/Mar"),
    ]
    data = HOSTILE + b"\n" + b"".join(missing)
    _, stderr = roll_up(tmp_path, "--not-found", "apart", *options, data=data, to=target)
    kept = replace(rules, statuses=(rules.statuses or STATUSES) - NOT_FOUND_STATUSES)
    columns = "date, path, views, bots" if "apart" in options else "date, path, views"
    views = {row[1]: int(row[2]) for row in read(tmp_path / target, columns) if int(row[2])}
    assert views == by_text(count(data, [DAY], kept, NAMES["vhost_combined"]))
    expected = by_text(count(data, [DAY], replace(rules, statuses=NOT_FOUND_STATUSES), NAMES["vhost_combined"]))
    file = tmp_path / target.replace(".csv", ".not_found.csv")
    found = {path: int(number) for _, path, number in read(file, "date, path, views", "not_found")}
    assert found == expected
    assert expected
    filtered = count(data, [DAY], kept, NAMES["vhost_combined"]).filtered
    assert f"status {filtered['status']:,}" in stderr


REFERERS = [
    (b"/a", b"https://www.google.com/search?q=Caf%C3%A9+Paris&hl=en"),
    (b"/a", b"https://www.google.com/search?q=caf%C3%A9++paris"),
    (b"/a/", b"https://Other.Example:8080/p/%7ea?x#y"),
    (b"/b", b"https://other.example/p/~a"),
    (b"/b", b"https://o.example/b"),
    (b"/b", b"https://www.o.example/b"),
    (b"/b", b"-"),
    (b"/b", b"javascript:alert(1)"),
    (b"/b", rb"https://evil.example/\x1b[2J\",=1+1"),
    (b"/x.css", b"https://other.example/"),
]
"""Of a day, with --own-host o.example and --fold-slash and --exclude-static."""

SITES = [
    ("2026-03-12", "/a", "other.example", "1"),
    ("2026-03-12", "/a", "www.google.com", "2"),
    ("2026-03-12", "/b", "evil.example", "1"),
    ("2026-03-12", "/b", "other.example", "1"),
]
PAGES = [
    ("2026-03-12", "/a", "https://other.example/p/~a", "1"),
    ("2026-03-12", "/a", "https://www.google.com/search", "2"),
    ("2026-03-12", "/b", "https://evil.example/%1B[2J%22,=1+1", "1"),
    ("2026-03-12", "/b", "https://other.example/p/~a", "1"),
]
TERMS = [("2026-03-12", "/a", "Google", "caf\u00e9 paris", "2")]


@pytest.mark.parametrize("target", ["hits.csv", "hits.db"])
@pytest.mark.parametrize(("option", "expected"), [([], SITES), (["full"], PAGES)], ids=["site", "full"])
def test_referrers_and_searches_get_their_own_tables(
    target: str, option: list[str], expected: list[tuple[str, ...]], tmp_path: Path
) -> None:
    data = b"".join(line(target, referer=referer) for target, referer in REFERERS)
    options = ["--own-host", "O.example", "--fold-slash", "--exclude-static", "--search-terms", "--referrers", *option]
    for _ in range(2):  # the second run changes nothing
        roll_up(tmp_path, *options, data=data, to=target)
        files = [tmp_path / target.replace(".csv", f"{name}.csv") for name in ("", ".referrers", ".searches")]
        assert sorted(read(files[0], "date, path, views")) == [
            ("2026-03-12", "/a", "3"), ("2026-03-12", "/b", "6"),
        ]  # fmt: skip
        assert sorted(read(files[1], "date, path, referrer, views", "referrers")) == expected
        assert read(files[2], "date, path, engine, terms, views", "searches") == TERMS


def test_referrers_can_be_kept_by_host(tmp_path: Path) -> None:
    data = line(b"/a", referer=b"https://x.example/") + line(b"/a", referer=b"https://x.example/", host=b"p.example:80")
    roll_up(tmp_path, "--by-host", "--referrers", data=data, to="hits.db")
    assert read(tmp_path / "hits.db", "date, host, path, referrer, views", "referrers") == [
        ("2026-03-12", "o.example", "/a", "x.example", "1"),
        ("2026-03-12", "p.example", "/a", "x.example", "1"),
    ]


def test_tables_of_bots_and_referrers_stay_within_the_memory_and_lose_nothing(tmp_path: Path) -> None:
    lines = (
        line(b"/%d" % (number % 9_000), referer=b"https://%d.example/?q=x" % (number % 4_001), agent=agent)
        for number in range(36_000)
        for agent in ([b"Mozilla/5.0", GOOGLEBOT] if number % 3 == 0 else [b"Mozilla/5.0"])
    )
    data = b"".join(lines)
    write(tmp_path / "access.log", data)
    wanted = Rules(bots="apart", exclude_paths=("/1*",))
    texts = []
    for to, max_bytes in (("whole.csv", None), ("parts.csv", 2 << 20), ("parts.db", 2 << 20)):
        layouts = [hits_layout(apart=True), referrers_layout()]
        keepers = {layout.name: layout.keep for layout in layouts if layout.keep}
        table = open_target(str(tmp_path / to), layouts)
        found = count_up([DAY], (str(tmp_path / "access.log"),), table, 1, None, max_bytes, wanted, keepers)
        assert bool(found.counted.spooled) == (max_bytes is not None)
        texts.append(
            [sorted(read(tmp_path / to, "date, path, views, bots")),
             sorted(read(tmp_path / to.replace(".csv", ".referrers.csv"), "date, path, referrer, views", "referrers"))]
        )  # fmt: skip
    assert texts[0] == texts[1] == texts[2]
    assert len(texts[0][1]) == sum(1 for number in range(36_000) if not str(number % 9_000).startswith("1"))


STRANGERS = b"".join(
    b'=HYPERLINK(1):80 192.0.2.7 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 '
    b'"https://www.google.com/search?q=%b" "Mozilla/5.0"\n' % terms
    for terms in (b"%3DSUM(A1:A9)", b"%2B1", b"-2%2B3", b"@A1", b"plain")
)


@pytest.mark.parametrize("by_host", [True, False])
def test_no_cell_of_csv_from_a_stranger_is_a_formula_and_sqlite_has_the_text(by_host: bool, tmp_path: Path) -> None:
    write(tmp_path / "access.log", STRANGERS)
    options = ["--referrers", "--search-terms", "--format", "vhost_combined"] + ["--by-host"] * by_host
    for to in ("hits.csv", "hits.db", "hits.csv"):
        done = fasthits("rollup", str(DAY), "--logs", "access.log", "--to", to, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    cells = [
        cell
        for file in ("hits.csv", "hits.referrers.csv", "hits.searches.csv")
        for row in rows_of((tmp_path / file).read_bytes())[1]
        for cell in row
    ]
    assert [cell for cell in cells if re.match(r"[=+\-@\t\r]", cell)] == []
    with closing(sqlite3.connect(tmp_path / "hits.db")) as database:
        kept = database.execute("SELECT terms FROM searches").fetchall()
    found = {row[-2] for row in rows_of((tmp_path / "hits.searches.csv").read_bytes())[1]}
    assert {terms for (terms,) in kept} == {cell.removeprefix("'") for cell in found}
    assert sum(cell.startswith("'") for cell in found) >= 3
    if by_host:
        assert any(cell.startswith("'=hyperlink") for cell in cells)

"""The options that say what counts: each is compared with the oracle, in tables, and in a config file."""

import csv
import io
import re
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from fasthits.daily.layouts import hits_layout, referrers_layout
from fasthits.daily.rollup import roll_up as count_up
from fasthits.daily.targets.opening import open_target
from fasthits.formats.format import Format, parse_format
from fasthits.formats.named import NAMES
from fasthits.records import replace
from fasthits.rules.config import load_config
from fasthits.rules.options import OPTIONS, make_rules
from fasthits.rules.rules import NOT_FOUND_STATUSES, STATIC_ENDINGS, STATUSES, Rules
from tests.support.commands import fasthits, hit, write
from tests.support.reference import Counts, count

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

EACH: list[tuple[list[str], Rules]] = [
    ([], Rules()),
    (["--method", "GET,POST"], Rules(methods=("GET", "POST"))),
    (["--status", "2xx,304"], Rules(statuses=frozenset([*range(200, 300), 304]))),
    (["--include-path", "/a*", "--include-path", "/blog/*"], Rules(include_paths=("/a*", "/blog/*"))),
    (["--exclude-path", "/private/*", "--exclude-path", "/a,b"], Rules(exclude_paths=("/private/*", "/a,b"))),
    (["--exclude-static"], Rules(exclude_static=True)),
    (["--keep-query"], Rules(keep_query=True)),
    (["--keep-query", "b"], Rules(keep_query=("b",))),
    (["--fold-slash"], Rules(fold_slash=True)),
    (["--fold-session"], Rules(fold_session=True)),
    (["--method", "get,Post"], Rules(methods=("GET", "POST"))),
    (["--decode"], Rules(decode=True)),
    (["--exclude-bots"], Rules(bots="exclude")),
    (["--bots", "exclude"], Rules(bots="exclude")),
    (["--pages"], OF_PAGES),
    (["--pages", "--method", "GET,POST", "--bots", "count"], replace(OF_PAGES, methods=("GET", "POST"), bots="count")),
    (["--include-agent", "Mozilla", "--include-agent", "curl/*"], Rules(include_agents=("Mozilla", "curl/*"))),
    (["--exclude-agent", "CURL"], Rules(exclude_agents=("CURL",))),
    (["--format", "vhost_combined", "--decode", "--no-decode"], Rules()),
    (
        ["--exclude-bots", "--exclude-static", "--status", "200", "--fold-slash", "--decode", "--keep-query", "b,a"],
        Rules(
            bots="exclude",
            exclude_static=True,
            statuses=frozenset([200]),
            fold_slash=True,
            decode=True,
            keep_query=("b", "a"),
        ),
    ),
]


@pytest.mark.parametrize(("options", "rules"), EACH, ids=[" ".join(options) for options, _ in EACH])
def test_each_option_counts_what_the_oracle_counts(options: list[str], rules: Rules, tmp_path: Path) -> None:
    stdout, stderr = roll_up(tmp_path, *options)
    expected = count(HOSTILE, [DAY], rules, NAMES["vhost_combined"])
    header, rows = rows_of(stdout)
    assert header == ["date", "path", "views"]
    assert {path: int(views) for _, path, views in rows} == by_text(expected)
    reasons = {word.split()[0] for word in stderr.split("filtered (")[1].split(")")[0].split(", ")}
    assert reasons == set(expected.filtered)
    assert f"{expected.lines} lines of 1 file (vhost_combined)" in stderr
    assert f"{expected.hits} hits" in stderr
    assert f"{expected.malformed} malformed" in stderr


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


JSON = b"".join(
    b'{"time_iso8601":"2026-03-12T10:00:00+01:00","request":"GET %b HTTP/2.0","status":%b,"http_user_agent":"%b"}\n'
    % each
    for each in ((b"/a", b"200", b"Mozilla/5.0"), (b"/a?b", b"404", b"Mozilla/5.0"), (b"/b", b"200", GOOGLEBOT))
)
FORMATS: list[tuple[str, bytes, Format]] = [
    ("json", JSON, NAMES["json"]),
    ("short", b"o.example %b GET /a 200\no.example %b GET /b 404\nbad\n" % (TIME, TIME), NAMES["short"]),
    (
        "%{%Y-%m-%d}t %>s %m %U%q",
        b"2026-03-12 200 GET /a?b\n2026-03-11 200 GET /a\n2026-03-12 404 GET /b\n",
        parse_format("%{%Y-%m-%d}t %>s %m %U%q"),
    ),
    (
        "$time_iso8601 $request_method $request_uri $status",
        b"2026-03-12T10:00:00+01:00 GET /a?b 200\n2026-03-12T10:00:00+01:00 HEAD /b 404\n",
        parse_format("$time_iso8601 $request_method $request_uri $status"),
    ),
]


@pytest.mark.parametrize(("text", "data", "log_format"), FORMATS, ids=[text for text, _, _ in FORMATS])
def test_a_format_is_named_pasted_or_detected(text: str, data: bytes, log_format: Format, tmp_path: Path) -> None:
    rules = Rules(statuses=frozenset([200]))
    expected = by_text(count(data, [DAY], rules, log_format))
    for option in (["--format", text], []):
        known = bool(option) or text in NAMES
        stdout, stderr = roll_up(tmp_path, "--status", "200", *option, data=data, code=not known)
        if known:
            assert {path: int(views) for _, path, views in rows_of(stdout)[1]} == expected
            assert f"({log_format.name})" in stderr
        assert "lines of 1 file" in stderr


def test_no_format_is_named_for_a_log_of_an_unknown_format(tmp_path: Path) -> None:
    _, stderr = roll_up(tmp_path, data=b"2026-03-12 10:00:00 GET /a 200\n", code=1)
    assert "1 line of 1 file, 0.0 MB" in stderr
    assert "1 malformed" in stderr


def test_files_of_several_formats_are_counted_together(tmp_path: Path) -> None:
    for number, (_, data, _) in enumerate(FORMATS[:2]):
        write(tmp_path / f"{number}.log", data * 100)
    write(tmp_path / "2.log", HOSTILE * 10)
    done = fasthits("rollup", str(DAY), "--logs", "*.log", "--to", "-", "--exclude-static", cwd=tmp_path)
    parts = [(JSON * 100, NAMES["json"]), (FORMATS[1][1] * 100, NAMES["short"]), (HOSTILE * 10, NAMES["combined"])]
    views: dict[str, int] = {}
    for data, log_format in parts:
        for path, number in by_text(count(data, [DAY], Rules(exclude_static=True), log_format)).items():
            views[path] = views.get(path, 0) + number
    assert {path: int(number) for _, path, number in rows_of(done.stdout)[1]} == views
    assert b"of 3 files (json and short and vhost_combined)" in done.stderr


def test_the_command_line_overrides_the_config_file(tmp_path: Path) -> None:
    write(tmp_path / "rules.toml", b'status = "404"\nexclude-static = true\nbots = "apart"\nmethod = ["GET", "HEAD"]\n')
    plain, _ = roll_up(tmp_path, "--method", "GET,HEAD", "--exclude-bots", "--status", "200,404", "--exclude-static")
    for given in (["--config", "rules.toml"], []):
        stdout, _ = roll_up(
            tmp_path,
            "--status",
            "200,404",
            "--exclude-bots",
            *given,
            **({} if given else {"FASTHITS_CONFIG": "rules.toml"}),
        )
        assert stdout == plain
    stdout, _ = roll_up(tmp_path, "--config", "rules.toml", "--no-exclude-static")
    assert stdout.startswith(b"date,path,views,bots\n")


@pytest.mark.parametrize("newline", [b"\n", b""])
def test_a_field_that_lines_on_standard_input_lack_is_an_error(newline: bytes, tmp_path: Path) -> None:
    data = line(b"/a").removeprefix(b"o.example:443 ").rstrip() + newline
    done = fasthits("rollup", str(DAY), "--logs", "-", "--to", "hits.csv", "--by-host", stdin=data, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"fasthits: --by-host needs a log format with the virtual host: ")
    assert not (tmp_path / "hits.csv").exists()


def test_every_option_is_a_key_of_the_file_and_in_the_help(tmp_path: Path) -> None:
    help_texts = [
        fasthits(command, "--help").stdout.decode() for command in ("rollup", "log", "check", "warm", "explain")
    ]
    for shown in help_texts:
        assert all(f"--{name}" in shown for name in [*OPTIONS, "config"])
        assert all(ending in shown for ending in STATIC_ENDINGS)
    assert make_rules(load_config(write(tmp_path / "x.toml", b"keep-query = true\n"))).keep_query is True


EXAMPLES = {
    "format": '%h %l %u %t "%r" %>s %b',
    "json-fields": "path=request.uri",
    "pages": "--pages --method GET,POST",
    "method": "GET,POST",
    "status": "200,304",
    "not-found": "apart",
    "include-path": "/blog/*",
    "exclude-path": "/admin/*",
    "exclude-static": ".css",
    "keep-query": "page,lang",
    "fold-slash": "/page/index.html",
    "fold-session": "/page;jsessionid=1F2A",
    "decode": "/%7Ea",
    "exclude-bots": "Googlebot",
    "bots": "apart",
    "include-agent": "Mozilla/*",
    "exclude-agent": "UptimeRobot",
    "by-host": "//example.org/a",
}


def test_a_rule_that_is_given_twice_counts_both_values(tmp_path: Path) -> None:
    lines = (hit(f"/{status}").replace(b" 200 ", b" %d " % status) for status in (200, 304, 404))
    write(tmp_path / "access.log", *lines)
    rollup = ("rollup", "2026-03-12", "--logs", "access.log", "--partial", "--to", "-")
    for options in (["--status", "200", "--status", "304"], ["--status", "200,304"]):
        done = fasthits(*rollup, *options, cwd=tmp_path)
        assert done.stdout == b"date,path,views\n2026-03-12,/200,1\n2026-03-12,/304,1\n"


def test_the_help_of_every_rule_has_an_example_that_works() -> None:
    assert EXAMPLES.keys() == OPTIONS.keys()
    for name, option in OPTIONS.items():
        assert EXAMPLES[name] in option.help
        option.read(name, True if option.kind is bool else EXAMPLES[name])


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--referrers"], 2, "standard output takes only one table: referrers (name a file"),
        (["--search-terms"], 2, "standard output takes only one table: searches"),
        (["--own-host", "x"], 2, "--own-host needs --referrers: x"),
        (
            ["--to", "x.db", "--referrers", "--own-host", "*.o.example"],
            2,
            "not a host: '*.o.example' (try --own-host o.example)",
        ),
        (["--bots", "some"], 2, "invalid bots: 'some' (choose one of count, exclude, apart"),
        (["--not-found", "some"], 2, "invalid not-found: 'some' (choose one of count, apart)"),
        (["--not-found", "apart"], 2, "standard output takes only one table: not_found (name a file"),
        (
            ["--to", "x.db", "--not-found", "apart", "--format", "%t %m %U"],
            2,
            "--not-found apart needs a log format with",
        ),
        (["--exclude-bots", "--bots", "apart"], 2, "exclude-bots contradicts bots: apart"),
        (["--status", "20"], 2, "invalid status: '20'"),
        (["--format", "ncsa"], 2, "no such log format: 'ncsa'"),
        (["--format", "%t %r %v %m"], 1, "none of 57 lines can be read, left unchanged: 2026-03-12 (tried as %t "),
        (["--pages", "--format", "common"], 2, "--pages needs a log format with the user agent: "),
        (["--pages", "--include-path", "*.css"], 2, "pages contradicts include-path: *.css"),
        (["--format", "common", "--exclude-bots"], 2, "--exclude-bots needs a log format with the user agent"),
        (["--json-fields", "time=ts"], 0, ""),
        (["--config", "no.toml"], 2, "cannot read config file: no.toml"),
        (["--config", "bad.toml"], 2, "unknown key in line 2 of bad.toml: statuss (did you mean status?)"),
        (["--to", "hits.csv", "--by-host"], 1, "not a CSV file of fasthits: "),
        (
            ["--to", "hits.db", "--by-host"],
            1,
            "these options make a table hits (date, host, path, views), but the file has (date, path, views)",
        ),
        (
            ["--to", "hits.db", "--bots", "apart"],
            1,
            "these options make a table hits (date, path, views, bots), but the",
        ),
        (
            ["--to", "refs.db", "--referrers"],
            1,
            "these options make a table referrers (date, path, referrer, views), but",
        ),
    ],
)
def test_mistakes_are_one_clear_line_and_change_nothing(
    options: list[str], code: int, message: str, tmp_path: Path
) -> None:
    write(tmp_path / "access.log", HOSTILE)
    write(tmp_path / "bad.toml", b"decode = true\nstatuss = 200\n")
    write(tmp_path / "hits.csv", b"date,path,views\n2026-03-12,/old,1\n")
    for name, table in (("hits.db", "hits"), ("refs.db", "referrers")):
        with closing(sqlite3.connect(tmp_path / name)) as database:
            database.execute(
                f"CREATE TABLE {table}(date TEXT, path TEXT, views INTEGER, PRIMARY KEY (date, path)) WITHOUT ROWID"
            )
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    to = [] if "--to" in options else ["--to", "-"]
    done = fasthits("rollup", str(DAY), "--logs", "access.log", *to, *options, cwd=tmp_path)
    assert done.returncode == code
    if code:
        said = done.stderr.decode().splitlines()
        assert said[0].startswith(f"fasthits: {message}")
        assert len(said) == 1 or " malformed" in "".join(said)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_view_of_a_page_counts_once_by_pages(tmp_path: Path) -> None:
    """A redirect from /a to /a/, and the style sheet, the favicon and the bot that follow, do not count as views."""
    data = line(b"/a", status=b"301") + line(b"/a/") + line(b"/a/", status=b"304") + line(b"/a.css")
    data += line(b"/favicon.ico", status=b"404") + line(b"/a/", agent=GOOGLEBOT) + line(b"/a/", method=b"HEAD")
    stdout, stderr = roll_up(tmp_path, "--pages", data=data)
    assert rows_of(stdout)[1] == [[str(DAY), "/a/", "2"]]
    assert "5 filtered (method 1, status 2, bot 1, static 1)" in stderr
    write(tmp_path / "rules.toml", b"pages = true\nstatus = 301\n")
    stdout, _ = roll_up(tmp_path, "--config", "rules.toml", data=data)
    assert rows_of(stdout)[1] == [[str(DAY), "/a", "1"]]
    stdout, _ = roll_up(tmp_path, "--config", "rules.toml", "--no-pages", "--status", "404", data=data)
    assert rows_of(stdout)[1] == [[str(DAY), "/favicon.ico", "1"]]


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

"""The options that say what counts: each is compared with the oracle; in a config file, in the help, mistaken."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fasthits.formats.named import NAMES
from fasthits.records import replace
from fasthits.rules.config import load_config
from fasthits.rules.options import OPTIONS, make_rules
from fasthits.rules.rules import STATIC_ENDINGS, Rules
from tests.daily.rollup.support import DAY, GOOGLEBOT, HOSTILE, OF_PAGES, by_text, line, roll_up, rows_of
from tests.support.commands import fasthits, hit, write
from tests.support.reference import count

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
        (["--format", "squid"], 1, "none of 57 lines can be read, left unchanged: 2026-03-12 (tried as squid; "),
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
    for name, table in (("hits.db", "hits"), ("refs.db", "hits"), ("refs.db", "referrers")):
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

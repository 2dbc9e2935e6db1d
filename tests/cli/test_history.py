"""`fasthits history` and `fasthits most-read`: the days that rollups have kept, as tables, JSON and CSV."""

import contextlib
import csv
import gzip
import io
import json
import re
import sqlite3
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from fasthits.daily.days import Range
from fasthits.daily.past.history import History
from fasthits.display import sparkline
from fasthits.errors import TableError, UsageError
from tests.support.commands import fasthits, hit, write

LAST = date(2026, 3, 12)
DAYS = [LAST - timedelta(days=before) for before in range(9, -1, -1)]
HOSTILE = '/<script>"quoted",\u202e\x1b[2J'


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days, from a real rollup: /a is read 0 to 9 times, /b once a day, other paths on the last day."""
    folder = tmp_path_factory.mktemp("history")
    for number, day in enumerate(DAYS):
        write(folder / f"{day}.log", hit("/a", day) * number, hit("/b", day))
    odd = [hit(HOSTILE.replace('"', r"\""), LAST), hit(b"/caf\xe9", LAST), hit("/100%_sure", LAST) * 2]
    write(folder / "odd.log", *odd)
    done = fasthits("rollup", f"{DAYS[0]}..{LAST}", "--logs", folder / "*.log", "--to", folder / "hits.db")
    assert done.returncode == 0, done.stderr
    return folder / "hits.db"


def run(database: Path, *args: str) -> str:
    done = fasthits(*args, "--database", database)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_some_paths_are_a_line_each_in_the_order_asked_for(database: Path) -> None:
    first, missing, head, *rows = run(database, "history", "/b", "/a", "/b").splitlines()
    assert first == "2026-03-03..2026-03-12, 10 days kept"
    assert missing.startswith("kept up to 2026-03-12; ")
    assert head.split() == ["views", "a", "day", "path"]
    assert rows == [
        "          10        1.0  ██████████  /b",
        f"          45        4.5  {sparkline(range(10))}  /a",
    ]


def test_a_single_day_of_the_site_is_shown_by_hour(database: Path) -> None:
    lines = run(database, "history", "--date", str(LAST)).splitlines()
    hours = [line.split()[:2] for line in lines if re.match(r"\d\d:00", line)]
    assert [hour for hour, _ in hours] == [f"{hour:02}:00" for hour in range(24)]
    assert {number for _, number in hours} == {"0", "14"}
    assert not re.search(r"\d\d:00", run(database, "history", "/a", "--date", str(LAST)))


def test_the_site_and_a_path_are_shown_day_by_day(database: Path) -> None:
    first, _, total, empty, *rows = run(database, "history", "/a").splitlines()
    assert (first, total, empty) == ("/a  2026-03-03..2026-03-12, 10 days kept", "45 views, 4.5 a day", "")
    assert len(rows) == 10
    assert rows[:2] == ["2026-03-03 Tue             0", f"2026-03-04 Wed             1  {'█' * 4}▍"]
    assert rows[-1] == f"2026-03-12 Thu             9  {'█' * 40}"
    site = run(database, "history", "--days", "2").splitlines()
    assert site[0] == "2026-03-11..2026-03-12, 2 days kept"
    assert site[2:4] == ["23 views, 11.5 a day", "2026-03-09..2026-03-10: 15 views, 7.5 a day  +53 %"]
    assert [row.split()[2] for row in site[5:]] == ["9", "14"]


def test_a_section_is_the_sum_of_its_paths(database: Path) -> None:
    document = json.loads(run(database, "history", "/*", "--days", "1", "--json"))
    assert (document["prefix"], document["path"], document["views"]) == ("/", None, [14])
    document = json.loads(run(database, "most-read", "/caf*", "--days", "1", "--json"))
    assert [each["path"] for each in document["paths"]] == [r"/caf\xe9"]
    done = fasthits("history", "/caf*", "--database", database)
    assert (done.returncode, done.stderr) == (2, b"fasthits: not a section: '/caf*' (a section ends in /*: '/caf/*')\n")


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Days that end four days before today, without the middle day: /a is read 10 times a day, /b twice."""
    folder = tmp_path_factory.mktemp("gaps")
    kept = [date.today() - timedelta(before) for before in (8, 7, 5, 4)]
    write(folder / "access.log", *(hit("/a", day) * 10 + hit("/b", day) * 2 for day in kept))
    done = fasthits(
        "rollup", f"{kept[0]}..{kept[-1]}", "--partial", "--logs", folder / "access.log", "--to", folder / "hits.db"
    )
    assert b"8 rows" in done.stderr, done.stderr
    return folder / "hits.db"


def test_a_missing_day_is_a_gap_and_not_a_day_without_readers(gaps: Path) -> None:
    first, gap, last = (date.today() - timedelta(before) for before in (8, 6, 4))
    missing = f"{gap}, {date.today() - timedelta(3)}..{date.today() - timedelta(1)}"
    kept_up_to = f"kept up to {last}; 4 days are missing: {missing}"
    lines = run(gaps, "history", "/a").splitlines()
    assert lines[:3] == [f"/a  {first}..{last}, 4 days kept", kept_up_to, "40 views, 10.0 a day"]
    assert lines[6] == f"{gap:%Y-%m-%d %a}             ·  not kept"
    lines = run(gaps, "most-read").splitlines()
    assert lines[:2] == [f"{first}..{last}, 4 days kept", kept_up_to]
    assert lines[3].split() == ["40", "83.3", "%", "10.0", "██·██", "/a"]
    document = json.loads(run(gaps, "history", "/a", "--json"))
    assert document["views"] == [10, 10, None, 10, 10]
    assert document["missing"] == [str(date.today() - timedelta(before)) for before in (6, 3, 2, 1)]
    rows = run(gaps, "history", "/a", "--csv").splitlines()[1:]
    assert [row.split(",")[2] for row in rows] == ["10"] * 4
    assert str(gap) not in "".join(rows)


def test_days_are_a_number_or_a_range(gaps: Path) -> None:
    first, second = date.today() - timedelta(8), date.today() - timedelta(7)
    for dates, days in ((f"{first}..{second}", 2), (str(second), 1), (f"{first.year}..", 8), (f"{first:%Y-%m}..", 8)):
        document = json.loads(run(gaps, "history", "--date", dates, "--json"))
        assert len(document["days"]) == days, dates
    for wrong, message in (
        (("--days", "3", "--date", "2026"), "choose one of these options: --days, --date"),
        (("--date", "March"), "not a RANGE: 'March' (2026-11-30, 2026-11, 2026, yesterday, "),
        (("--date", "2026-13"), "no such month or year: 2026-13 ("),
        (("--date", "2026-03..2026-02"), "RANGE ends before it begins: 2026-03..2026-02 (try 2026-02..2026-03)"),
        (("--from", "2026-03-01"), "no such option: --from (did you mean --date?)"),
    ):
        done = fasthits("most-read", *wrong, "--database", gaps)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
        assert done.stderr.decode().startswith(f"fasthits: {message}")
    done = fasthits("history", "--date", "2020", "--database", gaps)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"fasthits: these days are not kept: 2020 (the database has ")


def test_the_error_about_a_path_that_was_never_read_suggests_paths(database: Path) -> None:
    for asked, days, message in (
        ("/100_sure", "10", "never read: /100_sure (did you mean /100%_sure?)"),
        ("/xyzzy/plugh", "10", "never read: /xyzzy/plugh (fasthits most-read lists paths)"),
        ("/none/*", "10", "never read: /none/* (fasthits most-read lists paths)"),
        ("//example.org", "10", "never read: //example.org (fasthits most-read lists paths)"),
        ("/a?page=2", "10", "never read: /a?page=2 (but /a was: a query counts only with --keep-query)"),
    ):
        done = fasthits("history", asked, "--days", days, "--database", database)
        assert (done.returncode, done.stderr.decode()) == (0, f"fasthits: {message}\n")
        assert done.stdout.decode().splitlines()[-1] == "0 views, 0.0 a day"
    done = fasthits("history", "/100%_sure", "--date", str(DAYS[2]), "--database", database)
    words = f"not read on these days: /100%_sure (it was on {LAST}: --date {LAST}..)"
    assert (done.returncode, done.stderr.decode()) == (0, f"fasthits: {words}\n")


def test_bars_fit_the_width_and_are_weeks_when_they_must(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "hits.db")) as database:
        database.execute("CREATE TABLE hits(date TEXT, path TEXT, views INTEGER, PRIMARY KEY (date, path))")
        days = [(str(LAST - timedelta(before)), "/a", 7) for before in range(364)]
        database.executemany("INSERT INTO hits VALUES (?, ?, ?)", days)
        database.commit()
    for columns, bars, head in (("500", 364, ""), ("120", 52, "weeks"), ("60", 18, "3 weeks each")):
        done = fasthits("most-read", "--days", "364", cwd=tmp_path, COLUMNS=columns)
        lines = done.stdout.decode().splitlines()
        assert f"  {'█' * bars}  /a" in lines[-1]
        assert head in lines[-2]
        assert len(lines[-1]) <= int(columns)


@pytest.mark.parametrize("day", ["12.3.2026", 20260312])
@pytest.mark.parametrize("command", [["history", "/"], ["most-read"], ["report", "--to", "-"]])
def test_another_programs_table_is_an_error(tmp_path: Path, command: list[str], day: object) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE hits(date, path, views)")
        database.execute("INSERT INTO hits VALUES (?, '/', 1)", [day])
        database.commit()
    done = fasthits(*command, "--database", "other.db", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith("fasthits: the database has invalid dates: other.db (")
    assert b"; write dates as 2026-03-12, " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_days_end_with_the_newest_that_is_kept(database: Path) -> None:
    document = json.loads(run(database, "history", "/a", "--days", "3", "--json"))
    assert (document["path"], document["from"], document["to"]) == ("/a", "2026-03-10", "2026-03-12")
    assert (document["kept_days"], document["views"], document["total"]) == (3, [7, 8, 9], 24)
    assert [each["path"] for each in json.loads(run(database, "history", "/b", "/a", "--json"))] == ["/b", "/a"]


def test_csv_has_a_row_for_each_kept_day(database: Path) -> None:
    rows = list(csv.reader(io.StringIO(run(database, "history", "/a", "/b", "--days", "10", "--csv"))))
    assert rows[0] == ["date", "path", "views"]
    assert len(rows) == 1 + 10 + 10
    assert rows[1:3] == [["2026-03-03", "/a", "0"], ["2026-03-04", "/a", "1"]]
    assert run(database, "history", "--days", "1", "--csv") == "date,views\n2026-03-12,14\n"


def test_most_read_comes_first(database: Path) -> None:
    document = json.loads(run(database, "most-read", "--days", "1", "--json"))
    assert [(each["path"], each["views"]) for each in document["paths"]] == [
        ("/a", 9),
        ("/100%_sure", 2),
        (r"/<script>\"quoted\",‮" + "\x1b[2J", 1),
        ("/b", 1),
        (r"/caf\xe9", 1),
    ]
    assert [row.split()[-1] for row in run(database, "most-read", "--limit", "2").splitlines()[3:]] == ["/a", "/b"]


def test_a_csv_target_is_read_by_the_same_commands(tmp_path: Path) -> None:
    lines = [b"a.example:80 " + hit("/x") * 1, b"b.example:443 " + hit("/x,y")]
    log = write(
        tmp_path / "access.log", *lines, b"b.example:443 " + hit("/=1").replace(b'"-"', b'"https://o.example/"')
    )
    for target in ("hits.csv", "hits.db"):
        done = fasthits("rollup", str(LAST), "--logs", log, "--to", target, "--by-host", "--referrers", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    with contextlib.closing(sqlite3.connect(tmp_path / "hits.db")) as opened:
        opened.execute("DROP TABLE hours")  # CSV has no hashes
    for command in (["history"], ["history", "//b.example/x,y", "/x"], ["most-read"], ["most-read", "--json"]):
        of_csv, of_database = (fasthits(*command, "--database", name, cwd=tmp_path) for name in ("hits.csv", "hits.db"))
        assert (of_csv.returncode, of_csv.stdout) == (0, of_database.stdout)
        assert of_csv.stdout
    assert b"o.example" in fasthits("history", "--database", "hits.csv", cwd=tmp_path).stdout
    assert fasthits("report", "--database", "hits.csv", cwd=tmp_path).returncode == 0


def test_apostrophes_before_formulas_in_csv_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "hits.csv").write_text("date,host,path,views\n2026-03-12,'=1+1,/,3\n2026-03-12,-,/,1\n")
    done = fasthits("history", "--database", "hits.csv", cwd=tmp_path)
    assert done.stdout.decode().splitlines()[-2:] == ["           3  =1+1", "           1  -"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a CSV file of fasthits: hits.csv (its first line must be date,path,views)"),
        ("name,size\n", "not a CSV file of fasthits: hits.csv (its first line must be date,path,views)"),
        ("date,path,views\n2026-03-12,/\n", "CSV file has 2 fields, not 3, in line 2: hits.csv"),
        ("date,path,views\n2026-03-12,/a,200\n2026-03-12,/b,3", "CSV file ends within a line: hits.csv (restore a "),
        ("date,path,views", "CSV file ends within a line: hits.csv ("),
        ("date,path,views\n2026-03-12,/,many\n", "the database has invalid views: hits.csv (write views as whole "),
        ('date,path,views\n2026-03-12,/,"1,500"\n', "the database has invalid views: hits.csv (write views as whole "),
        (
            "date,path,views\n2026-03-12,/,-5\n",
            "the database has invalid views: hits.csv (-5 views; write views as whole ",
        ),
        ("date,path,views\n12.3.2026,/,1\n", "the database has invalid dates: hits.csv ("),
        (
            "date,path,views\n2026-03-12,/,1\n2026-03-12,/,2\n",
            "cannot read database: hits.csv (UNIQUE constraint failed: hits.date, hits.path; the file has a row twice: "
            "remove one of them, or restore a backup)",
        ),
    ],
)
def test_a_csv_file_of_another_kind_is_reported_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "hits.csv").write_text(text)
    done = fasthits("most-read", "--database", "hits.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
    assert done.stderr.decode().replace(f"{tmp_path}/", "").startswith(f"fasthits: {message}")


def test_hosts_are_kept_apart_chosen_and_summed(tmp_path: Path) -> None:
    lines = [b"a.example:80 " + hit("/x"), b"b.example:443 " + hit("/x"), b"b.example:443 " + hit("/x")]
    log = write(tmp_path / "access.log", *lines)
    done = fasthits("rollup", str(LAST), "--logs", log, "--to", tmp_path / "hits.db", "--by-host")
    assert done.returncode == 0, done.stderr
    asked = ["//a.example/x", "//b.example/x", "/x", "//b.example/*"]
    rows = run(tmp_path / "hits.db", "history", *asked).splitlines()[3:]
    assert [(row.split()[0], row.split()[-1]) for row in rows] == list(zip("1232", asked, strict=True))
    for chosen, views in (([], 3), (["--host", "a.example"], 1), (["/x", "--host", "b.example"], 2)):
        document = json.loads(run(tmp_path / "hits.db", "history", *chosen, "--json"))
        assert document["total"] == views
    assert run(tmp_path / "hits.db", "history", "/x", "--host", "b.example").startswith("//b.example/x  2026-03-12")
    of_one = json.loads(run(tmp_path / "hits.db", "most-read", "--host", "b.example", "--json"))
    assert [(each["path"], each["views"]) for each in of_one["paths"]] == [("/x", 2)]
    assert run(tmp_path / "hits.db", "history").splitlines()[-3:] == [
        "              hosts",
        "           2  b.example",
        "           1  a.example",
    ]
    done = fasthits("history", "//c.example/x", "--database", tmp_path / "hits.db")
    assert done.stderr == b"fasthits: never read: //c.example/x (but /x was)\n"


def test_referrers_searches_bots_and_paths_not_found_are_shown_if_they_are_kept(tmp_path: Path) -> None:
    searched = hit("/a").replace(b'"-"', b'"https://www.google.com/search?q=fast+hits"')
    bot = hit("/a").replace(b"Mozilla/5.0 (X11; Linux x86_64)", b"Googlebot/2.1")
    gone = hit("/gone").replace(b" 200 ", b" 404 ")
    log = write(tmp_path / "access.log", searched * 2, bot * 3, hit("/b"), gone)
    options = ("--referrers", "--search-terms", "--bots", "apart", "--not-found", "apart")
    assert fasthits("rollup", str(LAST), "--logs", log, "--to", tmp_path / "hits.db", *options).returncode == 0
    told = [
        *("", "              came from", "           2  www.google.com"),
        *("", "              searched for", "           2  fast hits  (Google)"),
        *("", "3 views more by bots"),
    ]
    assert run(tmp_path / "hits.db", "history", "/a").splitlines()[-8:] == told
    by_bots = ["", "              read by bots", "           3  /a"]
    not_found = ["", "              not found", "           1  /gone"]
    for command in (["history"], ["history", "/*"], ["most-read"]):
        assert run(tmp_path / "hits.db", *command).splitlines()[-14:] == told + by_bots + not_found
    assert run(tmp_path / "hits.db", "history", "/b").splitlines()[-1] == "0 views more by bots"


def test_hostile_paths_are_harmless_on_a_terminal(database: Path) -> None:
    shown = run(database, "most-read")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"/<script>\"quoted\",\u202e\x1b[2J" in shown


def test_a_path_that_is_not_utf8_is_found_as_the_rollup_wrote_it(database: Path) -> None:
    done = fasthits("history", b"/caf\xe9".decode(errors="surrogateescape"), "--database", database)
    assert done.stdout.decode().splitlines()[2].split()[0] == "1"


def test_a_hash_finds_its_path(tmp_path: Path) -> None:
    long = "/long" * 60
    digits = sha256(long.encode()).hexdigest()
    write(tmp_path / "a.log", hit(long, LAST) * 2, hit("/a", LAST))
    target = tmp_path / "hits.db"
    assert fasthits("rollup", LAST, "--logs", tmp_path / "a.log", "--to", target, "--partial").returncode == 0
    for given in (f"#{digits[:12]}", f"#{digits}"):
        first, _, views, *_ = run(target, "history", given, "--date", str(LAST)).splitlines()
        assert (first.split()[0], views) == (long, "2 views, 2.0 a day")
    assert History(target).by_day(f"#{digits}", Range(LAST, LAST)) == [2]
    for given, told in (
        (f"#{'0' * 64}", b"no kept path has this hash"),
        (f"#{digits[:7]}", b"first 8 digits, or more"),
    ):
        done = fasthits("history", given, "--database", target)
        assert (done.returncode, told in done.stderr) == (2, True)


@pytest.mark.parametrize("path", [b"/p" * 40, b"/caf\xe9", rb"/caf\xe9", "/café".encode()])
def test_a_hash_finds_a_path_whose_days_have_no_sums(tmp_path: Path, path: bytes) -> None:
    """Also a path that is hashed only with a long prefix, or that is not UTF-8."""
    write(tmp_path / "a.log", hit(path, LAST), hit("/a", LAST))
    for name in ("hits.db", "hits.csv"):
        target = tmp_path / name
        assert fasthits("rollup", LAST, "--logs", tmp_path / "a.log", "--to", target, "--partial").returncode == 0
        if name == "hits.db":
            with contextlib.closing(sqlite3.connect(target)) as opened, opened:
                opened.execute("UPDATE hits SET views = 5 WHERE views = 1 AND path > '/a'")
        expected = 5 if name == "hits.db" else 1
        assert History(target).by_day(f"#{sha256(path).hexdigest()}", Range(LAST, LAST)) == [expected]


def test_a_hash_of_a_host_finds_its_path(tmp_path: Path) -> None:
    long = "/long" * 60
    digits = sha256(f"//b.example{long}".encode()).hexdigest()
    lines = [b"%b:80 %b" % (host, hit(long, LAST)) for host in (b"a.example", b"b.example", b"b.example")]
    write(tmp_path / "a.log", *lines)
    target = tmp_path / "hits.db"
    options = ("--to", target, "--partial", "--by-host", "--format", "vhost_combined")
    assert fasthits("rollup", LAST, "--logs", tmp_path / "a.log", *options).returncode == 0
    assert History(target).by_day(f"#{digits}", Range(LAST, LAST)) == [2]
    assert History(target).path_of(f"#{digits}") == f"//b.example{long}"


def test_search_has_no_wildcards(database: Path) -> None:
    kept = History(database)
    days = Range(DAYS[0], DAYS[-1])
    for text, paths in (("%_S", ["/100%_sure"]), ("", ["/a", "/b"]), ("'; DROP TABLE hits; --", [])):
        assert [each.path for each in kept.most_read(days, 2, text=text).paths] == paths


def test_views_take_days_as_a_count_does_and_refuse_what_is_no_path(database: Path) -> None:
    kept = History(database)
    all_days = kept.views("/a")
    assert set(all_days) == set(kept.days)
    last = {LAST: all_days[LAST]}
    assert kept.views("/a", LAST) == kept.views("/a", str(LAST)) == kept.views("/a", [LAST]) == last
    assert kept.views("/a", []) == {}
    assert kept.views("/a", Range(kept.days[0], LAST)) == all_days, "not only its first and last day"
    for path in ("a", "", ["/a"], None):
        with pytest.raises(UsageError, match=r"not a path: .*\(a path begins with /\)"):
            kept.views(path)
    with pytest.raises(UsageError, match="not a DATE: 'March'"):
        kept.views("/a", "March")


def test_further_columns_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "hits.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE hits(host TEXT, date TEXT, path TEXT, bots INTEGER, views INTEGER)")
        rows = [("one", "2026-03-12", "/a", 1, 2), ("two", "2026-03-12", "/a", 0, 3)]
        database.executemany("INSERT INTO hits VALUES (?, ?, ?, ?, ?)", rows)
        database.commit()
    kept = History(file)
    assert kept.most_read(Range(LAST, LAST), 5).paths == [("/a", 5, 1.0, None)]
    assert kept.site(Range(LAST, LAST)) == [5]


def test_reading_goes_on_while_a_rollup_writes(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM hits")
        assert run(database, "history", "/b").splitlines()[2].split()[0] == "10"
        writer.execute("ROLLBACK")


def test_reading_writes_no_file(database: Path) -> None:
    before = database.stat().st_mtime_ns, sorted(database.parent.iterdir())
    run(database, "most-read")
    assert before == (database.stat().st_mtime_ns, sorted(database.parent.iterdir()))


@pytest.mark.parametrize("command", [("history", "/a"), ("most-read",)])
def test_a_file_that_is_not_a_database_is_reported_in_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    write(tmp_path / "text.db", b"this is no database, whatever its name is")
    write(tmp_path / "h.db.gz", gzip.compress(b"a database"))
    sqlite3.connect(tmp_path / "empty.db").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE hits(id INTEGER, url TEXT)")
    for name, message in (
        (
            "none.db",
            "fasthits: no such database: none.db (fasthits rollup makes it; --database or FASTHITS_TO names another)",
        ),
        ("text.db", "fasthits: cannot read database: text.db (file is not a database; name another file)"),
        (
            "h.db.gz",
            "fasthits: cannot read database: h.db.gz (file is not a database; unpack it: gzip -dc h.db.gz > FILE)",
        ),
        (
            "empty.db",
            "fasthits: cannot read database: empty.db (no such table: hits; fill it: fasthits rollup --to empty.db)",
        ),
        ("other.db", "fasthits: cannot read database: other.db (no such column: date; name another file)"),
    ):
        done = fasthits(*command, "--database", name, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.decode()) == (1, b"", message + "\n")
    assert fasthits(*command, "--json", "--csv").returncode == 2


def test_a_table_without_rows_is_no_error(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "hits.db")) as database:
        database.execute("CREATE TABLE hits(date TEXT, path TEXT, views INTEGER)")
    done = fasthits("most-read", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"fill it: fasthits rollup --to hits.db)" in done.stderr
    document = json.loads(fasthits("most-read", "--json", cwd=tmp_path).stdout)
    assert (document["from"], document["kept_days"], document["paths"]) == (None, 0, [])


def test_days_and_the_views_of_a_path_by_day(tmp_path: Path) -> None:
    """The answer of the Python API: a day without any row is unknown, and not zero."""
    first, second, gap = LAST - timedelta(3), LAST - timedelta(2), LAST - timedelta(1)
    file = tmp_path / "hits.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE hits(date TEXT, path TEXT, views INTEGER)")
        rows = [(first, "/a", 2), (second, "/b", 5), (LAST, "/a", 3), (LAST, "/b", 1)]
        database.executemany("INSERT INTO hits VALUES (?, ?, ?)", [(str(day), path, n) for day, path, n in rows])
        database.commit()
    kept = History(str(file))
    assert kept.days == [first, second, LAST]
    assert kept.views("/a") == {first: 2, second: 0, LAST: 3}
    assert kept.views("/a", [LAST, gap]) == {LAST: 3}
    assert kept.views("/none", [gap]) == {}
    with kept.at_one_moment():
        assert kept.views("/b") == {first: 0, second: 5, LAST: 1}
        file.unlink()
        assert kept.days == [first, second, LAST]
    with pytest.raises(TableError, match="no such database"):
        _ = kept.days


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("web1.hits", "a partial is no database: web1.hits (fasthits merge web1.hits --to hits.db)"),
        ("stats/", "fasthits reads SQLite, CSV and PostgreSQL: stats/ (other programs read Parquet: duckdb -c"),
        ("s3://logs/hits.db", "a database in a store cannot be read: s3://logs/hits.db (copy it to this machine)"),
        ("s3://me:secret@logs/hits.db", "a database in a store cannot be read: s3://***@logs/hits.db (copy it to"),
        ("mysql://me:secret@db/hits", "no database that fasthits knows: mysql://***@db/hits (name SQLite's file, such"),
        ("sqlite:///hits.db", "no database that fasthits knows: sqlite:///hits.db (name SQLite's file, such"),
        ("", "no such database: '' (name one with --database or FASTHITS_TO)"),
        ("folder", "no such database: folder (it is a folder, such as Docker makes when it shall mount a file that"),
    ],
)
def test_a_target_that_cannot_be_read_is_reported_with_what_can_be_done(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "web1.hits").touch()
    (tmp_path / "stats" / "hits").mkdir(parents=True)
    (tmp_path / "folder").mkdir()
    done = fasthits("history", "--database", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(f"fasthits: {told}")


def test_a_path_that_is_not_written_as_browsers_send_it_is_explained(tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/caf%C3%A9"), hit("/caf%C3%A9/menu"))
    assert fasthits("rollup", "2026-03-12", "--logs", tmp_path / "a.log", "--to", tmp_path / "hits.db").returncode == 0
    for command, path, sent in (
        ("history", "/caf\u00e9", "/caf%C3%A9"),
        ("history", "/caf\u00e9/*", "/caf%C3%A9/*"),
        ("most-read", "/caf\u00e9/*", "/caf%C3%A9/*"),
    ):
        done = fasthits(command, path, "--database", tmp_path / "hits.db")
        said = f"fasthits: never read: {path} (but {sent} was: browsers send it so)\n"
        assert (done.returncode, done.stderr.decode()) == (0, said)

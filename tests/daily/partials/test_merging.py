"""Partials: merging the partials of all servers gives the same result as one rollup of all logs, or an error."""

import contextlib
import gzip
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from fasthits._parse import HitTable
from fasthits.daily.counting.runs import Spool, Workshop
from fasthits.daily.layouts import hits_layout
from fasthits.daily.partials.files import read_partial
from fasthits.daily.partials.merging import Servers
from fasthits.daily.partials.target import Origin, PartialTarget
from fasthits.rules.rules import Rules
from tests.daily.partials.support import DAY, NEXT, merged, partial_of
from tests.daily.support import only_line
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT

BOT = b"Googlebot/2.1 (+http://www.google.com/bot.html)"
OPTIONS = ["--bots", "apart", "--referrers", "--search-terms", "--fold-slash", "--not-found", "apart"]


def lines(server: int) -> list[bytes]:
    """Return lines of two days of a server. Some paths are on all servers, some are not UTF-8; some hits are late."""
    found = []
    for day in (DAY, NEXT):
        for number in range(60):
            path = f"/{number % (7 + server)}/" if number % 3 else b"/caf\xe9/%d" % (number % 2)
            text = hit(path, day, clock=f"{number % 24:02}:00:00")
            if number % 5 == 0:
                text = text.replace(b"Mozilla/5.0 (X11; Linux x86_64)", BOT)
            if number % 4 == 0:
                text = text.replace(b'"-" "Moz', b'"https://x%d.example/?q=a" "Moz' % server)
            found.append(text.replace(b" 200 ", b" 404 ") if number % 11 == 0 else text)
    return [*found, b"bad\n"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of three servers. One log is compressed. The next day's log has the hits of the first day's last minute."""
    folder = tmp_path_factory.mktemp("logs")
    for server in range(3):
        own = lines(server)
        first, second = b"".join(own[:50]), b"".join(own[50:])
        write(folder / f"web{server}" / f"{DAY}.log", first)
        packed = server == 1
        write(folder / f"web{server}" / f"{NEXT}.log{'.gz' * packed}", gzip.compress(second) if packed else second)
        write(folder / f"web{server}" / "2026-03-14.log", b"")
    return folder


def roll_up(folder: Path, server: int, to: str, *options: str, cwd: Path) -> None:
    done = fasthits(
        *("rollup", f"{DAY}..{NEXT}", "--logs", f"{folder}/web{server}/%F.log", "--to", to, "--partial"),
        *("--server", f"web{server}", *options),
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def servers(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a partial of each server."""
    folder = tmp_path_factory.mktemp("servers")
    for server in range(3):
        roll_up(logs, server, f"web{server}.hits", *OPTIONS, cwd=folder)
    return folder


def content_of(target: Path) -> object:
    """Return the content of a target: the bytes of CSV files, the rows of SQLite's tables."""
    if target.suffix == ".csv":
        return {file.name: file.read_bytes() for file in target.parent.glob(f"{target.stem}*.csv")}
    with contextlib.closing(sqlite3.connect(target)) as database:
        tables = ("hits", "referrers", "searches", "not_found", "hits_sums")
        return {table: database.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in tables}


@pytest.mark.parametrize("target", ["hits.db", "hits.csv"])
def test_merged_partials_equal_one_rollup_of_all_logs(target: str, logs: Path, servers: Path, tmp_path: Path) -> None:
    files = sorted(servers.glob("*.hits"))
    (tmp_path / "all").mkdir()
    done = fasthits(
        *("rollup", f"{DAY}..{NEXT}", "--logs", f"{logs}/*/%F.log", "--partial", "--to", f"all/{target}", *OPTIONS),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    merged = fasthits("merge", *files, "--to", target, cwd=tmp_path)
    assert merged.returncode == 0, merged.stderr
    assert b"3 servers in 3 partials" in merged.stderr
    before = content_of(tmp_path / target)
    assert before == content_of(tmp_path / "all" / target)
    assert fasthits("merge", *files, "--to", target, "--quiet", cwd=tmp_path).returncode == 0
    assert content_of(tmp_path / target) == before


def test_a_partial_keeps_its_other_days_and_a_day_with_fewer_hits_stays(tmp_path: Path) -> None:
    for name, days in (("a", [DAY, NEXT]), ("b", [NEXT]), ("c", [])):
        write(tmp_path / name, b"".join(hit(f"/{name}", day) * (2 if name == "a" else 3) for day in days) or b"bad\n")
    write(tmp_path / "few", hit("/few", NEXT))
    rollup = ("rollup", "--to", "web.hits", "--partial", "--server", "web", "--logs")
    assert fasthits(*rollup, "a", f"{DAY}..{NEXT}", cwd=tmp_path).returncode == 0
    assert fasthits(*rollup, "b", str(NEXT), cwd=tmp_path).returncode == 0
    before = (tmp_path / "web.hits").read_bytes()
    fewer = fasthits(*rollup, "few", str(NEXT), cwd=tmp_path)
    assert fewer.returncode == 1
    assert b"fewer hits than are kept, left unchanged: 2026-03-13: 1 counted, 3 kept" in fewer.stderr
    assert fasthits(*rollup, "c", str(NEXT), cwd=tmp_path).returncode == 1
    assert (tmp_path / "web.hits").read_bytes() == before
    done = fasthits("merge", "web.hits", "--to", "-", cwd=tmp_path)
    assert done.stdout == b"date,path,views\n2026-03-12,/a,2\n2026-03-13,/b,3\n"


def test_two_counts_of_a_day_of_a_server_are_reported_and_nothing_is_merged(tmp_path: Path) -> None:
    """Two servers may have the same name. A copy of a partial is the same count, and no error."""
    partial_of(tmp_path / "z.hits", "web1", {DAY: 1, NEXT: 1})
    shutil.copy(tmp_path / "z.hits", tmp_path / "copy.hits")
    assert merged(tmp_path)[:2] == (0, ["2026-03-12,/web1,1", "2026-03-13,/web1,1"])
    partial_of(tmp_path / "a.hits", "web1", {NEXT: 5})
    code, rows, said = merged(tmp_path)
    assert (code, rows) == (1, ["2026-03-12,/web1,1", "2026-03-13,/web1,1"])
    assert only_line(said.encode()) == (
        f"fasthits: another count of 2026-03-13 on web1: {tmp_path / 'copy.hits'} "
        f"(leave it or {tmp_path / 'a.hits'} out; if they are of two servers, name each: rollup --server NAME)"
    )


def test_a_day_that_a_server_lacks_stays_and_the_server_is_named(tmp_path: Path) -> None:
    partial_of(tmp_path / "a.hits", "web1", {DAY: 1, NEXT: 1})
    partial_of(tmp_path / "b.hits", "web2", {DAY: 2})
    code, rows, said = merged(tmp_path)
    assert (code, rows) == (1, ["2026-03-12,/web2,2", "2026-03-12,/web1,1"])
    assert only_line(said.splitlines(keepends=True)[0].encode()) == (
        "fasthits: no partial of web2, left unchanged: 2026-03-13 (add it; --partial keeps the day without it)"
    )
    code, rows, said = merged(tmp_path, "--partial")
    assert (code, rows[-1]) == (0, "2026-03-13,/web1,1")
    assert "  2026-03-13 is without web2\n" in said


def test_a_forgotten_server_leaves_fewer_hits_and_the_day_stays(tmp_path: Path) -> None:
    partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    partial_of(tmp_path / "b.hits", "web2", {DAY: 2})
    assert merged(tmp_path)[0] == 0
    (tmp_path / "b.hits").unlink()
    code, rows, said = merged(tmp_path)
    assert (code, rows) == (1, ["2026-03-12,/web2,2", "2026-03-12,/web1,1"])
    assert "fewer hits than are kept, left unchanged: 2026-03-12: 1 counted, 3 kept (is a server missing?" in said
    assert merged(tmp_path, "--replace")[:2] == (0, ["2026-03-12,/web1,1"])
    partial_of(tmp_path / "b.hits", "web2", {DAY: 2})
    assert "  more hits than were kept: 2026-03-12: 3 counted, 1 kept\n" in merged(tmp_path)[2]


def test_a_part_of_a_day_of_a_server_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    hit_table = HitTable()
    hit_table.add(DAY, b"/", 3)
    table = PartialTarget(tmp_path / "a.hits", [hits_layout()], Origin.of("web1", Rules()))
    table.replace([DAY], hit_table, figures={"parts": {str(DAY): ["its end is missing"]}})
    code, rows, said = merged(tmp_path, "--quiet")
    assert (code, rows) == (1, [])
    assert only_line(said.splitlines(keepends=True)[0].encode()) == (
        "fasthits: not the whole day, left unchanged: 2026-03-12: web1: its end is missing "
        "(run fasthits rollup 2026-03-12 again there; --partial keeps what is there)"
    )
    code, rows, said = merged(tmp_path, "--quiet", "--partial")
    assert (code, rows) == (0, ["2026-03-12,/,3"])
    assert "  2026-03-12 is only a part: web1: its end is missing\n" in said


def test_a_partial_of_an_unfinished_day_is_not_merged_as_the_whole_day(tmp_path: Path) -> None:
    today = date.today()
    write(tmp_path / "access.log", hit("/a", today))
    done = fasthits("rollup", "today", "--logs", "access.log", "--to", "a.hits", "--server", "web1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    partial_of(tmp_path / "b.hits", "web2", {today: 2})
    code, rows, said = merged(tmp_path)
    assert (code, rows) == (1, [])
    told = f"{today}: web1: the day was not over when it was counted"
    assert said.startswith(f"fasthits: not the whole day, left unchanged: {told} (run fasthits rollup {today} again")
    assert merged(tmp_path, "--partial")[:2] == (0, [f"{today},/web2,2", f"{today},/a,1"])


def test_hours_add_up(tmp_path: Path) -> None:
    for server in (1, 2):
        hit_table = HitTable()
        hit_table.feed(hit("/a", clock="10:00:00") + hit("/a", NEXT, clock="11:00:00") * server)
        table = PartialTarget(tmp_path / f"{server}.hits", [hits_layout()], Origin.of(f"web{server}", Rules()))
        table.replace([DAY, NEXT], hit_table)
    servers = Servers(sorted(tmp_path.glob("*.hits")))
    hours = servers.rows([DAY, NEXT], Workshop(Spool(), 1 << 20), lambda size: None).take_hours()
    assert {day: {hour: hits for hour, hits in enumerate(of_day) if hits} for day, of_day in hours.items()} == {
        DAY: {10: 2},
        NEXT: {11: 3},
    }


KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from fasthits._parse import HitTable
from fasthits.daily.partials import files as partials, target
from fasthits.daily.layouts import hits_layout
from fasthits.rules.rules import Rules

moment = sys.argv[2]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "pack":
    partials.pack = die
elif moment == "contents":
    partials.json.dumps = die
else:
    real = target.write_partial
    target.write_partial = lambda *arguments: (real(*arguments), die())
table = HitTable()
table.add(date(2026, 3, 12), b"/new", 9)
opened = target.PartialTarget(Path(sys.argv[1]), [hits_layout()], target.Origin.of("web1", Rules()))
opened.replace([date(2026, 3, 12)], table)
"""


@pytest.mark.parametrize("moment", ["pack", "contents", "end"])
def test_after_a_kill_at_any_moment_the_old_partial_is_whole(moment: str, tmp_path: Path) -> None:
    file = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    before = file.read_bytes()
    killed = subprocess.run([sys.executable, "-c", KILLED, file, moment], cwd=PROJECT)
    assert killed.returncode == -signal.SIGKILL
    assert file.read_bytes() == before
    partial_of(file, "web1", {DAY: 2})
    assert os.listdir(tmp_path) == ["a.hits"]


def test_a_full_disk_leaves_the_old_partial(tmp_path: Path) -> None:
    file = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    before = file.read_bytes()
    write(tmp_path / "log", b"".join(hit(f"/{random.Random(number).randbytes(60).hex()}") for number in range(2000)))
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000));"
        "from fasthits.__main__ import main; main()"
    )
    arguments = ["rollup", str(DAY), "--logs", "log", "--to", "a.hits", "--server", "web1", "--partial"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert only_line(done.stderr) == "fasthits: cannot write partial: a.hits (File too large)"
    assert file.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["a.hits", "log"]


def test_many_partials_are_merged_in_little_memory(tmp_path: Path) -> None:
    for number in range(40):
        partial_of(tmp_path / f"{number}.hits", f"web{number}", {DAY: number + 1, NEXT: 1})
    code, rows, said = merged(tmp_path, "--max-memory", "32M")
    assert (code, len(rows)) == (0, 80), said
    assert "40 servers in 40 partials" in said
    assert read_partial(tmp_path / "7.hits").about["figures"] == {}


def test_the_summary_says_as_many_rows_as_for_other_targets(tmp_path: Path) -> None:
    """A path that only bots read has a row there, too."""
    by_bot = [hit(path, DAY).replace(b"Mozilla/5.0 (X11; Linux x86_64)", BOT) for path in ("/a", "/b", b"/\xe9")]
    write(tmp_path / "a.log", hit("/a", DAY), hit("/c", DAY), hit("/d", NEXT), *by_bot)
    said = set()
    for target in ("a.hits", "a.db", "a.csv"):
        command = ("rollup", str(DAY), "--logs", "a.log", "--partial", "--bots", "apart", "--to", target)
        done = fasthits(*command, cwd=tmp_path)
        said |= {line.partition(" in ")[0] for line in done.stderr.decode().splitlines() if " rows for " in line}
    assert said == {f"  4 rows for {DAY}"}


def test_one_log_that_was_counted_under_two_names_is_a_warning(tmp_path: Path) -> None:
    lines = b"".join(hit(f"/{number % 40}{'x' * (number % 7)}") for number in range(1200))
    logs = {"web1": lines, "web2": lines, "web3": lines.replace(b" /1x ", b" /1y ", 1), "web4": hit("/") * 1200}
    logs["web5"] = logs["web4"]  # a health check, perhaps
    for server, log in logs.items():
        options = ("--logs", "-", "--to", f"{server}.hits", "--server", server, "--quiet")
        assert fasthits("rollup", str(DAY), *options, stdin=log, cwd=tmp_path).returncode == 0
    files = [f"{server}.hits" for server in logs]
    done = fasthits("merge", *files, "--to", "hits.db", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr.decode()) == (
        0,
        "fasthits: warning: web1.hits and web2.hits have the same rows, of web1 and web2: if that is one server, its "
        "hits count twice (leave one out, and give the server one name: rollup --server NAME)\n",
    )

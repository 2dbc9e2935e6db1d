"""Partials: merging the partials of all servers gives the same result as one rollup of all logs, or an error."""

import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from fasthits._parse import HitTable
from fasthits.daily.counting.count_days import DEFAULT_RULES
from fasthits.daily.counting.runs import Spool, Workshop
from fasthits.daily.layouts import hits_layout
from fasthits.daily.partials import files as partials
from fasthits.daily.partials.files import read_partial
from fasthits.daily.partials.merging import Servers, merge
from fasthits.daily.partials.target import Origin, PartialTarget
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.target import Replaced
from fasthits.errors import TableError
from fasthits.rules.rules import Rules
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT

DAY, NEXT = date(2026, 3, 12), date(2026, 3, 13)
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


def only_line(text: bytes) -> str:
    (line,) = text.decode().splitlines()
    return line


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


def partial_of(file: Path, server: str, days: dict[date, int], rules: Rules = DEFAULT_RULES) -> Path:
    """Write a partial with some hits. The path has the name of the server."""
    hit_table = HitTable()
    for day, views in days.items():
        hit_table.add(day, f"/{server}".encode(), views)
    table = PartialTarget(file, [hits_layout(rules.by_host)], Origin.of(server, rules))
    assert table.replace(sorted(days), hit_table, with_fewer=True) == Replaced(len(days), [])
    return file


def merged(folder: Path, *options: str) -> tuple[int, list[str], str]:
    """Merge all partials in a folder; return the exit code, the rows and the messages."""
    done = fasthits("merge", *sorted(folder.glob("*.hits")), "--to", "hits.csv", *options, cwd=folder)
    rows = (folder / "hits.csv").read_text().splitlines()[1:] if (folder / "hits.csv").exists() else []
    return done.returncode, rows, done.stderr.decode()


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


def refused(*files: Path, to: str = "hits.csv") -> str:
    done = fasthits("merge", *files, "--to", to, cwd=files[0].parent)
    assert (done.returncode, done.stdout) == (1, b"")
    assert not (files[0].parent / "hits.csv").exists()
    return only_line(done.stderr)


def test_partials_counted_by_other_rules_are_refused(tmp_path: Path) -> None:
    one = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    other = partial_of(tmp_path / "b.hits", "web2", {DAY: 1}, Rules(fold_slash=True, statuses=frozenset({200, 304})))
    assert refused(one, other) == (
        f"fasthits: partials were counted with different options: {other} "
        f"(use the options of {one} on all servers; they differ in fold-slash, statuses)"
    )
    for options, message in (
        (["--fold-slash"], "these options count differently (fold-slash) than the partial"),
        (["--server", "other"], "partial of another server, web1"),
        (["--search-terms"], "these options make other tables; the file has (hits)"),
    ):
        write(tmp_path / "log", hit("/"))
        rollup = ("rollup", str(DAY), "--logs", "log", "--to", "a.hits", "--partial")
        done = fasthits(*rollup, "--server", "web1", *options, cwd=tmp_path)
        assert done.returncode == 1
        assert only_line(done.stderr) == f"fasthits: {message}: a.hits (name another with --to NAME.hits)"


def test_the_order_of_options_is_no_difference(tmp_path: Path) -> None:
    for server, hosts in (("web1", ("a.example", "b.example")), ("web2", ("b.example", "a.example"))):
        options = [word for host in hosts for word in ("--own-host", host)]
        rollup = ("rollup", str(DAY), "--logs", "-", "--to", f"{server}.hits", "--server", server, "--referrers")
        done = fasthits(*rollup, *options, stdin=hit("/"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert merged(tmp_path)[:2] == (0, ["2026-03-12,/,2"])


def test_the_logs_of_servers_may_have_different_formats(tmp_path: Path) -> None:
    partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    partial_of(tmp_path / "b.hits", "web2", {DAY: 2}, Rules(format="json", json_fields={"path": "url"}))
    assert merged(tmp_path)[:2] == (0, ["2026-03-12,/web2,2", "2026-03-12,/web1,1"])


def test_a_damaged_partial_as_a_target_is_to_be_moved_away(tmp_path: Path) -> None:
    """Making it again under this name would give the same error."""
    whole = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    write(tmp_path / "log", hit("/"))
    for kept, failed in (
        (whole.read_bytes()[:40], "partial is cut off"),
        (with_contents(whole.read_bytes(), lambda contents: contents.update(format=2)), "partial of another version"),
        (b"SQLite format 3\0", "not a partial of fasthits"),
    ):
        whole.write_bytes(kept)
        done = fasthits("rollup", str(DAY), "--logs", "log", "--to", "a.hits", "--partial", cwd=tmp_path)
        assert done.returncode == 1
        assert only_line(done.stderr).startswith(f"fasthits: {failed}")
        assert only_line(done.stderr).endswith(": a.hits (move the file away, or name another with --to NAME.hits)")
        assert whole.read_bytes() == kept


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.hits")
    assert refused(tmp_path / "a.hits") == (
        f"fasthits: partial is a pipe or a device: {tmp_path}/a.hits (copy it to a file first, and name that file)"
    )


def test_rows_that_no_rollup_writes_are_an_error_and_nothing_changes(tmp_path: Path) -> None:
    rows = HitTable()
    rows.add(DAY, b"/\xff", 1)
    table = partials.Table((piece for _, piece in rows.dump()), rows.views_by_day())
    days = {str(DAY): {"made": "now", "gaps": [], "hours": []}}
    with (tmp_path / "a.hits").open("wb") as file:
        about = {"server": "web1", "rules": {}, "tables": ["hits"], "days": days}
        partials.write_partial(file, {"hits": table}, about)
    (tmp_path / "kept").mkdir()
    kept = partial_of(tmp_path / "kept" / "b.hits", "web1", {NEXT: 1})
    assert fasthits("merge", kept, "--to", "hits.db", cwd=tmp_path).returncode == 0
    assert refused(tmp_path / "a.hits", to="hits.db").startswith("fasthits: rows of a partial are not UTF-8, nothing")
    with contextlib.closing(sqlite3.connect(tmp_path / "hits.db")) as database:
        assert database.execute("SELECT * FROM hits").fetchall() == [("2026-03-13", "/web1", 1)]


def test_a_partial_is_no_target_for_several_servers(tmp_path: Path) -> None:
    one = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    done = fasthits("merge", one, "--to", "all.hits", cwd=tmp_path)
    assert done.returncode == 2
    assert only_line(done.stderr).startswith("fasthits: a partial holds one server only: all.hits (name a target")


def with_contents(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a partial with other contents and a right check sum."""
    start, length, _, whole = partials.TAIL.unpack(data[-partials.TAIL.size :])
    contents = json.loads(data[start : start + length])
    change(contents)
    text = json.dumps(contents).encode()
    return data[:start] + text + partials.TAIL.pack(start, len(text), crc32(text), whole)


STRANGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no places": lambda contents: contents.pop("places"),
    "places behind the end": lambda contents: contents["places"].update(hits=[[17, 1 << 40]]),
    "places before the start": lambda contents: contents["places"].update(hits=[[-5, 10]]),
    "other tables": lambda contents: contents["views"].update(more={}),
    "no date": lambda contents: contents["views"].update(hits={"yesterday": 1}),
    "no server": lambda contents: contents["about"].pop("server"),
    "rules": lambda contents: contents["about"].update(rules=[1]),
    "hours": lambda contents: contents["about"]["days"]["2026-03-12"].update(hours=[-1] * 24),
    "a list": lambda contents: contents.update(about=[1, 2]),
    "half of the rows": lambda contents: contents["places"]["hits"][0].__setitem__(1, 9),
    "endless views": lambda contents: contents["views"]["hits"].update({str(DAY): float("inf")}),
    "a table without rows": lambda contents: contents["about"]["tables"].append("referrers"),
    "rows of another table": lambda contents: (
        contents["about"]["tables"].append("referrers"),
        contents["places"].update(searches=[[17, 0]]),
        contents["views"].update(searches={}),
    ),
    "no rows at all": lambda contents: contents["places"]["hits"][0].__setitem__(1, 2),
}


def test_a_torn_or_altered_partial_is_refused_whatever_byte_it_is(tmp_path: Path) -> None:
    data = partial_of(tmp_path / "whole.hits", "web1", {DAY: 1, NEXT: 2}).read_bytes()
    bad = tmp_path / "bad.hits"
    for at in range(0, len(data), 7):
        for altered in (data[:at], data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]):
            bad.write_bytes(altered)
            with pytest.raises(TableError) as caught:
                merge(Servers([bad]), open_target(str(tmp_path / "hits.csv")))
            assert str(bad) in str(caught.value)
            assert caught.value.hint
    assert not (tmp_path / "hits.csv").exists()


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
def test_strange_contents_are_refused(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    file = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    file.write_bytes(with_contents(file.read_bytes(), change))
    with pytest.raises(TableError, match=r"a\.hits"):
        merge(Servers([file]), open_target(str(tmp_path / "hits.csv")))
    assert not (tmp_path / "hits.csv").exists()


def test_partials_of_another_version_and_other_files_are_refused(tmp_path: Path) -> None:
    file = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    file.write_bytes(with_contents(file.read_bytes(), lambda contents: contents.update(format=2)))
    assert "partial of another version of fasthits: " in refused(file)
    assert "use one version on all servers" in refused(file)
    other = write(tmp_path / "b.hits", hit("/"))
    assert refused(other) == (
        f"fasthits: not a partial of fasthits: {other} (make one: fasthits rollup --to NAME.hits)"
    )
    done = fasthits("rollup", str(DAY), "--logs", "b.hits", "--to", "b.hits", cwd=tmp_path)
    assert done.returncode == 1
    assert other.read_bytes() == hit("/")
    assert "cannot read partial" in refused(tmp_path / "none.hits")
    assert "partial is cut off" in refused(write(tmp_path / "empty.hits", b""))


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

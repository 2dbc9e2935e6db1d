"""A rollup is killed at any moment, by any signal: the old or the new numbers are whole, and every command works.

Only commands of fasthits read the database here. Another reader that may write would repair the database.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fasthits.cli.app import app
from fasthits.daily.sqlite import database
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT

KILLS = 17
"""Of each target: fifty together. Where a journal has to be seen as a kill leaves it, as many more as that takes."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
SMALL_CACHE = 1 << 18
"""With it the rows are as those of a day that is larger than the cache."""
PATHS = [f"/{number:05}/{'p' * 400}" for number in range(1_500)]
GOLDEN = 0.618034
"""Multiples of it, modulo 1, are spread evenly over 0 to 1, however many there are."""


def start_rollup(folder: Path, log: Path, target: Path) -> int:
    """Start a rollup in a child of this process, which has imported all that it needs; return its id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        sys.stderr = (folder / "stderr").open("w", buffering=1)
        app(["rollup", "2026-03-12", "--logs", str(log), "--to", str(target), "--replace"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 71
    finally:
        os._exit(code)


def by_most_read(target: Path) -> dict[str, int]:
    done = CliRunner().invoke(app, ["most-read", "--limit", "9000", "--json", "--database", str(target)])
    assert done.exit_code == 0, done.stderr
    return {each["path"]: each["views"] for each in json.loads(done.stdout)["paths"]}


def by_rows(target: Path) -> dict[str, int]:
    with target.open(newline="") as lines:
        return {path: int(views) for _, path, views in list(csv.reader(lines))[1:]}


def has_all_sums(target: Path) -> bool:
    with database.reading(target) as connection:
        (views,) = connection.execute("SELECT sum(views) FROM hits").fetchone()
        return connection.execute("SELECT views FROM hits_sums").fetchall() == [(views,)]


def is_hot(target: Path) -> bool:
    journal = Path(f"{target}-journal")
    return journal.exists() and journal.read_bytes()[:1] not in (b"", b"\0")


@pytest.mark.parametrize(
    ("name", "read", "cache_bytes"),
    [
        ("hits.db", by_most_read, database.WRITE_CACHE_BYTES),
        ("hits.db", by_most_read, SMALL_CACHE),
        ("hits.csv", by_rows, 0),
    ],
)
def test_after_a_kill_at_any_moment_the_old_or_the_new_numbers_are_whole(
    name: str,
    read: Callable[[Path], dict[str, int]],
    cache_bytes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "WRITE_CACHE_BYTES", cache_bytes)
    target = tmp_path / name
    logs = [write(tmp_path / f"{views}.log", *(hit(path) * views for path in PATHS)) for views in (1, 2)]
    seconds = 0.0
    for log in (logs[0], logs[1], logs[0]):
        started = time.monotonic()
        assert os.waitpid(start_rollup(tmp_path, log, target), 0)[1] == 0
        seconds = max(seconds, time.monotonic() - started)
    old, hot, killed = 1, 0, 0
    sees_journal = cache_bytes == SMALL_CACHE
    for number in range(KILLS * 10):
        if number >= KILLS and hot >= sees_journal:
            break
        new, there = 3 - old, set(tmp_path.iterdir())
        child, sent = start_rollup(tmp_path, logs[new - 1], target), SIGNALS[number % 3]
        time.sleep(seconds * (GOLDEN * number % 1))
        os.kill(child, sent)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -sent, 128 + sent)
        if code == 128 + sent:
            said = (tmp_path / "stderr").read_text()  # also after a summary that was being printed
            assert said.endswith(f"fasthits: ended by {sent.name}\n")
            assert set(tmp_path.iterdir()) <= there
        killed += code != 0
        hot += is_hot(target)
        found = read(target)
        assert found.keys() == set(PATHS)
        assert name != "hits.db" or has_all_sums(target)
        (views,) = set(found.values())
        assert views == new if code == 0 else views in (old, new)
        old = views
    assert killed
    assert hot >= sees_journal
    assert os.waitpid(start_rollup(tmp_path, logs[0], target), 0)[1] == 0
    assert {each.name for each in tmp_path.iterdir()} == {"1.log", "2.log", "stderr", name}
    assert set(read(target).values()) == {1}


KILLED_BETWEEN_RENAMES = """
import os, pathlib, signal, sys
from fasthits.__main__ import main
rename = pathlib.Path.replace

def rename_then_die(path, target):
    rename(path, target)
    os.kill(os.getpid(), signal.SIGKILL)

pathlib.Path.replace = rename_then_die
main()
"""


def test_the_same_rollup_repairs_a_kill_between_two_csv_files(tmp_path: Path) -> None:
    """Two files cannot be replaced at the same moment. Here the first file has the new day, the second the old day."""
    first = hit("/a").replace(b'"-"', b'"https://a.example/"')
    write(tmp_path / "1.log", first)
    write(tmp_path / "2.log", first * 2)
    options = ["2026-03-12", "--referrers", "--to", "hits.csv", "--logs"]
    assert fasthits("rollup", *options, "1.log", cwd=tmp_path).returncode == 0
    program = [sys.executable, "-c", KILLED_BETWEEN_RENAMES, "rollup", *options, "2.log"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    assert subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True).returncode == -signal.SIGKILL
    files = [tmp_path / "hits.csv", tmp_path / "hits.referrers.csv"]
    assert [file.read_bytes()[-2:] for file in files] == [b"2\n", b"1\n"]
    assert fasthits("rollup", *options, "2.log", cwd=tmp_path).returncode == 0
    assert [file.read_bytes()[-2:] for file in files] == [b"2\n", b"2\n"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["1.log", "2.log", "hits.csv", "hits.referrers.csv"]

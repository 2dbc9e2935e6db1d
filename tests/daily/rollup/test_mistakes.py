"""A wrong option, log or target is one line that says what to type, and changes nothing."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daily.support import only_line
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["2026-03-12", "--logs", "nothing.log"], 1, "no log file for 2026-03-12: nothing.log (name another"),
        (["2026-03-12", "--logs", "no/%Y/*.log"], 1, "no log file for 2026-03-12: no/2026/*.log (name another"),
        (["2026-03-12", "--logs", "."], 1, "log file is a directory: . (name a file in it: ./access.log"),
        (["2026-02-30"], 2, "no such day: 2026-02-30"),
        *(
            (["2026-03-12", f"--max-memory={size}"], 2, f"invalid --max-memory: {size!r} (32M or more, for example 2G)")
            for size in ("31M", "0G", "", "G", "512", "512K", "5 G", "-1G", "1.5G", "\u0661G", "1GB", "1" * 40 + "G")
        ),
        (["12.3.2026"], 2, "not a DATE: '12.3.2026' (YYYY-MM-DD"),
        (["2026-03-12.."], 2, "DATE needs both days: 2026-03-12.. (such as 2026-03-12..yesterday)"),
        (["..today"], 2, "DATE needs both days: ..today (such as 2026-03-01..today)"),
        (["--logs", "../a.log", "../b.log"], 2, "not a DATE: '../b.log' (name log files with --logs ../b.log, a"),
        (["2026-03-12", "--logs", "%Y/%H.log"], 2, "PATTERN names the time of day with %H: %Y/%H.log (write *"),
        (["--logs", "%Y-%m-%D.log"], 2, "PATTERN has no field %D: %Y-%m-%D.log (did you mean %d?)"),
        (["2026-03-12", "--logs", "a.log", "--to", "hits.txt"], 2, "not a TARGET: hits.txt"),
        (["2026-03-12", "--logs", "a.log", "--to", "s3://logs/hits.csv"], 2, "not a TARGET: s3://logs/hits.csv (only"),
        (
            ["2026-03-12", "--logs", "-", "--to", "s3://me:secret@logs/a.db"],
            2,
            "the address of a store has a password: s3",
        ),
        (["2026-03-12", "--logs", "a.log", "--to", ""], 2, "not a TARGET: '' (use a name that ends in"),
        (["2026-03-12", "--logs", "a.log", "--to", "no/hits.db"], 1, "no such folder: no (make it"),
        (["2026-03-12", "--logs", "a.log", "--to", "text.db"], 1, "cannot read database: text.db (file is not"),
        (["2026-03-12", "--logs", "a.log", "--to", "text.csv"], 1, "not a CSV file of fasthits: "),
    ],
)
def test_bad_input_is_one_clear_line_and_changes_nothing(
    arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    write(tmp_path / "a.log", hit("/a"))
    write(tmp_path / "cut.log.gz", gzip.compress(hit("/a") * 100)[:-9])
    write(tmp_path / "text.db", b"no database " * 100)
    write(tmp_path / "text.csv", b"no,table\n")
    write(tmp_path / "hits.csv", b"date,path,views\n2026-03-12,/old,1\n")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    done = fasthits("rollup", *arguments, cwd=tmp_path, FASTHITS_TO="hits.csv")
    assert (done.returncode, done.stdout) == (code, b"")
    assert only_line(done.stderr).startswith(f"fasthits: {message}")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


AS_NOBODY = """
import contextlib, os, sys
import fasthits.daily.logs.rotated  # which the first command does not need
from fasthits.__main__ import main
command = ["fasthits", "rollup", "2026-03-12", "--to", "-", "--logs"]
with contextlib.suppress(SystemExit), contextlib.redirect_stderr(open(os.devnull, "w")):
    sys.argv = [*command, "/nonexistent"]  # imports what the command needs, which nobody may not read
    main()
if os.geteuid() == 0:
    os.seteuid(65534)
sys.argv = [*command, *sys.argv_of_test]
main()
"""


def test_a_log_that_may_not_be_read_is_an_error(place: Path) -> None:
    """Run the rollup as a user who may not read the log, because root may read everything."""
    log = write(place / "access.log", hit("/"))
    log.chmod(0)
    program = AS_NOBODY.replace("*sys.argv_of_test", repr(str(log)))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=PROJECT)
    assert done.returncode == 1
    assert only_line(done.stderr) == f"fasthits: cannot read log file: {log} (Permission denied)"


def test_a_folder_that_may_not_be_listed_is_an_error(place: Path) -> None:
    write(place / "logs" / "access.log", hit("/"))
    (place / "logs").chmod(0o700)
    program = AS_NOBODY.replace("*sys.argv_of_test", repr(f"{place}/logs/access.log*"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=PROJECT)
    assert done.returncode == 1
    assert only_line(done.stderr).startswith(f"fasthits: cannot list the folder of log files: {place}/logs (Perm")

"""docs/python.md: each program runs unchanged, and prints the output that is shown below it."""

import gzip
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from sqlite3 import connect

import pytest

import fasthits
from tests.support.commands import fasthits as run_fasthits
from tests.support.commands import hit, write
from tests.support.processes import PROJECT
from tests.support.servers import Memcached

TEXT = (PROJECT / "docs" / "python.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
DAY = date(2026, 3, 12)
BEFORE = DAY - timedelta(days=1)


def name_of(program: str) -> str:
    return " ".join(re.findall(r"^#+ (.*)$", TEXT[: TEXT.index(program)], re.MULTILINE)[-1:])


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The logs and databases that the programs read."""
    bot = hit("/").replace(b"Mozilla/5.0", b"Googlebot/2.1")
    days = {
        BEFORE: [hit("/", BEFORE), hit("/", BEFORE), hit("/about", BEFORE), hit("/style.css", BEFORE, method="HEAD")],
        DAY: [hit("/"), hit("/"), hit("/pricing"), hit("/pricing")],
    }
    for day, lines in days.items():
        write(tmp_path / f"logs/{day}.log", *lines)
        write(tmp_path / f"bucket/{day}.log.gz", gzip.compress(b"".join([*lines, hit("/about")])))
    junk = b"junk\n"
    missing = hit("/pricing").replace(b" 200 ", b" 404 ")
    write(tmp_path / "access.log", hit("/"), hit("/"), junk, missing, bot, hit("/"))
    rollup = ["rollup", f"{BEFORE}..{DAY}", "--logs", "logs/%F.log", "--to", "hits.db", "--partial"]
    assert run_fasthits(*rollup, cwd=tmp_path).returncode == 0
    with connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE products(path TEXT, name TEXT)")
        shop.execute("INSERT INTO products VALUES ('/pricing', 'All plans'), ('/lamp', 'Lamp')")
    shop.close()
    return tmp_path


@pytest.mark.parametrize(("program", "printed"), PROGRAMS, ids=map(name_of, next(zip(*PROGRAMS, strict=True))))
def test_a_program_prints_what_is_shown(program: str, printed: str, logs: Path, request: pytest.FixtureRequest) -> None:
    if "import polars" in program:
        pytest.importorskip("polars")
    environment = {"PYTHONPATH": str(PROJECT)}
    if "FASTHITS_MEMCACHED" in program:
        server: Memcached = request.getfixturevalue("memcached")
        environment["FASTHITS_MEMCACHED"] = server.spec
    write(logs / "program.py", program.encode())
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"], cwd=logs, env=environment, capture_output=True, text=True
    )
    assert done.stdout == printed
    assert (done.returncode, done.stderr) == (
        (1, "1 of 6 lines cannot be read\n") if "sys.exit" in program else (0, "")
    )


def test_every_program_is_run() -> None:
    assert len(PROGRAMS) == TEXT.count("```python") >= 9


def test_every_public_name_is_in_the_docs() -> None:
    for name in set(fasthits.__all__) - {"__version__"}:
        assert re.search(rf"`{name}\b", TEXT), name

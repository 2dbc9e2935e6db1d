"""README.md: its transcripts are done, command by command, on the logs of `make demo`, and print what it shows."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.logger import access_line, access_lines
from tests.support.processes import PROJECT, environment, fasthits_command, new_mark
from tests.support.servers import Memcached

TEXT = (PROJECT / "README.md").read_text()
LOGS = "demo/logs/%Y/%m/%d/access.log"
YESTERDAY, TODAY = "2026-11-23", "2026-11-24"
SETTLE = ("--settle", "0.1")
OF_TODAY = {"today": ("--date", TODAY), "check": (TODAY, *SETTLE), "warm": (TODAY, *SETTLE)}
"""What commands need when the clock shows another day than in README."""
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def transcript(first: str) -> list[tuple[str, list[str]]]:
    """Return the commands of the transcript that begins with *first*, each with the lines that it prints."""
    (block,) = re.findall(rf"^```console\n(\$ {re.escape(first)}.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    steps = [step.splitlines() for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, printed) for command, *printed in steps]


def do(command: str, cwd: Path, env: Mapping[str, str]) -> list[str]:
    """Run a command and return what it prints, stdout and stderr."""
    words = shlex.split(command)
    if words[0] == "fasthits":
        words = [*fasthits_command(*words[1:]), *OF_TODAY.get(words[1], ())]
    done = subprocess.run(
        words, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    return done.stdout.splitlines()


def without_time(lines: list[str]) -> list[str]:
    """Return lines of which no two runs print the same as they are."""
    return [re.sub(r"in \d\.\d\d s \(\d\.\d\d GB/s\)", "in no time", line).rstrip() for line in lines]


@pytest.fixture
def env(memcached: Memcached) -> dict[str, str]:
    return environment(new_mark(), {"FASTHITS_MEMCACHED": memcached.spec, "FASTHITS_LOGS": LOGS})


@pytest.fixture
def counted(tmp_path: Path, env: dict[str, str]) -> Path:
    """The folder where `make demo` has been, without its rollups: the logs of two days, the second one counted live."""
    for day, *size in ([YESTERDAY, "--lines", "20000"], [TODAY, "--lines", "5000", "--seed", "2"]):
        corpus = [sys.executable, "-m", "benchmarks.corpus", LOGS, day, *size]
        subprocess.run(corpus, cwd=tmp_path, env=env, check=True, stdout=subprocess.DEVNULL)
    with (tmp_path / "demo" / "logs" / TODAY.replace("-", "/") / "access.log").open() as log:
        subprocess.run(fasthits_command("log"), stdin=log, env=env, check=True)
    return tmp_path


def test_a_number_of_today_and_all_of_a_day_before(counted: Path, env: dict[str, str]) -> None:
    for command, printed in transcript("fasthits today / "):
        assert without_time(do(command, counted, env)) == without_time(printed), command


def test_what_memcached_has_lost_is_found_and_put_right(
    counted: Path, env: dict[str, str], memcached: Memcached
) -> None:
    assert memcached.ask(f"delete :1:{TODAY}/".encode()) == b"DELETED\r\n"
    for command, printed in transcript("fasthits check"):
        assert do(command, counted, env) == printed, command


def test_how_a_line_was_read(tmp_path: Path, env: dict[str, str]) -> None:
    line = access_line("/blog/", query="?page=2").replace(b"Mozilla/5.0", GOOGLEBOT.encode())
    line = line.replace(b"127.0.0.1", b"66.249.73.135").replace(b" 5 ", b" 512 ")
    (tmp_path / "access.log").write_bytes(access_lines(["/a"] * 1203) + line)
    ((command, printed),) = transcript("fasthits explain")
    assert do(command, tmp_path, env) == printed


@pytest.mark.parametrize("name", ["README.md", "docs/django.md", "docs/troubleshooting.md"])
def test_links_lead_somewhere(name: str) -> None:
    page = PROJECT / name
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), target


def anchors(text: str) -> list[str]:
    """Return what the headings of a page are linked by."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]

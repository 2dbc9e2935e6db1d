"""README and docs: their commands run on the logs of `make demo` and print the output that the pages show.

A block of ```console that begins with ``$ fasthits`` is run, but not a block after ``<!-- not run: REASON -->``.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryFile
from typing import NamedTuple

import pytest

import fasthits
from benchmarks.corpus import write_day
from tests.support.commands import fasthits as run_fasthits
from tests.support.forks import Forked
from tests.support.installation import USER
from tests.support.logger import access_line, access_lines
from tests.support.processes import PROJECT, environment, new_mark
from tests.support.servers import Memcached

README = PROJECT / "README.md"
PAGES = [README, *sorted((PROJECT / "docs").glob("*.md"))]
CONFIG = "demo/fasthits.toml"
"""In place of the file /etc/fasthits.toml that `fasthits conf` writes."""
LOGS = "demo/logs/%Y/%m/%d/access.log"
YESTERDAY, TODAY = date(2026, 11, 23), date(2026, 11, 24)
SETTLE = ("--settle", "0.1")
OF_TODAY = {"today": ("--date", f"{TODAY}"), "check": (f"{TODAY}", *SETTLE), "warm": (f"{TODAY}", *SETTLE)}
"""What commands need because the clock shows another day than the pages do."""
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
NOTHING = os.open(os.devnull, os.O_RDWR)
NOT_RUN = re.compile(r"<!-- not run: \S.* -->\n\Z")
LINES_OF_DAYS = (1900, 1700, 2000, 1600, 1500, 1100, 1000, 1800, 1700, 1900, 1600, 1500, 1200, 1000)
"""The sizes of the logs of the 14 days up to yesterday."""


class Transcript(NamedTuple):
    """A block of a page: its commands, each with the lines that it prints."""

    page: str
    steps: list[tuple[str, list[str]]]


def transcripts() -> Iterator[Transcript]:
    """Yield the blocks of all pages that are to be run."""
    for page in PAGES:
        text = page.read_text()
        for block in re.finditer(r"^```console\n(\$ fasthits .*?)^```$", text, re.DOTALL | re.MULTILINE):
            if not NOT_RUN.search(text[: block.start()]):
                steps = [step.splitlines() for step in re.split(r"^\$ ", block[1], flags=re.MULTILINE)[1:]]
                yield Transcript(page.name, [(command, printed) for command, *printed in steps])


def do(command: str, cwd: Path, env: Mapping[str, str]) -> list[str]:
    """Run a command, which has to succeed, and return what it prints, stdout and stderr."""
    words = shlex.split(command.replace("--user fasthits", f"--user {USER}"))
    with TemporaryFile("w+") as output:
        running: Forked | subprocess.Popen[bytes]
        if words[0] == "fasthits":
            words += OF_TODAY.get(words[1], ())
            running = Forked(words[1:], [NOTHING, output.fileno(), output.fileno()], cwd, env)
        else:
            running = subprocess.Popen(words, cwd=cwd, env=env, stdout=output, stderr=output)
        ended = running.wait(60)
        output.seek(0)
        printed = output.read()
    assert ended == (words[1] == "check"), printed
    return printed.splitlines()


def comparable(lines: list[str], server: str = "") -> list[str]:
    """Return lines without the parts that change from run to run: times, memcached's port, the user, recent days."""
    text = "\n".join(line for line in lines if not line.startswith("kept up to "))
    text = re.sub(r"in \d\.\d\d s \(\d\.\d\d GB/s\)", "in no time", text)
    if server:
        text = text.replace(server, "127.0.0.1:11211").replace(f" as {USER}", " as fasthits")
    return [line.rstrip() for line in text.splitlines()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of `make demo`: logs of two days, one line of a bot, and a database of 14 days."""
    folder = tmp_path_factory.mktemp("demo")
    write_day(folder / YESTERDAY.strftime(LOGS), YESTERDAY, 20_000)
    write_day(folder / TODAY.strftime(LOGS), TODAY, 5_000, seed=2)
    for before, lines in enumerate(reversed(LINES_OF_DAYS)):
        day = YESTERDAY - timedelta(before)
        write_day(folder / "demo" / "days" / f"{day}.log", day, lines)
    first = YESTERDAY - timedelta(len(LINES_OF_DAYS) - 1)
    rules = ("--pages", "--exclude-path", "/robots.txt")
    words = ("rollup", f"{first}..{YESTERDAY}", "--logs", "demo/days/%Y-%m-%d.log", *rules)
    assert run_fasthits(*words, cwd=folder).returncode == 0
    (folder / CONFIG).write_text("pages = true\n")
    line = access_line("/blog/", query="?page=2").replace(b"Mozilla/5.0", GOOGLEBOT.encode())
    line = line.replace(b"127.0.0.1", b"66.249.73.135").replace(b" 5 ", b" 512 ")
    (folder / "access.log").write_bytes(access_lines(["/a"] * 1203) + line)
    return folder


@pytest.fixture
def env(memcached: Memcached) -> dict[str, str]:
    named = {"FASTHITS_MEMCACHED": memcached.spec, "FASTHITS_LOGS": LOGS, "FASTHITS_CONFIG": CONFIG}
    return environment(new_mark(), named)


@pytest.fixture
def counted(demo: Path, tmp_path: Path, env: dict[str, str]) -> Path:
    """A copy of the demo, with today's log counted live."""
    copytree(demo, tmp_path, dirs_exist_ok=True)
    with (tmp_path / TODAY.strftime(LOGS)).open() as log:
        assert Forked(["log"], [log.fileno(), NOTHING, NOTHING], tmp_path, env).wait(60) == 0
    return tmp_path


def lose_the_front_page(memcached: Memcached) -> None:
    assert memcached.ask(f"delete :1:{TODAY}/".encode()) == b"DELETED\r\n"


BEFORE: dict[str, Callable[[Memcached], None]] = {"fasthits check": lose_the_front_page}
"""What happens before a transcript that begins with a command."""


@pytest.mark.parametrize("transcript", list(transcripts()), ids=lambda each: f"{each.page}: {each.steps[0][0]}")
def test_a_transcript_prints_what_the_page_shows(
    transcript: Transcript, counted: Path, env: dict[str, str], memcached: Memcached
) -> None:
    BEFORE.get(transcript.steps[0][0], lambda _: None)(memcached)
    for command, shown in transcript.steps:
        printed = do(command, counted, env)
        if shown:
            assert comparable(printed, memcached.spec) == comparable(shown), command


def test_python_in_readme_runs(counted: Path, env: dict[str, str]) -> None:
    ((program, shown),) = re.findall(
        r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE
    )
    assert program.count('"yesterday"') == 1
    program = program.replace("yesterday", f"{YESTERDAY}")  # another day has begun
    do(f"fasthits rollup {YESTERDAY} --to demo/hits.db", counted, env)
    done = subprocess.run([sys.executable, "-c", program], cwd=counted, env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (shown, "")


def test_the_manual_is_a_site_without_a_warning(tmp_path: Path) -> None:
    site = environment(new_mark(), {"NO_MKDOCS_2_WARNING": "1"})
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=PROJECT, capture_output=True, text=True, env=site, timeout=120)
    assert done.returncode == 0, done.stderr
    assert {page.stem for page in PAGES[1:]} <= {page.stem for page in (tmp_path / "site").glob("*.html")}
    reference = (tmp_path / "site" / "python-reference.html").read_text()
    names = set(fasthits.__all__) - {"__version__"}
    assert {name for name in names if f'id="fasthits.{name}"' not in reference} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), target


def anchors(text: str) -> list[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    for name in re.findall(r"`((?:fasthits|tests|benchmarks|docs)/[^`\s]*\.py)`", page.read_text()):
        assert (PROJECT / name).exists(), name


def test_the_modules_that_architecture_names_exist() -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text()
    rooms = "live|daily|rules|upkeep|cli|web|follow"
    names = re.findall(rf"(?<![\w/.(])((?:{rooms})\.[a-z_.]*[a-z])\b", text) + re.findall(
        rf"`((?:{rooms})/\w+)\.py`", text
    )
    assert len(names) > 20
    for name in names:
        module = PROJECT / "fasthits" / re.sub("^follow", "live/follow", name.replace(".", "/"))
        assert module.is_dir() or module.with_suffix(".py").exists(), name


def test_the_maps_of_architecture_name_every_folder_module_and_part() -> None:
    """Each folder of the package, each module outside of these folders, and each part of the core."""
    package = PROJECT / "fasthits"
    text = (PROJECT / "docs" / "architecture.md").read_text()
    rooms, core = (text.partition(f"\n## {title}\n")[2].partition("\n## ")[0] for title in ("Rooms", "The core"))
    folders = {file.parent.name for pattern in ("*/__init__.p*", "*/*/__init__.py") for file in package.glob(pattern)}
    assert {name for name in folders if f"{name}/" not in rooms} == {"management", "migrations", "templatetags"}
    assert [file.name for file in package.glob("*.py") if file.name not in (rooms + "__main__.py")] == []
    named = " ".join(re.findall(r"^    ((?:\w+ )+) ", core, re.MULTILINE)).split()
    assert sorted(named) == sorted(file.stem for file in (package / "core").glob("[a-z]*.*"))


def test_the_messages_that_a_page_explains_are_in_the_code() -> None:
    code = "".join(file.read_text() for file in (PROJECT / "fasthits").rglob("*.py"))
    code = re.sub(r'"\s*f?"', "", code)
    tables = (PROJECT / "docs" / "troubleshooting.md").read_text()
    tables += (PROJECT / "docs" / "memcached.md").read_text().partition("## Messages")[2]
    messages = re.findall(r"^\| `([^`]*)` \|", tables, re.MULTILINE)
    words = [part for message in messages for part in re.findall(r"(?<!\w)[a-z' ,]{8,}", message.partition(":")[0])]
    assert len(messages) > 15
    assert [part for part in words if part not in code] == []

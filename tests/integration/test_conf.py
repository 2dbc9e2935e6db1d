"""`fasthits conf`: what it prints works where it is pasted."""

import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from fasthits.days import DEFAULT_LOGS
from fasthits.keys import DEFAULT_SERVER, hit_key
from tests.commands import fasthits, hit, write
from tests.integration.installation import Installation
from tests.integration.processes import PROJECT, eventually
from tests.integration.servers import IS_ROOT, Apache, Memcached

USER = "www-data" if IS_ROOT else "nobody"


def conf(*args: str) -> str:
    done = fasthits("conf", *args)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def custom_logs(text: str) -> list[str]:
    r"""Return Apache's directives; a line that ends with ``\`` goes on in the next one."""
    return re.findall(r"^(?:CustomLog|LogFormat) .*?(?<!\\)$", text, re.MULTILINE | re.DOTALL)


def crontab_commands(text: str) -> list[str]:
    """Return the commands of crontab lines, as cron hands them to the shell."""
    found = re.findall(r"^\d+ \d+ \* \* \*  \S+  (.*)$", text, re.M)
    assert not [command for command in found if re.search(r"(?<!\\)%", command)]  # cron would cut it there
    return [command.replace(r"\%", "%") for command in found]


@pytest.mark.skipif(not IS_ROOT, reason="only root may become another user")
def test_apache_counts_and_keeps_with_these_lines(place: Path, memcached: Memcached) -> None:
    pattern = f"{place}/my logs/%Y/%m/%d/access.log"
    lines = custom_logs(conf("--memcached", memcached.spec, "--logs", pattern, "--user", USER))
    assert len(lines) == 4
    with Apache(place / "apache", [], extra="\n".join(lines)) as apache:
        assert [apache.request("/a.html") for _ in range(3)] == [200] * 3
        today = date.today()
        key = hit_key(today, b"/a.html")
        eventually(lambda: memcached.views(key) == 6, what="each hit is counted by both loggers")
        apache.stop()
    assert Path(today.strftime(pattern)).read_bytes().count(b"GET /a.html") == 3
    assert "error" not in apache.error_log.lower().replace("error_log", "")


def test_the_nightly_rollup_and_the_compression_run_as_cron_would(place: Path) -> None:
    day = date(2026, 3, 12)
    pattern = f"{place}/my logs/%Y/%m/%d/access.log"
    log = write(Path(day.strftime(pattern)), hit("/a", day))
    rollup, compress = crontab_commands(conf("--logs", pattern, "--database", f"{place}/kept.db"))
    words = f" rollup --logs '{pattern}' --to {place}/kept.db"
    assert rollup.endswith(words)
    program = rollup.removesuffix(words)
    assert Path(program).is_absolute()
    done = subprocess.run(rollup.replace(" rollup ", " rollup 2026-03-12 "), shell=True, capture_output=True, text=True)
    assert "1 row for 2026-03-12" in done.stderr
    os.utime(log, (1e9, 1e9))
    assert subprocess.run(compress, shell=True, check=False).returncode == 0
    assert log.with_name("access.log.gz").exists()


def test_what_is_compressed_already_is_left_alone(place: Path) -> None:
    log = write(place / "access.2026-03-12", hit("/a"))
    write(place / "access.2026-03-11.gz", b"compressed")
    for file in place.iterdir():
        os.utime(file, (1e9, 1e9))
    _, compress = crontab_commands(conf("--logs", f"{place}/access.%Y-%m-%d"))
    done = subprocess.run(compress, shell=True, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not log.exists()
    assert (place / "access.2026-03-11.gz").read_bytes() == b"compressed"


def test_what_stands_instead_of_another_part_or_needs_a_folder_says_so() -> None:
    apache, short, cron, systemd, *_ = conf("--user", "joe", "--database", "/srv/my kept/hits.db").split("\n\n")
    assert apache.count("fasthits log ") == short.count("fasthits log ") == 1
    assert short.startswith("# Apache, instead of the first of these lines (with both each hit counts twice):")
    for part in (cron, systemd):
        assert "install -d -o joe '/srv/my kept'" in part


def test_systemd_gets_its_percents_doubled_and_spaces_quoted() -> None:
    text = conf("--logs", "/my logs/%Y/access.log", "--user", "joe", "--memcached", "a:1,b:2")
    assert 'rollup --logs "/my logs/%%Y/access.log" --to /var/lib/fasthits/hits.db\n' in text
    assert text.count("User=joe\n") == 2
    assert "log --memcached a:1 --memcached b:2" in text


def test_every_program_has_an_absolute_path_and_python_is_isolated() -> None:
    text = conf()
    assert text.count(" -m fasthits ") == text.count(f"{sys.executable} -I -m fasthits ") > 3
    programs = re.findall(r'CustomLog "\|(\S+) ', text)
    assert {"/bin/sh", "/usr/bin/cronolog"} == set(programs)


def test_readme_shows_apaches_lines() -> None:
    shown = custom_logs(re.sub("^    ", "", (PROJECT / "README.md").read_text(), flags=re.MULTILINE))
    printed = custom_logs(conf("--logs", DEFAULT_LOGS, "--memcached", DEFAULT_SERVER))
    assert shown == [line.replace(sys.executable, "/opt/fasthits/bin/python") for line in printed[:2]]


def test_what_only_the_environment_makes_importable_is_refused(place: Path) -> None:
    """As after `pip install --user`: root's Python would not find it."""
    here = Installation.make(place / "opt")
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    here.package.rename(elsewhere / "fasthits")
    command = [str(here.python), "-m", "fasthits", "conf"]
    done = subprocess.run(command, capture_output=True, env={"PYTHONPATH": str(elsewhere)}, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(f"fasthits: Apache and cron would not find fasthits: {here.python} -I".encode())


def test_every_part_begins_with_a_comment() -> None:
    assert all(part.startswith("# ") for part in conf().split("\n\n"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--user", 'a"b'),
        ("--logs", "/a'b"),
        ("--database", "/a\nb.db"),
        ("--logs", "/%H"),
        ("--user", "`id`"),
    ],
)
def test_what_would_be_read_otherwise_by_one_of_them_is_refused(arguments: tuple[str, str]) -> None:
    done = fasthits("conf", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr

"""`fasthits doctor`: a line a check; where one fails, what is wrong and the command or setting that mends it."""

import contextlib
import gzip
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import pytest

from fasthits.daily.days import ONE_DAY
from fasthits.live.keys import figure_path, hit_key
from tests.support.commands import fasthits, write
from tests.support.logger import Logger, access_line
from tests.support.processes import end_process, eventually
from tests.support.servers import IS_ROOT, Apache, Memcached, free_port, require_program

PATTERN = "logs/%Y/%m/%d/access.log"
OTHERS_MAY_RUN_PYTHON = bool(os.stat(sys.prefix).st_mode & 1) and all(
    os.stat(folder).st_mode & 1 for folder in Path(os.path.realpath(sys.executable)).parents
)
"""Not where it is root's own."""
AS_ROOT = pytest.mark.skipif(not IS_ROOT, reason="only root may become another user")

DJANGO = """
SECRET_KEY = "x"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": "<server>"}}
TIME_ZONE = None
"""


class Said(NamedTuple):
    """What doctor said: its exit code, and by the name of a check its verdict, what was found, and what to do."""

    code: int
    checks: dict[str, tuple[str, str, str]]

    def failed(self) -> dict[str, str]:
        """Return what is wrong and what to do by the name of each check that failed."""
        failed = {name: found for name, found in self.checks.items() if found[0] == "FAIL"}
        return {name: f"{text} -> {remedy}" for name, (_, text, remedy) in failed.items()}


def line(at: datetime, end: str = ' "GET / HTTP/1.1" 200 5 "-" "M"') -> bytes:
    return f"::1 - - [{at.astimezone():%d/%b/%Y:%H:%M:%S %z}]{end}\n".encode()


def log_of(folder: Path, day: date) -> Path:
    return folder / day.strftime(PATTERN)


@pytest.fixture
def folder(place: Path) -> Path:
    """A folder with the logs of yesterday and today."""
    for day in (date.today() - ONE_DAY, date.today()):
        write(log_of(place, day), line(datetime.combine(day, datetime.min.time())) * 10)
    return place


def run_doctor(folder: Path, spec: str, *args: str, first: str = "", **env: str) -> Said:
    """Run doctor; *first* is Python that runs before it."""
    env = {"FASTHITS_LOGS": str(folder / PATTERN)} | env
    done = fasthits("doctor", "--memcached", spec, *args, cwd=folder, first=first, **env)
    assert done.stderr == b"", done.stderr
    checks = {}
    for each in done.stdout.decode().splitlines():
        found = re.fullmatch(r"(ok|warn|FAIL) +(.+?): (.*?)(?: -> (.+))?", each)
        assert found, each
        assert found[1] == "ok" or found[4], f"says nothing of what to do: {each}"
        checks[found[2].removesuffix(f" {spec}")] = (found[1], found[3], found[4] or "")
    said = Said(done.returncode, checks)
    assert said.code == bool(said.failed())
    if not OTHERS_MAY_RUN_PYTHON:
        checks.pop("program", None)
    return said


def doctor(folder: Path, spec: str, *args: str, first: str = "", **env: str) -> Said:
    """Run doctor while a logger runs that has the same options, or there would be nothing but others' loggers."""
    taken = [word for word in args if word.startswith("--prefix=")]
    with Logger(folder, "--memcached", spec, *taken, env=env):
        return run_doctor(folder, spec, *args, first=first, **env)


def test_a_good_setup_is_ok_in_every_line(folder: Path, memcached: Memcached) -> None:
    said = doctor(folder, memcached.spec, *(["--user", "www-data"] if IS_ROOT else []), f"--to={folder}/hits.csv")
    wrong = {name: found for name, found in said.checks.items() if found[0] != "ok"}
    assert set(wrong) == ({"database"} if IS_ROOT else set()), "www-data may not write into a folder of root's"
    assert list(said.checks) == [
        "user",
        *(["program"] if IS_ROOT and OTHERS_MAY_RUN_PYTHON else []),
        *("configuration", "memcached", "evictions", "counters are ints"),
        *("loggers", "warnings", "log is counted"),
        *(
            "yesterday's log",
            "log format",
            "clock and time zone",
            "database",
            *([] if IS_ROOT else ["kept days"]),
            "pipe size",
        ),
    ]
    assert said.checks["log format"][1] == "combined, 10 of 10 lines parse"
    assert not (folder / "hits.csv").exists()


# memcached


def failing(folder: Path, spec: str, *args: str, first: str = "", **env: str) -> dict[str, str]:
    return doctor(folder, spec, *args, first=first, **env).failed()


def test_without_memcached_the_rest_is_checked_all_the_same(folder: Path) -> None:
    said = doctor(folder, f"127.0.0.1:{free_port()}")
    assert (list(said.failed()), len(said.checks)) == (["memcached"], 10)
    assert "Connection refused" in said.checks["memcached"][1]
    assert "systemctl start memcached" in said.checks["memcached"][2]


def test_one_of_several_servers_that_is_away_is_named(folder: Path, memcached: Memcached) -> None:
    away = f"127.0.0.1:{free_port()}"
    assert list(failing(folder, f"{memcached.spec},{away}")) == [f"memcached {away}"]


def test_a_memcached_that_hangs_is_told(folder: Path, memcached: Memcached) -> None:
    memcached.pause()
    told = failing(folder, memcached.spec)["memcached"]
    assert "it accepted the connection and said nothing" in told
    assert "-> systemctl restart memcached" in told


def test_a_server_that_wants_tls_is_told_with_how_to_write_it(folder: Path) -> None:
    for name in ("key.pem", "cert.pem"):
        write(folder / name).chmod(0o644)
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=localhost"
    subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
    files = f"ssl_chain_cert={folder}/cert.pem,ssl_key={folder}/key.pem"
    port = str(free_port())
    command = [require_program("memcached"), "-Z", "-o", files, "-l", "127.0.0.1", "-p", port, "-U", "0"]
    with subprocess.Popen([*command, *(["-u", "root"] if IS_ROOT else [])]) as server:
        try:
            eventually(lambda: can_connect(int(port)), what="memcached listens")
            told = failing(folder, f"127.0.0.1:{port}")["memcached"]
            secure = [f"tls://localhost:{port}", "--tls-ca", f"{folder}/cert.pem"]
            trusted = run_doctor(folder, *secure).checks["memcached"]
        finally:
            server.kill()
    assert told == f"memcached wants TLS: 127.0.0.1:{port} -> write tls://127.0.0.1:{port}"
    assert trusted[0] == "ok"


def test_a_server_that_is_no_memcached_is_told(folder: Path) -> None:
    with Apache(folder / "apache", []) as apache:
        assert list(failing(folder, f"127.0.0.1:{apache.port}")) == ["memcached"]


def test_a_proxy_without_statistics_is_no_failure(folder: Path, memcached: Memcached) -> None:
    port = free_port()
    write(
        folder / "proxy.yml",
        f"pool:\n  listen: 127.0.0.1:{port}\n  servers:\n   - {memcached.spec}:1\n".encode(),
    )
    program = require_program("nutcracker")
    stats = str(free_port())
    with subprocess.Popen([program, "-c", str(folder / "proxy.yml"), "-s", stats], stderr=subprocess.DEVNULL) as proxy:
        try:
            eventually(lambda: can_connect(port), what="the proxy listens")
            said = doctor(folder, f"127.0.0.1:{port}")
        finally:
            proxy.kill()
    assert said.failed() == {}
    assert said.checks["evictions"][0] == "warn"
    assert "no statistics, as behind a proxy" in said.checks["evictions"][1]
    assert said.checks["counters are ints"][0] == "ok"


def can_connect(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def fill(memcached: Memcached, size: int, keys: str = "i=$((i+1))") -> "subprocess.Popen[bytes]":
    """Start a process that stores items of *size* bytes without end."""
    loop = f"i=0; while :; do {keys}; printf 'set %s 0 0 {size} noreply\\r\\n%0{size}d\\r\\n' $i 0; done"
    command = f"exec 3<>/dev/tcp/127.0.0.1/{memcached.port}; ({loop}) >&3"
    return subprocess.Popen(["bash", "-c", command], stderr=subprocess.DEVNULL)


def statistic(memcached: Memcached, name: str, which: bytes = b"stats") -> int:
    found = re.findall(rb"STAT [\w:]*%b (\d+)" % name.encode(), memcached.ask(which, b"END\r\n"))
    return sum(map(int, found))


@pytest.mark.parametrize(("size", "told"), [(60, "memcached evicts: "), (60_000, None)])
def test_evictions_of_items_as_small_as_counters_are_told(
    folder: Path, start_memcached: Callable[..., Memcached], size: int, told: str | None
) -> None:
    memcached = start_memcached("-m", "2")
    with fill(memcached, size) as filling:
        eventually(lambda: statistic(memcached, "evictions"), 60, "memcached evicts")
        failed = failing(folder, memcached.spec)
        filling.kill()
        memcached.kill()  # ends the filler as well, whose connection is lost
    assert told is None or (told in failed["evictions"] and "-m 64 in /etc/memcached.conf" in failed["evictions"])
    assert told or "evictions" not in failed


@pytest.mark.parametrize(
    ("option", "statistics", "told"),
    [((), "evicted", "it removed"), (("-M",), "outofmemory", "it refused")],
)
def test_a_memcached_that_was_full_is_told(
    folder: Path, start_memcached: Callable[..., Memcached], option: tuple[str, ...], statistics: str, told: str
) -> None:
    memcached = start_memcached("-m", "2", *option)
    items = b"".join(b"set %d 0 0 100 noreply\r\n%0100d\r\n" % (number, 0) for number in range(60_000))
    with memcached.connect() as connection:
        connection.sendall(items)
        eventually(lambda: statistic(memcached, statistics, b"stats items"), what="it was full")
    found = failing(folder, memcached.spec)["evictions"]
    assert f"memcached was full: {told}" in found
    assert "items as small as counters in the" in found
    assert "-> give memcached more memory: -m 64" in found


@AS_ROOT
def test_a_socket_that_the_user_may_not_open_is_told(folder: Path, start_memcached: Callable[..., Memcached]) -> None:
    memcached = start_memcached(unix=True)
    assert memcached.socket_path
    memcached.socket_path.chmod(0o700)
    assert "Permission denied" in failing(folder, memcached.spec, "--user", "www-data")["memcached"]
    assert "memcached" not in failing(folder, memcached.spec)


# Django


def change(text: str) -> str:
    """Return settings with further keys of the default cache."""
    return f'CACHES["default"] |= {text}\n'


TWO = "localhost:1,localhost:2"
PYLIBMC = 'CACHES["default"]["BACKEND"] = "django.core.cache.backends.memcached.PyLibMCCache"\n'


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param("", None, id="as the logger has it"),
        pytest.param(change('{"LOCATION": "<server>".replace("127.0.0.1", "localhost")}'), None, id="localhost"),
        pytest.param(change('{"KEY_PREFIX": "site"}'), "-> use --prefix 'site:1:' for every", id="KEY_PREFIX"),
        pytest.param(change('{"VERSION": 2}'), "-> use --prefix ':2:' for every", id="VERSION"),
        pytest.param(
            change('{"KEY_FUNCTION": lambda key, prefix, version: f"{prefix}:{hash(key)}"}'),
            "-> remove KEY_FUNCTION from CACHES",
            id="KEY_FUNCTION",
        ),
        pytest.param(
            change('{"LOCATION": "127.0.0.1:1"}'), "-> use --memcached 127.0.0.1:1 for every", id="another server"
        ),
        pytest.param('CACHES["default"] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}', "LocMem"),
        pytest.param("del CACHES", "LocMem", id="no CACHES"),
        pytest.param("import no_such_module", "No module named 'no_such_module' -> run fasthits doctor in the site's"),
        pytest.param("1 / 0", "ZeroDivisionError", id="an error"),
        pytest.param("raise SystemExit(3)", "SystemExit: 3", id="an exit"),
        pytest.param(change('{"LOCATION": ["one:1", "two:2"]}'), "-> use --memcached one:1,two:2", id="more servers"),
    ],
)
def test_djangos_cache_is_compared(folder: Path, memcached: Memcached, settings: str, told: str | None) -> None:
    write(folder / "site_settings.py", (DJANGO + settings).replace("<server>", memcached.spec).encode())
    said = doctor(folder, memcached.spec, "--django-settings", "site_settings")
    assert told is None or told in said.failed()["Django's cache"]
    assert told or said.failed() == {}


APP = 'INSTALLED_APPS = ["django.contrib.contenttypes", "fasthits.django"]\n'


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param("", None, id="as the logger has it"),
        pytest.param(change('{"KEY_PREFIX": "site"}'), None, id="KEY_PREFIX is not for counters"),
        pytest.param(change('{"KEY_FUNCTION": lambda key, prefix, version: key[::-1]}'), None, id="nor KEY_FUNCTION"),
        pytest.param(
            'FASTHITS = {"PREFIX": "site:"}', "looks for keys with the prefix 'site:', the logger", id="PREFIX"
        ),
        pytest.param(
            'CACHES["hits"] = CACHES["default"] | {"LOCATION": "127.0.0.1:1"}\nFASTHITS = {"CACHE": "hits"}\n',
            'the app looks for counters at 127.0.0.1:1, the logger puts them at <server> -> set "MEMCACHED" in',
            id="another alias",
        ),
        pytest.param(
            'FASTHITS = {"MEMCACHED": "127.0.0.1:1"}', "the app looks for counters at 127.0.0.1:1", id="MEMCACHED"
        ),
        pytest.param('CACHES = {}\nFASTHITS = {"MEMCACHED": "<server>"}', None, id="no cache"),
        pytest.param(PYLIBMC, None, id="pylibmc"),
        pytest.param('FASTHITS = {"RULES": {"exclude_bots": True}}', "other rules than the logger: bots", id="RULES"),
        pytest.param('FASTHITS = {"CONFIG": "none.toml"}', "cannot read config file: none.toml", id="CONFIG"),
        pytest.param('FASTHITS = {"LIVE": 5}', 'FASTHITS["LIVE"] is invalid: 5', id="an invalid setting"),
    ],
)
def test_the_app_is_compared_as_it_finds_its_counters(
    folder: Path, memcached: Memcached, settings: str, told: str | None
) -> None:
    write(folder / "site_settings.py", (DJANGO + APP + settings).replace("<server>", memcached.spec).encode())
    failed = doctor(folder, memcached.spec, "--django-settings", "site_settings").failed()
    assert told is None or told.replace("<server>", memcached.spec) in failed["Django's cache"]
    assert told or failed == {}


@pytest.mark.parametrize(("there", "told"), [(None, None), ("Europe/Berlin", None), ("UTC", "set FASTHITS[")])
def test_the_days_of_the_app_are_compared(
    folder: Path, memcached: Memcached, there: str | None, told: str | None
) -> None:
    settings = f'{DJANGO}{APP}TIME_ZONE = "UTC"\nFASTHITS = {{"TIME_ZONE": {there!r}}}'
    write(folder / "site_settings.py", settings.replace("<server>", memcached.spec).encode())
    failed = failing(folder, memcached.spec, "--django-settings", "site_settings", TZ="Europe/Berlin")
    assert ("Django's time zone" in failed) == bool(told)
    assert told is None or told in failed["Django's time zone"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (PYLIBMC, 'PyLibMCCache spreads keys over 2 servers differently: it finds only some counters -> set "BACK'),
        (
            change('{"LOCATION": "<server>".replace("127.0.0.1", "localhost")}'),
            "Django looks for counters at localhost",
        ),
        (change('{"LOCATION": ",".join(reversed("<server>".split(",")))}'), None),
    ],
)
def test_several_servers_of_django_are_compared(
    folder: Path, start_memcached: Callable[..., Memcached], settings: str, told: str | None
) -> None:
    spec = ",".join(start_memcached().spec for _ in range(2))
    write(folder / "site_settings.py", (DJANGO + settings).replace("<server>", spec).encode())
    said = doctor(folder, spec, "--django-settings", "site_settings")
    assert told is None or told in said.failed()["Django's cache"]
    assert told or said.failed() == {}


def test_settings_that_are_not_there_are_told(folder: Path, memcached: Memcached) -> None:
    failed = failing(folder, memcached.spec, "--django-settings", "no_such_settings")
    assert "No module named 'no_such_settings' -> run fasthits doctor in the site's folder" in failed["Django's cache"]


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [
        ("Europe/Berlin", "Europe/Berlin", None),
        ("Europe/Berlin", "Europe/Paris", None),
        ("Europe/Berlin", "UTC", '"UTC" differs from this machine\'s time zone: in '),
        ("Europe/London", "UTC", '"UTC" differs from this machine\'s time zone: in '),
        ("UTC", "America/New_York", 'zone, "UTC"'),
    ],
)
def test_djangos_today_is_compared_all_the_year(
    folder: Path, memcached: Memcached, here: str, there: str, told: str | None
) -> None:
    write(folder / "site_settings.py", f"{DJANGO}TIME_ZONE = '{there}'\n".replace("<server>", memcached.spec).encode())
    failed = failing(folder, memcached.spec, "--django-settings", "site_settings", TZ=here)
    assert ("Django's time zone" in failed) == bool(told)
    assert told is None or told in failed["Django's time zone"]


# Loggers


@pytest.mark.parametrize(
    "options",
    [
        ["--prefix", "site:1:"],
        ["--memcached", "127.0.0.1:1,127.0.0.1:2"],
        ["--exclude-static", "--status", "200,304"],
        ["--include-path=/a/*", "--include-path", "/b/*"],
        ["--config", "rules.toml"],
    ],
    ids=" ".join,
)
def test_the_options_of_a_logger_that_differ_are_told_and_are_those_to_use(place: Path, options: list[str]) -> None:
    write(place / "rules.toml", b"fold-slash = true\n")
    own = [] if "--memcached" in options else ["--memcached", f"127.0.0.1:{free_port()}"]
    alone = ["unshare", "--pid", "--fork", "--mount-proc"] if IS_ROOT else []  # where no other loggers run
    script = (
        f"{shlex.join([sys.executable, '-m', 'fasthits', 'log', *own, *options])} <&3 & "
        f"until grep -qsz fasthits /proc/$!/cmdline; do :; done; {sys.executable} -m fasthits doctor "
    )
    read_end, write_end = os.pipe()

    def ask(arguments: str) -> str:
        done = subprocess.run(
            [*alone, "bash", "-c", f"exec 3<&{read_end}; {script} {arguments}; kill -9 $!"],
            cwd=place,
            capture_output=True,
            text=True,
            pass_fds=[read_end],
            check=False,
        )
        (found,) = re.findall(r"^\S+ +loggers: .*", done.stdout, re.M)
        return found

    told = ask(shlex.join(own))
    assert told.startswith("FAIL"), told
    assert ask(shlex.join(own) + told.partition("-> fasthits doctor")[2]).startswith("ok "), told
    os.close(read_end)
    os.close(write_end)


@AS_ROOT
def test_no_logger_is_a_warning(place: Path) -> None:
    alone = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-m", "fasthits", "doctor"]
    done = subprocess.run(alone, cwd=place, capture_output=True, text=True, check=False)
    assert "warn  loggers: no fasthits log runs on this machine -> put the line of fasthits conf into" in done.stdout


def test_two_followers_of_one_log_are_told(folder: Path, memcached: Memcached) -> None:
    log = log_of(folder, date.today())
    with contextlib.ExitStack() as stack:
        for number, name in enumerate([str(log), os.path.relpath(log, folder)]):
            state = folder / f"{number}.state"
            command = [sys.executable, "-m", "fasthits", "log", "--follow", name, "--state", str(state)]
            process = subprocess.Popen([*command, "--memcached", memcached.spec], cwd=folder)
            stack.callback(end_process, process)
            eventually(state.exists, what="the follower runs")
        text = run_doctor(folder, memcached.spec).failed()["loggers"]
        assert f"both follow {log}, so each line counts twice -> end one of them: kill {process.pid}" in text


OFTEN = "import fasthits.live.statistics; fasthits.live.statistics.PUBLISH_SECONDS = 0.1"
"""Runs in a logger whose figures doctor waits for."""
IMPATIENT = "import fasthits.upkeep.doctor.running; fasthits.upkeep.doctor.running.LATE_SECONDS = 3.0"
"""Runs in a doctor that waits for figures that never come."""


@contextlib.contextmanager
def growing(file: Path, logger: Logger | None = None) -> Iterator[None]:
    """Have lines appended to *file* meanwhile, some hundred a second, and written to a logger."""
    stop = Event()

    def append() -> None:
        with file.open("ab", buffering=0) as log:
            while not stop.wait(0.005):
                log.write(access_line("/page", date.today()))
                if logger:
                    logger.write(access_line("/page", date.today()))

    thread = Thread(target=append)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_log_that_grows_and_is_counted_is_ok(folder: Path, memcached: Memcached) -> None:
    with (
        Logger(folder, "--memcached", memcached.spec, first=OFTEN) as logger,
        growing(log_of(folder, date.today()), logger),
    ):
        said = run_doctor(folder, memcached.spec)
    assert said.checks["log is counted"][0] == "ok", said.checks["log is counted"]
    assert "lines of " in said.checks["log is counted"][1]


def test_a_virtual_host_with_its_own_log_is_not_counted_and_told(folder: Path, memcached: Memcached) -> None:
    """The figures rise, as the main server's lines are counted, but those of the virtual host are not."""
    logger = f'"|{sys.executable} -m fasthits log --memcached {memcached.spec}"'
    log = log_of(folder, date.today())
    log.unlink()
    own = f"<VirtualHost *:*>\nServerName own.example\nCustomLog {log} combined\n</VirtualHost>"
    with Apache(folder / "apache", [logger], extra=own) as apache:
        stop: list[bool] = []

        def browse() -> None:
            while not stop:
                apache.request("/a.html")

        thread = Thread(target=browse)
        thread.start()
        eventually(lambda: log.exists() and log.stat().st_size, what="Apache logs")
        failed = run_doctor(folder, memcached.spec, first=IMPATIENT).failed()
        stop.append(True)
        thread.join()
    assert " grows, but it is not counted: there is no counter :1:" in failed["log is counted"]
    assert "write GlobalLog instead of CustomLog" in failed["log is counted"]


def test_figures_that_stand_still_while_the_log_grows_are_told(folder: Path, memcached: Memcached) -> None:
    """As after a logger that counted this morning and is gone."""
    for key in (hit_key(date.today(), b"/page"), hit_key(date.today(), figure_path("lines"))):
        assert memcached.ask(f"add {key} 2 600 1\r\n5".encode()) == b"STORED\r\n"
    with growing(log_of(folder, date.today())):
        failed = failing(folder, memcached.spec, first=IMPATIENT)
    assert "grows, but it is not counted: the loggers' !lines stays 5 -> " in failed["log is counted"]


def test_warnings_of_loggers_are_told_with_what_to_do(folder: Path, memcached: Memcached) -> None:
    for figure, number in (("warning unreachable", 3), ("in doubt", 17)):
        key = hit_key(date.today(), figure_path(figure))
        assert memcached.ask(f"add {key} 2 600 {len(str(number))}\r\n{number}".encode()) == b"STORED\r\n"
    verdict, text, remedy = doctor(folder, memcached.spec).checks["warnings"]
    assert verdict == "warn"
    assert text == "17 hits may have been counted or not; a logger could not reach memcached: 3 warnings today"
    assert remedy.startswith("fasthits warm repairs the counters; start memcached")


# Logs


@pytest.mark.parametrize(
    ("end", "name"),
    [(' "GET / HTTP/1.1" 200 5', "common"), (' "GET / HTTP/1.1" 200 5 "-" "M"', "combined"), (" whatever", None)],
)
def test_the_format_is_told(folder: Path, memcached: Memcached, end: str, name: str | None) -> None:
    yesterday = date.today() - ONE_DAY
    write(log_of(folder, yesterday), line(datetime.combine(yesterday, datetime.min.time()), end) * 10)
    verdict, text, remedy = doctor(folder, memcached.spec).checks["log format"]
    assert text.startswith(f"{name}, 10 of 10" if name else "10 of the first 10 lines cannot be read: ")
    assert (verdict == "ok") == bool(name)
    assert name or "fasthits explain" in remedy


@pytest.mark.parametrize(
    ("text", "log_format", "name"),
    [
        ("o [{:%d/%b/%Y:%H:%M:%S %z}] GET / 200", "auto", "short"),
        ('{{"ts": {:%s}.5, "method": "GET", "uri": "/"}}', "auto", "json"),
        ("{:%Y-%m-%dT%H:%M:%S%z} GET / 200", "$time_iso8601 $request_method $request_uri $status", "nginx"),
        ("{:%s000} GET /", "%{{msec}}t %m %U", "apache"),
        ("{:%e %b %Y %H:%M} GET /", "%{{%e %b %Y %R}}t %m %U", "apache"),
    ],
)
def test_every_format_is_known_also_that_of_the_configuration(
    folder: Path, memcached: Memcached, text: str, log_format: str, name: str
) -> None:
    midnight = datetime.combine(date.today(), datetime.min.time()).astimezone()
    for day in (midnight - ONE_DAY, midnight):
        write(log_of(folder, day), (text.format(day) + "\n").encode() * 10, b"\xfftorn")
    write(folder / "rules.toml", f"format = '{log_format.format()}'\n".encode())
    said = doctor(folder, memcached.spec, FASTHITS_CONFIG=str(folder / "rules.toml"))
    assert said.failed() == {}
    assert said.checks["log format"][1] == f"{name}, 10 of 11 lines parse"
    assert f"last line at {midnight:%Y-%m-%d %H:%M:%S}" in said.checks["clock and time zone"][1]


@pytest.mark.parametrize(
    ("lines", "options", "told"),
    [
        (
            b'{"msg": "hello"}\n' * 10,
            "",
            "10 of the first 10 lines cannot be read: json: no time and no method and no path under a name that "
            "fasthits knows: ",
        ),
        (
            b'{"at": "2026-03-12 10:00", "m": "GET", "p": "/"}\n',
            "",
            "-> try --format json --json-fields time=NAME,",
        ),
        (b"10.0.0.1 GET /a\n" * 10, "", "cannot be read: no named format finds its time in it: no time like ["),
        (b"<html>\n" * 10, "", "this looks like an HTML or XML page: "),
        (access_line("/a"), 'format = "json"', "the line is not json: it can be read as combined: "),
        (access_line("/a"), "by-host = true", "--by-host needs a log format with the virtual host"),
        (b'[12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5\n', "exclude-bots = true", "--exclude-bots needs"),
    ],
)
def test_lines_that_cannot_be_counted_are_told(
    folder: Path, memcached: Memcached, lines: bytes, options: str, told: str
) -> None:
    write(log_of(folder, date.today() - ONE_DAY), lines)
    write(folder / "rules.toml", options.encode())
    assert told in failing(folder, memcached.spec, FASTHITS_CONFIG=str(folder / "rules.toml"))["log format"]


def test_a_rule_that_leaves_all_lines_out_is_told(folder: Path, memcached: Memcached) -> None:
    write(log_of(folder, date.today() - ONE_DAY), access_line("/a", method="POST") * 9)
    verdict, text, remedy = doctor(folder, memcached.spec).checks["log format"]
    assert verdict == "warn"
    assert text == "no hits in the first 9 lines, one rule filters them (method): only GET counts; the log has POST"
    assert remedy == "--method GET,POST counts such lines"


def test_logs_that_are_not_there_or_empty_are_told(folder: Path, memcached: Memcached) -> None:
    write(log_of(folder, date.today() - ONE_DAY))
    failed = failing(folder, memcached.spec)
    assert {"yesterday's log", "log format"} == set(failed)
    assert "log file is empty" in failed["yesterday's log"]
    log_of(folder, date.today() - ONE_DAY).unlink()
    said = doctor(folder, memcached.spec)
    assert said.failed() == {}
    assert said.checks["yesterday's log"][0] == "warn"
    failed = failing(folder, memcached.spec, "--logs", "nothing-%d.log")
    assert {"log is counted", "yesterday's log", "log format", "clock and time zone"} == set(failed)
    assert all("name the web server's log with --logs" in text for text in failed.values())


def test_a_pipe_in_place_of_a_log_is_told_and_not_waited_for(folder: Path, memcached: Memcached) -> None:
    os.mkfifo(folder / "access.log")
    failed = failing(folder, memcached.spec, "--logs", str(folder / "access.log"))
    assert {"yesterday's log", "log format", "clock and time zone"} <= set(failed)
    assert "not a file, so it cannot be looked at" in failed["yesterday's log"]


def test_yesterday_must_be_whole(folder: Path, memcached: Memcached) -> None:
    """A rollup would leave out a day that is not, and doctor says so before the night."""
    noon = datetime.combine(date.today() - ONE_DAY, datetime.min.time().replace(hour=12))
    log = folder / "kept/access.log"
    write(log, line(noon) + line(noon + ONE_DAY))
    write(log.with_name("access.log.1"), line(noon - ONE_DAY))
    os.utime(log.with_name("access.log.1"), (time.time(), noon.timestamp()))
    assert doctor(folder, memcached.spec, "--logs", f"{log}*").checks["yesterday's log"][0] == "ok"
    verdict, found, remedy = doctor(folder, memcached.spec, "--logs", str(log)).checks["yesterday's log"]
    assert (verdict, remedy) == ("FAIL", f"name all files of the log: --logs '{log}*'")
    assert f"is not whole, so the rollup will leave it out: its beginning is missing: {log} begins at" in found


def test_the_end_of_yesterday_is_found_in_compressed_logs_as_well(folder: Path, memcached: Memcached) -> None:
    noon = datetime.combine(date.today() - ONE_DAY, datetime.min.time().replace(hour=12))
    log = folder / "kept/access.log.1.gz"
    for last, verdict in ((noon + ONE_DAY, "ok"), (noon, "FAIL")):
        write(log, gzip.compress(line(noon - ONE_DAY) + line(noon) * 10_000 + line(last)))
        checks = doctor(folder, memcached.spec, "--logs", f"{log.parent}/access.log*").checks
        assert checks["yesterday's log"][0] == verdict, checks["yesterday's log"]


@AS_ROOT
@pytest.mark.parametrize("unreadable", [PATTERN, "logs"])
def test_logs_that_the_user_may_not_read_are_told(folder: Path, memcached: Memcached, unreadable: str) -> None:
    for day in (date.today(), date.today() - ONE_DAY):
        (folder / day.strftime(unreadable)).chmod(0o700)
    failed = failing(folder, memcached.spec, "--user", "www-data")
    assert {"yesterday's log", "log format", "log is counted"} <= set(failed)
    assert "(Permission denied) -> let the user read it: setfacl " in failed["yesterday's log"]
    assert failing(folder, memcached.spec) == {}


@pytest.mark.parametrize(
    ("stamp", "told"),
    [
        ("01/Jan/2026:00:00:00 +1215", "different time zones: +1215 in the log"),
        (f"{datetime.now().astimezone() + timedelta(hours=1):%d/%b/%Y:%H:%M:%S %z}", "ahead of this machine's clock"),
    ],
    ids=["another zone", "the future"],  # the same in each worker of pytest-xdist
)
def test_a_log_of_another_zone_or_of_the_future_is_told(
    folder: Path, memcached: Memcached, stamp: str, told: str
) -> None:
    write(log_of(folder, date.today()), f'::1 - - [{stamp}] "GET / HTTP/1.1" 200 5\n'.encode())
    failed = failing(folder, memcached.spec)["clock and time zone"]
    assert told in failed
    assert "timedatectl" in failed


# The database, the configuration, the user


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no/such/folder/hits.db", None),
        ("hits.txt", None),
        ("hits.db", b"not a database, though it is called one\n" * 100),
        ("hits.csv", b"day,url,count\n2026-03-12,/,1\n"),
        ("folder.db/", None),
    ],
)
def test_a_database_that_cannot_be_written_is_told(
    folder: Path, memcached: Memcached, name: str, content: bytes | None
) -> None:
    if name.endswith("/"):
        (folder / name).mkdir()
    if content:
        write(folder / name, content)
    assert list(failing(folder, memcached.spec, "--to", name)) == ["database"]


def test_days_that_no_rollup_has_kept_are_told(folder: Path, memcached: Memcached) -> None:
    days = [date.today() - timedelta(before) for before in (40, 38, 3, 1)]
    kept = write(folder / "kept.log", *(access_line("/", day) for day in days))
    fasthits("rollup", f"{days[0]}..{days[-1]}", "--partial", "--logs", kept, "--to", folder / "kept.db")
    said = doctor(folder, memcached.spec, "--to", f"{folder}/kept.db")
    verdict, text, remedy = said.checks["kept days"]
    assert verdict == "warn"
    first, gap = date.today() - timedelta(30), date.today() - timedelta(2)
    assert text == f"kept up to {days[-1]}; 28 days are missing: {first}..{date.today() - timedelta(4)}, {gap}"
    assert remedy == f"while their logs are there: fasthits rollup {first}..{gap} --to {folder}/kept.db"


@AS_ROOT
def test_a_database_that_the_user_may_not_write_is_told(folder: Path, memcached: Memcached) -> None:
    (folder / "kept").mkdir()
    failed = failing(folder, memcached.spec, "--to", f"{folder}/kept/hits.db", "--user", "www-data")
    assert "install -d -m 0750 -o USER FOLDER" in failed["database"]
    assert failing(folder, memcached.spec, "--to", f"{folder}/kept/hits.db") == {}


@AS_ROOT
def test_a_disk_that_is_nearly_full_is_told(folder: Path, memcached: Memcached) -> None:
    (folder / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder / "small"], check=True)
    try:
        failed = failing(folder, memcached.spec, "--to", f"{folder}/small/hits.db")
    finally:
        subprocess.run(["umount", folder / "small"], check=True)
    assert "disk nearly full: 1 MB left for " in failed["database"]
    assert "make room on that disk" in failed["database"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"exclude-botts = true\n", "did you mean exclude-bots?"),
        (b"status = \n", "config file is not valid TOML"),
        (b"\xff", "config file is not valid TOML"),
        (None, "cannot read config file"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_told(
    folder: Path, memcached: Memcached, text: bytes | None, told: str
) -> None:
    if text:
        write(folder / "rules.toml", text)
    failed = run_doctor(folder, memcached.spec, "--config", f"{folder}/rules.toml").failed()
    assert told in failed["configuration"]
    assert "-> mend the file or its permissions: chmod a+r" in failed["configuration"]


@AS_ROOT
def test_a_configuration_that_the_user_may_not_read_is_told(folder: Path, memcached: Memcached) -> None:
    write(folder / "rules.toml", b"fold-slash = true\n").chmod(0o600)
    args = (folder, memcached.spec, "--config", f"{folder}/rules.toml")
    assert "Permission denied" in run_doctor(*args, "--user", "www-data").failed()["configuration"]
    assert "configuration" not in run_doctor(*args).failed()


@AS_ROOT
def test_a_user_that_is_gone_is_told(folder: Path, memcached: Memcached) -> None:
    failed = failing(folder, memcached.spec, "--user", "nobody-at-all")
    assert failed == {"user": "no such user: nobody-at-all -> useradd --system --user-group nobody-at-all"}


@AS_ROOT
def test_a_python_that_the_user_may_not_run_is_told(place: Path) -> None:
    """As where fasthits is installed in root's home."""
    (place / "private").mkdir(mode=0o700)
    own = place / "private" / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", own], check=True)
    program = f"import sys; sys.path[:0] = {sys.path!r}; import fasthits.cli as c; c.run(sys.argv[1:])"
    done = subprocess.run(
        [own / "bin" / "python", "-c", program, "doctor", "--user", "www-data"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "FAIL  program: www-data cannot run fasthits: " in done.stdout
    assert "-> install fasthits where every user may read it" in done.stdout


@AS_ROOT
def test_root_is_told_that_it_sees_more_than_others(folder: Path, memcached: Memcached) -> None:
    verdict, text, remedy = doctor(folder, memcached.spec).checks["user"]
    assert (verdict, text) == ("warn", "this looks at files as root, who may read everything")
    assert "--user" in remedy


def test_standard_input_cannot_be_examined() -> None:
    assert fasthits("doctor", "--logs", "-").returncode == 2

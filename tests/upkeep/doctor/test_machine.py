"""`fasthits doctor` on the user, the configuration, the database, the disk; and a good setup."""

import os
import subprocess
import sys
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest

from fasthits.upkeep.doctor import Setup, machine
from tests.support.commands import fasthits, write
from tests.support.logger import access_line
from tests.support.servers import IS_ROOT, Memcached
from tests.upkeep.doctor.support import AS_ROOT, OTHERS_MAY_RUN_PYTHON, doctor, failing, run_doctor


def test_a_good_setup_is_ok_in_every_line(folder: Path, shared: Memcached) -> None:
    said = doctor(folder, shared.spec, *(["--user", "www-data"] if IS_ROOT else []), f"--to={folder}/hits.csv")
    wrong = {name: found for name, found in said.checks.items() if found[0] != "ok"}
    assert set(wrong) == ({"database"} if IS_ROOT else set()), "www-data may not write into a folder of root's"
    assert list(said.checks) == [
        "user",
        *(["program"] if IS_ROOT and OTHERS_MAY_RUN_PYTHON else []),
        *("config file", "memcached", "evictions", "counters are ints"),
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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no/such/folder/hits.db", None),
        ("hits.txt", None),
        ("hits.db", b"not a database, though it is called one\n" * 100),
        ("hits.csv", b"day,url,count\n2026-03-12,/,1\n"),
        ("folder.db", None),
    ],
)
def test_a_database_that_cannot_be_written_is_reported(
    folder: Path, shared: Memcached, name: str, content: bytes | None
) -> None:
    if name.startswith("folder"):
        (folder / name).mkdir()
    if content:
        write(folder / name, content)
    failed = failing(folder, shared.spec, "--to", name)
    assert list(failed) == ["database"]
    assert "must own" not in failed["database"]
    assert failed["database"].count("name another file") <= 1


@pytest.mark.parametrize("name", ["hits.db", "hits.csv"])
def test_a_database_may_have_the_columns_of_any_rules(folder: Path, shared: Memcached, name: str) -> None:
    """The rollup of `fasthits conf` has no --by-host, but the logger for all virtual hosts has."""
    log = write(folder / "some.log", b"www.example.org:80 " + access_line("/", date.today() - timedelta(1)))
    kept = folder / name
    rules = ("--by-host", "--bots", "apart")
    done = fasthits("rollup", "--partial", "--logs", log, "--to", kept, "--format", "vhost_combined", *rules)
    assert done.returncode == 0, done.stderr
    for given in (rules, (), rules[:1]):
        found = run_doctor(folder, shared.spec, "--to", str(kept), *given).checks["database"]
        assert found[:2] == ("ok", f"{kept} can be written")


@pytest.mark.parametrize("name", ["web1.hits", "WEB1.HITS"])
def test_the_partial_of_a_web_server_is_looked_at(folder: Path, shared: Memcached, name: str) -> None:
    """It may be named as another server's, and have other tables: doctor has no options for them."""
    log = write(folder / "some.log", access_line("/", date(2026, 3, 12)))
    target = folder / name
    for expected in ("made", "written"):
        found = doctor(folder, shared.spec, "--to", str(target)).checks
        assert (found["database"][:2], found["kept days"][0]) == (("ok", f"{target} can be {expected}"), "ok")
        done = fasthits("rollup", "2026-03-12", "--logs", log, "--to", target, "--server", "web1", "--referrers")
        assert done.returncode == 0, done.stderr
    write(target, b"no partial")
    assert "not a partial of fasthits" in failing(folder, shared.spec, "--to", str(target))["database"]


@pytest.mark.parametrize(
    ("target", "remedy"),
    [
        ("hits.txt", "use a name that ends in .db, "),
        ("mysql://stats@db.example/hits", "name SQLite's file, such as hits.db, or postgresql://"),
        ("postgresql://stats@127.0.0.1:1/hits", "start the server, or correct its name "),
    ],
)
def test_the_remedy_fits_the_target(folder: Path, shared: Memcached, target: str, remedy: str) -> None:
    said = run_doctor(folder, shared.spec, "--to", target)
    assert said.checks["database"][2].startswith(remedy)


def test_days_that_no_rollup_has_kept_are_reported(folder: Path, shared: Memcached) -> None:
    days = [date.today() - timedelta(before) for before in (40, 38, 3, 1)]
    kept = write(folder / "kept.log", *(access_line("/", day) for day in days))
    fasthits("rollup", f"{days[0]}..{days[-1]}", "--partial", "--logs", kept, "--to", folder / "kept.db")
    said = doctor(folder, shared.spec, "--to", f"{folder}/kept.db")
    verdict, text, remedy = said.checks["kept days"]
    assert verdict == "warn"
    first, gap = date.today() - timedelta(30), date.today() - timedelta(2)
    assert text == f"kept up to {days[-1]}; 28 days are missing: {first}..{date.today() - timedelta(4)}, {gap}"
    assert remedy == f"while their logs are there: fasthits rollup {first}..{gap} --to {folder}/kept.db"


@AS_ROOT
def test_a_database_that_the_user_may_not_write_is_reported(folder: Path, shared: Memcached) -> None:
    (folder / "kept").mkdir()
    failed = failing(folder, shared.spec, "--to", f"{folder}/kept/hits.db", "--user", "www-data")
    assert "install -d -m 0750 -o USER FOLDER" in failed["database"]
    assert failing(folder, shared.spec, "--to", f"{folder}/kept/hits.db") == {}


@AS_ROOT
def test_a_disk_that_is_nearly_full_is_reported(folder: Path, shared: Memcached) -> None:
    (folder / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder / "small"], check=True)
    try:
        failed = failing(folder, shared.spec, "--to", f"{folder}/small/hits.db")
    finally:
        subprocess.run(["umount", folder / "small"], check=True)
    assert "disk nearly full: 1 MB left for " in failed["database"]
    assert "make room on that disk" in failed["database"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"exclude-botts = true\n", "did you mean exclude-bots?"),
        (b"status = \n", "config file is not valid TOML"),
        (b"\xff", "config file is not UTF-8"),
        (None, "cannot read config file"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_reported(
    folder: Path, shared: Memcached, text: bytes | None, told: str
) -> None:
    if text:
        write(folder / "rules.toml", text)
    failed = run_doctor(folder, shared.spec, "--config", f"{folder}/rules.toml").failed()
    assert told in failed["config file"]
    assert "-> mend the file or its permissions: chmod a+r" in failed["config file"]


@AS_ROOT
def test_a_configuration_that_the_user_may_not_read_is_reported(folder: Path, shared: Memcached) -> None:
    write(folder / "rules.toml", b"fold-slash = true\n").chmod(0o600)
    args = (folder, shared.spec, "--config", f"{folder}/rules.toml")
    assert "Permission denied" in run_doctor(*args, "--user", "www-data").failed()["config file"]
    assert "config file" not in run_doctor(*args).failed()


@AS_ROOT
def test_a_user_that_does_not_exist_is_reported(folder: Path, shared: Memcached) -> None:
    failed = failing(folder, shared.spec, "--user", "nobody-at-all")
    assert failed == {"user": "no such user: nobody-at-all -> useradd --system --user-group nobody-at-all"}


@AS_ROOT
def test_a_user_without_an_account_is_told_by_its_number() -> None:
    """Containers often run as such a user."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        with suppress(Exception):
            os.setuid(12345)
            os.write(writer, machine.user(Setup((), "", (), "-")).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as said:
        assert said.read() == "this looks at files as 12345"
    os.waitpid(child, 0)


@AS_ROOT
def test_a_python_that_the_user_may_not_run_is_reported(place: Path) -> None:
    """For example, if fasthits is installed in root's home."""
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
def test_root_is_warned_that_it_sees_more_than_others(folder: Path, shared: Memcached) -> None:
    verdict, text, remedy = doctor(folder, shared.spec).checks["user"]
    assert (verdict, text) == ("warn", "files are checked as root, who may read everything")
    assert "--user" in remedy


def test_standard_input_cannot_be_examined() -> None:
    assert fasthits("doctor", "--logs", "-").returncode == 2

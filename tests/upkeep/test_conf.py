"""`fasthits conf`: the lines that it prints work in the files that they are for."""

import gzip
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from fasthits.daily.days import DEFAULT_LOGS, ONE_DAY
from fasthits.live.keys import DEFAULT_SERVER, hit_key
from fasthits.upkeep import conf as snippets
from fasthits.upkeep.conf import choose_logs
from fasthits.upkeep.units import rollup_units
from tests.support.commands import fasthits, hit, write
from tests.support.installation import Installation
from tests.support.processes import PROJECT, environment, eventually, marked_processes
from tests.support.servers import IS_ROOT, Apache, Memcached, require_program
from tests.upkeep.support import USER, conf, run_as_cron


def custom_logs(text: str) -> list[str]:
    r"""Return Apache's directives. A line that ends with ``\`` goes on in the next line."""
    return re.findall(r"^(?:CustomLog|GlobalLog|LogFormat) .*?(?<!\\)$", text, re.MULTILINE | re.DOTALL)


def crontab_commands(text: str) -> list[str]:
    """Return the commands of crontab lines, as cron hands them to the shell."""
    found = re.findall(r"^\d+ \d+ \* \* \*  \S+  (.*)$", text, re.M)
    assert not [command for command in found if re.search(r"(?<!\\)%", command)]  # cron would cut the command there
    return [command.replace(r"\%", "%") for command in found]


@pytest.mark.skipif(not IS_ROOT, reason="only root may become another user")
def test_apache_counts_and_keeps_with_these_lines(place: Path, memcached: Memcached) -> None:
    require_program("cronolog")
    pattern = f"{place}/my logs/%Y/%m/%d/access.log"
    lines = custom_logs(conf("--memcached", memcached.spec, "--logs", pattern, "--user", USER))
    assert len(lines) == 6
    with Apache(place / "apache", [], extra="\n".join(lines)) as apache:
        assert [apache.request("/a.html") for _ in range(3)] == [200] * 3
        today = date.today()
        key = hit_key(today, b"/a.html")
        eventually(lambda: memcached.views(key) == 6, what="each hit is counted by both loggers")
        host_key = hit_key(today, b"//localhost/a.html")
        eventually(lambda: memcached.views(host_key) == 3, what="each hit is counted by that of all hosts")
        apache.stop()
    assert Path(today.strftime(pattern)).read_bytes().count(b"GET /a.html") == 3
    assert "error" not in apache.error_log.lower().replace("error_log", "")


def without_cronolog(logs: Sequence[str] = (DEFAULT_LOGS,), **others: str) -> snippets.Installation:
    """Return an installation on a machine that lacks cronolog."""
    words = {"user": USER, "database": "/srv/hits.db", "followed": snippets.NGINX_LOG, "cronolog": "", **others}
    return snippets.Installation(program=["/missing"], logs=logs, servers=[], has_apache=True, **words)


@pytest.mark.skipif(not IS_ROOT, reason="only root may become another user")
def test_apache_survives_a_reload_with_these_lines_if_cronolog_is_missing(place: Path) -> None:
    """Apache ends at a reload if a piped program is missing, and its configtest does not notice."""
    lines = snippets.apache(without_cronolog())
    assert len(custom_logs(lines)) == 1
    assert "\n# So first install cronolog, then remove the # from the next line.\n#CustomLog " in lines
    extra = place / "extra.conf"
    with Apache(place / "apache", [], extra=f"IncludeOptional {extra}*") as apache:
        extra.write_text(lines)
        apache.graceful()
        assert apache.request("/a.html") == 200
        missing = "/usr/bin/cronolog-that-is-missing"
        extra.write_text(snippets.apache(without_cronolog(cronolog=missing)))
        os.kill(apache.pid, signal.SIGUSR1)
        apache.process.wait(60)  # type: ignore[union-attr]
        assert f"unable to start piped log program '{missing}" in apache.error_log


def test_the_nightly_rollup_and_the_compression_run_as_cron_would(place: Path) -> None:
    yesterday = date.today() - ONE_DAY
    pattern = f"{place}/my logs/%Y/%m/%d/access.log"
    log = write(Path(yesterday.strftime(pattern)), hit("/a", yesterday))
    write(Path(date.today().strftime(pattern)), hit("/a", date.today()))
    rollup, compress = crontab_commands(conf("--logs", pattern, "--database", f"{place}/kept.db"))
    assert rollup.endswith(f" rollup --quiet --logs '{pattern}' --to {place}/kept.db")
    assert run_as_cron(rollup, place) == (0, ""), "cron would mail this"
    kept = fasthits("history", "/a", "--days", "1", "--csv", "--database", place / "kept.db").stdout.decode()
    assert kept.splitlines()[1:] == [f"{yesterday},/a,1"]
    assert (place / "kept.db").stat().st_mode & 0o777 == 0o640
    other = write(place / "my logs/access.log", hit("/a"))  # Apache has it open, though nobody reads that site
    for file in (log, other):
        os.utime(file, (1e9, 1e9))
    assert run_as_cron(compress, place) == (0, "")
    assert log.with_name("access.log.gz").exists()
    assert other.exists()
    log.with_name("access.log.gz").unlink()
    code, mail = run_as_cron(rollup, place)
    assert code == 1
    assert f"{yesterday}" in mail


@pytest.mark.skipif(not IS_ROOT, reason="only root may listen for all virtual hosts' logs as Apache does")
def test_one_logger_counts_all_virtual_hosts_also_those_with_a_log_of_their_own(
    place: Path, memcached: Memcached
) -> None:
    lines = custom_logs(conf("--memcached", memcached.spec, "--user", USER))
    lines = [line for line in lines if "vhost_combined" in line]
    hosts = [
        f"<VirtualHost *:*>\nServerName {name}.example\n{own}\n</VirtualHost>"
        for name, own in (("one", ""), ("two", f"CustomLog {place}/two.log combined"))
    ]
    with Apache(place / "apache", [], extra="\n".join([*lines, *hosts])) as apache:
        for name in ("one", "two", "two"):
            request = f"GET /a.html HTTP/1.1\r\nHost: {name}.example\r\nConnection: close\r\n\r\n"
            assert b" 200 " in apache.exchange(request.encode())
        today = date.today()
        memcached.expect({hit_key(today, b"//one.example/a.html"): 1, hit_key(today, b"//two.example/a.html"): 2})
        apache.stop()


def test_compressed_files_are_not_compressed_again(place: Path) -> None:
    log = write(place / "access.2026-03-12", hit("/a"))
    write(place / "access.2026-03-11.gz", b"compressed")
    other = write(place / "access.www-blog-en", hit("/a"))
    for file in place.iterdir():
        os.utime(file, (1e9, 1e9))
    _, compress = crontab_commands(conf("--logs", f"{place}/access.%Y-%m-%d"))
    done = subprocess.run(compress, shell=True, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not log.exists()
    assert other.exists()
    assert (place / "access.2026-03-11.gz").read_bytes() == b"compressed"


def test_a_comment_says_which_part_a_line_replaces() -> None:
    _, _, apache, short, hosts, cron, systemd, *_ = conf().split("\n\n")
    assert apache.count("fasthits log ") == short.count("fasthits log ") == hosts.count("fasthits log ") == 1
    assert short.startswith("# Apache, instead of the first line above (with both, each hit counts twice):")
    assert hosts.startswith("# Apache with many virtual hosts, instead of a CustomLog in each (Apache 2.4.19 or newer)")
    assert cron.startswith("# cron, ")
    assert systemd.startswith("# systemd, instead of cron: ")


def test_logs_of_logrotate_are_rolled_up_and_not_compressed(place: Path) -> None:
    found = [f"{place}/apache2/access.log*", f"{place}/apache2/other_vhosts_access.log*"]
    text = conf("--logs", found[0], "--logs", found[1])
    (rollup,) = crontab_commands(text)
    assert rollup.endswith(f" rollup --quiet --logs '{found[0]}' --logs '{found[1]}' --to /var/lib/fasthits/hits.db")
    assert "cronolog" not in text
    assert f"for folder in {place}/apache2 /var/log/nginx; do" in text
    assert f"# {sys.executable} -I -m fasthits rollup --quiet --logs '/var/log/nginx/access.log*'" in text
    assert "The nightly rollup for nginx" not in conf("--logs", "/var/log/nginx/access.log*")


def test_for_a_followed_log_no_part_is_for_apache(place: Path) -> None:
    """A command that is pasted for nginx reads no log of Apache."""
    log = f"{place}/nginx/access.log"
    text = fasthits("conf", "--follow", log).stdout.decode()
    assert not [word for word in ("Apache, ", "apache2", "CustomLog", "cronolog", "ProxyPass") if word in text]
    (rollup,) = crontab_commands(text)
    assert rollup.endswith(f" rollup --quiet --logs '{log}*' --to /var/lib/fasthits/hits.db")
    follow, unit, _ = re.findall(r"^ExecStart=\S+ -I -m fasthits (.*)$", text, re.MULTILINE)
    assert follow == f"log --follow {log}"
    assert unit == f"rollup --quiet --logs {log}* --to /var/lib/fasthits/hits.db"
    assert f"for folder in {place}/nginx; do" in text
    (rollup,) = crontab_commands(conf("--follow", log, "--logs", f"{place}/other/*.log"))
    assert f" --logs '{place}/other/*.log' " in rollup


def test_for_caddys_log_the_rollup_reads_the_files_that_caddy_has_rotated(place: Path) -> None:
    """Caddy puts the time before the ending. So access.log* names only the file that it writes to."""
    yesterday, today = date.today() - ONE_DAY, date.today()
    log = write(place / "caddy/access.log", hit("/b", yesterday), hit("/b", today))
    rotated = hit("/a", yesterday - ONE_DAY) + hit("/a", yesterday)
    write(log.with_name(f"access-{yesterday}T10-00-00.000.log.gz"), gzip.compress(rotated))
    text = fasthits("conf", "--follow", log, "--database", place / "kept.db").stdout.decode()
    assert f"\n#     output file {log} {{\n#         mode 0640\n" in text
    (rollup,) = crontab_commands(text)
    assert run_as_cron(rollup, place) == (0, "")
    kept = fasthits("most-read", "--csv", "--database", place / "kept.db").stdout.decode()
    assert "/a,1" in kept
    assert "/b,1" in kept


@pytest.mark.skipif(not IS_ROOT, reason="only root may let another user read a log")
def test_of_a_shared_folder_the_user_may_read_only_the_log(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HAProxy's log is in /var/log, as are the logs of all other programs."""
    monkeypatch.setattr(snippets, "SHARED_FOLDER", f"{place}/log")
    for name in ("haproxy.log", "haproxy.log.1", "auth.log"):
        write(place / "log" / name, b"a line\n").chmod(0o640)
    text = snippets.account(without_cronolog(followed=f"{place}/log/haproxy.log", database=f"{place}/kept/hits.db"))
    subprocess.run(["/bin/sh", "-e", "-c", text], check=True)
    become = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--", "cat"]
    may = {
        log.name: subprocess.run([*become, log], capture_output=True, check=False).returncode == 0
        for log in (place / "log").iterdir()
    }
    assert may == {"haproxy.log": True, "haproxy.log.1": True, "auth.log": False}
    assert f"A service that follows {place}/log/haproxy.log, also" in conf("--follow", f"{place}/log/haproxy.log")


def test_without_logs_the_logs_in_the_usual_places_are_rolled_up() -> None:
    nginx, apache = "/var/log/nginx/access.log*", "/var/log/apache2/access.log*"
    assert choose_logs([]) == choose_logs([DEFAULT_LOGS]) == [DEFAULT_LOGS]
    assert choose_logs([nginx]) == [nginx]
    assert choose_logs([apache, nginx]) == [apache]


@pytest.mark.skipif(not IS_ROOT, reason="only root may make users")
def test_the_new_user_may_only_read_the_logs_and_write_the_database(place: Path) -> None:
    log = write(place / "logs" / "old" / "access.log", b"a line\n")
    log.chmod(0o640)
    for folder in (place / "logs", log.parent):
        folder.chmod(0o700)
    pattern = f"{place}/logs/%Y/%m-%d.log"
    account, *_ = conf("--user", USER, "--logs", pattern, "--database", f"{place}/kept/hits.db").split("\n\n")
    subprocess.run(["/bin/sh", "-e", "-c", account], check=True)
    (place / "logs" / "new.log").touch(0o640)

    def may(*command: str | Path) -> bool:
        become = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--"]
        return subprocess.run([*become, *command], capture_output=True, check=False).returncode == 0

    assert may("cat", log)
    assert may("cat", place / "logs" / "new.log")
    assert may("touch", place / "kept" / "hits.db")
    assert not may("touch", log)
    assert not may("touch", place / "logs" / "mine")
    assert (place / "kept").stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(not IS_ROOT, reason="only root may let another user read a log")
def test_the_user_may_read_the_logs_of_all_sites_and_nothing_else_there(place: Path) -> None:
    """Sites have passwords and keys beside their logs; ssh refuses a key that a group may read."""
    secrets = [place / "home/joe" / name for name in (".ssh/id_rsa", "site/settings.py", "logs/private/key")]
    logs = [place / "home/joe/logs/access.log", place / "home/joe/logs/access.log.1"]
    for file in (*secrets, *logs):
        write(file, b"a line\n").chmod(0o600)
    for folder in (place / "home/joe", place / "home/joe/.ssh"):
        folder.chmod(0o700)
    here = without_cronolog(logs=[f"{place}/home/*/logs/access.log*"], database=f"{place}/kept/hits.db")
    subprocess.run(["/bin/sh", "-e", "-c", snippets.account(here)], check=True)
    become = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--", "cat"]
    for log in logs:
        subprocess.run([*become, log], capture_output=True, check=True)
    assert not [file for file in secrets if file.stat().st_mode & 0o777 != 0o600]
    assert subprocess.run([*become, *secrets], capture_output=True, check=False).stdout == b""


@pytest.mark.skipif(not IS_ROOT, reason="only root may change the owner of a folder")
def test_a_folder_that_exists_keeps_its_owner_and_mode(place: Path) -> None:
    """With --database /tmp/hits.db or /srv/hits.db, nobody else could use that folder any more."""
    place.chmod(0o1777)
    subprocess.run(["/bin/sh", "-e", "-c", snippets.account(without_cronolog(database=f"{place}/hits.db"))], check=True)
    assert (place.stat().st_uid, place.stat().st_mode & 0o7777) == (0, 0o1777)


def test_rules_go_into_one_config_file_that_all_users_can_read(place: Path, memcached: Memcached) -> None:
    _, rules, _, short, *_ = conf().split("\n\n")
    config = place / "fasthits.toml"
    script = ["/bin/sh", "-e", "-c", "umask 077\n" + rules.replace("/etc/fasthits.toml", str(config))]
    subprocess.run(script, check=True)
    assert config.stat().st_mode & 0o777 == 0o644
    (log_format,) = re.findall(r'^LogFormat "(.*)" fasthits$', short, re.M)
    checked = ["log", "--check", "--memcached", memcached.spec, "--format", log_format.replace(r"\"", '"')]
    done = fasthits(*checked, FASTHITS_CONFIG=str(config))
    assert done.returncode == 0, done.stderr
    config.write_text("decode = true\n")
    subprocess.run(script, check=True)
    assert config.read_text() == "decode = true\n"


@pytest.mark.skipif(not IS_ROOT, reason="only root may make users")
def test_root_is_no_user_for_fasthits() -> None:
    done = fasthits("conf", "--user", "root")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"fasthits needs no root: --user root (leave it out: the user fasthits is created)" in done.stderr


def test_the_user_is_created_only_once(place: Path) -> None:
    for name in ("passwd", "group"):
        write(place / "etc" / name, Path("/etc", name).read_bytes())
    (place / "etc" / "shadow").touch()
    (line,) = re.findall("^id -u .*$", conf("--user", "hitcounter"), re.M)
    subprocess.run(line.replace("useradd ", f"useradd --prefix {place} "), shell=True, check=True, capture_output=True)
    (made,) = re.findall("^hitcounter:.*$", (place / "etc" / "passwd").read_text(), re.M)
    assert made.endswith(":/:/usr/sbin/nologin")
    assert 0 < int(made.split(":")[2]) < 1000
    made_again = subprocess.run(line.replace("hitcounter", USER), shell=True, capture_output=True, check=True)
    assert made_again.stderr == b"", "who is there already is left alone"


def units(text: str, folder: Path) -> dict[str, Path]:
    """Write the units of `conf` into *folder*, and return them by name."""
    found = re.findall(r"^# /etc/systemd/system/(\S+).*\n((?:.+\n)+)", text, re.M)
    return {name: write(folder / name, unit.encode()) for name, unit in found}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--database", "/srv/my kept/hits.db", "--logs", "/srv/my logs/%Y-%m-%d.log"),
        ("--database", "/home/joe/hits.db", "--memcached", "tls://localhost:1", "--user", "joe"),
    ],
)
def test_systemd_takes_the_units_and_finds_little_exposed(place: Path, arguments: tuple[str, ...]) -> None:
    require_program("systemd-analyze")
    files = units(conf(*arguments), place)
    names = ["fasthits-rollup.service", "fasthits-rollup.timer", "fasthits-follow.service", "fasthits-serve.service"]
    assert list(files) == names
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files.values()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for name in names:
        if name.endswith(".service"):
            check = ["systemd-analyze", "security", "--offline=yes", "--threshold=40", "--no-pager", files[name]]
            done = subprocess.run(check, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout
            assert "Overall exposure level" in done.stdout


def test_a_service_may_only_write_to_the_folder_of_the_database(place: Path) -> None:
    text = units(conf(), place)["fasthits-rollup.service"].read_text()
    assert "StateDirectory=fasthits\nStateDirectoryMode=0750\n" in text
    assert "ReadWritePaths" not in text
    text = units(conf("--database", "/srv/my kept/hits.db"), place)["fasthits-rollup.service"].read_text()
    assert 'ReadWritePaths="/srv/my kept"\n' in text
    assert "UMask=0027\n" in text


def test_a_service_keeps_a_database_in_tmp() -> None:
    """A service that has a /tmp of its own loses the database when it ends."""
    for folder in ("/tmp", "/var/tmp", "/tmp/my kept"):
        assert "PrivateTmp=no\n" in rollup_units(USER, ["/usr/bin/python3", f"{folder}/hits.db"], folder)
    assert "PrivateTmp=yes\n" in rollup_units(USER, ["/usr/bin/python3", "/var/lib/tmp/hits.db"], "/var/lib/tmp")


def test_the_commands_of_units_exist_with_their_options(place: Path) -> None:
    """Each command accepts its options: with --help after all of them, it prints its help."""
    commands = re.findall(r"^ExecStart=(.*)$", conf("--logs", f"{place}/%Y-%m-%d.log", "--memcached", "a:1,b:2"), re.M)
    assert [command.split(" -m fasthits ")[1].split()[0] for command in commands] == ["rollup", "log", "serve"]
    assert all("--memcached a:1 --memcached b:2" in command for command in commands[1:])
    for command in commands:
        done = subprocess.run([*shlex.split(command.replace("%%", "%")), "--help"], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_the_service_for_nginx_counts_the_lines_of_its_log(place: Path, memcached: Memcached) -> None:
    log = write(place / "nginx" / "access.log")
    text = units(conf("--follow", str(log), "--memcached", memcached.spec), place)[
        "fasthits-follow.service"
    ].read_text()
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.M)
    (place / "state").mkdir()
    with marked_processes() as mark:
        env = environment(mark, {"STATE_DIRECTORY": str(place / "state")})
        process = subprocess.Popen(shlex.split(command), env=env, stderr=subprocess.DEVNULL)
        eventually((place / "state" / "follow.state").exists, what="the follower runs")
        with log.open("ab") as file:
            file.write(hit("/a", date.today()) * 3)
        eventually(lambda: memcached.views(hit_key(date.today(), b"/a")) == 3, what="each line is counted")
        process.terminate()
        assert process.wait(10) == 0


def test_systemd_gets_its_percents_doubled_and_spaces_quoted() -> None:
    text = conf("--logs", "/my logs/%Y/access.log", "--user", "joe")
    assert 'rollup --quiet --logs "/my logs/%%Y/access.log" --to /var/lib/fasthits/hits.db\n' in text
    assert text.count("User=joe\n") == 3


def test_tls_is_in_every_command_that_talks_to_memcached(place: Path) -> None:
    require_program("openssl")
    make = "openssl req -x509 -newkey ed25519 -nodes -keyout key.pem -out ca.pem -days 1 -subj /CN=localhost"
    subprocess.run(make.split(), cwd=place, check=True, capture_output=True)
    text = conf("--memcached", "tls://cache.example:11211", "--tls-ca", f"{place}/ca.pem")
    option = f"--memcached tls://cache.example:11211 --tls-ca {place}/ca.pem"
    assert text.count(option) == len(re.findall(" -m fasthits (?:log|serve) ", text)) == 5


def test_every_program_has_an_absolute_path_and_python_is_isolated() -> None:
    require_program("cronolog")
    text = conf()
    assert text.count(" -m fasthits ") == text.count(f"{sys.executable} -I -m fasthits ") > 3
    programs = re.findall(r'(?:Custom|Global)Log "\|(\S+) ', text)
    assert {"/bin/sh", "/usr/bin/cronolog"} == set(programs)


def test_the_manual_shows_apaches_lines() -> None:
    require_program("cronolog")
    shown = custom_logs(re.sub("^    ", "", (PROJECT / "docs" / "live.md").read_text(), flags=re.MULTILINE))
    printed = custom_logs(conf("--logs", DEFAULT_LOGS, "--memcached", DEFAULT_SERVER))
    assert shown == [line.replace(sys.executable, "/opt/fasthits/bin/python") for line in printed[:2]]


def test_a_package_that_only_the_environment_makes_importable_is_refused(place: Path) -> None:
    """As after `pip install --user`: root's Python would not find the package."""
    here = Installation.make(place / "opt")
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    here.package.rename(elsewhere / "fasthits")
    command = [str(here.python), "-m", "fasthits", "conf"]
    done = subprocess.run(command, capture_output=True, env={"PYTHONPATH": str(elsewhere)}, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(f"fasthits: Apache and cron would not find fasthits: {here.python} -I".encode())


def test_for_csv_no_service_is_printed_that_could_not_start(place: Path) -> None:
    text = conf("--database", f"{place}/hits.csv")
    assert f"--to {place}/hits.csv" in text
    assert f"report --days 7 --to - --database {place}/hits.csv" in text
    assert not [word for word in (" serve ", "8765", "fasthits-serve") if word in text]
    assert "# The web page cannot read CSV." in text


def test_every_part_begins_with_a_comment() -> None:
    assert all(part.startswith("# ") for part in conf().split("\n\n"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--user", 'a"b'),
        ("--logs", "/a'b"),
        ("--database", "/a\nb.db"),
        ("--logs", "/%H"),
        ("--logs", "/*/%Y-%m-%d.log"),
        ("--user", "`id`"),
        ("--follow", "/var/log/*.log"),
        ("--follow", "/var/log"),
        ("--follow", ""),
        ("--follow", "-"),
        ("--logs", "-"),
        ("--logs", ""),
        ("--logs", "s3://logs/access.log*"),
        ("--database", "web1.hits"),
    ],
)
def test_a_value_that_apache_cron_or_systemd_would_read_differently_is_refused(arguments: tuple[str, str]) -> None:
    done = fasthits("conf", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr

"""Without --logs the log in a usual place below /var/log is read, if there is one."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.daily.logs.rotated import EARLY, OF_YESTERDAY, RUN, STAMPS, YESTERDAY, Rotated, line, midnight
from tests.daily.support import rows_of
from tests.support.commands import write
from tests.support.processes import PROJECT
from tests.support.servers import IS_ROOT

IN_A_ROOT_OF_ITS_OWN = """
set -e
mount -t tmpfs none /var/log
cp -a {logs}/. /var/log/
exec {python} -m fasthits "$@"
"""


def without_logs(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command for which /var/log is *folder*."""
    script = IN_A_ROOT_OF_ITS_OWN.format(logs=folder, python=sys.executable)
    command = ["unshare", "--mount", *([] if IS_ROOT else ["--map-root-user"]), "sh", "-c", script, "sh", *arguments]
    path = {"PYTHONPATH": str(PROJECT), "TZ": "UTC"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTHITS_")}
    return subprocess.run(command, capture_output=True, env=environment | path, cwd=folder.parent, timeout=60)


@pytest.mark.parametrize("place", ["apache2/access.log", "httpd/access_log", "nginx/access.log"])
def test_without_logs_the_usual_place_that_has_one_is_named(tmp_path: Path, place: str) -> None:
    Rotated(tmp_path / "var" / Path(place).parent, EARLY, name=Path(place).name).write(STAMPS[-500:], RUN)
    done = without_logs(tmp_path / "var", "rollup", "--to", "-")
    assert done.returncode == 0, done.stderr
    assert rows_of(done.stdout) == {(str(YESTERDAY), "/a"): OF_YESTERDAY}
    assert done.stderr.decode().startswith(f"fasthits: no --logs given: reading /var/log/{place}*\n")


def test_without_logs_cronologs_tree_comes_before_other_places(tmp_path: Path) -> None:
    noon = midnight(YESTERDAY) + timedelta(hours=12)
    write(tmp_path / "var/nginx/access.log", line("/b", noon))
    write(tmp_path / f"var/apache2/{YESTERDAY:%Y/%m/%d}/access.log", line("/a", noon))
    done = without_logs(tmp_path / "var", "rollup", "--to", "-")
    assert (done.returncode, rows_of(done.stdout)) == (0, {(str(YESTERDAY), "/a"): 1})


def test_without_logs_it_is_an_error_if_several_or_no_usual_places_have_logs(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    done = without_logs(tmp_path / "var", "rollup")
    assert done.returncode == 1
    assert done.stderr.startswith(
        b"fasthits: no log with lines in the usual places: /var/log/apache2/%Y/%m/%d/access.log, "
    )
    noon = midnight(YESTERDAY) + timedelta(hours=12)
    for place in ("nginx/access.log", "apache2/access.log"):
        write(tmp_path / "var" / place, line("/a", noon))
    old = write(tmp_path / "var/apache2/other_vhosts_access.log", line("/b", noon - timedelta(100)))
    os.utime(old, (1, 1))
    done = without_logs(tmp_path / "var", "rollup")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().endswith(
        "(name one, or all: --logs '/var/log/apache2/access.log*' --logs '/var/log/nginx/access.log*')\n"
    )
    os.utime(tmp_path / "var/apache2/access.log", (1, 1))
    assert without_logs(tmp_path / "var", "rollup", "--to", "-").returncode == 0

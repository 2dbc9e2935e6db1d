"""An installation that a test may break, mend and remove: a virtual environment with a copy of fasthits."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Self

from tests.support.processes import PROJECT, environment
from tests.support.servers import IS_ROOT

USER = "www-data" if IS_ROOT else os.environ.get("USER", "nobody")


class Installation:
    """A virtual environment in *folder*. It finds the libraries of the environment that runs the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.libraries = Path(
            sysconfig.get_path("purelib", "venv", {"base": str(folder), "installed_base": sys.base_prefix})
        )
        self.package = self.libraries / "fasthits"
        self._away = folder.with_name(f"{folder.name}-away")

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make the installation. Python is a link, fasthits a copy."""
        here = cls(folder)
        venv.create(folder, symlinks=True)
        here.libraries.joinpath("others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        shutil.copytree(PROJECT / "fasthits", here.package, ignore=shutil.ignore_patterns("*.c", "__pycache__"))
        return here

    def remove(self) -> None:
        """Move the installation to another folder, so that no process finds it."""
        self.folder.rename(self._away)

    def restore(self) -> None:
        self._away.rename(self.folder)

    def run(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        """Run `fasthits` of this installation to its end, without input."""
        return subprocess.run(
            [str(self.python), "-I", "-m", "fasthits", *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=environment(""),
        )

    def custom_log(self, *args: str) -> str:
        """Return the first argument of the CustomLog that counts, as this installation's `conf` prints it."""
        return custom_log(self.run("conf", "--user", USER, *args))


def custom_log(printed: subprocess.CompletedProcess[bytes]) -> str:
    """Return the first argument of the first CustomLog in the output of `conf`."""
    assert (printed.returncode, printed.stderr) == (0, b"")
    found = re.search(r'^CustomLog (".*?") combined$', printed.stdout.decode(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def shell_command(custom_log: str) -> list[str]:
    """Return the words of a command as Apache splits it: text between single quotes is one word."""
    text = custom_log.removeprefix('"|').removesuffix('"').replace("\\\n", "").replace(r"\"", '"')
    shell, option, script = text.split(" ", 2)
    return [shell, option, script.removeprefix("'").removesuffix("'")]

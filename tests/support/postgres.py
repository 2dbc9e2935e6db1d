"""A real PostgreSQL, on a socket in a new directory. If the tests run as root, it runs as nobody: it refuses root."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.support.processes import end_process, eventually
from tests.support.servers import IS_ROOT, require_program

START_SECONDS = 30.0
USER = "fasthits"


def _program(name: str) -> str:
    """Return the path of a program of PostgreSQL. Debian has a folder for each version; the newest is used."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = shutil.which(name, path=str(versions[-1])) if versions else None
    return found or require_program(name)


class Postgres:
    """One PostgreSQL with an empty database ``postgres``, for use in a `with`. Its data are lost at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "postgres"
        self.process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if IS_ROOT else {}

    def __enter__(self) -> Self:
        initdb, postgres = _program("initdb"), _program("postgres")
        self.directory.mkdir(mode=0o700)
        if IS_ROOT:
            shutil.chown(self.directory, "nobody", "nogroup")
        quiet = {"stdin": subprocess.DEVNULL, "cwd": self.directory, "env": os.environ | {"LC_ALL": "C.UTF-8"}}
        made = subprocess.run(
            [initdb, "-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"],
            capture_output=True,
            text=True,
            **quiet,
            **self._as,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.directory), "fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen([postgres, "-D", "data", *options], stderr=log, **quiet, **self._as)
        eventually(self._is_ready, START_SECONDS, lambda: (self.directory / "log").read_text())
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                end_process(self.process)

    @property
    def settings(self) -> dict[str, Any]:
        """Its entry of Django's DATABASES."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": str(self.directory),
            "USER": USER,
            "NAME": "postgres",
        }

    def url(self, database: str = "postgres", user: str = USER, password: str = "") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}{f':{password}' if password else ''}@/{database}?host={self.directory}"

    def rule(self, line: str) -> None:
        """Put a line before all others of pg_hba.conf, which says who may connect, and how."""
        file = self.directory / "data" / "pg_hba.conf"
        file.write_text(f"{line}\n{file.read_text()}")
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: "reloading configuration files" in (self.directory / "log").read_text(), START_SECONDS)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()
        return "ready to accept connections" in (self.directory / "log").read_text()

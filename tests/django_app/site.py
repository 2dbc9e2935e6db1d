"""The site as a process of its own, in front of a browser."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.processes import end_process, environment, eventually, kill_marked, new_mark
from tests.support.servers import PORTS, free_port

START_SECONDS = 30.0


class Site:
    """A ``manage.py runserver``, for use in a `with`."""

    def __init__(self, manage: Sequence[str], log: Path, cwd: Path | None = None, **env: str) -> None:
        self.mark = new_mark()
        self._manage = [sys.executable, *manage]
        self._log = log
        self._cwd = cwd
        self._env = env
        self.port = free_port()

    @classmethod
    def of_tests(cls, log: Path, database: Mapping[str, Any], memcached: str) -> Self:
        """Return the site of this folder, on a database that is there."""
        where = {"SITE_DATABASE": json.dumps(dict(database)), "SITE_MEMCACHED": memcached, "SITE_DEBUG": "1"}
        return cls(["-m", "tests.django_app"], log, **where)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        assert self.port in PORTS
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self._manage, "runserver", "--noreload", f"127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._cwd,
                env=environment(self.mark, self._env),
            )
        eventually(self._answers, START_SECONDS, self._log.read_text)
        return self

    def __exit__(self, *_: object) -> None:
        end_process(self.process)
        kill_marked(self.mark)

    def get(self, path: str) -> str:
        """Return a page."""
        with urllib.request.urlopen(self.address + path, timeout=START_SECONDS) as page:
            return page.read().decode()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            self.get("/")
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return False
        return True

"""The OpenAPI description is true: schemathesis sends valid and invalid requests, and compares the answers."""

import subprocess
import sys
from datetime import date
from pathlib import Path

from fasthits.web.openapi import ENDPOINTS
from tests.support.commands import fasthits, hit, write
from tests.support.logger import Logger, access_lines
from tests.support.servers import Memcached
from tests.support.webserver import Served


def test_every_answer_is_as_described(place: Path, memcached: Memcached, logger: Logger) -> None:
    write(place / "access.log", hit("/a") * 2, hit("/b"))
    assert fasthits("rollup", "2026-03-12", "--logs", place / "access.log", "--to", place / "hits.db").returncode == 0
    logger.write(access_lines(["/a", "/b", "/" + "x" * 300], date.today()))
    with Served(place, "--memcached", memcached.spec) as served:
        command = ["-m", "schemathesis.cli", "run", f"{served.url}openapi.json", "--max-examples", "5", "--no-color"]
        # OpenAPI cannot say which parameters exclude each other. test_parameters.py tests accepted parameters.
        checks = [
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",
            "--phases",
            "coverage,fuzzing",
            "--seed",
            "1",
            "--generation-database",
            "none",
        ]
        done = subprocess.run(
            [sys.executable, *command, *checks], capture_output=True, text=True, cwd=place, timeout=600
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    described = ENDPOINTS.keys() - {"/openapi.json"}
    assert f"Tested: {len(described)}\n" in done.stdout

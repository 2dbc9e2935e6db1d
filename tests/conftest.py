"""Hypothesis profiles (see --hypothesis-profile), a marker, a way to run a function in a new Python, and Django."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import django
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# Before any module is imported that has models in it. What it does to the environment, its time zone above all, is not
# for the other tests and the processes that they start.
with patch.dict(os.environ, DJANGO_SETTINGS_MODULE="tests.django_app.settings"):
    django.setup()
time.tzset()

for name, examples in (("small", 15), ("default", 80), ("thorough", 2000)):
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "measures_memory: looks at the size of a process, which a sanitizer distorts")


@pytest.fixture
def run_alone() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a function of a test module in a new Python, which has to end as *expected*."""

    def run(function: Callable[[], None], expected: int = 0) -> subprocess.CompletedProcess[str]:
        code = f"from {function.__module__} import {function.__name__} as run\nrun()"
        command = [sys.executable, "-X", "faulthandler", "-c", code]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == expected, f"{function.__name__} ended with {done.returncode}:\n{done.stderr[-4000:]}"
        return done

    return run

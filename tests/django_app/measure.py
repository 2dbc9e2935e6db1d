"""``python -m tests.django_app.measure``: time and memory of ``parse_log`` for a busy day, compared with a rollup.

The log has a million lines. Four in five are hits of 10,000 press releases. The others are hits of paths without an
object (--strangers, 30,000). The database is SQLite. All totals are checked before a time is printed.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.logger import DAY, access_line

LINES = 1_000_000
OBJECTS = 10_000


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strangers", type=int, default=30_000)
    strangers = parser.parse_args().strangers
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "site.sqlite3")}
        os.environ |= {"SITE_DATABASE": json.dumps(database), "DJANGO_SETTINGS_MODULE": "tests.django_app.settings"}
        log = folder / "access.log"
        with multiprocessing.get_context("spawn").Pool(
            1
        ) as pool:  # keeps its memory apart from ours and our children's
            hits = pool.apply(make_site_and_log, (log, strangers))
        days = [str(DAY), "--logs", str(log)]
        rollup, _, _ = run("fasthits", "rollup", *days, "--to", str(folder / "hits.db"))
        seconds, megabytes, said = run("tests.django_app", "parse_log", *days)
        assert f"{hits:,} hits of {OBJECTS:,} objects saved" in said, said
        print(f"rollup {rollup:.2f} s, parse_log {seconds:.2f} s (5 times the rollup + 5 s: {5 * rollup + 5:.2f} s)")
        print(f"{strangers:,} paths with no object; parse_log in {megabytes:.0f} MB")


def run(*module: str) -> tuple[float, float, str]:
    """Run a module with arguments; return its seconds, its megabytes and its output."""
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", *module], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        said = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return time.monotonic() - started, usage.ru_maxrss / 1024, said


def make_site_and_log(log: Path, strangers: int) -> int:
    """Make the tables, the objects and the log; return the number of hits of objects."""
    import django

    django.setup()
    from django.core.management import call_command

    from tests.django_app.models import PressRelease

    call_command("migrate", run_syncdb=True, verbosity=0)
    slugs = [f"the-{number}th-press-release-of-many" for number in range(OBJECTS)]
    PressRelease.objects.bulk_create(PressRelease(title=slug, slug=slug) for slug in slugs)
    start, end = re.split(b"PATH", access_line("PATH", DAY).replace(b"Mozilla/5.0", b"Mozilla/5.0 (X11; Linux)" * 5))
    known = [b"/press/" + slug.encode() + b"/" for slug in slugs]
    chosen = random.Random(1)
    hits = LINES * 4 // 5
    paths = known + chosen.choices(known, k=hits - OBJECTS)
    paths += [b"/wp-content/plugins/%d.php" % (number % strangers) for number in range(LINES - hits)]
    chosen.shuffle(paths)
    log.write_bytes(b"".join(start + path + end for path in paths))
    return hits


if __name__ == "__main__":
    main()

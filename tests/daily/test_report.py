"""`fasthits report`: one file that needs nothing else, looked at in a real browser."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.commands import fasthits, hit, write

LAST = date(2026, 3, 12)
DAYS = [LAST - timedelta(days=before) for before in range(39, -1, -1)]
HOSTILE = ["/<script>window.hacked=1</script>", "/'&amp;<img/src=x>", "/\u202egnp.exe", "/" + "long" * 500]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of forty days, / being read once more on each."""
    folder = tmp_path_factory.mktemp("report")
    lines = [hit("/", day) * (number + 1) for number, day in enumerate(DAYS)]
    write(folder / "a.log", *lines, *(hit(path, LAST) for path in HOSTILE))
    done = fasthits("rollup", f"{DAYS[0]}..{LAST}", "--logs", folder / "a.log", "--to", folder / "hits.db")
    assert done.returncode == 0
    return folder


def test_a_report_shows_days_and_paths_as_text_and_loads_nothing(folder: Path) -> None:
    done = fasthits("report", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"fasthits: 30 days in report.html\n")
    with Browser() as page:
        page.driver.get((folder / "report.html").as_uri())
        total = sum(range(11, 41)) + len(HOSTILE)
        assert page.texts("dd") == [f"{total:,}", f"{total / 30:,.0f}", f"{40 + len(HOSTILE)} on Thu 12 Mar"]
        assert len(page.texts("svg[role=img] rect")) == 30
        assert page.texts("tbody .path")[0] == "/"
        shown = sorted(path.replace("\u202e", r"\u202e") for path in HOSTILE)
        assert sorted(page.texts("tbody .path")[1:]) == shown
        assert page.run("return [window.hacked, document.querySelectorAll('script, img, link').length]") == [None, 0]
        assert page.run("return performance.getEntriesByType('resource').length") == 0
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        assert page.faults() == []
        assert page.complaints() == []


def test_a_report_goes_to_standard_output_too(folder: Path) -> None:
    done = fasthits("report", "--days", "1", "--limit", "1", "--to", "-", cwd=folder)
    assert done.stdout.startswith(b"<!doctype html>\n<html")
    assert done.stdout.count(b"<tr>") == 2


def test_what_keeps_a_report_from_being_made_is_one_line(folder: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("--database", "none.db"), b"fasthits: no such database: none.db ("),
        (("--to", "no/folder/report.html"), b"fasthits: cannot write report: no/folder/report.html ("),
    ):
        done = fasthits("report", *arguments, cwd=folder)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
        assert done.stderr.startswith(message)

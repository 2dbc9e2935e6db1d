"""`fasthits report`: one file that needs no other file, opened in a real browser."""

import contextlib
import fcntl
import os
import re
import sqlite3
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.browser import Browser, Chromium
from tests.support.commands import fasthits, hit, write

LAST = date(2026, 3, 12)
DAYS = [LAST - timedelta(days=before) for before in range(39, -1, -1)]
HOSTILE = ["/<script>window.hacked=1</script>", "/'&amp;<img/src=x>", "/\u202egnp.exe", "/" + "long" * 500]


TOUCHING_LABELS = """
const dates = [...document.querySelectorAll(`figure.${arguments[0]} svg > text`)]
  .filter((each) => each.textContent.includes(" ")).map((each) => each.getBoundingClientRect());
return dates.slice(1).filter((each, at) => each.left < dates[at].right + 2);
"""
CUT_LABELS = """
const chart = document.querySelector(`figure.${arguments[0]} svg`).getBoundingClientRect();
const boxes = [...document.querySelectorAll(`figure.${arguments[0]} svg > text`)];
return boxes.filter((each) => each.getBoundingClientRect().left < chart.left
  || each.getBoundingClientRect().right > chart.right).map((each) => each.textContent);
"""
SHOWN = "return document.querySelector(arguments[0]).checkVisibility()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of forty days. Each day / has one view more."""
    folder = tmp_path_factory.mktemp("report")
    lines = [hit("/", day) * (number + 1) for number, day in enumerate(DAYS)]
    write(folder / "a.log", *lines, *(hit(path, LAST) for path in HOSTILE))
    done = fasthits("rollup", f"{DAYS[0]}..{LAST}", "--logs", folder / "a.log", "--to", folder / "hits.db")
    assert done.returncode == 0
    return folder


def test_a_report_shows_days_and_paths_as_text_and_loads_nothing(folder: Path, chromium: Chromium) -> None:
    done = fasthits("report", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"fasthits: 30 days in report.html\n")
    with Browser(chromium) as page:
        page.driver.get((folder / "report.html").as_uri())
        total = sum(range(11, 41)) + len(HOSTILE)
        rise = total / 30 / (sum(range(1, 11)) / 10) - 1
        best = f"{40 + len(HOSTILE)} on Thu 12 Mar 2026"
        assert page.texts("dd") == [f"{total:,}", f"{total / 30:,.0f}", f"{rise:+.0%}", best]
        assert len(page.texts("figure.wide rect")) == 30
        assert page.texts("tbody .path")[0] == "/"
        shown = sorted(path.replace("\u202e", r"\u202e") for path in HOSTILE)
        assert sorted(page.texts("tbody .path")[1:]) == shown
        assert page.run("return [window.hacked, document.querySelectorAll('script, img, link').length]") == [None, 0]
        assert page.run("return performance.getEntriesByType('resource').length") == 0
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        assert page.faults() == []
        assert page.complaints() == []
    with Browser(chromium, 390) as page:
        page.driver.get((folder / "report.html").as_uri())
        assert page.run(CUT_LABELS, "narrow") == []


def test_a_report_goes_to_standard_output_too(folder: Path) -> None:
    done = fasthits("report", "--days", "1", "--limit", "1", "--to", "-", cwd=folder)
    assert done.stdout.startswith(b"<!doctype html>\n<html")
    assert done.stdout.count(b"<tr>") == 2


def test_a_pipe_or_a_device_is_written_to_and_not_replaced(folder: Path, tmp_path: Path) -> None:
    """As root, a report to /dev/null took this device from all programs of the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDWR), "rb") as reader:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)
        done = fasthits("report", "--days", "1", "--to", pipe, cwd=folder)
        assert (done.returncode, pipe.is_fifo()) == (0, True)
        assert os.read(reader.fileno(), 100).startswith(b"<!doctype html>\n<html")


def test_an_error_of_a_report_is_one_line(folder: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("--database", "none.db"), b"fasthits: no such database: none.db ("),
        (
            ("--to", "no/folder/report.html"),
            b"fasthits: cannot write report: no/folder/report.html (No such file or directory; make its folder, ",
        ),
    ):
        done = fasthits("report", *arguments, cwd=folder)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
        assert done.stderr.startswith(message)


def test_a_report_with_gaps_and_large_numbers_is_readable_on_a_phone(tmp_path: Path, chromium: Chromium) -> None:
    kept = {date(2025, 1, 6): 5, date(2025, 12, 29): 1_500_000, date(2025, 12, 30): 500_000, date(2026, 1, 2): 700_000}
    with contextlib.closing(sqlite3.connect(tmp_path / "hits.db")) as database:
        database.execute("CREATE TABLE hits(date TEXT, path TEXT, views INTEGER, PRIMARY KEY (date, path))")
        database.execute("CREATE TABLE referrers(date TEXT, path TEXT, referrer TEXT, views INTEGER)")
        database.execute("CREATE TABLE searches(date TEXT, path TEXT, engine TEXT, terms TEXT, views INTEGER)")
        for day, views in kept.items():
            database.execute("INSERT INTO hits VALUES (?, '/', ?)", [str(day), views])
        database.execute("INSERT INTO referrers VALUES ('2026-01-02', '/', '<b>www.example.org', 7)")
        database.execute("INSERT INTO searches VALUES ('2026-01-02', '/', 'Google', 'fast hits', 5)")
        database.commit()
    done = fasthits("report", "--date", "2025-12-29..2026-01-02", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"fasthits: 3 days in report.html\n")
    assert fasthits("report", "--date", "2025-01..2026-01-02", "--to", "year.html", cwd=tmp_path).returncode == 0
    for width, chart, hidden in ((390, "narrow", "wide"), (1280, "wide", "narrow")):
        with Browser(chromium, width) as page:
            page.driver.get((tmp_path / "report.html").as_uri())
            assert page.text("h1 + p") == "29 Dec 2025 to 2 Jan 2026, 3 of 5 days kept"
            missing = f"{2 + (date.today() - date(2026, 1, 3)).days} days are missing: 31 Dec 2025 to 1 Jan 2026, "
            assert missing in page.text(".missing")
            assert page.texts("dd")[:2] == ["2,700,000", "900,000"]
            assert page.texts("dd")[2] == "1,500,000 on Mon 29 Dec 2025"
            assert page.texts(f"figure.{chart} rect title")[2] == "31 Dec 2025: not kept"
            assert page.texts(f"figure.{chart} rect title")[4] == "2 Jan 2026: 700,000"
            assert len(page.texts(f"figure.{chart} rect.gap")) == 2
            labels = page.texts(f"figure.{chart} svg > text")
            assert "1,500,000" in labels
            assert labels[-1] in ("2 Jan", "1 Jan 2026")
            assert page.run(CUT_LABELS, chart) == []
            assert page.run(SHOWN, f"figure.{chart}")
            assert not page.run(SHOWN, f"figure.{hidden}")
            assert page.texts("h2") == ["Most read", "Where readers came from", "What readers searched for"]
            assert page.texts("tbody .path") == ["/", "<b>www.example.org", "fast hits"]
            assert page.run("return document.documentElement.scrollWidth <= innerWidth")
            page.driver.get((tmp_path / "year.html").as_uri())
            dates = [text for text in page.texts(f"figure.{chart} svg > text") if " " in text]
            assert re.fullmatch(r"\d+ [A-Z][a-z]{2} 2025(, \d+ [A-Z][a-z]{2})+(, \d+ Jan 2026)?", ", ".join(dates))
            assert page.run(TOUCHING_LABELS, chart) == []
            sizes = page.run(
                "return [...document.querySelectorAll('text')].map((each) => each.getBoundingClientRect().height)"
            )
            assert min(size for size in sizes if size) >= 11
            assert page.faults() == []


def test_one_kept_day_is_one_bar_with_one_date(folder: Path) -> None:
    done = fasthits("report", "--days", "1", "--to", "-", cwd=folder)
    page = done.stdout.decode()
    assert page.count("<title>12 Mar 2026: ") == 2  # in the chart for wide pages, and in the chart for phones
    assert page.count(">12 Mar</text>") == 2


def test_a_long_time_is_a_bar_a_week(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "hits.db")) as database:
        database.execute("CREATE TABLE hits(date TEXT, path TEXT, views INTEGER, PRIMARY KEY (date, path))")
        rows = [(str(LAST - timedelta(before)), "/", 70 if before < 7 else 7) for before in range(364)]
        database.executemany("INSERT INTO hits VALUES (?, ?, ?)", rows)
        database.commit()
    page = fasthits("report", "--days", "364", "--to", "-", cwd=tmp_path).stdout.decode()
    assert "Each bar is the average day of a week." in page
    assert "<title>6 Mar 2026 and 6 days more: 70</title>" in page
    assert page.count("<title>") == 1 + 52 + 26

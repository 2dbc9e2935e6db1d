"""The page on speed agrees with the records, and no record has the name of a machine."""

import re

import pytest

from benchmarks import chart, record, report
from benchmarks.logs import Corpus
from benchmarks.record import RECORDED, Record
from benchmarks.rows import FASTER, MORE_MS, TIMES, Measure, Row
from benchmarks.tasks import Figures, Task


@pytest.fixture(params=[name for name in RECORDED if record.load(name)])
def recorded(request: pytest.FixtureRequest) -> Record:
    """Each record that the project keeps."""
    found = record.load(request.param)
    assert found is not None
    return found


def test_the_days_are_recorded() -> None:
    assert record.load("1GB")
    assert record.load("4GB")


def test_the_page_agrees_with_the_records() -> None:
    assert report.PAGE.read_text(encoding="utf-8") == report.page()


def test_readme_agrees_with_the_records() -> None:
    day = record.load("1GB")
    assert day is not None
    assert report.sentence(day) in report.README.read_text(encoding="utf-8")


def test_the_page_begins_with_the_rows_that_miss() -> None:
    losses = report.page().partition("## Where fasthits loses\n")[2].partition("\n## ")[0]
    results = [result for name in RECORDED if (result := record.load(name))]
    assert losses.count("**missed**") == sum(row["met"] is False for result in results for row in result["rows"])


def test_the_picture_agrees_with_the_records() -> None:
    day = record.load("1GB")
    assert day is not None
    assert set(chart.DRAWN) <= day["tasks"].keys()
    assert report.PICTURE.read_text(encoding="utf-8") == chart.draw(day)


def test_records_are_whole_and_tell_nothing_of_whose_machine_it_was(recorded: Record) -> None:
    assert recorded["runs"] >= 7
    assert recorded["missing"] == []
    assert re.fullmatch(r"[0-9a-f]{10}", recorded["versions"]["commit"])
    text = str(recorded)
    assert not re.findall(r"(?<![\w.])/(?!dev/null|api/)\w+/\w+", text)


class Job(Task):
    """A task with the figures that a test gives."""

    def measure(self) -> Figures:
        raise NotImplementedError

    def check(self) -> str:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("measure", "own", "other", "target", "value", "met"),
    [
        (TIMES, 3.0, 2.0, 1.5, 1.5, True),
        (TIMES, 3.1, 2.0, 1.5, 1.55, False),
        (FASTER, 1.0, 12.0, 12, 12, True),
        (FASTER, 1.0, 11.0, 12, 11, False),
        (MORE_MS, 0.100, 0.020, 80, 80, True),
        (MORE_MS, 0.101, 0.020, 80, 81, False),
    ],
)
def test_how_figures_compare(
    measure: Measure, own: float, other: float, target: float, value: float, met: bool, corpus: Corpus
) -> None:
    mine, theirs = Job("mine", corpus, ""), Job("theirs", corpus, "")
    runs: dict[Task, list[Figures]] = {
        mine: [{"seconds": seconds} for seconds in (own, 1e-9, 1e9)],
        theirs: [{"seconds": other}] * 3,
    }
    row = Row("row", mine, measure, target, theirs)
    kept = record.make_record(corpus, [row], runs, {mine: "right", theirs: "right"}, 3)
    assert kept["rows"][0]["value"] == pytest.approx(value)
    assert kept["rows"][0]["met"] is met


def test_seconds_of_a_smaller_log_are_scaled(corpus: Corpus, small: Corpus) -> None:
    mine, theirs = Job("mine", corpus, ""), Job("theirs", small, "")
    row = Row("row", mine, FASTER, 50, theirs)
    figures: dict[Task, list[Figures]] = {mine: [{"seconds": 2.0}], theirs: [{"seconds": 7.0}]}
    kept = record.make_record(corpus, [row], figures, {mine: "right", theirs: "right"}, 1)
    cells = ["mine", "2 s", "theirs", "~70 s", "35 times faster", "at least 50 times faster: **missed**"]
    assert report.cells(kept["rows"][0], kept) == cells

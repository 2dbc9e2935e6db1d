"""What README says of speed is what was recorded, and a record tells nothing of whose machine it was made on."""

import os
import re
import socket

import pytest

from benchmarks import chart, record, report
from benchmarks.record import RECORDED, Record


@pytest.fixture(params=RECORDED)
def recorded(request: pytest.FixtureRequest) -> Record:
    """Each record of the project."""
    found = record.load(request.param)
    assert found is not None, f"no record of {request.param}"
    return found


def test_readme_is_what_was_recorded() -> None:
    assert report.BEGIN + report.readme_section() + report.END in report.README.read_text(encoding="utf-8")


def test_picture_is_what_was_recorded() -> None:
    day = record.load("1GB")
    assert day is not None
    assert report.PICTURE.read_text(encoding="utf-8") == chart.draw(day)


def test_records_are_whole_and_tell_nothing_of_whose_machine_it_was(recorded: Record) -> None:
    assert recorded["runs"] >= 7
    assert recorded["missing"] == []
    assert re.fullmatch(r"[0-9a-f]{10}", recorded["versions"]["commit"])
    text = str(recorded)
    assert socket.gethostname() not in text
    assert not re.findall(r"(?<![\w.])/(?!dev/null)\w+/\w+", text)
    assert os.path.expanduser("~") == "/" or os.path.expanduser("~") not in text

"""The core needs no more instructions for a line than the record says."""

import json
import os
import shutil

import pytest

from benchmarks.instructions import RECORD, find_slower, measure


@pytest.mark.builds
def test_the_core_takes_no_more_instructions_than_recorded() -> None:
    if not shutil.which("valgrind"):
        if os.environ.get("FASTHITS_REQUIRE_SERVERS") == "1":
            pytest.fail("valgrind is not installed, but FASTHITS_REQUIRE_SERVERS=1")
        pytest.skip("valgrind is not installed")
    assert find_slower(measure(), json.loads(RECORD.read_text())) == []

"""Judges compare the output of a program with the content of the log."""

import json
from pathlib import Path

from benchmarks.truth import Truth, Views, WrongTotals

NO_TOTALS = "no totals"


def judge_nothing(output: Path, truth: Truth) -> str:
    """Say that a program only reads, so it has no totals."""
    return NO_TOTALS


def judge_wc(output: Path, truth: Truth, files: int = 1) -> str:
    """Require the number of lines, once for each file."""
    found = [int(line.split()[0]) for line in output.read_text().splitlines()]
    if found != [truth.lines] * files:
        raise WrongTotals(f"{found} lines found, but {truth.lines} in the log")
    return f"right: {truth.lines:,} lines"


def judge_day(output: Path, truth: Truth) -> str:
    """Say how far off a program's views of the day are."""
    return str(truth.difference(_printed_views(output)))


def judge_all_days(output: Path, truth: Truth) -> str:
    """Say how far off the views of a program are that counts all days together."""
    return str(truth.difference(_printed_views(output), all_days=True))


def _printed_views(output: Path) -> Views:
    with output.open("rb") as lines:
        for line in lines:
            views, _, path = line.removesuffix(b"\n").partition(b"\t")
            yield path, int(views)


def judge_goaccess(output: Path, truth: Truth) -> str:
    """Say what GoAccess counted. Its panel leaves out requests of static files, and requests with status 404."""
    report = json.loads(output.read_text())
    valid, hits = report["general"]["valid_requests"], report["requests"]["metadata"]["hits"]["total"]["value"]
    hits_in_truth = truth.summary()["hits"]
    return f"{valid:,} of {truth.lines:,} lines valid, {hits:,} hits in its panel ({hits_in_truth:,} are there)"

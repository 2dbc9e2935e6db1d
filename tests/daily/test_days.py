"""DATE arguments and cronolog's patterns."""

from datetime import date

import pytest

from fasthits.daily.days import file_name, has_date, name_days, parse_day, parse_days
from fasthits.errors import UsageError

TODAY = date(2026, 3, 12)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("today", [date(2026, 3, 12)]),
        ("yesterday", [date(2026, 3, 11)]),
        ("2024-02-29", [date(2024, 2, 29)]),
        ("2026-02-27..2026-03-01", [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]),
        ("2026-03-11..today", [date(2026, 3, 11), date(2026, 3, 12)]),
        ("yesterday..yesterday", [date(2026, 3, 11)]),
        ("9999-12-31", [date.max]),
        ("0001-01-01", [date.min]),
    ],
)
def test_a_date_names_its_days(text: str, days: list[date]) -> None:
    assert parse_days(text, TODAY) == days


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "tomorrow",
            "2026-3-12",
            "12/03/2026",
            "20260312",
            "2026-W11-4",
            "2026-02-29",
            "2026-13-01",
            "2026-03-12 ",
        ),
        *("2026-03-12..", "..2026-03-12", "..", "2026-03-13..2026-03-12", "2026-03-12...2026-03-13", "٢٠٢٦-03-12"),
        *("2026-01-01..2926-01-31", "1026-01-01..2026-01-31"),
    ],
)
def test_an_invalid_date_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_days(text, TODAY)


def test_a_range_is_not_accepted_for_a_single_day() -> None:
    with pytest.raises(UsageError):
        parse_day("2026-03-11..2026-03-12", TODAY)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("/var/log/apache2/%Y/%m/%d/access.log", "/var/log/apache2/0326/03/02/access.log"),
        ("log-%F.%j%%", "log-0326-03-02.061%"),
        ("%y%m%d-*.log", "260302-*.log"),
        ("access.log", "access.log"),
    ],
)
def test_a_pattern_gives_the_name_of_a_day(pattern: str, name: str) -> None:
    assert file_name(pattern, date(326, 3, 2)) == name


@pytest.mark.parametrize(("pattern", "dated"), [("%Y.log", True), ("100%%.log", False), ("*.log", False), ("-", False)])
def test_a_pattern_tells_whether_it_depends_on_the_day(pattern: str, dated: bool) -> None:
    assert has_date(pattern) is dated


@pytest.mark.parametrize("pattern", ["%Y/%H.log", "%Q", "access.log%", "%", "", "a\0b", "%-d", "%\n", "\udcff%Y"])
def test_an_invalid_pattern_is_a_usage_error(pattern: str) -> None:
    with pytest.raises(UsageError):
        has_date(pattern)


def test_consecutive_days_are_named_by_the_first_and_the_last() -> None:
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 3), date(2026, 3, 5), date(2026, 3, 6)]
    assert name_days(days) == "2026-02-28..2026-03-01, 2026-03-03, 2026-03-05..2026-03-06"

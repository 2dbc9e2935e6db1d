"""Hits by the hour in the line: in every layout of times, after merge, drain and spill, and without bots."""

from collections import Counter
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable, LineRules
from fasthits.formats.format import parse_format
from fasthits.formats.named import find_format
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.rules import Rules

DAY = date(2026, 3, 12)

TIMES = st.tuples(st.sampled_from([11, 12, 13]), st.integers(0, 23))


def line(hour: int, day: int = 12, path: str = "/a", agent: str = "curl") -> bytes:
    time = f"[{day:02}/Mar/2026:{hour:02}:59:59 +0100]"
    return f'192.0.2.7 - - {time} "GET {path} HTTP/1.1" 200 512 "-" "{agent}"\n'.encode()


def hours_of(table: HitTable, day: date = DAY) -> dict[int, int]:
    hours = table.take_hours().get(day, [])
    return {hour: views for hour, views in enumerate(hours) if views}


def taken(table: HitTable) -> Counter[tuple[int, int]]:
    found = table.take_hours()
    return Counter(
        {(day.day, hour): views for day, hours in found.items() for hour, views in enumerate(hours) if views}
    )


@given(st.lists(TIMES, max_size=60), st.integers(1, 200))
def test_each_hit_is_counted_in_the_hour_of_its_line(times: list[tuple[int, int]], size: int) -> None:
    log = b"".join(line(hour, day, f"/{at % 7}") for at, (day, hour) in enumerate(times))
    table = HitTable()
    for start in range(0, len(log), size):
        table.feed(log[start : start + size])
    assert taken(table) == Counter(times)
    assert taken(table) == {}


@given(st.lists(TIMES, max_size=40), st.lists(TIMES, max_size=40))
def test_hours_of_merged_tables_add_up(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    tables = []
    for times in (first, second):
        table = HitTable()
        table.feed(b"".join(line(hour, day) for day, hour in times))
        tables.append(table)
    tables[0].merge(tables[1])
    tables[1].feed(line(3))
    tables[0].feed(line(4))
    assert taken(tables[0]) == Counter([*first, *second, (12, 4)])
    assert taken(tables[1]) == {(12, 3): 1}


def test_drain_and_spill_leave_the_hours() -> None:
    table = HitTable()
    table.feed(line(10) + line(11, path="/b"))
    table.drain()
    table.feed(line(11))
    shards = [HitTable(), HitTable()]
    table.spill(shards)
    assert hours_of(table) == {10: 1, 11: 2}
    assert [shard.take_hours() for shard in shards] == [{}, {}]


def test_days_that_do_not_count_have_no_hours() -> None:
    table = HitTable()
    table.feed(line(9, 11))
    table.count_only([DAY])
    table.feed(line(9, 11) + line(10) + line(10, 13))
    table.count_only([date(2026, 3, 13)])
    table.feed(line(10) + line(10, 13))
    assert taken(table) == {(11, 9): 1, (12, 10): 1, (13, 10): 1}


def test_hits_without_a_row_count_in_their_hour() -> None:
    few = HitTable(max_paths=1)
    few.feed(b"".join(line(10, path=f"/{at}") for at in range(100)))
    assert (few.dropped, hours_of(few)) == (99, {10: 100})


def test_hits_of_bots_that_are_kept_apart_are_in_no_hour() -> None:
    rules = LineRules(verdict=lambda agent: 2 if agent == b"bot" else 0, apart=True)
    table, other = HitTable(rules=rules), HitTable(rules=rules)
    table.feed(line(10) + line(10, agent="bot") + line(11, agent="bot") + line(12))
    other.feed(line(12, agent="bot") + line(13))
    table.merge(other)
    assert hours_of(table) == {10: 1, 12: 1, 13: 1}


def test_a_filtered_line_is_in_no_hour() -> None:
    table = HitTable()
    table.feed(line(10).replace(b"GET", b"PUT") + line(11) + b"junk\n")
    assert hours_of(table) == {11: 1}


def test_an_hour_above_23_is_unknown() -> None:
    table = HitTable()
    table.feed(line(23) + line(24) + line(99) + line(0))
    assert (table.hits, hours_of(table)) == (4, {0: 1, 23: 1})


@pytest.mark.parametrize(
    ("log_format", "text", "hour"),
    [
        ("%t %r", "[12/Mar/2026:13:00:00.123 +0100] GET /a HTTP/1.1", 13),
        ('$time_iso8601 "$request" $status', '2026-03-12T14:00:00+01:00 "GET /a HTTP/1.1" 200', 14),
        ('$msec "$request" $status', '1773309600.123 "GET /a HTTP/1.1" 200', datetime.fromtimestamp(1773309600).hour),
        ('%{%d.%m.%Y %H:%M:%S}t "%r" %>s', '12.03.2026 15:00:00 "GET /a HTTP/1.1" 200', 15),
        ('%{%d.%m.%Y %I:%M:%S}t "%r" %>s', '12.03.2026 03:00:00 "GET /a HTTP/1.1" 200', None),
        ('%{%Y-%j}t "%r" %>s', '2026-071 "GET /a HTTP/1.1" 200', None),
    ],
)
def test_the_hour_is_found_in_every_layout_of_times(log_format: str, text: str, hour: int | None) -> None:
    compiled = CompiledRules(Rules(format=log_format))
    table = HitTable(rules=compiled.line_rules(parse_format(log_format)))
    table.feed(text.encode() + b"\n")
    assert (table.hits, hours_of(table)) == (1, {} if hour is None else {hour: 1})


@pytest.mark.parametrize(
    ("name", "text", "hour"),
    [
        ("json", '{"time":"2026-03-12T16:00:00Z","method":"GET","path":"/a","status":200}', 16),
        ("json", '{"time":"12/Mar/2026:17:00:00 +0100","method":"GET","path":"/a","status":200}', 17),
        ("json", '{"time":"2026-03-12","method":"GET","path":"/a","status":200}', None),
        ("json", '{"log":"192.0.2.7 - - [12/Mar/2026:18:00:00 +0100] \\"GET /a HTTP/1.1\\" 200 5\\n"}', 18),
        ("ltsv", "time:[12/Mar/2026:19:00:00 +0100]\treq:GET /a HTTP/1.1\tstatus:200", 19),
        ("w3c", "#Fields: date time cs-method cs-uri-stem sc-status\n2026-03-12 20:00:00 GET /a 200", 20),
        ("w3c", "#Fields: date cs-method cs-uri-stem sc-status\n2026-03-12 GET /a 200", None),
    ],
)
def test_the_hour_is_found_in_fields_with_names(name: str, text: str, hour: int | None) -> None:
    compiled = CompiledRules(Rules(format=name))
    log_format = compiled.log_format
    assert log_format is not None
    table = HitTable(rules=compiled.line_rules(log_format))
    table.feed(text.encode() + b"\n")
    table.finish()
    assert (table.hits, hours_of(table)) == (1, {} if hour is None else {hour: 1})


def test_hours_can_be_added() -> None:
    table = HitTable()
    table.feed(line(23))
    table.add_hours(DAY, [*[0] * 22, 5, 6])
    assert (table.hits, hours_of(table)) == (1, {22: 5, 23: 7})
    with pytest.raises(ValueError, match="24 hours"):
        table.add_hours(DAY, [1])


ODD_PATHS = (
    *("/a", "/a/", "/x.css", "/x%2Ecss", "/x.c%73s?b=1", "/x.css/", "/x.css/index.html", "/x.css?b=1&c", "/x.%"),
    *("/a?x.css", "/x.css/.", "/%78.css/../a", "/a/x;jsessionid=1.css", "/x.css;jsessionid=1/", r"/x\x2ecss"),
    *(r"/x\x3f.css", "http://o.example/x.css", "HTTP://o.example/x.css/", "http://o.example/a?x.css", "http://x.css"),
    "/a.b/index.php",
)


@given(
    st.lists(st.tuples(st.sampled_from(ODD_PATHS), st.integers(0, 23)), max_size=12),
    st.builds(
        Rules,
        keep_query=st.sampled_from([False, True, ("b",)]),
        fold_slash=st.booleans(),
        fold_session=st.booleans(),
        decode=st.booleans(),
        by_host=st.booleans(),
        exclude_static=st.booleans(),
    ),
    st.sampled_from(["vhost_combined", '%t %v "%m %U %H" %>s', '%t %v "%r" %>s']),
)
def test_the_hours_have_as_many_hits_as_the_rows_under_any_rules(
    hits: list[tuple[str, int]], rules: Rules, log_format: str
) -> None:
    compiled = CompiledRules(rules)
    table = HitTable(rules=compiled.line_rules(find_format(log_format)))
    for path, hour in hits:
        time = f"[12/Mar/2026:{hour:02}:00:00 +0100]"
        texts = {
            "vhost_combined": f'o.example:80 192.0.2.7 - - {time} "GET {path} HTTP/1.1" 200 5 "-" "x"\n',
            '%t %v "%m %U %H" %>s': f'{time} o.example "GET {path} HTTP/1.1" 200\n',
            '%t %v "%r" %>s': f'{time} o.example "GET {path} HTTP/1.1" 200\n',
        }
        table.feed(texts[log_format].encode())
    assert table.malformed == 0
    rejected = Counter[str]()
    rows = compiled.finish(table, rejected)
    assert sum(views for _, _, views in rows.rows()) == sum(hours_of(rows).values())
    assert not rejected

"""The core with rules and formats, compared with the oracle, which reads every line by regular expressions."""

from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasthits._parse import LINE_BYTES, HitTable, LineRules, find_fields, parse_line, parse_lines
from fasthits.formats.directives import Literal
from fasthits.formats.format import Format, parse_format
from fasthits.formats.named import NAMES
from fasthits.rules.bots import agent_verdict
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.paths import is_static
from fasthits.rules.rules import STATIC_ENDINGS, Rules
from tests.core.support import referred, tables_of
from tests.support import reference
from tests.support.strategies import logs

DAY = date(2026, 3, 12)
NAMED = (
    *("combined", "common", "vhost_combined", "vhost_common", "short", "lighttpd", "varnishncsa", "haproxy", "bunny"),
    *("uwsgi", "squid", "cloudstorage"),
)
"""Named formats of all shapes. The lines of the others are in tests/formats/formats.txt."""
FORMATS = {
    **{name: NAMES[name] for name in NAMED},
    "combined and more": parse_format('%v %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" "%{X}i" %D'),
    "time between": parse_format('%h %l %u %t "%r" %D %>s %b "%{User-Agent}i" "%{Referer}i"'),
    "nginx": parse_format(
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
        '"$http_referer" "$http_user_agent"'
    ),
    "iso": parse_format('$time_iso8601 $host $request_method $request_uri $status "$http_user_agent"'),
    "epoch": parse_format("%{sec}t %m %U %q %>s"),
    "milliseconds": parse_format("$msec|$request_method|$uri$is_args$args|$status"),
    "laid out": parse_format("%{%d.%m.%y}t %v %m %U%q %>s"),
    "day of the year": parse_format("%{%Y-%j}t %m %U %>s"),
    "quoted method": parse_format('%t "%m" "%U" "%q" %>s %v'),
}
FEW = settings(max_examples=settings.default.max_examples // 4)
"""Examples of each format: there are fifty formats."""
DAYS = [b"12/Mar/2026:10:00:00 +0100", b"13/Mar/2026:23:59:59 -0800", b"30/Feb/2026:10:00:00 +0100"]
TIMES = {
    "iso8601": [b"2026-03-12T10:00:00+01:00", b"2026-03-12T10:00:00Z"],
    "epoch": [b"1773306000", b"1773306000.123"],
    "epoch_ms": [b"1773306000123", b"1773306000123456"],
    "%d.%m.%y": [b"12.03.26", b" 1.03.69"],
    "%Y-%j": [b"2026-071", b"2024-366"],
}
PIECES = {
    "time": [
        *(b"12/Mar/2026:10:00:00 +0100", b"13/Mar/2026:23:59:59 -0800", b"30/Feb/2026:10:00:00 +0100"),
        *(b"2026-02-30T10:00:00Z", b"1773306000", b"1773306000123", b"99.99.99", b"2026-366", b""),
    ],
    "request": [
        *(b"GET /a?b=1 HTTP/1.1", b"GET /a", b"HEAD / HTTP/1.0", b"GET", rb"GET /\"x\" HTTP/2.0"),
        *(b"POST http://h/a?x", b"GET /" + b"p" * 70 + b" HTTP/1.1", b"-", b""),
    ],
    "method": [b"GET", b"POST", b"-", b"", b"get"],
    "target": [b"/a?b=1", b"/", b"http://h/x", b"*", b"", b"/" + b"q" * 99],
    "path": [b"/a", b"/", b"*", b"/a b", rb"/\"", b""],
    "query": [b"?a=1", b"", b"-"],
    "status": [b"200", b"404", b"20", b"2000", b"-"],
    "bytes": [b"512", b"-", b"", b"12345678", b"1x"],
    "referer": [b"-", b"", b"http://other.example/a", rb"x\"y"],
    "user_agent": [b"-", b"Mozilla/5.0 (X11)", b"Googlebot/2.1", rb"a\"b", b"curl/8"],
    "vhost": [b"www.example.org", b"", b"a b", b"-"],
    "skip": [b"-", b"192.0.2.1", b"", b"a [b", b"::1", b'""'],
    "port": [b"80"],
}


@st.composite
def lines_of(draw: st.DrawFn, log_format: Format) -> bytes:
    """Lines that follow the format, or nearly do."""
    line = b""
    for part in log_format.parts:
        if isinstance(part, Literal):
            line += draw(st.sampled_from([part.text] * 30 + [b"", b" ", b'"']))
        else:
            pieces = PIECES.get(part.kind, PIECES["skip"])
            pieces = [*TIMES.get(part.time_format or "", []), *pieces]
            line += draw(st.one_of(st.sampled_from(pieces[:2] + [pieces[0]] * 3), st.sampled_from(pieces)))
    cut = draw(st.sampled_from([0] * 9 + [1, 5, 30]))
    return line[: len(line) - cut] + draw(st.sampled_from([b"", b"", b"\r", b" more", b'"']))


RULES = st.builds(
    Rules,
    methods=st.sampled_from([("GET",), ("GET", "POST"), ("HEAD",)]),
    statuses=st.sampled_from([None, frozenset({200, 304}), frozenset(range(400, 500))]),
    keep_query=st.booleans(),
    by_host=st.booleans(),
    bots=st.sampled_from(["count", "exclude"]),
    exclude_agents=st.sampled_from([(), ("curl*",)]),
)


def line_rules(rules: Rules, log_format: Format) -> LineRules:
    """Return the rules as the core takes them."""
    return LineRules(
        methods=[method.encode() for method in rules.methods],
        statuses=rules.statuses,
        keep_query=bool(rules.keep_query),
        by_host=rules.by_host,
        verdict=agent_verdict(rules) if rules.looks_at_agents else None,
        ways=[log_format.reading()],
    )


def expected(data: bytes, rules: Rules, log_format: Format, days: list[date] | None) -> tuple[object, ...]:
    plain = Rules(
        format="combined",
        methods=rules.methods,
        statuses=rules.statuses,
        bots=rules.bots,
        exclude_agents=rules.exclude_agents,
    )
    buckets: Counter[str] = Counter()
    views: Counter[tuple[date, bytes]] = Counter()
    for line in reference.split_lines(data):
        bucket, day, _ = reference.judge(line, days, plain, log_format)
        buckets[bucket] += 1
        if bucket == "hit":
            fields = reference.read_fields(line, log_format)
            assert fields is not None
            assert day is not None
            _, path, query = reference.target_of(fields)
            if log_format.absolute and path is not None:
                origin, path = reference.without_origin(path)
                fields |= {} if origin is None else {"vhost": origin}
            key = (path or b"") + (query if rules.keep_query else b"")
            views[day, fields.get("vhost", b"-") + b" " + key if rules.by_host else key] += 1
    hits, malformed = buckets.pop("hit", 0), buckets.pop("malformed", 0)
    return hits, malformed, dict(buckets), dict(views)


def counted(data: bytes, rules: LineRules, days: list[date] | None, block: int) -> tuple[object, ...]:
    hit_table = HitTable(rules=rules)
    hit_table.count_only(days)
    for at in range(0, len(data), block):
        hit_table.feed(data[at : at + block])
    hit_table.finish()
    views = {(day, path): number for day, path, number in hit_table.rows()}
    return hit_table.hits, hit_table.malformed, hit_table.filtered, views


@pytest.mark.parametrize("name", FORMATS)
def test_lines_that_nearly_follow_a_format_are_counted_as_the_oracle_counts(name: str) -> None:
    log_format = FORMATS[name]

    @FEW
    @given(
        lines=st.lists(lines_of(log_format), max_size=8),
        rules=RULES,
        days=st.sampled_from([None, [DAY]]),
        block=st.sampled_from([1, 7, 100, 10**6]),
        end=st.sampled_from([b"\n", b""]),
    )
    def check(lines: list[bytes], rules: Rules, days: list[date] | None, block: int, end: bytes) -> None:
        data = b"\n".join(lines) + end
        assert counted(data, line_rules(rules, log_format), days, block) == expected(data, rules, log_format, days)

    check()


@given(data=logs(), rules=RULES, name=st.sampled_from(sorted(FORMATS)), block=st.sampled_from([1, 50, 10**6]))
def test_any_log_is_counted_as_the_oracle_counts(data: bytes, rules: Rules, name: str, block: int) -> None:
    log_format = FORMATS[name]
    assert counted(data, line_rules(rules, log_format), None, block) == expected(data, rules, log_format, None)


def test_a_user_agent_is_asked_for_once() -> None:
    asked = []

    def verdict(agent: bytes) -> int:
        asked.append(agent)
        return {b"person": 0, b"bad": 1}.get(agent, 2)

    def line(agent: bytes) -> bytes:
        return b'1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 "-" "%b"\n' % agent

    data = b"".join(map(line, (b"person", b"bad", b"bot", b"person", b"bot", b"bot")))
    for apart, hits, filtered in ((False, 2, {"agent": 1, "bot": 3}), (True, 5, {"agent": 1})):
        asked.clear()
        hit_table = HitTable(rules=LineRules(verdict=verdict, apart=apart))
        for at in range(0, len(data), 10):
            hit_table.feed(data[at : at + 10])
        assert (hit_table.hits, hit_table.filtered, hit_table.malformed) == (hits, filtered, 0)
        assert list(hit_table.rows()) == [(DAY, b"/a", 2)]
        assert sorted(asked) == [b"bad", b"bot", b"person"]
        assert (hit_table.bots is None) != apart
        if hit_table.bots is not None:
            assert list(hit_table.bots.rows()) == [(DAY, b"/a", 3)]


def test_after_an_exception_from_a_verdict_the_rest_of_the_block_is_not_counted() -> None:
    def verdict(agent: bytes) -> int:
        raise RuntimeError(agent)

    hit_table = HitTable(rules=LineRules(verdict=verdict))
    with pytest.raises(RuntimeError, match="-"):
        hit_table.feed(b'1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5\n')
    assert hit_table.lines == 0


def keep(referer: bytes) -> bytes | None:
    """Return the text before the colon, or None without a colon."""
    head, colon, _ = referer.partition(b":")
    return head if colon else None


def test_hits_are_counted_by_the_text_that_a_table_keeps_of_their_referer() -> None:
    asked = []

    def keep_all(referer: bytes) -> bytes:
        asked.append(referer)
        return referer + b"\n!"

    rules = LineRules(referers={"heads": keep, "all": keep_all})
    hit_table = HitTable(rules=rules)
    for referer, path in (
        (b"x:1", b"/a"),
        (b"-", b"/a"),
        (b"", b"/a"),
        (b"x:1", b"/a"),
        (b"x:2", b"/a"),
        (b"y", b"/b"),
    ):
        hit_table.feed(referred(path, referer))
    hit_table.feed(b'1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5\n')
    hit_table.feed(referred(b"/a", b"z").replace(b"GET", b"PUT"))
    assert hit_table.hits == 7
    assert list(hit_table.by_referer["heads"].rows()) == [(DAY, b"/a\nx", 3)]
    assert list(hit_table.by_referer["all"].rows()) == [
        (DAY, b"/a\nx:1\n!", 2),
        (DAY, b"/a\nx:2\n!", 1),
        (DAY, b"/b\ny\n!", 1),
    ]
    assert asked == [b"x:1", b"x:2", b"y"]
    assert list(hit_table.by_referer["all"].csv(3)) == [
        (DAY, b"2026-03-12,/a,x:1,!,2\n2026-03-12,/a,x:2,!,1\n2026-03-12,/b,y,!,1\n", 3)
    ]
    other = HitTable(rules=rules)
    other.merge(hit_table)
    drained = other.drain()
    assert [len(each) for each in drained.by_referer.values()] == [1, 3]
    assert [len(each) for each in other.by_referer.values()] == [0, 0]


def test_the_rules_say_which_statuses_mean_not_found() -> None:
    table = HitTable(rules=LineRules(not_found=[403, 410]))
    for status in (200, 403, 404, 410):
        table.feed(b'h - - [12/Mar/2026:10:00:00 +0100] "GET /%d HTTP/1.1" %d 5\n' % (status, status))
    assert {path for _, path, _ in table.rows()} == {b"/200", b"/404"}
    assert {path for _, path, _ in table.by_referer["not_found"].rows()} == {b"/403", b"/410"}
    assert table.filtered == {"status": 2}


def test_there_are_two_tables_of_referers_at_most() -> None:
    with pytest.raises(ValueError, match="at most 2"):
        LineRules(referers={"a": keep, "b": keep, "c": keep})


def test_the_tables_by_referer_of_a_hit_table_cannot_be_replaced() -> None:
    rules = LineRules(referers={"heads": keep})
    hit_table = HitTable(rules=rules)
    with pytest.raises(AttributeError):
        hit_table.by_referer.clear()  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        rules.referers["all"] = keep  # type: ignore[index]


@pytest.mark.parametrize("fields", [0, 11])
def test_a_path_has_ten_fields_at_most(fields: int) -> None:
    hit_table = HitTable()
    hit_table.add(DAY, b'"\n' * fields, 1)
    with pytest.raises(ValueError, match="1 to 10 fields"):
        next(hit_table.csv(fields))


def test_a_referer_that_is_too_long_for_a_row_is_not_kept() -> None:
    hit_table = HitTable(rules=LineRules(referers={"long": lambda referer: b"x" * (LINE_BYTES - int(referer))}))
    hit_table.feed(referred(b"/a", b"2") + referred(b"/a", b"3"))
    assert hit_table.hits == 2
    assert [(len(row), views) for _, row, views in hit_table.by_referer["long"].rows()] == [(LINE_BYTES, 1)]


@pytest.mark.parametrize("size", [1, 40_000])
def test_each_table_has_its_own_limit_of_rows(size: int) -> None:
    rules = LineRules(
        verdict=lambda agent: 2 * (agent == b"bot"), apart=True, referers={"all": lambda referer: referer * size}
    )
    hit_table = HitTable(rules=rules)
    hit_table.max_paths = 2
    for number in range(5):
        hit_table.feed(referred(b"/%d" % number, b"xy") + referred(b"/%d" % number, b"xy", b"bot"))
    assert hit_table.hits == 10
    assert [(len(each), each.dropped) for each in tables_of(hit_table)] == [(2, 3)] * 3


def test_referers_of_bots_are_ignored() -> None:
    hit_table = HitTable(rules=LineRules(verdict=lambda agent: 2, apart=True, referers={"heads": keep}))
    hit_table.feed(referred(b"/a", b"x:1"))
    assert hit_table.hits == 1
    assert len(hit_table.by_referer["heads"]) == 0


def test_many_answers_keep_their_places() -> None:
    """There are more referers than the core remembers at a time."""
    hit_table = HitTable(rules=LineRules(referers={"heads": keep}))
    long = b"l" * 60_000
    for number in range(600):
        hit_table.feed(referred(b"/%d" % number, b"%d:%b" % (number // 2, long)))
    hit_table.feed(referred(b"/1", b"0:" + long))
    assert list(hit_table.by_referer["heads"].rows()) == [
        (DAY, b"/%d\n%d" % (number, number // 2), 1 + (number == 1)) for number in range(600)
    ]


def test_all_tables_count_for_the_memory() -> None:
    rules = LineRules(
        verdict=lambda agent: 2 * (agent == b"bot"),
        apart=True,
        referers={"heads": keep, "all": lambda referer: referer},
    )
    whole = HitTable(rules=rules)
    for number in range(12_000):
        agent = b"bot" if number // 3 % 2 else b"x"
        whole.feed(referred(b"/%d" % (number % 3_000), b"%d:%d" % (number % 7, number % 11), agent))
    assert all(len(table) > 1_000 for table in tables_of(whole))
    alone = [HitTable() for _ in tables_of(whole)]
    for one, table in zip(alone, tables_of(whole), strict=True):
        for row in table.rows():
            one.add(*row)
    assert whole.memory_with(0) == sum(one.memory_with(0) for one in alone)
    assert whole.memory_with(1 << 19) > whole.memory_with(0) + (4 << 20)


@pytest.mark.parametrize(("times", "bucket"), [(3, "hit"), (4, "malformed")])
def test_four_times_of_a_line_are_tried_if_a_format_searches_for_a_text(times: int, bucket: str) -> None:
    log_format = parse_format('%t "%r" %{x}i | %>s')
    line = b'[%b] "GET /a" x | 200\n' % DAYS[0]
    hit_table = HitTable(rules=line_rules(Rules(), log_format))
    hit_table.feed((b'[%b] "' % DAYS[0]) * times + line)
    assert (hit_table.hits, hit_table.malformed) == ((1, 0) if bucket == "hit" else (0, 1))
    brackets = HitTable(rules=line_rules(Rules(), log_format))
    brackets.feed(b"[" * 99 + line)
    assert brackets.hits == 1


OTHERS = [NAMES["short"].reading(), NAMES["combined"].reading()]
MIXED = (
    b'::1 - - [12/Mar/2026:10:00:00 +0100] "GET /combined HTTP/1.1" 200 5 "-" "x"\n'
    b"o [12/Mar/2026:10:00:00 +0100] GET /short 200\n"
    b"2026-03-12 10:00 GET /left\n"
    b'"o [12/Mar/2026:10:00:00 +0100] GET /quoted 200"\n'
    b"\xef\xbb\xbfo\t[12/Mar/2026:10:00:00]  GET /loose  200\r\n"
)


@pytest.mark.parametrize("ways", [OTHERS, OTHERS[::-1]])
@pytest.mark.parametrize("block", [1, 50, 1000])
def test_the_other_ways_try_a_line_that_the_first_way_cannot_read(ways: list[dict[str, object]], block: int) -> None:
    hit_table = HitTable(rules=LineRules(ways=ways))
    for at in range(0, len(MIXED), block):
        hit_table.feed(MIXED[at : at + block])
    assert sorted(path for _, path, _ in hit_table.rows()) == [b"/combined", b"/loose", b"/quoted", b"/short"]
    assert (hit_table.hits, hit_table.malformed) == (4, 1)
    assert [number for number, _ in hit_table.examples] == [3]


def test_a_torn_line_of_one_format_is_not_read_as_another_format() -> None:
    text = b'o [12/Mar/2026:10:00:00 +0100] "GET /torn 200'
    assert parse_line(text, LineRules(ways=OTHERS[::-1])) is None


def test_find_fields_says_which_way_reads_a_line() -> None:
    rules = LineRules(ways=OTHERS)
    texts = MIXED.splitlines()
    assert [find_fields(text, rules).way for text in texts] == [1, 0, 0, 0, 0]
    assert find_fields(texts[3], rules).text == texts[3][1:-1]
    assert [line and line.path for line in parse_lines(MIXED, rules)] == [
        *(b"/combined", b"/short", None, b"/quoted", b"/loose"),
    ]


def test_a_path_of_a_line_in_quotes_is_kept_until_it_is_counted() -> None:
    """A line in quotes is read from memory that the next such line overwrites. Keys and questions to Python use it."""
    text = b'"o [12/Mar/2026:10:00:00 +0100] GET %b?q 200 ""%b"""\n'
    log_format = parse_format('%v %t %m %U%q %>s "%{User-Agent}i"')
    wanted = LineRules(
        ways=[log_format.reading()],
        keep_query=True,
        by_host=True,
        apart=True,
        verdict=lambda agent: 2 * (b"7" in agent),
    )
    hit_table = HitTable(rules=wanted)
    hit_table.feed(b"".join(text % (b"/p%d" % number * 50, b"a%d" % number) for number in range(300)))
    assert hit_table.hits == 300
    assert hit_table.bots is not None
    people, bots = ({path for _, path, _ in table.rows()} for table in (hit_table, hit_table.bots))
    assert bots == {b"o " + b"/p%d" % number * 50 + b"?q" for number in range(300) if b"7" in b"%d" % number}
    assert len(people) == 300 - len(bots)


def test_quotes_around_a_line_stay_if_a_format_begins_with_a_quote() -> None:
    """If the rest of the line is torn off, the client's text in the first field could pass for a line."""
    agent = b'x [12/Mar/2026:10:00:00 +0100] \\"GET /forged HTTP/1.1\\" 200 5'
    rules = LineRules(ways=[parse_format('"%{User-Agent}i" %t "%r" %>s %b').reading(), NAMES["combined"].reading()])
    assert parse_line(b'"%b"' % agent, rules) is None
    assert parse_line(b'"%b"' % agent) is not None


def test_a_second_time_that_the_format_has_is_not_another_line() -> None:
    log_format = parse_format('%h %t "%r" %>s %b %{end}t "%m"')
    text = b'o [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 [12/Mar/2026:10:00:01 +0100] "GET" 200'
    assert parse_line(text, LineRules(ways=[log_format.reading()])) is not None
    assert parse_line(text) is None
    assert find_fields(text).trouble == "glued"
    assert text[find_fields(text).stopped :].startswith(b"[12/Mar/2026:10:00:01")


ENDINGS = tuple(ending.encode() for ending in STATIC_ENDINGS)


@given(
    st.tuples(
        st.sampled_from(["/", "/a/", "/a.css/", "/b;v=1/", "http://o.example/", ""]),
        st.sampled_from(["", "site", "a.b", ".", "site\\x2e", "x;y", "page\\x3bv"]),
        st.sampled_from([*STATIC_ENDINGS, ".html", ".CSS", ".Js", ".cssx", "css", ".c.js", ".\u00e9.js", ""]),
        st.sampled_from(["", ";v=1", ";a/b", "?v=.css", "/", ";", ";.css"]),
    ).map("".join)
)
def test_the_core_and_the_rule_for_paths_agree_on_static_files(target: str) -> None:
    path = target.partition("?")[0].encode()
    table = HitTable(rules=LineRules(static_endings=ENDINGS))
    table.feed(b'[12/Mar/2026:10:00:00 +0100] "GET %b HTTP/1.1" 200 5\n' % target.encode())
    if not path.startswith((b"/", b"http://")):
        assert table.filtered == {"target": 1}
    elif path.startswith(b"http") or b"\\" in path:
        assert table.filtered == {}
    else:
        assert table.filtered == ({"static": 1} if is_static(path) else {})


@pytest.mark.parametrize("begin", [b"", b" ", b"\0\0", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n", b"\0\r\n"])
def test_a_line_of_text_and_an_object_that_are_glued_together_are_no_hit(begin: bytes, end: bytes) -> None:
    text = b'192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11; Linux x86_64)"'
    entry = b'{"time_iso8601":"2026-03-12T10:00:00+01:00","request":"GET /j HTTP/1.1","status":200}'
    odd = text[:-1] + b' {}"'
    for first in (text, entry):
        compiled = CompiledRules(Rules())
        table = HitTable(rules=compiled.line_rules(compiled.detect(first, True) or ASSUMED))
        lines = (text, entry, odd, text + entry, entry + text, text + b" {}", text)
        table.feed(b"".join(begin + line + end for line in lines))
        assert (table.lines, table.hits, table.malformed) == (7, 5, 2)


def test_glued_lines_are_malformed_in_formats_that_have_brackets_after_the_request() -> None:
    line = b'192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"'
    rules = LineRules(ways=[each.reading() for each in NAMES["ingress-nginx"].ways])
    assert parse_line(line, rules) is not None
    assert parse_line(line * 2, rules) is None

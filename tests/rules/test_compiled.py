"""Counting from files and pipes under any rules, compared with the oracle. Every line is accounted for."""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import LINE_BYTES, HitTable
from fasthits.daily import layouts as columns
from fasthits.daily.counting.count_days import Counted, count_days
from fasthits.daily.logs import logfiles
from fasthits.daily.logs.lines import parse_lines
from fasthits.errors import UsageError
from fasthits.formats.format import Format
from fasthits.formats.named import NAMES
from fasthits.formats.packing import HEAD_BYTES, packing_of
from fasthits.records import replace
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.intake import Intake
from fasthits.rules.options import make_rules
from fasthits.rules.rules import Rules
from tests.support.commands import hit, write
from tests.support.reference import count, split_lines
from tests.support.strategies import blocks_of, logs

DAY = date(2026, 3, 12)
AGENTS = [b"Mozilla/5.0 (X11)", b"Googlebot/2.1 (+http://www.google.com/bot.html)", b"curl/8", b"-"]

rules = st.builds(
    Rules,
    methods=st.sampled_from([("GET",), ("GET", "POST")]),
    statuses=st.sampled_from([None, None, frozenset({200, 304}), frozenset(range(400, 500))]),
    include_paths=st.sampled_from([(), (), ("/a*",), ("/*", "*x*")]),
    exclude_paths=st.sampled_from([(), (), ("/a",), ("*=*",)]),
    exclude_static=st.booleans(),
    keep_query=st.sampled_from([False, True, ("b",)]),
    fold_slash=st.booleans(),
    decode=st.booleans(),
    bots=st.sampled_from(["count", "exclude", "apart"]),
    include_agents=st.sampled_from([(), (), ("Mozilla", "bot")]),
    exclude_agents=st.sampled_from([(), (), ("curl*",)]),
    by_host=st.booleans(),
)


@st.composite
def lines_of_sites(draw: st.DrawFn) -> bytes:
    """Draw a line with a virtual host and a user agent."""
    host = draw(st.sampled_from([b"o.example:80 ", b"O.example:443 ", b"p:80 ", b"[::1]:80 ", b"[x:y ", b""]))
    path = draw(
        st.sampled_from([b"/a", b"/a/", b"/a?b=1&c", b"/%61", rb"/\xc3\xa9", b"/%c3%a9", b"/x.css", b"/a?", b"*"])
    )
    status = draw(st.sampled_from([b"200", b"304", b"404"]))
    agent = draw(st.sampled_from(AGENTS))
    referer = draw(st.sampled_from([b"-", b"http://x.example/a?b", b"http://www.google.com/search?q=%C3%A9+b", b"x"]))
    method = draw(st.sampled_from([b"GET", b"GET", b"POST", b"HEAD"]))
    day = draw(st.sampled_from([b"11", b"12", b"12"]))
    return b'%b::1 - - [%b/Mar/2026:10:00:00 +0100] "%b %b HTTP/1.1" %b 5 "%b" "%b"' % (
        host, day, method, path, status, referer, agent,
    )  # fmt: skip


mixed_logs = st.builds(
    lambda lines, log: b"\n".join(lines) + b"\n" * bool(lines) + log,
    st.lists(lines_of_sites(), max_size=12),
    logs(),
).filter(lambda log: packing_of(log[:HEAD_BYTES]) is None and b"#Fields:" not in log)
"""The oracle knows neither compression nor W3C's format: tests/core/test_ltsv_w3c.py has another."""


def detect_format(data: bytes) -> Format:
    """Return the format that is detected from the beginning of a log."""
    return CompiledRules(Rules()).detect(data, ended=True) or ASSUMED


def lacks_a_field(data: bytes, wanted: Rules) -> bool:
    """Tell whether the rules need a host or a user agent, and the format of a log lacks it."""
    found = CompiledRules(Rules()).detect(data, ended=True)
    if found is None or not found.parts:
        return False
    lacks_host = wanted.by_host and not (found.field("vhost") or found.absolute)
    return lacks_host or (wanted.looks_at_agents and not found.field("user_agent"))


def rows_of(_: object, found: columns.Rows) -> "tuple[Rows, Rows]":
    """Return the views of people, and of bots."""
    bots = found.bots.rows() if found.bots is not None else ()
    return tuple(Counter({(day, path): views for day, path, views in rows}) for rows in (found.rows(), bots))


Rows = Counter[tuple[date, bytes]]


def check(found: tuple[Counted, tuple[Rows, Rows]], data: list[bytes], wanted: Rules, days: list[date]) -> None:
    """Compare a count with the count of the oracle."""
    counted, (people, bots) = found
    together = replace(wanted, bots="count") if wanted.bots == "apart" else wanted
    oracle = [count(each, days, together, detect_format(each)) for each in data]
    assert people + bots == sum((each.views for each in oracle), Counter())
    assert counted.hits == sum(each.hits for each in oracle) == (people + bots).total()
    assert counted.malformed == sum(each.malformed for each in oracle)
    assert Counter(counted.filtered) == sum((each.filtered for each in oracle), Counter())
    assert counted.lines == sum(each.lines for each in oracle)
    assert counted.lines == counted.hits + sum(counted.filtered.values()) + counted.malformed
    if wanted.bots == "apart":
        only_people = [count(each, days, replace(wanted, bots="exclude"), detect_format(each)) for each in data]
        assert people == sum((each.views for each in only_people), Counter())


@given(data=st.lists(mixed_logs, min_size=1, max_size=2), wanted=rules, threads=st.integers(1, 2))
def test_files_are_counted_as_the_oracle_counts_under_any_rules(
    data: list[bytes], wanted: Rules, threads: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    for number, each in enumerate(data):
        write(folder / f"{number}.log", each)
    days = [DAY, date(2026, 3, 11)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logfiles, "SEGMENT_BYTES", 500)
        if any(lacks_a_field(each, wanted) for each in data):
            with pytest.raises(UsageError, match=r"needs a log format with the (virtual host|user agent)"):
                count_days(days, (f"{folder}/*.log",), rows_of, threads, rules=wanted)
        else:
            check(count_days(days, (f"{folder}/*.log",), rows_of, threads, rules=wanted), data, wanted, days)


def test_paths_add_up_under_their_final_names_in_a_temporary_file(tmp_path: Path) -> None:
    """If memory is too small for all raw keys, rows that become equal may be in several runs."""
    data = b"".join(hit(f"/{number}/?a={number % 7}") + hit(f"/{number}.css") for number in range(3_000))
    write(tmp_path / "access.log", data)
    wanted = Rules(keep_query=True, fold_slash=True, exclude_static=True, exclude_paths=("/1*",), bots="apart")
    found = count_days([DAY], (str(tmp_path / "access.log"),), rows_of, 1, max_bytes=1 << 19, rules=wanted)
    assert found[0].spooled
    check(found, [data], wanted, [DAY])


def intake(log_format: str = "auto", **options: Any) -> Intake:
    return Intake(CompiledRules(Rules(format=log_format, **options)), lambda line_rules: HitTable(rules=line_rules))


def test_a_long_head_of_comments_is_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look takes time for the whole head."""
    looks: list[int] = []
    detect = CompiledRules.detect

    def count_and_detect(compiled: CompiledRules, head: bytes, ended: bool = False) -> Format | None:
        looks.append(len(head))
        return detect(compiled, head, ended)

    monkeypatch.setattr(CompiledRules, "detect", count_and_detect)
    blocks = [b"# a comment\n" * 100] * 200 + [hit("/a")]
    running = intake()
    for block in blocks:
        running.feed(block)
    running.finish()
    assert (running.hit_table.hits, len(looks)) == (1, 1)
    assert [line.path for line in parse_lines(iter(blocks)) if line] == [b"/a"]
    assert len(looks) == 2


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_request_to_a_foreign_host_at_the_beginning_of_a_pipe_is_no_sign_of_varnish(size: int) -> None:
    foreign, own = hit("http://foreign.example/a"), hit("/a")
    read = intake()
    rest = own + foreign * 3 + own.rstrip()
    for block in (foreign, *(rest[at : at + size] for at in range(0, len(rest), size))):
        read.feed(block)
    read.finish()
    assert read.log_format == NAMES["combined"]
    # The first line was counted before anything told that the log is not that of Varnish.
    assert set(read.hit_table.rows()) == {(DAY, b"/a", 3), (DAY, b"http://foreign.example/a", 3)}
    assert read.hit_table.lines == 6


def test_in_varnishs_log_a_client_cannot_change_the_format() -> None:
    read = intake()
    torn = hit("-").replace(b"GET - HTTP/1.1", b"-")
    for block in (hit("http://o.example/a"), torn, hit("*"), b"x\n", hit("http://o.example/b") * 120, hit("/c")):
        read.feed(block)
    read.finish()
    assert read.log_format == NAMES["varnishncsa"]
    assert set(read.hit_table.rows()) == {(DAY, b"/a", 1), (DAY, b"/b", 120), (DAY, b"/c", 1)}


SHORT = b"o.example [12/Mar/2026:10:00:00 +0100] GET /a 200\n"
JSON = b'{"time_iso8601":"2026-03-12T10:00:00+01:00","request":"GET /a?b HTTP/2.0","status":200,"host":"o.example"}\n'
SAMPLES = {"combined": hit("/a"), "vhost_combined": b"o.example:80 " + hit("/a"), "short": SHORT, "json": JSON}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_format_of_a_pipe_is_detected_from_its_lines(name: str, size: int) -> None:
    """If the reader of a pipe was killed, the first line that the next reader gets has lost its beginning."""
    data = b"torn away\n\n" + SAMPLES[name] * 3 + b"bad\n" + SAMPLES[name].rstrip()
    read = intake()
    for at in range(0, len(data), size):
        read.feed(data[at : at + size])
    read.finish()
    assert read.log_format is NAMES[name]
    hit_table = read.hit_table
    assert (hit_table.lines, hit_table.hits, hit_table.malformed) == (7, 4, 3)
    assert list(hit_table.rows()) == [(DAY, b"/a", 4)]
    assert [line for line, _ in read.examples] == [1, 2, 6]


@given(data=st.data(), log=logs(), name=st.sampled_from(["auto", "json", "combined"]))
def test_blocks_of_a_pipe_may_end_anywhere(data: st.DataObject, log: bytes, name: str) -> None:
    log = log.replace(b"GET /b", JSON)
    whole, cut = intake(name), intake(name)
    whole.feed(log)
    for block in data.draw(blocks_of(log)):
        cut.feed(memoryview(block))
    for each in (whole, cut):
        each.finish()
        assert each.hit_table.lines == len(split_lines(log))
    if name != "auto" or not {each.log_format for each in (whole, cut)} - {None, ASSUMED, NAMES["common"]}:
        assert Counter(whole.hit_table.rows()) == Counter(cut.hit_table.rows())
        assert whole.hit_table.filtered == cut.hit_table.filtered


def test_a_pipe_without_a_newline_is_not_kept_in_memory_forever() -> None:
    read = intake()
    for _ in range(40):
        read.feed(b"x" * 100_000)
    read.feed(b"\n" + hit("/a"))
    assert (read.hit_table.lines, read.hit_table.malformed) == (2, 1)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Rules(format="combined", by_host=True), "--by-host needs a log format with the virtual host: "),
        (Rules(format="common", bots="exclude"), "--exclude-bots needs a log format with the user agent: "),
        (Rules(format="common", bots="apart"), "--bots apart needs a log format with the user agent: "),
        (Rules(format="short", include_agents=("a",)), "--include-agent needs a log format with the user agent: "),
        (Rules(format="short", exclude_agents=("a",)), "--exclude-agent needs a log format with the user agent: "),
        (Rules(format='%t "%r"', statuses=frozenset([200])), "--status needs a log format with the status: "),
        (
            make_rules({"pages": True, "format": "common"}),
            "--pages needs a log format with the user agent: common (let the server log it, in Apache or nginx as "
            '"%{User-Agent}i" or "$http_user_agent"; to count bots, too: --bots count)',
        ),
        (
            make_rules({"pages": True, "format": '%t "%r" "%{User-Agent}i"'}),
            '--pages needs a log format with the status: %t "%r" "%{User-Agent}i" (add %>s or $status; without --pages '
            "any status counts)",
        ),
        (
            make_rules({"pages": True, "status": "404", "format": '%t "%r"'}),
            "--status needs a log format with the status: ",
        ),
        (
            make_rules({"pages": True, "bots": "apart", "format": "common"}),
            "--bots apart needs a log format with the user agent: ",
        ),
        (Rules(format="short", json_fields={"time": "ts"}), "--json-fields needs JSON lines: short (--format json)"),
    ],
)
def test_a_rule_that_needs_a_field_which_the_format_lacks_is_an_error(wanted: Rules, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        CompiledRules(wanted)
    assert str(raised.value).startswith(message)


def test_a_path_that_becomes_too_long_for_a_row_is_cut() -> None:
    compiled = CompiledRules(Rules(decode=True))
    path = compiled.final_path(b"/" + b"\xff" * LINE_BYTES)
    assert path is not None
    assert len(path) == LINE_BYTES

"""Messages about lines that cannot be read or do not count: the option that a message names makes the lines count."""

import json
import re
import shlex
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fasthits import count_hits
from fasthits._parse import LineRules, parse_lines
from fasthits.formats.jsonkeys import read_keys
from fasthits.formats.named import NAMES
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.guidance import lacking, left_out, main_reason, shown
from fasthits.rules.options import OPTIONS, make_rules
from fasthits.rules.rules import Rules
from fasthits.rules.unreadable import why_unreadable
from tests.support.commands import hit

TIME = "[12/Mar/2026:10:00:00 +0100]"
GOOGLEBOT = hit("/a").replace(b"Mozilla", b"Googlebot")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"", "the lines are blank (name the access log)"),
        (b" \r", "the lines are blank (name the access log)"),
        (
            b"[Thu Mar 12 10:00:00.123456 2026] [core:error] [pid 4242] AH00126: Invalid URI",
            "this looks like Apache's error log (",
        ),
        (b'2026/03/12 10:00:00 [error] 12#12: *1 open() "/x" failed', "this looks like nginx's error log ("),
        (b"<!DOCTYPE html>", "this looks like an HTML or XML page ("),
        (b"date,path,views", "this looks like a CSV file of fasthits ("),
        (b"SQLite format 3\0\x10", "this looks like an SQLite database ("),
        (b"Mar 12 10:00:00 host postfix/smtpd[12]: connect from unknown[192.0.2.7]", "this looks like a mail log ("),
        (b"2026-03-12T10:00:00+01:00 host dovecot: imap-login: Login", "this looks like a mail log ("),
        (b"Mar  2 10:00:00 host cron[12]: (root) CMD (x)", "this looks like syslog without access lines ("),
        (bytes(range(256)), "this looks like binary data ("),
        (b"12.3.2026 10:00:00,GET,/a", "no named format finds its time in it: no time like [12/Mar/2026:10:00:00 "),
        (
            f'- {TIME} "GET /a" ok 5'.encode(),
            "combined, common, vhost_combined, vhost_common, short, lighttpd, varnishncsa: no status in column 41",
        ),
        (b'{"a": 1', "no named format finds its time in it"),
        (b'{"a": ' + b"[" * 100_000, "no named format finds its time in it"),
        (b'{"time": "yesterday", "method": "GET", "path": "/a"}', "json: time is not a time: 'yesterday'"),
        (b'{"ts": 1773306000, "msg": "hello"}', "json: no method and no path under a name that fasthits knows"),
        (
            b'{"log": "[Thu Mar 12 10:00:00 2026] [core:error] x\\n"}',
            "the line wraps another line, and this looks like Apache's error log (name the access log)",
        ),
    ],
)
def test_why_a_line_cannot_be_read(line: bytes, told: str) -> None:
    assert str(why_unreadable(line, Rules())).startswith(told)


def test_the_nearest_formats_come_first() -> None:
    line = f'o.example {TIME} GET /a ok "x"'.encode()
    assert why_unreadable(line, Rules()).misses[0].startswith("short: no status in column ")


@pytest.mark.parametrize(
    ("log_format", "line", "told"),
    [
        ("common", f"o {TIME} GET /a 200".encode(), "the line is not common: it can be read as short (try --format s"),
        ("json", hit("/a"), "the line is not json: it can be read as combined (try --format combined)"),
        ("short", b'{"ts":1773306000,"method":"GET","uri":"/a"}', "the line is not short: it can be read as json (try"),
        ("short", b'{"moment":1773306000}', "json: no time and no method and no path under a name that fasthits know"),
        ("json", b"GET /a", "json: the line is no JSON object (leave --format out)"),
        ("%t %m %U", b"[2026] GET /a", "%t %m %U: no time in column 2 (leave --format out, or --format with the "),
        ("%t \x1b %m %U", b"[2026] GET /a", r"%t \x1b %m %U: no time in column 2 ("),
    ],
)  # fmt: skip
def test_why_a_line_does_not_follow_the_given_format(log_format: str, line: bytes, told: str) -> None:
    assert str(why_unreadable(line, Rules(format=log_format))).startswith(told)


@pytest.mark.parametrize(
    "entry",
    [
        {"moment": "2026-03-12T10:00:00Z", "action": "GET", "page": {"address": "/a"}, "referrer_url": "/b"},
        {"d": "12/Mar/2026:10:00:00 +0100", "r": "GET /a HTTP/1.1"},
        {"at": 1773306000.5, "what": ["GET"], "where": "https://o.example/a"},
        {"time": "2026-03-12 10:00:00", "do": "GET", "path": "/a"},
        {"ts": 1773306000, "access": {"request": {"line": "GET /a HTTP/2.0"}}},
    ],
    ids=lambda entry: ",".join(entry),
)
def test_the_option_for_json_makes_the_lines_count(entry: dict[str, Any]) -> None:
    line = json.dumps(entry).encode()
    advice = why_unreadable(line, Rules())
    assert all(name in advice.misses[1] for name in entry if not isinstance(entry[name], dict))
    found = re.fullmatch(r"try --format json --json-fields (\S+)", advice.remedy)
    assert found, advice.remedy
    assert count_hits(line, log_format="json", json_fields=found[1]).hits == 1


def test_a_key_that_cannot_be_guessed_must_be_given() -> None:
    advice = why_unreadable(b'{"moment": "2026-03-12 10:00:00", "x": "y"}', Rules())
    assert advice.remedy.endswith("--json-fields time=moment,method=NAME,path=NAME, NAME being the key that has it")


def test_given_names_that_the_line_lacks_are_reported() -> None:
    keys = read_keys(b'{"ts": 1, "method": "GET", "uri": "/a"}', {"path": "request.uri"})
    assert keys
    assert keys.missing == ("path",)


def test_names_are_compared_without_punctuation() -> None:
    keys = read_keys(b'{"Time": "now", "Request-Method": "GET", "REQUEST_URI": "/a"}', {})
    assert keys
    assert keys.told()[0] == "json: time is not a time: 'now'"


@pytest.mark.parametrize("line", [b"-- Boot 0123456789abcdef --", b"-- Logs begin at Thu 2026-03-12, end at x. --\r"])
def test_journalctls_own_lines_are_told(line: bytes) -> None:
    assert str(why_unreadable(line, Rules())) == "this looks like journalctl's own lines (journalctl -o cat)"


def test_text_of_a_stranger_is_harmless_in_a_shell() -> None:
    advice = why_unreadable(b'{"moment": "2026-03-12 10:00:00", "action": "GET", "headers": {"`id`": "/a"}}', Rules())
    assert advice.remedy == "try --format json --json-fields 'time=moment,method=action,path=headers.`id`'"
    compiled, lines = CompiledRules(Rules()), hit("/a", method="`id`") * 3 + hit("/a", method="POST")
    assert left_out("method", compiled, [(ASSUMED, lines)]).remedy == "--method GET,POST counts such lines"
    lines = hit("/a", method="`id`")
    remedy = "that is no HTTP method: give the format of the log with --format"
    assert left_out("method", compiled, [(ASSUMED, lines)]).remedy == remedy


def test_long_keys_and_values_are_cut() -> None:
    advice = why_unreadable(
        json.dumps({"k" * 9999: "/a", "time": "x" * 9999, "uri": "/a", "method": "GET"}).encode(), Rules()
    )
    assert max(map(len, advice.lines())) < 200


def test_many_keys_are_cut() -> None:
    advice = why_unreadable(json.dumps({f"key{number}": 1 for number in range(999)}).encode(), Rules())
    assert advice.misses[1].endswith("key39 and 959 more")


@example(line=b"v [12/Mar/2026:10:00:00 +0100] GET /a 200", log_format="short")
@given(
    line=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=100).map(lambda text: json.dumps({text: text, "log": text}).encode()),
        st.builds(lambda at, to, text: hit("/a")[:at] + text + hit("/a")[to:], st.integers(0, 90), st.integers(0, 90),
                  st.binary(max_size=5)),
    ),
    log_format=st.sampled_from(["auto", *NAMES, "%t %m %U", "$time_iso8601 $request_method $uri"]),
)  # fmt: skip
def test_any_line_is_explained_in_a_few_lines_for_a_terminal(line: bytes, log_format: str) -> None:
    advice = why_unreadable(line, Rules(format=log_format))
    assert 2 <= len(advice.lines()) <= 4
    assert all(each.isprintable() for each in [*advice.lines(), str(advice), shown(line)])


def test_a_long_line_is_cut() -> None:
    assert shown(b"\0" * 5000, 12) == r"\x00\x00\x00 ... (5,000 bytes)"
    assert shown(b"a" * 12, 12) == "a" * 12


@pytest.mark.parametrize(
    ("hits", "filtered", "reason"),
    [
        (0, {"method": 3}, "method"),
        (0, {"method": 3, "day": 9}, "method"),
        (0, {"method": 3, "day": 9, "comment": 4}, "method"),
        (1, {"method": 3}, None),
        (1, {"method": 3, "path": 9}, None),
        (0, {"method": 1, "path": 3, "day": 9}, "path"),
        (0, {"message": 9, "target": 5, "path": 3}, "path"),
        (0, {"message": 9, "target": 5}, "message"),
        (0, {"day": 3}, None),
        (0, {}, None),
    ],
)
def test_if_no_line_is_a_hit_the_rule_that_filters_most_is_named(
    hits: int, filtered: dict[str, int], reason: str | None
) -> None:
    assert main_reason(hits, filtered) == reason


@pytest.mark.parametrize(
    ("options", "line", "why"),
    [
        ({}, hit("/a", method="POST"), "only GET counts; the log has POST ("),
        ({"pages": True}, hit("/a", method="HEAD"), "only GET counts; the log has HEAD ("),
        ({"status": "200"}, hit("/a").replace(b" 200 ", b" 404 "), "only some statuses count; the log has 404 ("),
        (
            {"pages": True},
            hit("/a").replace(b" 200 ", b" 301 "),
            "--pages counts only some statuses; the log has 301 (--status 200-299,304,301 counts such lines)",
        ),
        ({"pages": True}, hit("/a.css"), "pages load such files by themselves; the log has /a.css ("),
        ({"exclude-static": True}, hit("/a.css"), "pages load such files by themselves; the log has /a.css ("),
        ({"pages": True}, GOOGLEBOT, "their user agents are those of known bots; the log has Googlebot/5.0 (X11"),
        ({"bots": "exclude"}, GOOGLEBOT, "their user agents are those of known bots; the log has "),
    ],
)  # fmt: skip
def test_the_option_that_is_named_for_filtered_lines_makes_them_count(
    options: dict[str, object], line: bytes, why: str
) -> None:
    rules = make_rules(options)
    (reason,) = count_hits(line, **{name.replace("-", "_"): value for name, value in options.items()}).filtered
    advice = left_out(reason, CompiledRules(rules), [(ASSUMED, line)])
    assert str(advice).startswith(why)
    option, *value = shlex.split(advice.remedy.removesuffix(" counts such lines"))
    name = option.removeprefix("--")
    given = options | ({name: value[0]} if name in OPTIONS else {name.removeprefix("no-"): False})
    assert count_hits(line, **{name.replace("-", "_"): value for name, value in given.items()}).hits == 1


def test_only_lines_that_a_rule_leaves_out_are_shown_for_it() -> None:
    lines = {
        "method": (hit("/post", method="POST"), "POST"),
        "target": (hit("*"), "*"),
        "status": (hit("/gone").replace(b" 200 ", b" 404 "), "404"),
        "agent": (hit("/b").replace(b"Mozilla/5.0 (X11; Linux x86_64)", b"curl/8.0"), "curl/8.0"),
        "bot": (GOOGLEBOT, "Googlebot/5.0 (X11; Linux x86_64)"),
        "path": (hit("/admin"), "/admin"),
        "static": (hit("/a.css"), "/a.css"),
    }
    rules = make_rules({"pages": True, "exclude-agent": ["curl"], "exclude-path": ["/admin"]})
    log = b"".join(line for line, _ in lines.values())
    for reason, (_, value) in lines.items():
        assert left_out(reason, CompiledRules(rules), [(ASSUMED, log)]).misses[0].endswith(f"; the log has {value}")


@pytest.mark.parametrize(
    "reason", ["message", "method", "target", "status", "agent", "bot", "path", "static", "another"]
)
def test_every_reason_has_a_text_without_a_line(reason: str) -> None:
    advice = left_out(reason, CompiledRules(Rules()), [(ASSUMED, b"")])
    assert advice.misses[0]
    assert advice.remedy


COMMON = hit("/a").partition(b' "-"')[0] + b"\n"
DASHES = COMMON.replace(b"\n", b' "-" "-"\n')
AS_JSON = b'{"time":"2026-03-12T10:00:00+01:00","method":"GET","uri":"/a","status":200}\n'
AS_LTSV = b"time:12/Mar/2026:10:00:00 +0100\tmethod:GET\turi:/a\tstatus:200\n"


@pytest.mark.parametrize(
    ("options", "line", "told"),
    [
        ({"format": "combined", "bots": "exclude"}, COMMON, "--exclude-bots needs the user agent, which the first 20"),
        ({"format": "combined", "pages": True}, COMMON, "--pages needs the user agent, which the first 20 lines do "),
        ({"format": "vhost_combined", "by-host": True}, COMMON, "--by-host needs the virtual host, which the first 20"),
        ({"exclude-agent": ["x"]}, AS_JSON, "--exclude-agent needs the user agent, which the first 20 lines do not h"),
        ({"format": "json", "by-host": True}, AS_JSON, "--by-host needs the virtual host, which the first 20 lines d"),
        ({"by-host": True}, AS_LTSV, "--by-host needs the virtual host, which the first 20 lines do not have (let th"),
        (
            {"pages": True},
            DASHES,
            "--pages needs the user agent, which the first 20 lines do not have (let the ser",
        ),
        ({"pages": True}, hit("/a"), None),
        ({}, DASHES, None),
        ({"bots": "exclude"}, AS_JSON.replace(b"}", b',"user_agent":""}'), None),
        ({"format": "combined", "bots": "exclude"}, hit("/a"), None),
        ({"format": "vhost_combined", "by-host": True}, COMMON.replace(b"/a", b"http://a.example/"), None),
        ({"format": "combined"}, COMMON, None),
    ],
)
def test_a_field_that_rules_need_and_no_line_has_is_told(
    options: dict[str, object], line: bytes, told: str | None
) -> None:
    compiled = CompiledRules(make_rules(options))
    log_format = compiled.detect(line, ended=True)
    assert log_format
    for lines in (19, 20):
        advice = lacking(compiled, log_format, parse_lines(line * lines, compiled.field_rules(log_format)))
        assert str(advice).startswith(told if told and lines == 20 else "None"), advice


def test_a_count_names_each_reason() -> None:
    lines = hit("/a", method="POST") + hit("*") + hit("/a").replace(b" 200 ", b" 404 ") + GOOGLEBOT + hit("/x")
    count = count_hits(lines, status=200, bots="exclude", exclude_path="/x", days=date(2026, 3, 12))
    assert count.filtered.keys() == {"method", "target", "status", "bot", "path"}
    assert LineRules().referers == {}


def test_the_message_about_lines_that_end_with_cr_has_a_command() -> None:
    for line in (
        b'192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512',
        b'{"request":"GET /a","ts":1}',
    ):
        advice = why_unreadable((line + b"\r") * 3, Rules())
        assert str(advice) == r"the lines end with CR only, so they are one line (tr '\r' '\n' <LOGFILE >NEWFILE)"


def test_a_w3c_line_without_named_columns_is_explained() -> None:
    line = b"2026-03-12 09:00:00 192.0.2.10 GET /a b=1 443 - 192.0.2.1 Mozilla/5.0 - 200 0 0 15"
    assert "no #Fields: line before it names these columns" in why_unreadable(line, Rules()).misses[0]

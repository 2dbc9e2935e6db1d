"""`fasthits explain`: it says what the count does with a line, and shows the fields of the line."""

import gzip
import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import ANCHORS
from fasthits.errors import LogFileError
from fasthits.formats.format import parse_format
from fasthits.formats.named import NAMES
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.rules import Rules
from fasthits.upkeep.explain import explain, read_fields
from tests.rules.test_compiled import DAY, detect_format, lacks_a_field, mixed_logs, rules
from tests.support.commands import fasthits, hit, write
from tests.support.reference import judge, split_lines, trim

BUCKETS = [
    hit("/a"),
    hit("/b"),
    hit("/", method="HEAD"),
    hit("*"),
    hit("/", date(2026, 3, 11)),
    hit("/site.css"),
    hit("/private/x"),
    hit("/").replace(b"Mozilla", b"Googlebot"),
    hit("/").replace(b"Mozilla", b"curl"),
    hit("/").replace(b" 200 ", b" 404 "),
    hit("/").replace(b" 200 ", b" 20 "),
]
OPTIONS = ["--exclude-bots", "--exclude-static", "--exclude-path", "/private/*", "--exclude-agent", "curl"]


@given(data=mixed_logs, wanted=rules, days=st.sampled_from([None, DAY]))
def test_explain_and_the_oracle_agree_on_each_line(
    data: bytes, wanted: Rules, days: date | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not data or lacks_a_field(data, wanted):
        return
    log = write(tmp_path_factory.mktemp("log") / "access.log", data)
    lines, log_format = split_lines(data), detect_format(data)
    told = list(explain(str(log), CompiledRules(wanted), range(1, len(lines) + 1), days))
    assert [each.number for each in told] == list(range(1, len(lines) + 1))
    for each, line in zip(told, lines, strict=True):
        bucket, _, path = judge(line, None if days is None else [days], wanted, log_format)
        if bucket == "bot" and wanted.bots == "apart":
            assert each.bucket in ("hit", "path", "static")
            continue
        assert each.bucket == bucket
        assert all(text in trim(line) for _, text in each.fields)
        if bucket == "hit" and path is not None:
            assert each.why == f"counts as {path.decode('utf-8', 'backslashreplace')}"


def test_one_line_of_each_bucket_is_shown(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", *BUCKETS)
    done = fasthits("explain", log, *OPTIONS, "--status", "200", "--date", "2026-03-12")
    assert done.returncode == 0
    shown = [line for line in done.stdout.decode().splitlines() if not line.startswith(" ")]
    assert shown == [
        f"{log}:1: hit: counts as /a (combined)",
        f"{log}:3: method: its method HEAD is not GET (--method GET,HEAD counts such lines) (combined)",
        f"{log}:4: target: its target * is not a path (does the log have paths elsewhere? --format) (combined)",
        f"{log}:5: day: its date is not 2026-03-12 (combined)",
        f"{log}:6: static: pages load such files by themselves (--no-exclude-static counts such lines) (combined)",
        f"{log}:7: path: its path is excluded or not included (change --include-path or --exclude-path) (combined)",
        f"{log}:8: bot: its user agent is that of a known bot (--bots count counts such lines) (combined)",
        f"{log}:9: agent: its user agent is excluded or not included (change --include-agent or --exclude-agent) "
        "(combined)",
        f"{log}:10: status: its status 404 does not count (--status 200,404 counts such lines) (combined)",
        f"{log}:11: malformed: no status in column 61 (combined)",
    ]
    assert b"    method           GET\n    target           /a\n" in done.stdout


def test_lines_are_named_by_their_numbers_and_made_harmless(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", hit("/a"), hit(b"/\x1b[2J"), b"\x1b[2Jbad")
    done = fasthits("explain", log, "3", "2")
    assert b"\x1b" not in done.stdout
    assert [line.split(":")[1] for line in done.stdout.decode().splitlines() if line[0] != " "] == ["2", "3"]
    assert rb"      \x1b[2Jbad" in done.stdout.splitlines()


def test_json_lines_are_shown_with_the_fields_that_are_read(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", b'{"ts":"2026-03-12T10:00:00Z","method":"GET","uri":"/a"}\n{"ts":1}\n')
    done = fasthits("explain", log)
    assert f"{log}:1: hit: counts as /a (json)".encode() in done.stdout
    assert b"    path (uri)       /a\n" in done.stdout
    assert f"{log}:2: malformed: no request and no path (json)".encode() in done.stdout


def test_lines_of_several_formats_are_shown_in_their_own_format(tmp_path: Path) -> None:
    short = b"o [12/Mar/2026:10:00:00 +0100] GET /short 200\n"
    log = write(tmp_path / "access.log", hit("/a"), short, b'"' + hit("/b").rstrip().replace(b'"', b'""') + b'"')
    done = fasthits("explain", log, "1", "2", "3")
    shown = [line for line in done.stdout.decode().splitlines() if not line.startswith(" ")]
    assert shown == [
        f"{log}:1: hit: counts as /a (combined)",
        f"{log}:2: hit: counts as /short (short)",
        f"{log}:3: hit: counts as /b (combined)",
    ]


def test_two_glued_lines_are_reported(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", hit("/a").rstrip() + hit("/b"))
    done = fasthits("explain", log)
    assert b"malformed: another request in column " in done.stdout


def test_columns_are_shown_by_the_line_that_names_them(tmp_path: Path) -> None:
    log = write(
        tmp_path / "u_ex.log",
        *(
            b"#Fields: date time cs-method cs-uri-stem sc-status\n",
            b"2026-03-12 10:00:00 GET /a 200\n",
            b"2026-03-12 x\n",
        ),
    )
    done = fasthits("explain", log, "1", "2", "3")
    assert f"{log}:1: comment: it is a comment (w3c)".encode() in done.stdout
    assert f"{log}:2: hit: counts as /a (w3c)".encode() in done.stdout
    assert b"    path    /a\n" in done.stdout
    assert f"{log}:3: malformed: not the columns that the last #Fields: line names".encode() in done.stdout
    assert b"    the line has 2 columns, the #Fields: line before it names 5\n    -> let the server" in done.stdout


def test_columns_are_shown_by_their_names_though_another_format_reads_the_line_too(tmp_path: Path) -> None:
    names = b"#Fields: date\ttime\tx-a\tx-b\tx-c\ts-port\tcs-method\tcs-uri-stem\tsc-status" + b"\tx" * 9
    line = b"2026-03-12\t10:00:00\t-\t-\t-\t443\tGET\t/a\t200" + b"\t-" * 9
    log = write(tmp_path / "u_ex.log", names + b"\n" + line + b"\n")
    done = fasthits("explain", log, "2")
    assert f"{log}:2: hit: counts as /a (w3c)".encode() in done.stdout
    assert b"    method  GET\n    path    /a\n    status  200\n" in done.stdout


def test_a_request_without_a_status_is_told_from_other_messages(tmp_path: Path) -> None:
    line = b'{"level":30,"time":1773306000123,"reqId":"1","req":{"method":"GET","url":"/a"},"msg":"incoming request"}\n'
    done = fasthits("explain", write(tmp_path / "app.log", line))
    assert b":1: message: it has a request without a status" in done.stdout
    line = b'{"level":30,"time":1773306000123,"msg":"listening"}\n'
    done = fasthits("explain", write(tmp_path / "app.log", line))
    assert b":1: message: it is another message of the server" in done.stdout


@pytest.mark.parametrize(
    ("columns", "line", "advice"),
    [
        ("date cs-method cs-uri-path", "2026-03-12 GET /a", "names no column cs-uri-stem\n    -> let the server"),
        ("time cs-uri", "10:00:00 /a", "line before it names no column date\n    -> let the server log date\n"),
        ("DateTime,Method,Path", "2026-03-12T10:00:00,GET,/a", "no column date and no column cs-uri-stem\n    -> let"),
        ("date cs-uri cs(User-Agent)", '2026-03-12 /a "Mozilla 5.0" 200', "4 columns, the #Fields: line before it"),
    ],
)
def test_the_columns_that_a_line_lacks_are_named(columns: str, line: str, advice: str, tmp_path: Path) -> None:
    log = write(tmp_path / "u_ex.log", f"#Fields: {columns}\n{line}\n".encode())
    assert advice in fasthits("explain", log).stdout.decode()


@pytest.mark.parametrize(
    ("name", "log_format", "line", "stopped"),
    [
        ("nothing", "combined", b"", "no time like [12/Mar/2026:10:00:00 +0100] followed by a space"),
        ("request", "combined", b'[12/Mar/2026:10:00:00 +0100] "GET /a', "no request in column 31"),
        ("bytes", "common", b'[12/Mar/2026:10:00:00 +0100] "GET /a" 200 5x', "no end of bytes in column 44"),
        ("literal", "%t %m %U", b"[12/Mar/2026:10:00:00 +0100]GET", "no '] ' in column 28"),
        ("width", "%{%F}t %m %U", b"2026-03", "no time in column 1"),
        ("epoch", "%{sec}t %m %U", b"x GET /", "no time in column 1"),
        ("iso", "$time_iso8601 $request_method $uri", b"2026", "no time in column 1"),
        ("whole", "$time_iso8601 $request_method $uri", b"2026-03-12T10:00:00Z GET /", ""),
    ],
)
def test_where_reading_stops_is_reported(name: str, log_format: str, line: bytes, stopped: str) -> None:
    _, _, said = read_fields(line, NAMES.get(log_format) or parse_format(log_format))
    assert said.startswith(stopped)
    assert bool(said) == bool(stopped)


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    """A file that is not a log, such as a database, can be a single line."""
    write(tmp_path / "access.log", b"x" * 10_000 + b"\n" + hit("/" + "a" * 10_000))
    done = fasthits("explain", "access.log", cwd=tmp_path)
    assert b"x ... (10,000 bytes)\n" in done.stdout
    assert b"a ... (10,001 bytes)\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no.log"], 1, "no such log file: no.log (name a log file, or - for standard input)"),
        (["access.log", "7"], 1, "log file has no line 7: access.log (it has "),
        (["access.log", "0"], 2, ""),
        (["access.log", "--by-host"], 2, "--by-host needs a log format with the virtual host"),
        (["access.log", "--date", "x"], 2, "not a DATE"),
    ],
)
def test_mistakes_are_reported(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    write(tmp_path / "access.log", hit("/a"))
    done = fasthits("explain", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert f"fasthits: {message}".encode() in done.stderr or not message
    assert b"Traceback" not in done.stderr


def test_a_line_number_after_the_end_is_an_error_in_python_too(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", hit("/a"))
    with pytest.raises(LogFileError, match="no line 2"):
        list(explain(str(log), CompiledRules(Rules()), [2], None))


@pytest.mark.parametrize("name", ["access.log", "access.log.gz", "access.log.1", "-"])
def test_a_log_without_its_last_newline_has_the_same_format_for_explain_and_rollup(name: str, tmp_path: Path) -> None:
    data = b'junk\n::1 - - [24/Nov/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 "-" "M"'
    write(tmp_path / "access.log", data)
    write(tmp_path / "access.log.gz", gzip.compress(data))
    write(tmp_path / "access.log.1", gzip.compress(gzip.compress(data)))
    rollup = ["rollup", "2026-11-24", "--logs", name, "--to", "-", "--partial"]
    for command in (["explain", name], rollup):
        done = fasthits(*command, stdin=data, cwd=tmp_path)
        assert done.returncode == 0
        assert b"/a" in done.stdout
        done = fasthits(*command, "--by-host", stdin=data, cwd=tmp_path)
        assert done.returncode == 2
        assert b"fasthits: --by-host needs a log format with the virtual host: " in done.stderr


def test_long_lines_have_the_same_format_for_explain_and_rollup(tmp_path: Path) -> None:
    """Lines of the common format fill the head of the file. Only explain could look at the combined lines after it."""
    common = b'::1 - - [24/Nov/2026:10:00:00 +0100] "GET /%b HTTP/1.1" 200 5\n'
    log = write(tmp_path / "access.log", common % (b"a" * 5000) * 20, hit("/b"))
    done = fasthits("explain", log, "1")
    assert done.stdout.splitlines()[0].endswith(b" (common)")
    done = fasthits("rollup", "2026-11-24", "--logs", log, "--to", "-", "--summary", tmp_path / "summary")
    assert json.loads((tmp_path / "summary").read_text())["formats"] == ["common"]


@pytest.mark.parametrize(("times", "bucket"), [(ANCHORS - 1, "hit"), (ANCHORS, "malformed")])
def test_explain_tries_as_many_times_of_a_line_as_the_core(times: int, bucket: str, tmp_path: Path) -> None:
    """The core and explain agree on the number of times. Each try may read the rest of the line."""
    line = b"h - " + b'[12/Mar/2026:10:00:00 +0100] "x" y | z ' * times
    line += b'[12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" x | 200\n'
    path = tmp_path / "access.log"
    path.write_bytes(line)
    (found,) = explain(str(path), CompiledRules(Rules(format='%h %l %u %t "%r" %{x}i | %>s')), [1], None)
    assert found.bucket == bucket
    assert bool(dict(found.fields).get("status")) == (bucket == "hit")

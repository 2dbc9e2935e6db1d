"""Command lines that are read without typer: typer would read them in the same way."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasthits.cli import plain
from fasthits.cli.app import command_of
from fasthits.cli.commands import COMMANDS, function_of
from fasthits.cli.declare import parameters_of
from fasthits.cli.plain import read_plainly

WORDS = (
    *("today", "2026-03-12", "/a", "-", "a=b", "0", "7", "100000", "1.5", "site", "nan", "x y", "é", "", "-1", "--"),
    *("-h", "all", "9" * 5000, "9" * 400, "\udcff", " 7", "+7", "7_0", "٣", "1.", ".", "0x1", "1e3", "--=", "-="),
)
PLAIN_LINES = {
    "log": ["--prefix p --ttl 60 --drain-timeout 0.5 --memcached a:1 --memcached b:2 --by-host", "--check --no-pages"],
    "rollup": [
        "",
        "2026-03-12 --logs a --logs b --to - --threads 2 --quiet --partial",
        "--referrers --keep-query",
        "--referrers full yesterday --summary s.json --own-host=example.org",
        "--keep-query=page today --status 2xx --exclude-path /a*b",
    ],
    "merge": ["a.hits", "a.hits b.hits --to - --partial --max-memory 64M"],
    "today": ["/a", "/a /b --date yesterday"],
    "top": ["--once --limit 3", "--json"],
    "history": ["", "/a /b --days 7", "--date 2026-03 --csv"],
    "most-read": ["", "/blog/* --limit=5 --by-rise"],
    "serve": ["--port 0 --token-file t --public-badges"],
    "report": ["--to - --limit 10"],
    "check": ["yesterday --tolerance 3 --settle 0"],
    "warm": ["--settle 1.5 --logs -"],
    "explain": ["access.log", "access.log 3 17 --date today"],
    "formats": ["", "--json"],
    "conf": ["--user www"],
    "doctor": ["--to hits.csv --exclude-bots"],
}
ENVIRONMENT = {
    "FASTHITS_MEMCACHED": "a:1 b:2",
    "FASTHITS_LOGS": "/a:/b",
    "FASTHITS_TO": "kept.db",
    "FASTHITS_CONFIG": "f.toml",
    "FASTHITS_TOKEN": "secret",
    "FASTHITS_TLS_CA": "ca.pem",
}


def read_by_typer(command: str, arguments: list[str]) -> dict[str, Any] | None:
    """Return the values of all parameters; None if typer finds a mistake or prints a help."""
    found: dict[str, Any] = {}

    def record(**values: Any) -> None:
        found.update(values)

    record.parameters = parameters_of(function_of(command))  # type: ignore[attr-defined]
    try:
        command_of(command, record)(arguments, standalone_mode=False)
    except Exception:
        return None
    return found or None


def read_without(command: str, arguments: list[str]) -> dict[str, Any] | None:
    call: Any = read_plainly([command, *arguments])
    return None if call is None else call.keywords


def test_each_command_has_a_plain_line() -> None:
    assert PLAIN_LINES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("environment", [{}, ENVIRONMENT], ids=["bare", "variables"])
@pytest.mark.parametrize(("command", "line"), [(name, line) for name, lines in PLAIN_LINES.items() for line in lines])
def test_a_plain_line_is_read_as_typer_reads_it(
    command: str, line: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    read = read_without(command, line.split())
    assert read is not None
    assert read == read_by_typer(command, line.split())


@settings(max_examples=4 * settings.default.max_examples)  # they cost next to nothing
@given(st.data())
def test_a_command_line_that_is_read_is_read_as_typer_reads_it(data: st.DataObject) -> None:
    """The words are those that the command knows. Some may be out of place."""
    command = data.draw(st.sampled_from(sorted(COMMANDS)))
    # This imports the command, and a module may draw random numbers then. Hypothesis lets no strategy do so.
    names = [word for each in parameters_of(function_of(command)) for word in each.names[0].split("/")]
    word = st.sampled_from(names) | st.sampled_from(WORDS)
    joined = st.builds("{}={}".format, st.sampled_from(names), st.sampled_from(WORDS))
    arguments = data.draw(st.lists(word | joined, max_size=5))
    if (read := read_without(command, arguments)) is not None:
        assert read == read_by_typer(command, arguments)


@pytest.mark.parametrize(
    "line",
    [
        *("", "--help", "help rollup", "rolup", "rollup --help", "rollup -h", "rollup --log a", "rollup --threads 0"),
        *("rollup --threads x", "rollup --logs", "rollup --logs --quiet", "rollup -- today", "rollup --quiet=yes"),
        *("rollup --referrers=half", "today", "rollup today yesterday", "explain", "log --drain-timeout nan"),
        *(
            "rollup --to=",
            "history --days=x",
            "--version rollup",
            f"rollup --threads {'9' * 5000}",
            f"history --days {'9' * 5000}",
        ),
    ],
)
def test_typer_reads_command_lines_that_are_not_plain(line: str) -> None:
    assert read_plainly(line.split()) is None


def test_typer_answers_a_shell_that_asks_for_completions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plain.COMPLETION, "complete_bash")
    assert read_plainly(["rollup"]) is None

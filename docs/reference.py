"""Writes four texts from the code: python -m docs.reference.

docs/fasthits.1 and docs/commands.md have the texts of --help. docs/formats.md has a table of the named formats, and
fasthits/formats/assembled.py has the parts of their strings.

Several commands take the same rule options. Both pages of commands describe these options once.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from fasthits import __version__
from fasthits.cli.app import app
from fasthits.formats.directives import Field
from fasthits.formats.named import FORMATS
from fasthits.records import fields_of

ROOT = Path(__file__).parents[1]
PAGE, MANUAL = ROOT / "docs" / "commands.md", ROOT / "docs" / "fasthits.1"
FORMATS_PAGE = ROOT / "docs" / "formats.md"
ASSEMBLED = ROOT / "fasthits" / "formats" / "assembled.py"
FORMATS_TABLE = re.compile(r"(?<=<!-- made by python -m docs.reference -->\n).*?(?=<!-- end -->)", re.DOTALL)
A_RULE = "--exclude-bots"
"""An option that is a rule. The other rules are in the same panel of the help."""
WIDTH = 100

EXAMPLES = [
    (
        "Count yesterday into hits.db, from all files of a rotated log",
        "fasthits rollup --logs '/var/log/nginx/access.log*'",
    ),
    ("Follow a log and count it live", "fasthits log --follow /var/log/nginx/access.log"),
    ("Print what to paste into Apache's configuration and cron", "fasthits conf"),
    ("Check the options of a logger before you reload Apache", "fasthits log --check --user fasthits"),
    ("Print today's views of two pages", "fasthits today / /about.html"),
    ("Print the ten most read pages of the last week", "fasthits most-read --days 7 --limit 10"),
    ("Show why lines of a log count or do not", "fasthits explain access.log --exclude-bots"),
    ("Find mistakes in an installation", "fasthits doctor --user fasthits --to /var/lib/fasthits/hits.db"),
]
ENVIRONMENT = {
    "FASTHITS_MEMCACHED": "memcached servers, with commas between them. As --memcached.",
    "FASTHITS_TLS_CA": "CA certificates to trust. As --tls-ca.",
    "FASTHITS_TLS_CERT": "Client certificate. As --tls-cert.",
    "FASTHITS_TLS_KEY": "Private key of the client certificate. As --tls-key.",
    "FASTHITS_LOGS": "Patterns of log files, with colons between them. As --logs.",
    "FASTHITS_TO": "Where rollup keeps the views, and where history, most-read, report and serve read them.",
    "FASTHITS_CONFIG": "File with rules, instead of /etc/fasthits.toml. As --config.",
    "FASTHITS_CLUSTER": "Dask cluster that counts for rollup. As --cluster.",
    "FASTHITS_SERVER": "Name of this server in a partial. As --server.",
    "FASTHITS_TOKEN": "Secret that serve requires. As --token.",
}
FILES = {
    "/etc/fasthits.toml": "Rules for all commands. The keys are the names of the options: pages = true.",
    "hits.db": "Database of rollup, in the current folder, unless --to or FASTHITS_TO names another.",
    "/var/lib/fasthits/hits.db": "Database in the configuration that conf prints.",
    "/var/lib/fasthits/follow.state": "How far log --follow has counted each file, unless systemd sets another folder.",
}
EXIT_CODES = {
    "0": "All is done.",
    "1": "Something failed or is incomplete: a file is missing, a server does not answer, a day was left unchanged, "
    "check found a difference, or doctor found a fault.",
    "2": "Wrong usage.",
    "129, 130, 143": "SIGHUP, SIGINT or SIGTERM ended the command.",
}


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command with its name, in the order of the help."""
    group: Any = get_command(app)
    for name in group.list_commands(None):
        yield name, group.get_command(None, name)


def parameters(command: Any) -> list[Any]:
    """Return the arguments and options of a command, without rules and --help."""
    return [each for each in command.params if "--help" not in each.opts and each not in rules(command)]


def rules(command: Any) -> list[Any]:
    """Return the options of a command that are rules."""
    panels = {each.rich_help_panel for each in command.params if A_RULE in each.opts}
    return [each for each in command.params if getattr(each, "rich_help_panel", None) in panels]


def all_rules() -> list[Any]:
    """Return the options that are rules, from the first command that takes them."""
    return next(found for _, command in commands() if (found := rules(command)))


def label(parameter: Any) -> str:
    """Return a parameter as a user writes it: ``PATH...``, ``--logs PATTERN``, ``--once``."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    if parameter.is_flag:
        return str(parameter.opts[0])
    return f"{parameter.opts[0]} {parameter.metavar}"


def synopsis(name: str, command: Any) -> list[str]:
    """Return the words of a call, optional words in brackets."""
    words = [label(each) for each in parameters(command) if each.param_type_name == "argument"]
    options = [each for each in parameters(command) if each.param_type_name != "argument"]
    optional = (f"[{label(each)}]" + "..." * each.multiple for each in options)
    return [f"fasthits {name}", *words, *optional, *["[RULES]"] * bool(rules(command))]


def remarks(parameter: Any) -> str:
    """Return the remarks that the help shows in brackets: the environment variable and the default."""
    default = ", ".join(parameter.default) if isinstance(parameter.default, list) else parameter.default
    shown = parameter.show_default if isinstance(parameter.show_default, str) else default
    flag = parameter.param_type_name == "option" and parameter.is_flag
    said = {"environment": parameter.envvar, "default": None if flag else shown}
    return "; ".join(f"{name}: {value}" for name, value in said.items() if value not in (None, ""))


def described(parameter: Any) -> str:
    """Return the help of a parameter, with its remarks."""
    said = remarks(parameter)
    return f"{parameter.help or ''}{f' ({said})' * bool(said)}".strip()


def paragraphs(text: str) -> Iterator[tuple[bool, list[str]]]:
    """Yield the paragraphs of a help text, and whether its lines are kept: those after a line ``\\b`` are."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        kept = paragraph.lstrip().startswith("\b")
        lines = [line.strip() for line in paragraph.strip().lstrip("\b").strip("\n").splitlines() if line.strip()]
        yield kept, lines if kept else [" ".join(lines)]


def page() -> str:
    """Return the page of commands, in Markdown."""
    lines = [
        *("<!-- made by python -m docs.reference -->", "# Commands", ""),
        "`fasthits COMMAND --help` and `man fasthits` show the same. `fasthits --install-completion` makes bash, zsh",
        "and fish complete commands, options, DATE and PATTERN.",
        "",
    ]
    for name, command in commands():
        lines += [f"## fasthits {name}", "", *fence(wrapped(synopsis(name, command))), ""]
        for kept, text in paragraphs(command.help):
            lines += [*(fence(text) if kept else map(markdown, text)), ""]
        lines += [f"- `{label(each)}`: {markdown(described(each))}" for each in parameters(command)]
        lines += ["", "Also takes the [rules](#rules)."] * bool(rules(command))
        lines.append("")
    lines += ["## Rules", "", "These options say what counts and under which path ([examples](rules.md)).", ""]
    lines += [f"- `{label(each)}`: {markdown(described(each))}" for each in all_rules()]
    for heading, entries in (("Environment", ENVIRONMENT), ("Files", FILES), ("Exit codes", EXIT_CODES)):
        lines += ["", f"## {heading}", "", *(f"- `{name}`: {markdown(text)}" for name, text in entries.items())]
    return "\n".join(lines) + "\n"


def formats_page() -> str:
    """Return the page of log formats with a fresh table of the named formats."""
    rows = [f"| `{row.name}` | {markdown(row.writer)} | [source]({row.source}) |\n" for row in FORMATS.values()]
    table = "".join(["| name | written by | lines |\n", "| --- | --- | --- |\n", *rows])
    return FORMATS_TABLE.sub(lambda _: table, FORMATS_PAGE.read_text(encoding="utf-8"))


def assembled() -> str:
    """Return the module with the parts of the named formats."""
    lines = [
        '"""The parts of the named formats, a line for each string, made by ``python -m docs.reference`` from `named`.',
        "",
        "To read the formats' strings at each start would take longer than to count a small log.",
        '"""',
        "",
        "# fmt: off",
        "# ruff: noqa: E501",
        "",
        "from typing import Any",
        "",
        "PARTS: dict[str, tuple[Any, ...]] = {",
    ]
    formats = {text: row.assemble_anew(text) for row in FORMATS.values() for text in (*row.strings, *row.closed)}
    for text, found in formats.items():
        parts = [tuple(fields_of(part).values()) if isinstance(part, Field) else part.text for part in found.parts]
        lines.append(f"    {text!r}: {tuple(parts)!r},")
    lines += ["}", '"""By the string of a format: bytes are a literal, a tuple has the fields of a `Field`."""']
    return "\n".join(lines) + "\n"


def fence(lines: Iterable[str]) -> list[str]:
    """Return *lines* as a block of code."""
    return ["```text", *lines, "```"]


def wrapped(words: list[str]) -> list[str]:
    """Return *words* in lines of at most WIDTH characters; all lines but the first are indented."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}"
    return lines


def markdown(text: str) -> str:
    """Return *text* escaped for Markdown; text between backticks stays code."""
    parts = text.replace("``", "`").split("`")
    shown = [part if place % 2 else re.sub(r"([*_<\[\]])", r"\\\1", part) for place, part in enumerate(parts)]
    return "`".join(shown)


def manual() -> str:
    """Return the manual page."""
    group: Any = get_command(app)
    lines = [
        f'.TH FASTHITS 1 "" "fasthits {__version__}" "User Commands"',
        ".SH NAME",
        r"fasthits \- how often was each page read, live and by day",
        ".SH SYNOPSIS",
        ".B fasthits",
        ".I COMMAND",
        "[ARGUMENTS]",
        ".SH DESCRIPTION",
        *prose(group.help),
        ".SH COMMANDS",
    ]
    for name, command in commands():
        call = roff(" ".join(synopsis(name, command)))
        lines += [f".SS fasthits {name}", f".B {call}", ".PP", *prose(command.help)]
        for each in parameters(command):
            lines += tagged(label(each), described(each))
        lines += [".PP", "Also takes the options in", ".BR RULES ."] * bool(rules(command))
    lines += [".SH RULES", "These options say what counts and under which path."]
    for each in all_rules():
        lines += tagged(label(each), described(each))
    lines += [".SH EXAMPLES"]
    for text, call in EXAMPLES:
        lines += [".PP", f"{roff(text)}:", ".PP", ".nf", ".RS", roff(call), ".RE", ".fi"]
    for heading, entries in (("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES), ("EXIT STATUS", EXIT_CODES)):
        lines += [f".SH {heading}", *(line for entry in entries.items() for line in tagged(*entry))]
    lines += [".SH SEE ALSO", ".BR memcached (1),", ".BR logrotate (8),", ".BR apache2 (8)"]
    return "\n".join(lines) + "\n"


def tagged(name: str, text: str) -> list[str]:
    """Return a paragraph with *name* in front of it, in roff."""
    return [".TP", f".B {roff(name)}", roff(text)]


def prose(text: str) -> Iterator[str]:
    """Yield a help text in roff."""
    for number, (kept, lines) in enumerate(paragraphs(text)):
        yield from [".PP"] * (number > 0)
        yield from [".nf", ".RS", *map(roff, lines), ".RE", ".fi"] if kept else map(roff, lines)


def roff(text: str) -> str:
    """Return *text* escaped for troff."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("`", "")
    return rf"\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    MANUAL.write_text(manual(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    FORMATS_PAGE.write_text(formats_page(), encoding="utf-8")
    ASSEMBLED.write_text(assembled(), encoding="utf-8")

"""Writes docs/fasthits.1 and the reference in README.md from the texts that --help shows: python -m docs.reference."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from fasthits import __version__
from fasthits.cli import app

ROOT = Path(__file__).parents[1]
README, MANUAL = ROOT / "README.md", ROOT / "docs" / "fasthits.1"
BEGIN, END = "<!-- commands: made by python -m docs.reference -->", "<!-- end of commands -->"
PRINTED = 116


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command with its name, in the order of the help."""
    group: Any = get_command(app)
    for name in group.list_commands(None):
        yield name, group.get_command(None, name)


def parameters(command: Any) -> list[Any]:
    """Return the arguments and options that are the command's own."""
    return [each for each in command.params if "--help" not in each.opts]


def label(parameter: Any) -> str:
    """Return a parameter as one writes it: ``PATH...``, ``--logs PATTERN``, ``--once``."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    if parameter.is_flag:
        return str(parameter.opts[0])
    return f"{parameter.opts[0]} {parameter.metavar}"


def synopsis(name: str, command: Any) -> list[str]:
    """Return the words of a call, optional ones in brackets."""
    words = [label(each) for each in parameters(command) if each.param_type_name == "argument"]
    options = [each for each in parameters(command) if each.param_type_name != "argument"]
    return [f"fasthits {name}", *words, *(f"[{label(each)}]" + "..." * each.multiple for each in options)]


def remarks(parameter: Any) -> str:
    """Return what the help says in brackets: the environment variable and the default."""
    default = ", ".join(parameter.default) if isinstance(parameter.default, list) else parameter.default
    shown = parameter.show_default if isinstance(parameter.show_default, str) else default
    flag = parameter.param_type_name == "option" and parameter.is_flag
    said = {"environment": parameter.envvar, "default": None if flag else shown}
    return "; ".join(f"{name}: {value}" for name, value in said.items() if value not in (None, ""))


def readme(text: str) -> str:
    """Return *text* with the reference in its place: a synopsis and a sentence for each command."""
    lines = []
    for name, command in commands():
        line = ""
        for word in synopsis(name, command):
            if line and len(line) + 1 + len(word) > PRINTED:
                lines.append(line)
                line = "     " + word
            else:
                line = f"{line} {word}" if line else word
        lines += [line, f"        {sentence(command.help)}"]
    block = "\n".join([BEGIN, "```", *lines, "```", END])
    before, _, rest = text.partition(BEGIN)
    return before + block + rest.partition(END)[2]


def sentence(text: str) -> str:
    """Return the first paragraph's first sentence on one line."""
    return " ".join(re.split(r"(?<=\.)\s", text.strip())[0].split())


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
            said = remarks(each)
            lines += [".TP", f".B {roff(label(each))}", roff(f"{each.help or ''}{f' ({said})' * bool(said)}".strip())]
    lines += [
        ".SH EXIT STATUS",
        *("0 done; 1 failed; 2 usage; 130 interrupted.", ".SH SEE ALSO", ".BR memcached (1),"),
        ".BR apache2 (8)",
    ]
    return "\n".join(lines) + "\n"


def prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; one that begins with ``\\b`` keeps its lines."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        kept = paragraph.lstrip().startswith("\b")
        lines = [line.strip() for line in paragraph.strip().lstrip("\b").strip("\n").splitlines()]
        yield from [".PP"] * (number > 0)
        yield from [".nf", ".RS", *map(roff, filter(None, lines)), ".RE", ".fi"] if kept else [roff(" ".join(lines))]


def roff(text: str) -> str:
    """Return *text* so that troff prints it as it is."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("`", "")
    return rf"\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    MANUAL.write_text(manual())
    README.write_text(readme(README.read_text()))

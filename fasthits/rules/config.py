"""The config file: rules in one place, so that commands that read the same log cannot disagree."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from fasthits.display import CURLY_QUOTES, printable
from fasthits.errors import UsageError
from fasthits.rules.options import OPTIONS, make_rules
from fasthits.rules.rules import Rules

CONFIG = Path("/etc/fasthits.toml")


def find_config(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that FASTHITS_CONFIG names, else /etc/fasthits.toml if it exists, else None."""
    if named := environ.get("FASTHITS_CONFIG"):
        return Path(named)
    return CONFIG if CONFIG.exists() else None


def load_config(path: Path) -> dict[str, object]:
    """Return the options in a config file, by their names on the command line, as `make_rules` takes them.

    Keys may have underscores for dashes. Raises UsageError, with the line, for an unknown key and an invalid value, and
    for a pipe or a device, which may never end. /dev/null is an empty file.
    """
    import tomllib  # 3 ms that most commands do not need

    try:
        if not path.is_file() and path.exists() and not path.samefile(os.devnull):
            raise UsageError("config file is not a regular file", path, "name a file with --config FILE")
        text = path.read_text("utf-8-sig")  # editors of Windows put a byte-order mark before it
        keys = tomllib.loads(text)
    except OSError as error:
        raise UsageError("cannot read config file", path, error.strerror or "") from error
    except UnicodeDecodeError as error:
        raise UsageError("config file is not UTF-8", path, "save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError("config file is not valid TOML", path, f"{error}{_why_invalid(str(error), text)}") from error
    except (ValueError, RecursionError) as error:  # of Python: thousands of digits or brackets
        hint = "it has a number with too many digits, or too many brackets in brackets"
        raise UsageError("config file cannot be read as TOML", path, hint) from error
    options = {}
    for key, value in keys.items():
        name = key.replace("_", "-")
        where = f"in line {_line_of(key, text)} of {path}"
        if name not in OPTIONS:
            from difflib import get_close_matches

            near = get_close_matches(name, OPTIONS, 1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(OPTIONS)}"
            raise UsageError(f"unknown key {where}", key, hint)
        if name in options:
            raise UsageError(f"key given twice {where}", key)
        try:
            OPTIONS[name].read(name, value)
        except UsageError as error:
            raise UsageError(f"{error.failed} {where}", error.subject, error.hint) from error
        options[name] = value
    return options


def read_rules(given: Mapping[str, object], path: Path | None = None) -> Rules:
    """Return the rules in the config file *path*, or in the file that `find_config` finds. Options *given* replace its.

    Raises UsageError as `load_config` and `make_rules` do.
    """
    path = path or find_config()
    return make_rules(put_before(given, load_config(path) if path else {}))


def put_before(given: Mapping[str, object], options: Mapping[str, object]) -> dict[str, object]:
    """Return *options*, replaced by those *given*."""
    left_out = _BOTS if given.keys() & _BOTS else set()
    return {name: value for name, value in options.items() if name not in left_out} | dict(given)


_BOTS = {"bots", "exclude-bots"}
"""Two options for the same rule: each replaces the other."""


def _why_invalid(said: str, text: str) -> str:
    """Return the line that tomllib means, with what to type in place of what a word processor or Python has."""
    found = re.search(r"at line (\d+)", said)
    line = text.split("\n")[int(found[1]) - 1].strip() if found else ""
    hint = ""
    if wrong := re.search(f"[\xa0{CURLY_QUOTES}]", line):
        hint = f"; type {wrong[0]} as a plain {'space' if wrong[0].isspace() else 'quote'}"
    elif re.search(r"=\s*(True|False)\b", line):
        hint = "; true and false are in lower case"
    return printable(f": {line}{hint}") if line else ""


def _line_of(key: str, text: str) -> int:
    """Return the number of the line that sets *key*; tomllib does not tell."""
    found = re.search(rf"""^\s*(?:\[\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""", text, re.MULTILINE)
    return text.count("\n", 0, found.end() if found else 0) + 1

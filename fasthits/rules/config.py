"""The file in which rules can stand, so that the commands that share a log cannot disagree."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from fasthits.errors import UsageError
from fasthits.rules.options import OPTIONS, make_rules
from fasthits.rules.rules import Rules

CONFIG = Path("/etc/fasthits.toml")


def find_config(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file named by FASTHITS_CONFIG, else /etc/fasthits.toml where there is one."""
    if named := environ.get("FASTHITS_CONFIG"):
        return Path(named)
    return CONFIG if CONFIG.exists() else None


def load_config(path: Path) -> dict[str, object]:
    """Return the options of a file, by their names on the command line, as `make_rules` takes them.

    Keys are the options' names, with dashes or underscores. Raises UsageError, with the line, for a key that is none
    and for a value that its option does not take.
    """
    import tomllib  # 3 ms that most commands do not need

    try:
        text = path.read_text("utf-8")
        keys = tomllib.loads(text)
    except OSError as error:
        raise UsageError("cannot read configuration", path, error.strerror or "") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError("configuration is not TOML", path, str(error)) from error
    options = {}
    for key, value in keys.items():
        name = key.replace("_", "-")
        where = f"in line {_line_of(key, text)} of {path}"
        if name not in OPTIONS:
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
    """Return the rules of a file, `find_config` finding it unless *path* names one, and of the options *given*, which
    come first.

    Raises UsageError as `load_config` and `make_rules` do.
    """
    path = path or find_config()
    return make_rules(put_before(given, load_config(path) if path else {}))


def put_before(given: Mapping[str, object], options: Mapping[str, object]) -> dict[str, object]:
    """Return *options* with those *given* in their place."""
    left_out = _BOTS if given.keys() & _BOTS else set()
    return {name: value for name, value in options.items() if name not in left_out} | dict(given)


_BOTS = {"bots", "exclude-bots"}
"""Two options for one thing: each replaces the other."""


def _line_of(key: str, text: str) -> int:
    """Return the number of the line that sets *key*, which tomllib does not tell."""
    found = re.search(rf"""^\s*(?:\[\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""", text, re.MULTILINE)
    return text.count("\n", 0, found.end() if found else 0) + 1

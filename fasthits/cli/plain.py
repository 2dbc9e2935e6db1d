"""Reads plain command lines as typer does, but without importing typer. Plain: no mistake, no call for help.

`read_plainly` returns None for a command line that is not plain, and typer reads it. Both must read a command line in
the same way, so this module knows only what all commands use, and tests compare the two.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from fasthits.cli.commands import COMMANDS, fill_bare, function_of
from fasthits.cli.declare import REQUIRED, Argument, Option, Parameter, parameters_of
from fasthits.errors import FasthitsError

COMPLETION = "_FASTHITS_COMPLETE"
"""A shell that asks for completions sets this variable."""


class _NotPlain(Exception):
    """Typer must read this command line."""


def read_plainly(arguments: Sequence[str]) -> Callable[[], Any] | None:
    """Return the call that a command line stands for; None if typer must read it."""
    if not arguments or arguments[0] not in COMMANDS or COMPLETION in os.environ:
        return None
    function = function_of(arguments[0])
    try:
        return partial(function, **_values(parameters_of(function), fill_bare(list(arguments[1:]))))
    except (_NotPlain, FasthitsError, ValueError):  # ValueError: a number of thousands of digits
        return None


def _values(parameters: Sequence[Parameter], arguments: list[str]) -> dict[str, Any]:
    """Return the values of all parameters by name. Raises _NotPlain."""
    options = {name: (each, value) for each in parameters for name, value in _spellings(each)}
    given: dict[str, list[Any]] = {}
    words: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        name, equals, text = word.partition("=")
        if name not in options:
            raise _NotPlain
        option, value = options[name]
        if value is None:
            given.setdefault(option.name, []).append(text if equals else _value_after(rest))
        elif equals:
            raise _NotPlain
        else:
            given[option.name] = [value]
    given |= _by_place([each for each in parameters if isinstance(each.declared, Argument)], words)
    return {each.name: _read(each, given.get(each.name)) for each in parameters}


def _spellings(parameter: Parameter) -> Iterator[tuple[str, bool | None]]:
    """Yield each spelling of an option, with a switch's value, or None for an option that takes a value."""
    if isinstance(parameter.declared, Option):
        on, _, off = parameter.names[0].partition("/")
        switch = _part(parameter.kind) is bool
        yield on, True if switch else None
        if off:
            yield off, False


def _value_after(rest: Iterator[str]) -> str:
    text = next(rest, "--")
    if text.startswith("-") and text != "-":
        raise _NotPlain
    return text


def _by_place(places: Sequence[Parameter], words: list[str]) -> dict[str, list[Any]]:
    """Return the *words* that stand for arguments, by name. An argument that takes several words is the last."""
    found: dict[str, list[Any]] = {}
    for each in places:
        number = len(words) if _takes_several(each.kind) else 1
        if words:
            found[each.name] = words[:number]
        words = words[number:]
    if words:
        raise _NotPlain
    return found


def _read(parameter: Parameter, given: list[Any] | None) -> Any:
    """Return the value of a parameter: the *given* value, or the environment's, or the default. Raises _NotPlain."""
    if parameter.declared is None:
        raise _NotPlain
    details = parameter.declared.details
    if given is None and (text := os.environ.get(details.get("envvar", ""))):
        given = text.split() if _takes_several(parameter.kind) else [text]
    if given is None:
        if parameter.default is REQUIRED:
            raise _NotPlain
        value = list(parameter.default) if isinstance(parameter.default, list) else parameter.default
    else:
        read = details.get("parser") or _reader(_part(parameter.kind), details)
        values = [read(each) for each in given]
        value = values if _takes_several(parameter.kind) else values[-1]
    return details["callback"](value) if "callback" in details else value


def _takes_several(kind: Any) -> bool:
    return getattr(_without_none(kind), "__origin__", None) is list


def _part(kind: Any) -> Any:
    """Return the type of one value: str for ``list[str] | None``."""
    kind = _without_none(kind)
    return kind.__args__[0] if getattr(kind, "__origin__", None) is list else kind


def _without_none(kind: Any) -> Any:
    parts = [each for each in getattr(kind, "__args__", ()) if each is not type(None)]
    return parts[0] if parts and getattr(kind, "__origin__", None) is not list else kind


def _reader(kind: Any, details: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return the function that reads the text of a value. It raises _NotPlain for unusual text."""
    if kind is bool:
        return bool  # a switch is read without a value
    if kind is str:
        return _text
    if kind is Path:
        return lambda text: Path(_text(text))
    if kind in (int, float):
        return lambda text: _number(text, kind, details)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda text: _choice(text, kind)
    raise _NotPlain


def _text(text: str) -> str:
    if not text:
        raise _NotPlain
    return text


def _number(text: str, kind: Any, details: Mapping[str, Any]) -> Any:
    digits = text.replace(".", "", 1) if kind is float else text
    if not (digits.isascii() and digits.isdigit()):
        raise _NotPlain
    number = kind(text)
    if not details.get("min", number) <= number <= details.get("max", number):
        raise _NotPlain
    return number


def _choice(text: str, kind: type[Enum]) -> Enum:
    found = next((each for each in kind if each.value == text), None)
    if found is None:
        raise _NotPlain
    return found

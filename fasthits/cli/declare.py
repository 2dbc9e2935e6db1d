"""Declares the arguments and options of commands, for typer and for `plain`, which reads most command lines without it.

Only the help, completion and mistakes need typer, which takes longer to import than a small rollup takes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

REQUIRED = object()
"""As the default of an argument: it must be given."""


class Declared:
    """What a parameter is, as the arguments of typer's function of the same name say it."""

    def __init__(self, *names: str, **details: Any) -> None:
        self.names = names
        self.details = details


class Argument(Declared):
    """A parameter that has a place on the command line."""


class Option(Declared):
    """A parameter that has a name on the command line."""


class Parameter(NamedTuple):
    """A parameter of a command."""

    name: str
    kind: Any
    """Its type: str, list[str] | None, and so on."""
    declared: Declared | None
    """None for a parameter that a decorator replaces by options."""
    default: Any = REQUIRED

    @property
    def names(self) -> tuple[str, ...]:
        """How it is written on the command line, if it is an option: ``--logs``, ``--by-host/--no-by-host``."""
        return (self.declared and self.declared.names) or (f"--{self.name.replace('_', '-')}",)


def parameters_of(command: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters of a command in their order, as its decorators have set them."""
    if (found := getattr(command, "parameters", None)) is not None:
        return list(found)
    function: Any = command
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    defaults = function.__defaults__ or ()
    values = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    return [_parameter(name, function.__annotations__[name], values.get(name, REQUIRED)) for name in names]


def _parameter(name: str, annotation: Any, default: Any) -> Parameter:
    if hasattr(annotation, "__metadata__"):
        return Parameter(name, annotation.__origin__, annotation.__metadata__[0], default)
    return Parameter(name, annotation, None, default)

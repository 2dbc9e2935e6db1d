"""Declares the arguments and options of commands, for typer and for `plain`, which reads most command lines.

Only help, completion and mistakes need typer. To import typer takes longer than a small rollup.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

REQUIRED = object()
"""The default of an argument that the user must give."""


class Declared:
    """A parameter's description: the arguments of typer's function of the same name."""

    def __init__(self, *names: str, **details: Any) -> None:
        self.names = names
        self.details = details


class Argument(Declared):
    """A parameter that is known by its place on the command line."""


class Option(Declared):
    """A parameter that is known by its name on the command line."""


class Parameter(NamedTuple):
    """A parameter of a command."""

    name: str
    kind: Any
    """Its type: str, list[str] | None, and so on."""
    declared: Declared | None
    """None for a parameter that a decorator replaces with options."""
    default: Any = REQUIRED

    @property
    def names(self) -> tuple[str, ...]:
        """The spelling of an option on the command line: ``--logs``, ``--by-host/--no-by-host``."""
        return (self.declared and self.declared.names) or (f"--{self.name.replace('_', '-')}",)


def parameters_of(command: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters of a command in order, after its decorators have changed them."""
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

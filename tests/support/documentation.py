"""All public names have docstrings, and the examples in docstrings are true."""

import doctest
import importlib
import inspect
import pkgutil

import fasthits

MODULES = [
    module.name
    for module in pkgutil.walk_packages(fasthits.__path__, "fasthits.")
    if not module.name.endswith("__main__")
]


def assert_documented(name: str) -> None:
    """Fail unless a module and each of its public classes, methods and functions has a docstring."""
    module = importlib.import_module(name)
    assert module.__doc__
    for public, value in vars(module).items():
        if public.startswith("_") or getattr(value, "__module__", None) != name or not callable(value):
            continue
        if (name, public) == ("fasthits._parse", "ParsedLine"):
            continue  # a tuple of fields, whose docstrings are in the stub
        assert inspect.getdoc(value), f"{name}.{public}"
        for attribute, member in vars(value).items() if inspect.isclass(value) else ():
            of_django = type(member).__module__.startswith("django.")  # the descriptor of a manager
            if not attribute.startswith("_") and inspect.isroutine(member) and not of_django:
                assert inspect.getdoc(member), f"{name}.{public}.{attribute}"


def assert_examples_are_true(name: str) -> None:
    """Fail unless the examples in a module's docstrings print what they show."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0

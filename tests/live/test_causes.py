"""Every cause of a logger's warning has a row that says what it means and what to do."""

import ast
from collections.abc import Iterator
from pathlib import Path

import fasthits.live
from fasthits.live.causes import CAUSES, OTHER, warning_figure, warnings_of

UNPUBLISHED = {"end"}
"""Said when nobody publishes figures any more."""
REPORTS = {"_report", "_throttle", "report", "Misfit"}
"""What is called with a cause first."""


def causes_in(tree: ast.AST) -> Iterator[str]:
    """Yield the causes that a module names. A follower writes the file or server after the cause."""
    named: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            named += node.args[:1] if name in REPORTS else []
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("problems"):
            named.append(node.slice)
    for each in named:
        first = each.values[0] if isinstance(each, ast.JoinedStr) else each
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value.partition(" ")[0]


def test_every_cause_has_a_row() -> None:
    folder = Path(fasthits.live.__file__).parent
    modules = [path for path in folder.rglob("*.py") if path.name != "supervisor.py"]  # which publishes no figures
    used = {cause for path in modules for cause in causes_in(ast.parse(path.read_text()))}
    assert {"malformed", "unreachable", "doubt", "truncated", "state"} <= used
    assert used - UNPUBLISHED == set(CAUSES) - {OTHER}


def test_a_warning_is_reported_with_what_to_do() -> None:
    figures = {warning_figure(cause): 2 for cause in CAUSES}
    assert [each.cause for each in warnings_of(figures)] == list(CAUSES)
    assert all("2 warnings today" in each.text and each.remedy for each in warnings_of(figures))

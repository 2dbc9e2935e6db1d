"""Who may import whom, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import hit, write

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fasthits"

LAYERS = [
    {"_parse"},
    {
        *("errors", "display", "days", "keys", "escapes", "directives", "formats", "rules", "options", "conf"),
        *("sparkline", "botwords", "memo", "patterns", "servers", "replies", "causes", "units"),
    },
    {
        *{
            "agents",
            "searches",
            "backlog",
            "compression",
            "config",
            "counting",
            "courier",
            "csvfiles",
            "database",
            "explain",
            "jsonlines",
            "keeping",
            "layouts",
            "lines",
        },
        *{
            "logfiles",
            "memcached",
            "piped",
            "privileges",
            "reconcile",
            "referrers",
            "replacing",
            "rollup",
            "selection",
            "stamps",
            *("extents", "series", "dayfiles", "sources", "rotation", "places"),
            "tables",
        },
        *{
            "connections",
            "counters",
            "live",
            "health",
            "history",
            "doctor",
            "loggers",
            "misfits",
            "report",
            "supervisor",
        },
        *{"carrier", "deliveries", "follow", "follower", "inotify", "positions", "tally"},
    },
    {"web"},
    {"cli", "django"},
    {"__main__"},
]
"""From the bottom: a module imports from its own layer, where that is not circular, and from those below."""

FACES = {
    "cli": {"typer", "rich"},
    "django": {"django"},
    "web": {"starlette", "uvicorn", "anyio"},
    "memcached": {"pymemcache"},
    "database": {"sqlite3"},
    "tables": {"sqlite3"},
    "csvfiles": {"csv"},
    "history": {"sqlite3"},
    "agents": {"crawleruseragents"},
    "jsonlines": {"orjson"},
}
"""What may import each of these: one module, or one that writes and one that reads."""

FACES_OF_USERS = {"cli", "django", "web"}
KNOWN_TO = {"cli": {"web"}}
"""They do not know each other, but for the command that starts the web server."""

MODULES = sorted(file for file in PACKAGE.rglob("*.py*") if file.suffix in (".py", ".pyx"))


def module_of(file: Path) -> str:
    """Return the name of a module, that of its folder for one of several."""
    return file.stem if file.parent == PACKAGE else file.relative_to(PACKAGE).parts[0]


def imports_of(file: Path) -> set[str]:
    """Return what *file* imports, anywhere in it; of the compiled core the Python imports alone."""
    text = file.read_text()
    if file.suffix == ".pyx":
        text = "\n".join(
            line for line in text.splitlines() if line.startswith(("import ", "from ")) and " cimport " not in line
        )
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer_of(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def own(imports: set[str]) -> set[str]:
    """Return the modules of the package among *imports*."""
    names = {name.split(".")[1] for name in imports if name.startswith("fasthits.")}
    return {name for name in names if any(name in layer for layer in LAYERS)}


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_imports_go_down_only(file: Path) -> None:
    if file == PACKAGE / "__init__.py":
        assert imports_of(file) == set()
        return
    layer, used = layer_of(module_of(file)), own(imports_of(file)) - {module_of(file)}
    assert not {module for module in used if layer_of(module) > layer}
    assert file.stem == "__main__" or not (used & FACES_OF_USERS) - KNOWN_TO.get(module_of(file), set())
    assert layer != 0 or not used


def test_no_module_imports_itself_by_way_of_others() -> None:
    waiting: dict[str, set[str]] = {}
    for file in MODULES:
        if file != PACKAGE / "__init__.py":
            waiting.setdefault(module_of(file), set()).update(own(imports_of(file)) - {module_of(file)})
    while ready := [module for module, needs in waiting.items() if not needs & waiting.keys()]:
        for module in ready:
            del waiting[module]
    assert not waiting


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_each_outside_system_has_one_module(file: Path) -> None:
    special = set().union(*FACES.values())
    used = {name.split(".")[0] for name in imports_of(file)} & special
    assert used <= FACES.get(module_of(file), set())


def test_only_the_faces_print_or_exit() -> None:
    for file in MODULES:
        if file.suffix == ".py" and module_of(file) not in {"cli", "__main__"}:
            calls = {
                ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)
            }
            assert not calls & {"print", "exit", "sys.exit", "input"}, file.name


def modules_after(statement: str) -> set[str]:
    """Return the packages that are imported after a statement, and the modules of ours."""
    program = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.removeprefix("fasthits.").split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_costs_nothing() -> None:
    assert not modules_after("import fasthits") & {"typer", "rich", "pymemcache", "sqlite3", "django", "csv"}


def test_the_command_line_imports_what_a_command_uses_when_it_is_used() -> None:
    assert not modules_after("import fasthits.cli") & {
        *("pymemcache", "sqlite3", "csv", "json", "orjson", "crawleruseragents"),
    }


def test_a_plain_rollup_imports_nothing_that_rules_and_other_formats_need(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", hit("/a"))
    arguments = ["rollup", "2026-03-12", "--logs", str(log), "--to", str(tmp_path / "hits.csv")]
    run = f"from fasthits.cli import app; app({arguments!r}, standalone_mode=False)"
    found = modules_after(run)
    assert (tmp_path / "hits.csv").exists()
    assert not found & {
        *("pymemcache", "json", "orjson", "crawleruseragents", "isal", "backports"),
        *("jsonlines", "agents", "referrers", "memcached", "explain", "report", "asyncio", "http", "ssl", "email"),
    }

"""Which rooms may import which, and what an import costs."""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.commands import hit, write

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fasthits"

LAYERS = [
    {"_parse"},
    {"errors", "display", "signals", "records"},
    {"formats"},
    {"rules"},
    {"live", "daily"},
    {"upkeep", "keys"},
    {"web"},
    {"cli", "django"},
    {"__main__"},
]
"""The rooms, from the bottom: a room uses those below it, never one beside it. See docs/architecture.md."""

SYSTEMS = {
    "backports": {"daily.logs.compression"},
    "bz2": {"daily.logs.compression"},
    "crawleruseragents": {"rules.bots"},
    "csv": {"daily.csv.files", "django.management.commands.export_hits"},
    "ctypes": {"live.follow.inotify"},
    "django": {"django"},
    "psycopg": {"daily.postgres.database"},
    "asyncssh": {"daily.logs.sftp"},
    "sshfs": {"daily.logs.sftp"},
    "s3fs": {"daily.logs.s3"},
    "fsspec": {"daily.logs.store_connections", "daily.logs.stores", "daily.logs.sftp"},
    "pyarrow": {"daily.parquet.target"},
    "pymemcache": {"live.memcached", "live.connections"},
    "sqlite3": {
        "daily.sqlite.database",
        "daily.past.kept",
        "daily.sqlite.referrers",
        "daily.sqlite.sums",
        "daily.sqlite.target",
        "daily.csv.target",
    },
    "ssl": {"live.servers", "live.connections"},
    "starlette": {"web"},
    "typer": {"cli"},
    "rich": {"cli"},
    "uvicorn": {"web"},
    "anyio": {"web"},
}
"""The modules that may import a library for an outside system: one, or one that writes and one that reads."""

MODULES = sorted(file for file in PACKAGE.rglob("*.py*") if file.suffix in (".py", ".pyx"))


def module_of(file: Path) -> str:
    """Return the name of a module, without that of the package: ``live.reader``."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def room_of(file: Path) -> str:
    return module_of(file).split(".")[0]


@cache
def imports_of(file: Path) -> frozenset[str]:
    """Return the modules that *file* imports, anywhere in it; of the compiled core only Python's imports."""
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
    return frozenset(found)


def rooms_used(file: Path) -> set[str]:
    """Return the rooms of the package, other than its own, that *file* imports from."""
    names = {name.split(".")[1] for name in imports_of(file) if name.startswith("fasthits.")}
    return names & set().union(*LAYERS) - {room_of(file)}


@pytest.mark.parametrize("file", MODULES, ids=module_of)
def test_imports_go_down_only(file: Path) -> None:
    if file == PACKAGE / "__init__.py":
        return  # the public API, which imports on demand from all rooms
    (height,) = (number for number, layer in enumerate(LAYERS) if room_of(file) in layer)
    known = set().union(*LAYERS[:height])
    if module_of(file) != "cli.serve":  # the command that starts the web server
        known -= {"web"}
    assert rooms_used(file) <= known


@pytest.mark.parametrize("room", sorted(set().union(*LAYERS)))
def test_the_modules_of_a_room_do_not_import_in_circles(room: str) -> None:
    waiting = {
        module_of(file): {
            name
            for imported in imports_of(file)
            for name in (imported.removeprefix("fasthits."), imported.removeprefix("fasthits.").rpartition(".")[0])
            if imported.startswith(f"fasthits.{room}")
        }
        - {module_of(file)}
        for file in MODULES
        if room_of(file) == room
    }
    while ready := [module for module, needs in waiting.items() if not needs & waiting.keys()]:
        for module in ready:
            del waiting[module]
    assert not waiting


@pytest.mark.parametrize("file", MODULES, ids=module_of)
def test_each_outside_system_has_one_module(file: Path) -> None:
    used = {name.split(".")[0] for name in imports_of(file)} & SYSTEMS.keys()
    assert {system for system in used if not SYSTEMS[system] & {module_of(file), room_of(file)}} == set()


def test_only_the_faces_print_or_exit() -> None:
    for file in MODULES:
        if file.suffix == ".py" and room_of(file) not in {"cli", "__main__"}:
            calls = {
                ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)
            }
            assert not calls & {"print", "exit", "sys.exit", "input"}, file.name


def modules_after(statement: str) -> set[str]:
    """Return the packages that are imported after a statement; for fasthits the modules, without their rooms."""
    program = f"{statement}\nimport sys; print(*sys.modules)"
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("FASTHITS_")
    }  # a mistyped one costs
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=own, capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    return {name.rpartition(".")[2] if name.startswith("fasthits.") else name.split(".")[0] for name in names}


def test_importing_the_package_costs_nothing() -> None:
    program = "import fasthits, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("fasthits")] == ["fasthits"]
    assert not modules_after("import fasthits") & {"typer", "rich", "pymemcache", "sqlite3", "django", "csv", "json"}


def test_the_command_line_imports_what_a_command_uses_when_it_is_used() -> None:
    assert not modules_after("import fasthits.cli") & {
        *("pymemcache", "sqlite3", "csv", "json", "crawleruseragents"),
    }


def modules_of_command(*arguments: str) -> set[str]:
    """Return the modules that are imported when a command ends."""
    main = "from fasthits.__main__ import main"
    run = f"{main}; sys.argv = ['fasthits', *{arguments!r}]\ntry: main()\nexcept SystemExit as end: assert not end.code"
    return modules_after(f"import sys; {run}")


NEEDED_BY_HELP = {"typer", "rich", "pydantic", "shellingham", "difflib", "gettext", "subprocess", "app", "command"}


def test_the_version_imports_no_command() -> None:
    found = modules_of_command("--version")
    assert not found & {
        *NEEDED_BY_HELP,
        *("sqlite3", "csv", "json", "pymemcache", "_parse", "rollup", "options", "format", "reader"),
    }


@pytest.mark.parametrize(
    ("target", "others"), [("hits.csv", {"sqlite3", "database"}), ("hits.db", {"rich"})], ids=["csv", "db"]
)
def test_a_rollup_only_imports_modules_that_its_target_needs(target: str, others: set[str], tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", hit("/a"))
    found = modules_of_command("rollup", "2026-03-12", "--quiet", "--logs", str(log), "--to", str(tmp_path / target))
    assert (tmp_path / target).exists()
    assert "opening" in found
    assert not found & NEEDED_BY_HELP
    assert not found & ({"json", "pymemcache", "patterns", "reader", "dataclasses", "calendar"} | others)
    assert "glob" not in found or sys.version_info >= (3, 13), "from 3.13 on pathlib imports it"


def test_a_logger_imports_nothing_that_only_help_needs() -> None:
    found = modules_of_command("log", "--check")
    assert "reader" in found
    assert not found & NEEDED_BY_HELP


def test_a_plain_rollup_imports_nothing_that_rules_and_other_formats_need(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", hit("/a"))
    arguments = ["rollup", "2026-03-12", "--logs", str(log), "--to", str(tmp_path / "hits.csv")]
    run = f"from fasthits.cli import run; run({arguments!r})"
    found = modules_after(run)
    assert (tmp_path / "hits.csv").exists()
    assert not found & {
        *("pymemcache", "json", "crawleruseragents", "isal", "backports"),
        *("bots", "referrers", "memcached", "explain", "report", "asyncio", "http", "ssl", "email"),
    }

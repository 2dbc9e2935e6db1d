"""The linters and type checkers find nothing, and what they say of a script that uses fasthits is precise."""

import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
PYTHON = ["fasthits", "tests", "benchmarks", "docs", "setup.py"]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", *PYTHON],
        ["ruff", "format", "--check", *PYTHON],
        ["cython_lint.cython_lint", "fasthits"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_checkers_find_nothing(command: list[str]) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # cython-lint looks for pycodestyle
    environment = os.environ | {"PATH": path}
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stub_describes_the_core(tmp_path: Path) -> None:
    alone = tmp_path / "mypy.ini"  # the stub needs nothing that fasthits/__init__.py imports
    alone.write_text("[mypy]\n[mypy-fasthits]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy.stubtest", "fasthits._parse", "--mypy-config-file", str(alone)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


USER = """
from datetime import date
from pathlib import Path
import fasthits

count = fasthits.count_hits(Path("a.log"), b"junk", open("b.log", "rb"), days=date(2026, 3, 12), exclude_bots=True)
reveal_type(count)
reveal_type(count.views)
reveal_type(list(count.rows()))
reveal_type(list(fasthits.parse_lines("a.log", log_format="combined")))
reveal_type(fasthits.explain_line(b"", status=[200]).path)
reveal_type(fasthits.hits_today(["/"]))
reveal_type(fasthits.add_views(count.rows()))
reveal_type(fasthits.hit_key(date.today(), "/"))
reveal_type(fasthits.History("hits.db").views("/"))
fasthits.count_hits("a.log", exclude_bot=True)
fasthits.no_such_name
"""
REVEALED = [
    "HitCount",
    "Mapping[datetime.date, Mapping[str, int]]",
    "list[tuple[datetime.date, str, int]]",
    "ParsedLine",
    "str | None",
    "dict[str, int | None]",
    "Delivery",
    "str",
    "dict[datetime.date, int]",
]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """Return what mypy says of fasthits and of a script that uses it: lines on the script, and all others."""
    script = tmp_path_factory.mktemp("script") / "script.py"
    script.write_text(USER)
    files = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    command = [sys.executable, "-m", "mypy", *files, str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if "script.py" in line], [line for line in lines if "script.py" not in line]


def test_mypy_finds_nothing(checked: tuple[list[str], list[str]]) -> None:
    *faults, total = checked[1]
    assert (faults, total[:24]) == ([], "Found 2 errors in 1 file"), "the two of the script"


def test_a_script_sees_precise_types(checked: tuple[list[str], list[str]]) -> None:
    notes = [line.partition("Revealed type is ")[2] for line in checked[0] if "Revealed" in line]
    assert len(notes) == len(REVEALED), checked[0]
    for note, expected in zip(notes, REVEALED, strict=True):
        assert expected in note.replace("typing.", "").replace("builtins.", ""), note
    errors = [line.partition(" error: ")[2].split('"')[1] for line in checked[0] if " error: " in line]
    assert errors == ["exclude_bot", "no_such_name"], checked[0]


PYTHON_NAME = re.compile(r"\b(?:_*Py(?!_ssize_t)|__pyx_(?:empty|mstate|n_|kp_))\w*")


NEEDS_GIL = {
    *("answers_learn", "answers_place_of", "escapes_rewritten", "steps_add_step"),
    *("days_add_to_day", "days_bits_of", "days_hours_by_ordinal", "days_no_days", "days_ordinals_of"),
    "days_views_by_ordinal",
    *("fields_as_bytes", "fields_as_number", "fields_filtered_lines", "fields_name_of_trouble"),
    *("fields_places_of_fields", "fields_span_of"),
    *("fields_values_of_line", "fields_values_of_json_line", "fields_keys_of_object", "fields_without_newline"),
    *("jsonnames_put_name", "jsonnames_add_name", "jsonnames_free_names"),
    *("csv_set_date", "pieces_csv_in", "pieces_day_as", "pieces_next_entry", "pieces_path_as", "pieces_rows_in"),
    *("moves_are_apart", "sums_added_sums", "sums_packed_pairs"),
}


def test_the_core_never_needs_the_interpreter_without_the_gil(tmp_path: Path) -> None:
    """In C, a function of core/*.pxd that runs without the GIL uses no name of Python except types of numbers. Only few
    functions, which make or take Python objects, need the GIL."""
    # A build lets Cython translate what has changed since the last build. Nothing has to be compiled.
    build = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", tmp_path, "--build-temp", tmp_path]
    subprocess.run(build, cwd=ROOT, env=os.environ | {"CC": "true"}, check=True, capture_output=True)
    translated = (ROOT / "build" / "cython" / "fasthits" / "_parse.c").read_text()
    text = re.sub(r"/\*.*?\*/", "", translated, flags=re.DOTALL)
    functions = dict(
        re.findall(r"^static [^\n;]*\b__pyx_f_8fasthits_4core_\d+(\w+)\([^;{]*\{(.*?)^\}", text, re.DOTALL | re.M)
    )
    with_gil = set()
    for room in (ROOT / "fasthits" / "core").glob("*.pxd"):
        found = re.findall(r"^cdef inline [^(]*?\b(\w+)\(([^:]*):", room.read_text(), re.MULTILINE)
        for name, signature in found:
            if signature.endswith(" nogil"):
                assert not set(PYTHON_NAME.findall(functions[f"{room.stem}_{name}"])), f"{room.name}: {name}"
            else:
                with_gil.add(f"{room.stem}_{name}")
    assert with_gil == NEEDS_GIL


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", ".github/workflows/*.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("dependabot", ".github/dependabot.yml"),
        ("compose-spec", "compose.yaml"),
    ],
)
def test_files_for_other_services_follow_their_schemas(schema: str, files: str) -> None:
    found = [str(file) for file in ROOT.glob(files)]
    assert found
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *found]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_top_folder_has_only_customary_files() -> None:
    wanted = {"fasthits", "benchmarks", "docs", "tests", "setup.py", "pyproject.toml", "README.md"}
    custom = {"LICENSE", "CHANGELOG.md", "MANIFEST.in", "Makefile", "mkdocs.yml", ".gitignore", ".ci", ".git"}
    custom |= {"CONTRIBUTING.md", "SECURITY.md", ".github", "Dockerfile", ".dockerignore", "compose.yaml", "debian"}
    custom |= {"PKG-INFO", "setup.cfg"}  # these are in the source archive
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    found = {name for name in os.listdir(ROOT) if not any(fnmatch(name, pattern) for pattern in ignored)}
    assert found - custom == wanted

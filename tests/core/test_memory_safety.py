"""The core reads no byte outside of its input: guard pages around lines and blocks, and a build with sanitizers."""

import ctypes
import mmap
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import strategies as st

from fasthits._parse import (
    LINE_BYTES,
    HitTable,
    add_sums,
    csv_of_piece,
    normalise,
    pack_sums,
    parse_line,
    rows_of_piece,
    unescape,
)
from tests.core.support import as_parsed, fed
from tests.support import reference
from tests.support.processes import PROJECT

IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""Such a Python has an allocator of its own for objects, which the sanitizer does not see into."""
PAGE = mmap.PAGESIZE
PROT_NONE = 0
DAY = date(2026, 3, 12)
TIME = b"[12/Mar/2026:10:00:00 +0100]"
INTACT = b"::1 - - " + TIME + b' "GET /intact HTTP/1.1" 200 5'
LINES = [
    b"::1 - - " + TIME + b' "GET /a?b HTTP/1.1" 200 512 "-" "Moz"',
    rb"h - jo \"hn] [x " + TIME + rb' "GET /\\\"a\\" 200 - "r\"" "end\\"',
    b"h - [12/Mar/2026:10:00:00 +0100] " + TIME + b' "GET http://o/ HTTP/1.1" 304 5',
    b"h " + TIME + b' "GET https://o/?x" 200 17 x',
    b'h [31/Feb/2026:10:00:00 +0100] "GET /a" 200 5 ' + TIME + b' "GET /b" 200 5',
    TIME + b' "' + TIME + b' "GET /c" 2000 5" 200 5',
    b'\\\\"\\[[[ \xff\0\r',
]
PLAIN_LINES = [
    *(TIME + b' "GET /' + b"p" * size + b' HTTP/1.1" 200 1234567 "-" "Mozilla"' for size in (30, 62, 63, 64, 127)),
    TIME + b' "GET /a HTTP/1.1" 200 512 "http://www.example.org/from/here.html" "Mozilla/5.0"',
    TIME + b' "GET /' + b"p" * 40 + b'?query" 304 - "-" "Mozilla"',
]


class Guarded:
    """Memory between two guard pages, which nobody may touch. Data can be next to either guard page."""

    def __init__(self, size: int = PAGE) -> None:
        self.size = -(-size // PAGE) * PAGE
        self.mapping = mmap.mmap(-1, self.size + 2 * PAGE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.mapping)) + PAGE
        for guard in (self.address - PAGE, self.address + self.size):
            assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), PROT_NONE) == 0
        self.view = memoryview(self.mapping)[PAGE : PAGE + self.size]

    def lay(self, at: int, data: bytes) -> memoryview:
        """Return a view of *data* at *at*. The bytes around it would change the meaning of a line."""
        fill = b'"\\\r5'[len(data) % 4 :][:1]
        self.view[:] = fill * self.size
        self.view[at : at + len(data)] = data
        return self.view[at : at + len(data)]

    def before_the_end(self, data: bytes) -> memoryview:
        """Return a view of *data*. No byte after it can be read."""
        return self.lay(self.size - len(data), data)

    def at_the_start(self, data: bytes) -> memoryview:
        """Return a view of *data*. No byte before it can be read."""
        return self.lay(0, data)


def assert_counts(hit_table: HitTable, data: bytes) -> None:
    """Fail unless a hit table and the oracle agree on *data*."""
    views = Counter({(day, path): count for day, path, count in hit_table.rows()})
    found = reference.Counts(views, hit_table.lines, hit_table.hits, Counter(hit_table.filtered), hit_table.malformed)
    assert found == reference.count(data), data


def read_parts_of_lines_between_guards() -> None:
    guarded = Guarded()
    for line in LINES + PLAIN_LINES:
        parts = {line[:end] for end in range(len(line) + 1)} | {line[start:] for start in range(len(line))}
        for data in {part + ending for part in parts for ending in (b"", b"\r", b"\n", b"\r\n")}:
            for lay in (guarded.before_the_end, guarded.at_the_start):
                assert parse_line(lay(data)) == as_parsed(reference.parse(data)), data
                assert_counts(fed(lay(data)), data)


def test_no_byte_outside_of_a_line_is_read(run_alone: Callable[..., object]) -> None:
    run_alone(read_parts_of_lines_between_guards)


def read_codes_between_guards() -> None:
    guarded = Guarded()
    for data in (
        b"%",
        b"%4",
        b"%41",
        b"%4g",
        b"\\",
        rb"\x",
        rb"\x4",
        rb"\x41",
        rb"\x4g",
        rb"\n",
        rb"a\\",
        b"\xe9",
        b"",
    ):
        for lay in (guarded.before_the_end, guarded.at_the_start):
            assert (unescape(lay(data)), normalise(lay(data))) == (unescape(data), normalise(data))


def test_no_byte_outside_of_an_escape_is_read(run_alone: Callable[..., object]) -> None:
    run_alone(read_codes_between_guards)


def read_sums_between_guards() -> None:
    guarded = Guarded()
    packed = pack_sums([(1, 5), (2, 0xFFFF), (300, 7), (2**40, 2**40)])
    for part in {packed[:end] for end in range(len(packed) + 1)} | {packed[start:] for start in range(len(packed))}:
        for lay in (guarded.before_the_end, guarded.at_the_start):
            with suppress(ValueError):
                add_sums(lay(part), array("Q", bytes(8 * 301)))


def test_no_byte_outside_of_packed_sums_is_read(run_alone: Callable[..., object]) -> None:
    run_alone(read_sums_between_guards)


def read_pieces_between_guards() -> None:
    guarded = Guarded()
    table = HitTable()
    for path, views in ((b"", 1), (b"/a", 300), (b"/" + b"p" * 200, 2**62)):
        table.add(date(2026, 3, 12), path, views)
    ((_, piece),) = table.dump()
    for part in {piece[:end] for end in range(len(piece) + 1)} | {piece[start:] for start in range(len(piece))}:
        for lay in (guarded.before_the_end, guarded.at_the_start):
            for read in (HitTable().load, rows_of_piece, csv_of_piece):
                with suppress(ValueError):
                    read(lay(part))


def test_no_byte_outside_of_a_piece_of_rows_is_read(run_alone: Callable[..., object]) -> None:
    run_alone(read_pieces_between_guards)


def read_blocks_cut_anywhere_between_guards() -> None:
    first, second = Guarded(), Guarded()
    for ending in (b"\n", b"\r\n"):
        data = ending.join(LINES + PLAIN_LINES[-1:])
        for cut in range(len(data) + 1):
            begin, rest = data[:cut], data[cut:]
            assert_counts(fed(first.before_the_end(begin), second.at_the_start(rest)), data)
            assert_counts(fed(first.at_the_start(begin), second.before_the_end(rest)), data)


def test_no_byte_outside_of_a_block_is_read_wherever_the_log_is_cut(run_alone: Callable[..., object]) -> None:
    run_alone(read_blocks_cut_anywhere_between_guards)


def read_blocks_that_fill_the_room_between_guards() -> None:
    guarded = Guarded(3 * PAGE)
    for size in range(200):
        block = b"x" * size + b"\n"
        block += (INTACT + b"\n") * (guarded.size // len(INTACT))
        block = block[: guarded.size]
        assert len(block) == guarded.size
        assert_counts(fed(guarded.at_the_start(block)), block)


def test_no_byte_outside_of_a_block_between_two_guards_is_read(run_alone: Callable[..., object]) -> None:
    run_alone(read_blocks_that_fill_the_room_between_guards)


def read_lines_as_long_as_the_limit_between_guards() -> None:
    guarded = Guarded(LINE_BYTES + PAGE)
    for size in (LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, LINE_BYTES + PAGE):
        for line in (
            b"x" * (size - len(INTACT)) + INTACT,
            INTACT + b' "' + b"x" * (size - len(INTACT) - 2),
            INTACT.replace(b"/intact", b"/" + b"\\" * (size - len(INTACT) + len(b"intact"))),
        ):
            for lay in (guarded.before_the_end, guarded.at_the_start):
                assert parse_line(lay(line)) == as_parsed(reference.parse(line))
                for cut in (0, 1, size - 1, size):
                    hit_table = HitTable()
                    hit_table.feed(lay(line[:cut]))
                    hit_table.feed(lay(line[cut:]))
                    hit_table.finish()
                    assert_counts(hit_table, line)


def test_no_byte_outside_of_a_line_as_long_as_the_limit_is_read(run_alone: Callable[..., object]) -> None:
    run_alone(read_lines_as_long_as_the_limit_between_guards)


def read_one_byte_after_the_end() -> None:
    guarded = Guarded()
    ctypes.string_at(guarded.address + guarded.size - 10, 11)


def read_one_byte_before_the_start() -> None:
    guarded = Guarded()
    ctypes.string_at(guarded.address - 1, 11)


@pytest.mark.parametrize("read", [read_one_byte_after_the_end, read_one_byte_before_the_start])
def test_guards_catch_a_single_byte(run_alone: Callable[..., object], read: Callable[[], None]) -> None:
    run_alone(read, expected=-signal.SIGSEGV)


def read_rows_while_the_table_is_replaced() -> None:
    for taken in range(1, 40):
        hit_table = HitTable()
        for number in range(40):
            hit_table.add(DAY, b"/first/%d" % number, 1)
        rows = hit_table.rows()
        seen = [next(rows) for _ in range(taken)]
        hit_table.drain()
        for number in range(40):
            hit_table.add(DAY, b"/second/" + b"\xff" * (number * 7), 1)
        with pytest.raises(RuntimeError):
            next(rows)
        assert seen == [(DAY, b"/first/%d" % number, 1) for number in range(taken)]
        assert list(hit_table.rows()) == [(DAY, b"/second/" + b"\xff" * (number * 7), 1) for number in range(40)]


def test_an_iterator_of_rows_raises_if_the_rows_are_replaced(run_alone: Callable[..., object]) -> None:
    run_alone(read_rows_while_the_table_is_replaced)


class NoDay:
    """A date with an ordinal that no valid date has."""

    def __init__(self, ordinal: int) -> None:
        self.ordinal = ordinal

    def toordinal(self) -> int:
        return self.ordinal


def count_invalid_days() -> None:
    for ordinal in (0, -1, -(2**31), date.max.toordinal() + 1, date.max.toordinal() + 9, 2**31 - 1):
        hit_table = HitTable()
        with pytest.raises((TypeError, ValueError)):
            hit_table.count_only([NoDay(ordinal)])
        with pytest.raises((TypeError, ValueError)):
            hit_table.add(NoDay(ordinal), b"/a", 1)
        assert list(hit_table.rows()) == []


def test_invalid_days_are_refused(run_alone: Callable[..., object]) -> None:
    run_alone(count_invalid_days)


TREE_RUN = """
import sys
from pathlib import Path
import fasthits._parse
import pytest
assert Path(fasthits._parse.__file__).parent.parent == Path.cwd(), fasthits._parse.__file__
sys.exit(pytest.main(sys.argv[1:]))
"""
SANITIZED_RUN = """
import sys
from pathlib import Path
import fasthits._parse
import pytest
core = Path(fasthits._parse.__file__)
assert core.parent.parent == Path.cwd(), core
assert b"__asan_init" in core.read_bytes() and b"__ubsan_handle" in core.read_bytes(), "this core is not sanitized"
assert "libasan" in Path("/proc/self/maps").read_text()
sys.exit(pytest.main(sys.argv[1:]))
"""


def find_libasan() -> str:
    """Return the path of the sanitizer's library. Without it the test is skipped, or fails in CI."""
    gcc = shutil.which("gcc")
    libasan = ""
    if gcc:
        libasan = subprocess.run([gcc, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(libasan):
        missing = "no libasan of gcc" if gcc else "no gcc"
        if os.environ.get("FASTHITS_REQUIRE_SERVERS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return libasan


def run_in(directory: Path, command: list[str], **environment: str) -> str:
    """Run a command that has to succeed and return its output. Of pytest's plugins only Hypothesis' is there."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ
        | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "_hypothesis_pytestplugin"}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command[:3]} ended with {done.returncode}:\n{done.stdout[-8000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the core and its tests, with the C files of the last build, and the examples that hypothesis keeps."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(
        PROJECT / "fasthits", tree / "fasthits", ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    )
    kept = {"core", "support"}
    shutil.copytree(
        PROJECT / "tests",
        tree / "tests",
        ignore=lambda folder, names: [
            name for name in names if Path(name).suffix not in (".py", ".gz") and name not in kept
        ],
    )
    if (made := PROJECT / "build" / "cython").exists():
        shutil.copytree(made, tree / "build" / "cython")  # Cython's, with its time: an old file is made again
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (PROJECT / name).exists():
            shutil.copy(PROJECT / name, tree)
    known = PROJECT / ".hypothesis"
    known.mkdir(exist_ok=True)
    st.characters(categories=["Nd"]).validate()  # makes its table of characters, which takes ten seconds under ASan
    (tree / known.name).symlink_to(known)
    return tree


def build_in(tree: Path, flags: str, **environment: str) -> None:
    """Build the core with these *flags* of the compiler, whatever flags the environment has."""
    run_in(tree, [sys.executable, "setup.py", "build_ext", "--inplace", "--force"], CFLAGS=flags, **environment)


BY_THREADS = (
    "test_many_rows_are_merged_and_sorted_by_several_threads",
    "test_the_lines_of_csv_are_the_same_by_any_number_of_threads",
)
# A sanitizer writes to a file descriptor. Pytest would capture that text, and lose it when the process ends.
QUICKLY = (
    "-q",
    "-x",
    "--capture=sys",
    "-p",
    "no:cacheprovider",
    "-m",
    "not measures_memory and not slow",
    "--hypothesis-profile=tiny",
)

ONCE = (
    # These tests use guard pages, each in its own Python. The sanitizer finds the same faults.
    "--ignore=tests/core/test_memory_safety.py",
    "--deselect=tests/core/test_json.py::test_no_byte_outside_of_a_json_line_is_read",
    # These test the oracle, which is no part of the core.
    "--ignore=tests/core/test_reference.py",
    # Two threads are left.
    *(f"--deselect=tests/core/test_merge.py::{name}[{threads}]" for name in BY_THREADS for threads in (1, 3, 7)),
)
"""What a sanitizer does not look at a second time."""


@pytest.mark.slow
@pytest.mark.builds
def test_the_tests_pass_in_a_build_with_sanitizers(tree: Path) -> None:
    libasan = find_libasan()
    sanitizers = "-fsanitize=address,undefined"
    build_in(tree, f"{sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1 -Og", LDFLAGS=sanitizers)
    output = run_in(
        tree,
        [sys.executable, "-c", SANITIZED_RUN, "tests/core", *ONCE, *QUICKLY],
        LD_PRELOAD=libasan,
        # What is written outside of a small object is found when it is freed; what is read outside of one is found by
        # the guard pages. With each object in memory of malloc, the sanitizer would find both, in twice the time.
        **({} if IS_FREE_THREADED else {"PYTHONMALLOC": "pymalloc_debug"}),
        PYTHONPATH=str(tree),
        # It would walk the stack for each object that Python makes, which takes a third of the time.
        ASAN_OPTIONS="detect_leaks=0:malloc_context_size=0",
        UBSAN_OPTIONS="print_stacktrace=1",
    )
    assert "AddressSanitizer" not in output
    assert "runtime error" not in output
    assert " passed" in output


@pytest.mark.slow
@pytest.mark.builds
def test_the_tests_pass_in_a_build_without_vector_instructions(tree: Path) -> None:
    build_in(tree, "-DFASTHITS_WORDS -Og")
    tests = [f"tests/core/test_{name}.py" for name in ("memory_safety", "plain_gets", "blocks", "hit_table", "lines")]
    of_lines = ("-k", "not test_memory_safety or of_a_line or of_a_block or of_an_escape")
    output = run_in(tree, [sys.executable, "-c", TREE_RUN, *tests, *of_lines, *QUICKLY], PYTHONPATH=str(tree))
    assert " passed" in output

"""Counts instructions between points of a program, by callgrind: the program calls `begin`, then ``os.getppid()``.

A program takes fifty times as long while its instructions are counted, and five times as long before.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.tasks import ROOT, environment

MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(128 << 10),
    "GLIBC_TUNABLES": "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=1000000000",
}
"""A count must not depend on where memory happens to lie. Larger blocks are always fresh: by default malloc uses freed
blocks again when a program has freed large blocks, and calloc has to clear these. Memory is cleared and copied by a
loop, 32 bytes at a time: valgrind counts the processor's own instruction for it (rep) once for each byte."""

RUN = """
import os, random, runpy, sys
os.urandom = random.Random(1).randbytes
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Python that runs a module. The core hashes paths with random secrets: here they are the same in each run."""


def count_instructions(folder: Path, module: str, *arguments: str | Path) -> list[int]:
    """Return how many instructions ``python -m MODULE ARGUMENTS`` takes up to each point, from the point before.

    ``callgrind_annotate FOLDER/part.3`` shows where those between the second and the third point go. Raises
    RuntimeError if the program fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("part*"):
        old.unlink()
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/part", "--dump-before=getppid"]
    command += ["--instr-atstart=no", sys.executable, "-c", RUN, module]
    done = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=environment(PYTHONHASHSEED="0", **MEMORY),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} under valgrind ended with {done.returncode}: {done.stderr[-2000:]}")
    return [_total(part) for part in sorted(folder.glob("part.*"), key=lambda part: int(part.suffix[1:]))]


def _total(part: Path) -> int:
    found = re.search(r"^totals: (\d+)", part.read_text(), re.MULTILINE)
    if not found:
        raise RuntimeError(f"valgrind wrote no count into {part}")
    return int(found[1])


def begin() -> None:
    """Let valgrind count the instructions of this process from here on."""
    with subprocess.Popen(
        ["vgdb", f"--pid={os.getpid()}", "instrumentation", "on"], stdout=subprocess.DEVNULL
    ) as asked:
        while asked.poll() is None:
            pass  # valgrind reads commands only between two pieces of the program that it runs
    if asked.returncode:
        raise RuntimeError("vgdb cannot ask valgrind to count; is this program run by valgrind?")

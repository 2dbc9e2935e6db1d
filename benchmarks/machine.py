"""The conditions of figures: the machine, without its name, and the versions of all measured programs."""

import os
import platform
import re
import subprocess
from functools import cache
from importlib import import_module, metadata
from pathlib import Path

from benchmarks.tasks import ROOT, environment

PROGRAMS = {
    "gcc": "gcc --version",
    "wc": "wc --version",
    "gawk": "gawk --version",
    "gzip": "gzip --version",
    "igzip": "igzip --version",
    "goaccess": "goaccess --version",
    "jq": "jq --version",
    "memcached": "memcached -V",
}
MODULES = ("cython", "duckdb", "polars", "apachelogs", "pymemcache")


@cache
def describe_machine() -> dict[str, str | int | float]:
    """Return the processor, the number of its cores, the memory in GB, kernel and C library."""
    cpuinfo = Path("/proc/cpuinfo")
    fields = [line.partition(":") for line in cpuinfo.read_text().splitlines()] if cpuinfo.exists() else []
    return {
        "processor": next((value.strip() for key, _, value in fields if key.strip() == "model name"), "unknown"),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": f"{platform.system()} {version_in(platform.release())}",
        "libc": " ".join(platform.libc_ver()),
    }


@cache
def describe_versions() -> dict[str, str]:
    """Return the versions of the programs and modules that are installed."""
    core = Path(import_module("fasthits._parse").__file__ or "built in").name
    commit = first_line("git rev-parse --short=10 HEAD") or "unknown"
    if first_line("git --no-optional-locks status --porcelain -- fasthits setup.py"):
        commit += " and changes"
    own = {
        "commit": commit,
        "core": core,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    programs = {name: version_in(line) for name, command in PROGRAMS.items() if (line := first_line(command))}
    return own | programs | {name: version for name in MODULES if (version := version_of(name))}


def version_of(distribution: str) -> str | None:
    """Return the version of an installed distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def version_in(line: str) -> str:
    """Return the first word of a line that looks like a version. The rest could tell the machine's name."""
    found = re.search(r"\d+\.\d+(\.\d+)*", line)
    return found[0] if found else "unknown"


def first_line(command: str) -> str | None:
    """Return the first line that a command prints; None if it fails or does not exist."""
    try:
        done = subprocess.run(
            command.split(),
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        return None
    return (done.stdout or done.stderr).partition("\n")[0] if done.returncode == 0 else None

"""A signal, a closed pipe or a closed terminal ends a rollup quietly, and the kept days stay."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fasthits.signals import ended_by_signals
from tests.daily.support import DAY, KEPT, only_line, rows_in
from tests.support.commands import hit, write
from tests.support.processes import PROJECT, eventually


def test_a_closed_pipe_ends_a_rollup_quietly(tmp_path: Path) -> None:
    write(tmp_path / "a.log", *(hit(f"/{number}") for number in range(50_000)))
    command = f"{sys.executable} -m fasthits rollup {DAY} --logs {tmp_path}/a.log --to - | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, cwd=PROJECT)
    assert done.stdout == b"date,path,views\n"
    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
def test_a_signal_ends_a_rollup_that_waits_for_input(
    sent: signal.Signals, code: int, message: str, kept: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # The background jobs of a shell without job control ignore SIGINT, and so do their children.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    program += "from fasthits.__main__ import main; main()"
    command = [sys.executable, "-c", program, "rollup", str(DAY), "--logs", pipe, "--to", kept]
    with (
        subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE) as running,
        pipe.open("wb") as log,  # the open returns as soon as the other side reads; the pipe stays open
    ):
        log.write(hit("/") * 9)
        log.flush()
        running.send_signal(sent)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == code
    assert only_line(stderr) == f"fasthits: {message}"
    assert rows_in(kept) == KEPT
    assert sorted(os.listdir(tmp_path)) == sorted([kept.name, "pipe"])


LOST_SIGNAL = """
import os, signal, sys, threading
from fasthits.__main__ import main

def end():
    sys.stdin.read()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

threading.Thread(target=end, daemon=True).start()
main()
"""
"""Its SIGTERM goes to a thread that is not the main thread, so it does not end a wait of the main thread. Nor does a
signal that comes just before such a wait."""


def test_a_signal_ends_a_rollup_whose_threads_all_sleep(kept: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-c", LOST_SIGNAL, "rollup", str(DAY), "--logs", pipe, "--to", kept]
    with (
        subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as running,
        pipe.open("wb") as log,
    ):
        log.write(hit("/") * 9)
        log.flush()
        eventually(lambda: _sleeps(running.pid))
        _, stderr = running.communicate(timeout=30)
    assert running.returncode == 143
    assert only_line(stderr) == "fasthits: ended by SIGTERM"
    assert rows_in(kept) == KEPT


def _sleeps(process: int) -> bool:
    """Tell whether all threads of a process sleep."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks} == {"S"}


def test_under_nohup_a_rollup_survives_its_terminal(kept: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = ["nohup", sys.executable, "-m", "fasthits", "rollup", str(DAY), "--logs", pipe, "--to", kept]
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE) as running:
        with pipe.open("wb") as log:
            running.send_signal(signal.SIGHUP)
            log.write(hit("/") * 9)
        running.communicate(timeout=60)
    assert running.returncode == 0
    assert rows_in(kept) == [KEPT[0], ("2026-03-12", "/", 9), KEPT[2]]


def be_interrupted_in_a_lock() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise RuntimeError("release unlocked lock") from None


def test_a_signal_within_a_lock_of_python_ends_the_run() -> None:
    """A `with` of threading then raises an error of its own."""
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        be_interrupted_in_a_lock()
    with pytest.raises(RuntimeError, match="another"), ended_by_signals():
        raise RuntimeError("another")

"""Runs one command and writes what it took to a file: ``python -I launcher.py REPORT COMMAND...``.

The kernel never reports a smaller peak of memory for a program than its parent had when it started it, so programs are
started from here, 10 MB small, and not from the benchmark, which knows what a log of millions of lines holds.
"""

import os
import sys
import time

if __name__ == "__main__":
    report, *command = sys.argv[1:]
    started = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    with open(report, "w") as file:
        print(seconds, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status), file=file)

"""Runs one command and writes its seconds and its memory to a file: ``python -I launcher.py REPORT COMMAND...``.

The kernel never reports a smaller peak of memory for a program than its parent had at its start. So this program of
10 MB starts the other programs. The benchmark itself has the truth about millions of lines in memory.
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

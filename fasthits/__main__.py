"""Where the command ``fasthits``, and ``python -m fasthits``, begins.

A piped logger is in use before the command line has been imported, which takes a tenth of a second: Apache writes to
its pipe, and may already send it SIGTERM while it still writes. So it ignores that signal and its like first (SIGUSR1
will ask for the status once there is one), and widens the pipe, as Apache waits when it is full. From then on it is
supervised, so that its pipe is read whatever happens.
"""

import fcntl
import io
import os
import signal
import sys

from fasthits.live.supervisor import Prepare, supervise

IGNORED_BY_LOG = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1)


def main() -> None:
    """Run the command line in ``sys.argv``, and exit."""
    arguments = sys.argv[1:]
    command = next((word for word in arguments if not word.startswith("-")), None)
    is_logger = command == "log" and {"--help", "-h"}.isdisjoint(arguments)
    follows = any(word.partition("=")[0] == "--follow" for word in arguments)
    reads = is_logger and not follows and "--check" not in arguments
    if reads:
        for ignored in IGNORED_BY_LOG:
            signal.signal(ignored, signal.SIG_IGN)
        _widen_pipe()
    _open_standard_streams()
    if is_logger:
        sys.exit(supervise(_load_logger, wait=reads))
    try:
        from fasthits.cli import app

        app(prog_name="fasthits")
    except KeyboardInterrupt:  # before the command line could take care of it
        sys.exit(130)


def _load_logger() -> Prepare:
    """Import whatever a logger will need. Later, its files may be gone, or its user may not be able to read them."""
    from fasthits.cli import prepare_logger
    from fasthits.cli.log import preload

    preload()
    return lambda: prepare_logger(sys.argv[1:])


def _widen_pipe() -> None:
    """Let the pipe on standard input hold what the system allows; what is no pipe, or may not grow, stays as it is."""
    try:
        with open("/proc/sys/fs/pipe-max-size") as size:
            fcntl.fcntl(0, fcntl.F_SETPIPE_SZ, int(size.read()))
    except (OSError, ValueError):
        pass


def _open_standard_streams() -> None:
    """Put something in the place of standard streams that are closed, or the next file opened would be taken for one.

    Reading or writing it fails as with a closed one; but what goes to stderr then goes nowhere.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_WRONLY)  # the lowest free descriptor, that is the closed one
    if sys.stdout is None:
        os.open(os.devnull, os.O_RDONLY)
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        os.open(os.devnull, os.O_WRONLY)
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a table's text, whatever the locale


if __name__ == "__main__":
    main()

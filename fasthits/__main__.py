"""Where the command ``fasthits``, and ``python -m fasthits``, begins.

A piped logger must not die of the SIGTERM that Apache sends while it still writes, not even before the command line has
been imported; so that signal and its like are ignored first. SIGUSR1 will ask for the status once there is one.
"""

import os
import signal
import sys

IGNORED_BY_LOG = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1)


def main() -> None:
    """Run the command line in ``sys.argv``, and exit."""
    if sys.argv[1:2] == ["log"]:
        for ignored in IGNORED_BY_LOG:
            signal.signal(ignored, signal.SIG_IGN)
    _open_standard_streams()
    from fasthits.cli import app

    app(prog_name="fasthits")


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


if __name__ == "__main__":
    main()

"""Where the command ``fasthits``, and ``python -m fasthits``, begins.

A piped logger must not die of the SIGTERM that Apache sends while it still writes, not even before the command line has
been imported; so that signal and its like are ignored first. SIGUSR1 will ask for the status once there is one.
"""

import signal
import sys

IGNORED_BY_LOG = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1)


def main() -> None:
    """Run the command line in ``sys.argv``, and exit."""
    if sys.argv[1:2] == ["log"]:
        for ignored in IGNORED_BY_LOG:
            signal.signal(ignored, signal.SIG_IGN)
    from fasthits.cli import app

    app(prog_name="fasthits")


if __name__ == "__main__":
    main()

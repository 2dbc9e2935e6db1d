"""The command ``fasthits``, and ``python -m fasthits``, begins here.

Apache uses a piped logger before the command line is imported, which takes a tenth of a second: it writes to the pipe,
and may already send SIGTERM. So the logger ignores that signal and its like first (SIGUSR1 asks for the status, once
there is one), and widens the pipe, because Apache waits when the pipe is full. From then on the logger is supervised:
its pipe is read whatever happens.

A web server that starts any other command as its piped logger, such as ``fasthits lgo`` or ``fasthits log --check``,
would wait for ever when that command ends. So such a command is not run: the supervisor discards the log and says why.
"""

import fcntl
import io
import os
import signal
import stat
import sys

from fasthits.errors import UsageError
from fasthits.live.supervisor import Count, Prepare, supervise

IGNORED_BY_LOG = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1)
WEB_SERVERS = {"apache2", "httpd", "lighttpd"}
"""The names of programs that write their log into the standard input of a program that they start."""


def main() -> None:
    """Run the command line in ``sys.argv``, and exit."""
    arguments = sys.argv[1:]
    command = next((word for word in arguments if not word.startswith("-")), None)
    is_logger = command == "log" and {"--help", "-h"}.isdisjoint(arguments)
    follows = any(word.partition("=")[0] == "--follow" for word in arguments)
    reads = is_logger and not follows and "--check" not in arguments
    misused = not reads and _is_piped_logger()
    if reads or misused:
        for ignored in IGNORED_BY_LOG:
            signal.signal(ignored, signal.SIG_IGN)
        _widen_pipe()
    _open_standard_streams()
    if misused:
        sys.exit(supervise(lambda: _refuse, wait=True))
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


def _is_piped_logger() -> bool:
    """Tell whether a web server has started this process to write its log into it."""
    if "GATEWAY_INTERFACE" in os.environ:  # a CGI script, whose input is a request (RFC 3875, section 4.1.4)
        return False
    try:
        with open(f"/proc/{os.getppid()}/comm") as name:
            return name.read().strip() in WEB_SERVERS and stat.S_ISFIFO(os.fstat(0).st_mode)
    except OSError:
        return False


def _refuse() -> Count | int:
    command = " ".join(["fasthits", *sys.argv[1:]])
    raise UsageError("this is no piped logger", command, "fasthits conf prints the line for the web server")


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

"""The command ``fasthits``, and ``python -m fasthits``, begins here.

Apache uses a piped logger before the command line is imported, which takes a tenth of a second: it writes to the pipe,
and may already send SIGTERM. So the logger first ignores every signal that would end it (SIGUSR1 asks for the status,
once there is one), and widens the pipe, because Apache waits when the pipe is full. From then on a supervisor reads the
pipe, whatever happens.

A web server that starts any other command as its piped logger, such as ``fasthits lgo`` or ``fasthits log --check``,
would wait for ever when that command ends. So such a command is not run: the supervisor discards the log and says why.
"""

import atexit
import fcntl
import gc
import io
import os
import signal
import stat
import sys

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs 3 ms
if TYPE_CHECKING:
    from fasthits.live.supervisor import Count, Prepare

FAULTS = {signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS}
STOPS = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT}
IGNORED_BY_LOG = signal.valid_signals() - FAULTS - STOPS - {signal.SIGKILL, signal.SIGCHLD}
"""All signals that end a process which is not at fault: a web server's group gets those of its terminal, and anybody
may send one. Whoever ignores SIGCHLD cannot wait for a child."""
WEB_SERVERS = {"apache2", "httpd", "lighttpd"}
"""The names of programs that write their log into the standard input of a program that they start."""


def main() -> None:
    """Run the command line in ``sys.argv``, and exit."""
    # Modules are no garbage. To look for some among them, while they are imported and again at the end, takes a sixth
    # of the time that `fasthits --version` takes.
    gc.disable()
    atexit.register(gc.freeze)
    arguments = sys.argv[1:]
    command = next((word for word in arguments if not word.startswith("-")), None)
    is_logger = command == "log" and {"--help", "-h"}.isdisjoint(arguments)
    follows = any(word.partition("=")[0] == "--follow" for word in arguments)
    reads = is_logger and not follows and "--check" not in arguments
    misused = not reads and _is_piped_logger()
    if (reads and not os.isatty(0)) or misused:  # at a terminal Ctrl-C ends it
        for ignored in IGNORED_BY_LOG:
            signal.signal(ignored, signal.SIG_IGN)
        _widen_pipe()
    _open_standard_streams()
    if misused or is_logger:
        from fasthits.live.supervisor import supervise

        gc.enable()  # a logger whose options are wrong tries them again for as long as the web server runs
    if misused:
        sys.exit(supervise(lambda: _refuse, wait=True))
    if is_logger:
        sys.exit(supervise(_load_logger, wait=reads))
    try:
        from fasthits.cli import run

        run(arguments)
    except KeyboardInterrupt:  # before the command line could handle it
        sys.exit(130)
    except ImportError as error:  # pip was killed, or replaces fasthits at this moment
        sys.exit(f"fasthits: cannot import a part of fasthits: {error} (reinstall fasthits)")


def _load_logger() -> "Prepare":
    """Import everything that a logger may need: later the files may be gone, or unreadable for --user."""
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


def _refuse() -> "Count | int":
    from fasthits.errors import UsageError

    command = " ".join(["fasthits", *sys.argv[1:]])
    raise UsageError("this is no piped logger", command, "fasthits conf prints the line for the web server")


def _widen_pipe() -> None:
    """Give the pipe on standard input the largest size that the system allows, if it is a pipe."""
    try:
        with open("/proc/sys/fs/pipe-max-size") as size:
            fcntl.fcntl(0, fcntl.F_SETPIPE_SZ, int(size.read()))
    except (OSError, ValueError):
        pass


def _open_standard_streams() -> None:
    """Replace standard streams that are closed, or the next file opened would get the number of one of them.

    Reading or writing the replacement fails, as with a closed stream; only what is written to stderr vanishes.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_WRONLY)  # it gets the lowest free number, that of stdin
    if sys.stdout is None:
        os.open(os.devnull, os.O_RDONLY)
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        os.open(os.devnull, os.O_WRONLY)
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the locale


if __name__ == "__main__":
    main()

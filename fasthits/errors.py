"""What can go wrong for a user: one tree of exceptions, each with its exit code."""


class FasthitsError(Exception):
    """Something failed that the user can act on: what, on which thing, and what to try.

    >>> str(FasthitsError("no such file", "access.log", "name another with --logs"))
    'no such file: access.log (name another with --logs)'
    >>> str(FasthitsError("no such file", ""))
    "no such file: ''"
    """

    exit_code = 1

    def __init__(self, failed: str, subject: object, hint: str = "") -> None:
        super().__init__(failed, subject, hint)
        self.failed = failed
        self.subject = subject
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.failed}: {str(self.subject) or repr('')}" + (f" ({self.hint})" if self.hint else "")


class UsageError(FasthitsError):
    """An argument or setting makes no sense, whatever the state of the world."""

    exit_code = 2


class LogFileError(FasthitsError):
    """A log file is missing, cannot be read, or ends before it should."""


class DamagedLogError(LogFileError):
    """A compressed log file is damaged, cut short, or still being written; what is before that place was read."""


class TableError(FasthitsError):
    """The target of a rollup cannot be read or written; what it held is still there."""


class StateError(FasthitsError):
    """The state file of a follower cannot be used; nothing has been counted."""


class MemcachedError(FasthitsError):
    """memcached cannot be reached, or holds something else where a counter should be."""


class PrivilegeError(FasthitsError):
    """The process may not become the user it was told to become."""

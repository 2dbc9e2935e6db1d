"""All errors that fasthits raises for a user to act on, each with its exit code."""

import sys


class FasthitsError(Exception):
    """A failure that the user can act on: what failed, on which thing, and what to try.

    >>> str(FasthitsError("no such file", "access.log", "name another with --logs"))
    'no such file: access.log (name another with --logs)'
    >>> str(FasthitsError("no such file", ""))
    "no such file: ''"
    >>> str(FasthitsError("cannot reach memcached", "localhost", "start it", reason="Connection refused"))
    'cannot reach memcached: localhost (Connection refused; start it)'
    """

    exit_code = 1

    def __init__(self, failed: str, subject: object, hint: str = "", *, reason: str = "") -> None:
        super().__init__(failed, subject, hint)
        self.failed = failed
        self.subject = subject
        self.hint = hint
        self.reason = reason

    def __str__(self) -> str:
        more = "; ".join(filter(None, [self.reason, self.hint]))
        return f"{self.failed}: {str(self.subject) or repr('')}" + (f" ({more})" if more else "")


class UsageError(FasthitsError):
    """An argument or a setting is invalid."""

    exit_code = 2


class LogFileError(FasthitsError):
    """A log file is missing, unreadable or too short."""


class StoreError(LogFileError):
    """A store of log files cannot be reached, or refuses. That has nothing to do with one file."""


class DamagedLogError(LogFileError):
    """A compressed log file is damaged, cut short or still being written. All before that place was read."""


class TableError(FasthitsError):
    """A rollup cannot read or write its target. The target is unchanged."""


class ForeignFileError(TableError):
    """A file is no database of fasthits, and no rollup will make it one."""


class StateError(FasthitsError):
    """A follower cannot use its state file. Nothing has been counted."""


class MemcachedError(FasthitsError):
    """memcached is unreachable, or a counter's key holds something else."""


class PrivilegeError(FasthitsError):
    """The process has no permission to become the given user."""


_HEADERS = {"_sqlite3": "libsqlite3-dev", "_ssl": "libssl-dev", "_zstd": "libzstd-dev"}
"""By modules of Python, Debian's packages without which a build of Python leaves them out."""


def is_of_python(error: ImportError) -> bool:
    """Tell whether the module that cannot be imported is one of Python itself, which no pip can install."""
    return error.name in sys.stdlib_module_names


def import_failure(error: ImportError) -> FasthitsError:
    """Return the error to show to a user whose command cannot import a module.

    >>> import_failure(ModuleNotFoundError(name="_ssl")).hint
    'install libssl-dev and build this Python again, or use another'
    >>> import_failure(ModuleNotFoundError(name="zipfile")).hint
    'install the whole of Python, not its minimal package'
    >>> import_failure(ModuleNotFoundError(name="fasthits.live")).hint
    'reinstall fasthits'
    """
    if not is_of_python(error):
        return FasthitsError("cannot import a part of fasthits", error, "reinstall fasthits")
    package = _HEADERS.get(error.name or "")
    build = f"install {package} and build this Python again, or use another"
    hint = build if package else "install the whole of Python, not its minimal package"
    return FasthitsError("cannot import a part of Python", error, hint)


FOLDER_IS_GONE = "the current folder no longer exists (cd to another)"


def is_folder_gone(error: BaseException) -> bool:
    """Tell whether the system means the current folder: its FileNotFoundError then names no file."""
    return isinstance(error, FileNotFoundError) and not error.filename

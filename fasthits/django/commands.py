"""The base of the ``manage.py`` commands: what a user can act on is one line, never a traceback."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, router

from fasthits.display import discard_output, printable
from fasthits.django.expressions import TABLES, to_migrate
from fasthits.errors import FasthitsError
from fasthits.signals import Ended, ended_by_signals

SQLITE_LOCKED = "database is locked"
"""SQLite's error after it has waited for another program."""


class HitsCommand(BaseCommand):
    """A command that ends with one line and an exit code after an error or a signal."""

    failed: str
    """What has failed when the database fails."""

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run the command."""
        try:
            with ended_by_signals():
                output = super().execute(*args, **options)
                self.stdout.flush()  # at the end of Python it would fail with another message and exit code
                return output
        except FasthitsError as error:
            raise CommandError(printable(str(error)), returncode=error.exit_code) from error
        except DatabaseError as error:
            text = next(iter(str(error).splitlines()), type(error).__name__)
            todo = "another program is using it: run this again" if text == SQLITE_LOCKED else remedy(error)
            hint = f" ({todo})" if todo else ""
            raise CommandError(f"{self.failed}: {printable(text)}{hint}") from error
        except Ended as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        except KeyboardInterrupt as error:
            raise CommandError("interrupted", returncode=130) from error
        except OSError as error:  # usually of stdout: errors of other files are FasthitsErrors
            discard_output()
            raise CommandError(f"cannot write: {error.filename or 'standard output'} ({error.strerror})") from error


def remedy(error: DatabaseError) -> str:
    """Return what to type if a table is missing; empty for another error."""
    migrate = to_migrate(router.db_for_write(apps.get_model("fasthits", "Hits")))
    if any(table in str(error) for table in TABLES):
        return migrate
    return f"{migrate}; if that does not help, manage.py check" if "django_content_type" in str(error) else ""

"""Functions that several tests of the Django app need."""

from collections.abc import Callable
from datetime import date

from fasthits.django.models import Hits

ITS_ZONE = {"TZ": "Europe/Berlin"}
"""The environment of loggers on a machine in the site's time zone, which need not be this machine's."""
ParseLog = Callable[..., tuple[str, str]]
"""The function that the fixture `parse_log` returns."""


def history_of(obj: object) -> dict[date, int]:
    """Return the views of an object by day."""
    return dict(Hits.objects.for_object(obj).values_list("date", "views"))

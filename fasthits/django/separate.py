"""Questions to a history that has a separate database: while that does not answer, a page is shown without its numbers.

The site's own database is another matter. No page can be shown without it, so its errors are raised.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, Error, connections, router

from fasthits.live.pauses import Pauses

log = logging.getLogger("fasthits.django")

T = TypeVar("T")
U = TypeVar("U")


def ask_history(question: Callable[[], T], unknown: U) -> T | U:
    """Return the answer to a question that makes queries of the history; *unknown* if a separate database fails.

    For some seconds after a failure no page asks that database again. A transaction in it gets its errors.
    """
    database = router.db_for_read(apps.get_model("fasthits", "Hits"))
    if database == DEFAULT_DB_ALIAS or connections[database].in_atomic_block:
        return question()
    pauses = _pauses_of(database)
    if not pauses.may_ask():
        return unknown
    try:
        answer = question()
    except Error as error:
        connections[database].close()  # the next page makes a new connection
        pauses.failed(error)
        return unknown
    pauses.answered()
    return answer


@cache
def _pauses_of(database: str) -> Pauses[Error]:
    def report(error: Error) -> None:
        text = next(iter(str(error).splitlines()), type(error).__name__)
        log.warning("no number is shown: the database %r of the history fails: %s", database, text)

    return Pauses(report)

"""Reads keys in its own process, as a Django site with default settings does, with `cache.get` and `cache.get_many`.

As a program it takes {"backend", "location", "keys"} as JSON on stdin and answers on stdout. Values without a type in
JSON (bytes) become their repr, so that only an int is an int.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.support.processes import environment, new_mark


class Reading(NamedTuple):
    """The values of keys: read one by one, with None for a missing key; and read at once, without missing keys."""

    get: dict[str, Any]
    get_many: dict[str, Any]


def read_through_django(backend: str, location: str | list[str], keys: Iterable[str]) -> Reading:
    """Read *keys* through `django.core.cache.cache`. Only backend class and location are set."""
    question = json.dumps({"backend": backend, "location": location, "keys": list(keys)})
    command = [sys.executable, "-m", "tests.support.through_django"]
    done = subprocess.run(
        command, input=question, capture_output=True, text=True, timeout=60, check=False, env=environment(new_mark())
    )
    assert done.returncode == 0, done.stderr
    return Reading(**json.loads(done.stdout))


def main() -> None:
    """Answer the question on stdin."""
    from django.conf import settings

    question = json.load(sys.stdin)
    backend = f"django.core.cache.backends.memcached.{question['backend']}"
    settings.configure(CACHES={"default": {"BACKEND": backend, "LOCATION": question["location"]}})

    from django.core.cache import cache

    get = {key: cache.get(key) for key in question["keys"]}
    json.dump({"get": get, "get_many": cache.get_many(question["keys"])}, sys.stdout, default=repr)


if __name__ == "__main__":
    main()

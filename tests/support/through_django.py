"""What a Django site reads through `cache.get` and `cache.get_many` with default settings, in a process of its own.

As a program it takes {"backend", "location", "keys"} as JSON on stdin and answers on stdout. A value that JSON does not
have (bytes) comes back as its repr, so that only an int is an int.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.support.processes import environment, new_mark


class Reading(NamedTuple):
    """The values of keys: read one by one, with None for a key without a value; and read at once, without these."""

    get: dict[str, Any]
    get_many: dict[str, Any]


def read_through_django(backend: str, location: str | list[str], keys: Iterable[str]) -> Reading:
    """Read *keys* through `django.core.cache.cache`, set up with this backend class and location and nothing else."""
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

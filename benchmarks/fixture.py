"""The type of pytest-benchmark's fixture ``benchmark``, whose package has a py.typed and no annotations."""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Benchmark(Protocol):
    """Times a function and returns its result. A function that raises at once gets no row in the table."""

    def __call__(self, function: Callable[[], T], /) -> T: ...

    def pedantic(
        self,
        target: Callable[[], object],
        *,
        setup: Callable[[], None],
        teardown: Callable[[], object],
        rounds: int,
    ) -> None:
        """Time *rounds* calls between *setup* and *teardown*, which are not timed.

        If benchmarks are disabled, it does not call *teardown*.
        """

"""Answers that are remembered, within a bound of memory."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

_Answer = TypeVar("_Answer")

REMEMBERED_BYTES = 1 << 9
"""Longer texts are judged each time: strangers choose them, and they would fill the memory."""


def remember(function: Callable[[bytes], _Answer], answers: int) -> Callable[[bytes], _Answer]:
    """Return *function*, with its last *answers* remembered; for texts of REMEMBERED_BYTES at most."""
    remembered = lru_cache(answers)(function)
    return lambda text: remembered(text) if len(text) <= REMEMBERED_BYTES else function(text)

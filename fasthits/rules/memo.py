"""Remembers the answers to recent questions, in bounded memory."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

_Answer = TypeVar("_Answer")

REMEMBERED_BYTES = 1 << 9
"""Answers about longer texts are not remembered. Strangers choose the texts, and could fill the memory."""


def remember(function: Callable[[bytes], _Answer], answers: int) -> Callable[[bytes], _Answer]:
    """Return *function* with a memory for its latest *answers*, for texts of at most REMEMBERED_BYTES."""
    remembered = lru_cache(answers)(function)
    return lambda text: remembered(text) if len(text) <= REMEMBERED_BYTES else function(text)

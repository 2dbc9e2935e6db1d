"""Remembers the answers to recent questions, in bounded memory."""

from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")

REMEMBERED_BYTES = 1 << 9
"""Answers about longer texts are not remembered. Strangers choose the texts, and could fill the memory."""


def remember(function: Callable[[bytes], _Answer], answers: int) -> Callable[[bytes], _Answer]:
    """Return *function* with a memory for its latest *answers*, for texts of at most REMEMBERED_BYTES.

    It can be pickled if *function* can be, without the memory.
    """
    return _Remembering(function, answers)


class _Remembering(Generic[_Answer]):
    def __init__(self, function: Callable[[bytes], _Answer], answers: int) -> None:
        self._function = function
        self._answers = answers
        self._remembered = lru_cache(answers)(function)

    def __call__(self, text: bytes) -> _Answer:
        return self._remembered(text) if len(text) <= REMEMBERED_BYTES else self._function(text)

    def __reduce__(self) -> tuple[object, ...]:
        return _Remembering, (self._function, self._answers)

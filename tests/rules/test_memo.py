"""Answers that are remembered."""

from fasthits.rules.memo import REMEMBERED_BYTES, remember


def test_answers_about_short_texts_are_kept_and_about_long_texts_not() -> None:
    asked: list[bytes] = []

    def measure(text: bytes) -> int:
        asked.append(text)
        return len(text)

    size_of = remember(measure, 2)
    short, long = b"x" * REMEMBERED_BYTES, b"x" * (REMEMBERED_BYTES + 1)
    assert [size_of(text) for text in (short, short, long, long, b"")] == [512, 512, 513, 513, 0]
    assert asked == [short, long, long, b""]

"""A thread asks a server. If the server hangs, later callers do not wait for it."""

from datetime import date
from threading import Event

import pytest

from fasthits.errors import MemcachedError
from fasthits.live import asking
from fasthits.live.asking import Asked
from tests.support.processes import eventually

TODAY, TOMORROW = date(2026, 3, 12), date(2026, 3, 13)


class Server:
    """A server that answers how often it was asked, as soon as the test lets it answer."""

    def __init__(self) -> None:
        self.may_answer = Event()
        self.may_answer.set()
        self.asked: list[date] = []
        self.problem = ""

    def ask(self, day: date) -> int:
        self.asked.append(day)
        number = len(self.asked)
        assert self.may_answer.wait(60)
        if self.problem:
            raise MemcachedError(self.problem, "s")
        return number


@pytest.fixture
def server() -> Server:
    return Server()


def ask(asked: Asked[int], day: date = TODAY, seconds: float | None = 0.01) -> int:
    asked.start(day)
    return asked.answer(day, seconds)


def test_each_question_has_its_answer(server: Server) -> None:
    asked = Asked("s", server.ask)
    assert [ask(asked, day, None) for day in (TODAY, TODAY, TOMORROW)] == [1, 2, 3]
    assert server.asked == [TODAY, TODAY, TOMORROW]


def test_errors_are_those_of_the_server(server: Server) -> None:
    asked = Asked("s", server.ask)
    server.problem = "down"
    with pytest.raises(MemcachedError, match="down"):
        ask(asked, TODAY, None)
    server.problem = ""
    assert ask(asked, TODAY, None) == 2


def test_the_last_answer_is_used_for_a_while_and_a_hanging_server_gets_one_question(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked("s", server.ask)
    server.may_answer.clear()
    with pytest.raises(MemcachedError, match=r"does not answer: s \(nothing within 0.01 s"):
        ask(asked)
    server.may_answer.set()
    assert eventually(lambda: asked._running and asked._running.ended.is_set())
    assert ask(asked) in (1, 2), "the answer that came late counts until the next is there"
    assert eventually(lambda: ask(asked) > 1)
    server.may_answer.clear()
    before = len(server.asked)
    assert [ask(asked) for _ in range(5)] == [ask(asked)] * 5
    assert len(server.asked) <= before + 1
    with pytest.raises(MemcachedError, match="nothing within"):
        ask(asked, TOMORROW)
    monkeypatch.setattr(asking, "FRESH_SECONDS", 0.0)
    with pytest.raises(MemcachedError, match="nothing within"):
        ask(asked)
    server.may_answer.set()


def test_a_late_error_is_reported_while_the_server_is_asked_again(server: Server) -> None:
    asked = Asked("s", server.ask)
    server.may_answer.clear()
    server.problem = "it speaks TLS"
    with pytest.raises(MemcachedError, match="nothing within"):
        ask(asked)
    server.may_answer.set()
    assert eventually(lambda: asked._running and asked._running.ended.is_set())
    server.may_answer.clear()
    for _ in range(3):
        with pytest.raises(MemcachedError, match="it speaks TLS"):
            ask(asked)
    assert len(server.asked) == 2
    server.may_answer.set()

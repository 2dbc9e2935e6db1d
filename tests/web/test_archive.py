"""The archive of the web server: questions run at the same time, end when no client waits, and are asked in advance."""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Coroutine
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from fasthits.daily.past.documents import Days, history_document
from fasthits.daily.past.history import History
from fasthits.errors import TableError
from fasthits.web import archive as archives
from fasthits.web.archive import CHEAP_AT_ONCE, DEAR_AT_ONCE, KEPT_BYTES, Archive
from tests.support.commands import fasthits, hit, write

DAY = date.today() - timedelta(days=1)
PATIENCE = 30


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    roll_up(tmp_path, 1)
    return tmp_path / "hits.db"


def roll_up(folder: Path, views: int) -> None:
    write(folder / "a.log", hit("/", DAY) * views)
    done = fasthits("rollup", str(DAY), "--logs", folder / "a.log", "--to", folder / "hits.db")
    assert done.returncode == 0


class Endless:
    """A question that only an interruption ends."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

    def find(self, history: History, number: int = 0) -> int:
        with history._kept() as kept:
            connection = kept._database._connection
            connection.create_function("begun", 0, lambda: self.begun.release() or 1)  # while the query runs
            try:
                numbers = "WITH RECURSIVE n(i) AS (SELECT begun() UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
                return int(kept._database.execute(numbers).fetchone()[0])
            finally:
                self.ended.release()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), PATIENCE))


async def happens(event: threading.Semaphore) -> None:
    assert await asyncio.to_thread(event.acquire, timeout=PATIENCE)


def test_a_question_without_clients_is_interrupted(kept: Path) -> None:
    async def test() -> None:
        archive, endless = Archive(kept), Endless()
        both = [asyncio.create_task(archive.ask(endless.find)) for _ in range(2)]
        await happens(endless.begun)
        both[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await both[0]
        assert not endless.ended.acquire(blocking=False), "the other one still waits"
        both[1].cancel()
        await happens(endless.ended)
        again = asyncio.create_task(archive.ask(endless.find))
        await happens(endless.begun)
        archive.end()
        await happens(endless.ended)
        with pytest.raises((asyncio.CancelledError, TableError)):
            await again

    run(test)


def test_an_end_during_the_first_questions_is_no_warning(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        endless, said = Endless(), list[str]()
        monkeypatch.setattr(archives, "FIRST", ((endless.find, ()),))
        monkeypatch.setattr(archives, "WATCH_SECONDS", 0)
        archive = Archive(kept)
        watching = asyncio.create_task(archive.watch(said.append))
        await happens(endless.begun)
        archive.end()
        os.utime(kept, (0, 0))  # a change, so that it asks again
        await happens(endless.begun)
        watching.cancel()
        assert said == []

    run(test)


def test_quick_questions_do_not_wait_for_slow_questions(kept: Path) -> None:
    async def test() -> None:
        archive, endless = Archive(kept), Endless()
        dear = [asyncio.create_task(archive.ask(endless.find, number)) for number in range(DEAR_AT_ONCE + 1)]
        for _ in range(DEAR_AT_ONCE):
            await happens(endless.begun)
        cheap = [archive.ask(history_document, Days(number + 1), dear=False) for number in range(2 * CHEAP_AT_ONCE)]
        assert [json.loads(answer)["total"] for answer in await asyncio.gather(*cheap)] == [1] * 2 * CHEAP_AT_ONCE
        assert not endless.begun.acquire(blocking=False), "a dear one more waits for its turn"
        for task in dear:
            task.cancel()
        await asyncio.wait(dear)

    run(test)


def test_equal_questions_are_asked_once_until_the_database_changes(kept: Path) -> None:
    asked = []

    def find(history: History) -> list[int | None]:
        asked.append(1)
        return history.site(Days().of(history))

    async def test() -> None:
        archive = Archive(kept)
        assert await asyncio.gather(*(archive.ask(find) for _ in range(5))) == [b"[1]"] * 5
        assert len(asked) == 1
        await asyncio.to_thread(roll_up, kept.parent, 2)
        assert await archive.ask(find) == b"[2]"
        assert len(asked) == 2

    run(test)


def test_after_a_rollup_the_last_questions_are_answered_in_advance(kept: Path) -> None:
    asked = threading.Semaphore(0)

    def find(history: History) -> str | None:
        asked.release()
        return None

    async def test() -> None:
        archive = Archive(kept)
        watching = asyncio.create_task(archive.watch(pytest.fail))
        await archive.ask(find)
        await happens(asked)
        await asyncio.to_thread(roll_up, kept.parent, 2)
        await happens(asked)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

    run(test)


@pytest.mark.parametrize(("asked", "answered"), [(0, KEPT_BYTES // 4), (KEPT_BYTES // 4, 0)])
def test_answers_and_questions_are_kept_up_to_a_size(kept: Path, asked: int, answered: int) -> None:
    def find(history: History, text: str) -> str:
        return "x" * answered

    async def test() -> None:
        archive = Archive(kept)
        for number in range(8):
            await archive.ask(find, f"{number}{'x' * asked}")
        assert len(archive._kept) == 3
        assert KEPT_BYTES // 2 < archive._kept_bytes <= KEPT_BYTES

    run(test)


def test_a_missing_database_is_reported_to_each_client(tmp_path: Path) -> None:
    async def test() -> None:
        archive = Archive(tmp_path / "none.db")
        assert await archive.state() == ""
        for _ in range(2):
            with pytest.raises(TableError, match="no such database"):
                await archive.ask(history_document, Days())

    run(test)


def test_a_pipe_in_place_of_the_database_blocks_no_question(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hits.db")

    async def test() -> None:
        archive = Archive(tmp_path / "hits.db")
        assert await archive.state() == ""
        with pytest.raises(TableError, match="no such database"):
            await archive.ask(history_document, Days())

    run(test)


def test_a_file_system_that_hangs_takes_one_thread_and_no_other_request_waits_for_it(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, answers, state_of = [], threading.Event(), archives.state_of

    def hang(database: Path) -> str:
        looks.append(database)
        assert answers.wait(PATIENCE)
        return state_of(database)

    monkeypatch.setattr(archives, "state_of", hang)
    monkeypatch.setattr(archives, "LOOK_SECONDS", 0.1)

    async def test() -> None:
        archive = Archive(kept)
        questions = [archive.ask(history_document, Days(number)) for number in range(1, 4)]
        for found in await asyncio.gather(*questions, return_exceptions=True):
            assert str(found) == f"cannot read database: {kept} (the file system has not answered for 0.1 s)"
        assert looks == [kept]
        answers.set()
        assert json.loads(await archive.ask(history_document, Days()))["total"] == 1

    run(test)

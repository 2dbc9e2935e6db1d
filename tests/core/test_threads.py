"""Hit tables that several threads use at once."""

import subprocess
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import Event

import pytest

from fasthits._parse import HitTable, LineRules
from tests.core.support import (
    DAY,
    INTACT,
    assert_balanced,
    distinct_lines,
    in_threads,
    referred,
    switch_interval,
    tables_of,
    views,
)


def test_importing_the_core_does_not_enable_the_gil() -> None:
    """If the core did not declare itself safe, Python would enable the GIL for all threads, with a warning."""
    code = "import sys, fasthits._parse; print(getattr(sys, '_is_gil_enabled', lambda: True)())"
    printed = subprocess.check_output([sys.executable, "-W", "error", "-c", code], text=True)
    assert printed == f"{not sysconfig.get_config_var('Py_GIL_DISABLED')}\n"


def overlapping_blocks() -> list[bytes]:
    """Return 20 blocks of 2,000 paths, of which 1,500 are also in the next block."""
    return [distinct_lines(2000, start=500 * number) for number in range(20)]


def feed(hit_table: HitTable, blocks: Iterable[bytes]) -> None:
    for block in blocks:
        hit_table.feed(block)


def test_two_threads_may_feed_one_hit_table() -> None:
    hit_table = HitTable()
    feed_all = partial(feed, hit_table, overlapping_blocks())

    def observe() -> None:
        for _ in range(200):
            assert 0 <= hit_table.lines <= 80_000
            assert len(hit_table) <= 11_500
            assert hit_table.filtered == {}
            assert hit_table.days_seen <= {DAY}

    with switch_interval(1e-5):
        in_threads(feed_all, feed_all, observe)
    fed = Counter(number for block in range(20) for number in range(500 * block, 500 * block + 2000))
    assert views(hit_table) == {(DAY, b"/%d" % number): 2 * blocks for number, blocks in fed.items()}
    assert hit_table.lines == hit_table.hits == 80_000


def test_threads_may_drain_and_merge_a_hit_table_that_is_fed() -> None:
    hit_table, total = HitTable(), HitTable()
    feed_all = partial(feed, hit_table, overlapping_blocks())

    def drain_often() -> None:
        for _ in range(100):
            total.merge(hit_table.drain())

    with switch_interval(1e-5):
        in_threads(feed_all, feed_all, drain_often, drain_often)
    total.merge(hit_table.drain())
    assert sum(views(total).values()) == hit_table.hits == 80_000
    assert len(total) == 11_500


def test_eight_threads_may_use_a_hit_table_and_its_side_tables() -> None:
    """A line of a bot, or with a referer, changes several tables. Meanwhile other threads read, drain and sort them."""
    rules = LineRules(
        verdict=lambda agent: 2 * (agent == b"bot"), apart=True, referers={"all": lambda referer: referer}
    )
    hit_table, total = HitTable(rules=rules), HitTable(rules=rules)
    blocks = [
        b"".join(
            referred(b"/%d" % at, b"r%d" % (at % 97), b"bot" if at % 2 else b"x") for at in range(first, first + 500)
        )
        for first in range(0, 10_000, 500)
    ]
    fed = Event()

    feed_all = partial(feed, hit_table, blocks)

    def feed_at_once() -> None:
        try:
            in_threads(feed_all, feed_all, feed_all, feed_all)
        finally:
            fed.set()

    def drain_often() -> None:
        while not fed.is_set():
            total.merge(hit_table.drain())

    def read_often() -> None:
        while not fed.is_set():
            for table in tables_of(hit_table):
                assert sum(table.views_by_day().values()) <= 40_000
                with suppress(RuntimeError):  # its rows were removed
                    assert all(day == DAY for day, *_ in table.sorted_rows())
                with suppress(RuntimeError):
                    assert all(lines for _, _, lines in table.csv())
                with suppress(RuntimeError):
                    assert all(views <= 4 for _, _, views in table.rows())
            assert len(hit_table.examples) == 0
            assert hit_table.days_seen <= {DAY}

    with switch_interval(1e-5):
        in_threads(feed_at_once, drain_often, drain_often, read_often, read_often)
    total.merge(hit_table)
    assert total.hits == 40_000
    readers, bots, referred_by = (views(table) for table in tables_of(total))
    assert readers == {(DAY, b"/%d" % at): 4 for at in range(0, 10_000, 2)}
    assert bots == {(DAY, b"/%d" % at): 4 for at in range(1, 10_000, 2)}
    assert sum(referred_by.values()) == 20_000


def feed_two_hit_tables_while_a_third_thread_observes() -> bool:
    """Return whether both threads were within `feed` at a moment in which this thread ran."""
    block = INTACT + b"\n"
    block *= 400_000
    started: list[int] = []
    finished: list[int] = []
    hit_tables = HitTable(), HitTable()

    def feed(number: int) -> None:
        started.append(number)
        hit_tables[number].feed(block)
        finished.append(number)

    threads = [threading.Thread(target=feed, args=(number,)) for number in range(2)]
    with switch_interval(1000.0):
        for thread in threads:
            thread.start()
        both_within = sorted(started) == [0, 1] and not finished
        for thread in threads:
            thread.join()
    assert [hit_table.hits for hit_table in hit_tables] == [400_000, 400_000]
    return both_within


@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="this Python has no GIL")
def test_feed_works_without_the_gil() -> None:
    assert any(feed_two_hit_tables_while_a_third_thread_observes() for _ in range(10))


def merge_two_hit_tables_into_each_other() -> None:
    block = distinct_lines(300) * 20
    for _ in range(40):
        first, second = HitTable(), HitTable()
        with switch_interval(1e-6):
            in_threads(
                *(
                    lambda hit_table=hit_table: [hit_table.feed(block) for _ in range(4)]
                    for hit_table in (first, second)
                ),
                lambda a=first, b=second: [a.merge(b) for _ in range(4)],
                lambda a=first, b=second: [b.merge(a) for _ in range(4)],
            )
        assert first.hits + second.hits == 2 * 4 * 6000
        for hit_table in (first, second):
            assert_balanced(hit_table)


def test_hit_tables_that_merge_into_each_other_do_not_deadlock(run_alone: Callable[..., object]) -> None:
    run_alone(merge_two_hit_tables_into_each_other)


def test_a_table_that_is_fed_while_merge_waits_keeps_one_row_for_each_path() -> None:
    """`merge` waits for a busy table. What it knows about another table may be wrong by then."""
    block = (INTACT + b"\n") * 300_000
    for _ in range(5):
        empty, busy = HitTable(), HitTable()
        busy.feed(INTACT + b"\n")
        started = threading.Event()

        def feed_for_long(busy: HitTable = busy, started: threading.Event = started) -> None:
            started.set()
            busy.feed(block)

        def merge(empty: HitTable = empty, busy: HitTable = busy, started: threading.Event = started) -> None:
            started.wait()
            empty.merge(busy)

        threads = [threading.Thread(target=each) for each in (feed_for_long, merge)]
        for thread in threads:
            thread.start()
        while threads[1].is_alive():
            empty.feed(INTACT + b"\n")
        threads[0].join()
        empty.merge(busy)
        assert_balanced(empty)
        assert len(empty) == 1

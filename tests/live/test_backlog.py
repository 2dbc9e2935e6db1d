"""Rows that wait for memcached: in order, added up, and their memory is freed after they were taken."""

from datetime import date

from fasthits.live.backlog import Backlog
from fasthits.live.memcached import BATCH_ROWS

DAY = date(2026, 3, 12)


def test_rows_come_in_batches_and_their_memory_is_free_after_the_last() -> None:
    backlog = Backlog()
    backlog.put((DAY, b"/%d" % number, 1) for number in range(BATCH_ROWS + 1))
    assert len(backlog.take()) == BATCH_ROWS
    assert (len(backlog), backlog.memory() > 0) == (1, True)
    assert backlog.take() == [(DAY, b"/%d" % BATCH_ROWS, 1)]
    assert (len(backlog), backlog.memory()) == (0, 0)
    backlog.put([(DAY, b"/a", 2), (DAY, b"/a", 3)])
    assert backlog.take() == [(DAY, b"/a", 5)]

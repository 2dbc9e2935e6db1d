"""Counting in one call: the result is finished, for all kinds of sources."""

import bz2
import copy
import gzip
import io
import mmap
import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import FrozenInstanceError
from datetime import date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits import count_hits, explain_line
from fasthits.daily.counting import count_hits as counting
from fasthits.daily.counting import overflow, runs
from fasthits.daily.counting.count_hits import HitCount
from fasthits.daily.days import Range
from fasthits.errors import DamagedLogError, LogFileError, UsageError
from fasthits.rules.keywords import rules_of
from tests.rules.test_compiled import DAY, detect_format, lacks_a_field, mixed_logs
from tests.support.commands import fasthits, hit, write
from tests.support.reference import count, judge, split_lines
from tests.support.strategies import blocks_of

BEFORE = DAY - timedelta(days=1)
LOG = hit("/a") + b"junk\n" + hit("/b?c=1") + hit("/a") + hit("/a", BEFORE) + hit("/", method="HEAD").rstrip()

RULES = st.fixed_dictionaries(
    {},
    optional={
        "exclude_bots": st.just(True),
        "exclude_static": st.just(True),
        "fold_slash": st.just(True),
        "decode": st.just(True),
        "keep_query": st.sampled_from([True, ["a"], "a,b"]),
        "exclude_path": st.sampled_from(["/a*", ["/b", "/c*"]]),
        "status": st.sampled_from([200, "2xx,304", [200, 404]]),
    },
)


class NotATime(datetime):
    """As NaT of pandas: a datetime that is no day."""

    def date(self) -> Any:
        """Return itself."""
        return self

    def __ne__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "NaT"


def figures(found: HitCount) -> tuple[object, ...]:
    return found.lines, found.hits, dict(found.filtered), found.malformed, found.views, list(found.rows())


@given(log=mixed_logs, options=RULES, days=st.sampled_from([None, [DAY], [BEFORE, DAY]]))
def test_a_file_and_bytes_are_counted_as_the_oracle_counts(
    log: bytes, options: dict[str, object], days: list[date] | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wanted = rules_of(options)
    if lacks_a_field(log, wanted):
        return
    file = write(tmp_path_factory.mktemp("log") / "access.log", log)
    found = count_hits(log, days=days, **options)
    assert figures(count_hits(file, days=days, **options)) == figures(found)
    oracle = count(log, days, wanted, detect_format(log))
    text = Counter[tuple[date, str]]()
    for (day, path), views in oracle.views.items():
        text[day, path.decode("utf-8", "backslashreplace")] += views
    assert {(day, path): views for day, path, views in found.rows()} == text
    assert {(day, path): n for day, views in found.views.items() for path, n in views.items()} == text
    assert (found.lines, found.hits, found.malformed) == (oracle.lines, oracle.hits, oracle.malformed)
    assert Counter(found.filtered) == oracle.filtered
    assert found.lines == found.hits + sum(found.filtered.values()) + found.malformed


@given(data=st.data(), log=mixed_logs)
def test_blocks_of_a_stream_may_end_anywhere(data: st.DataObject, log: bytes) -> None:
    log_format = detect_format(log)
    whole = figures(count_hits(log, log_format=log_format.text))
    assert figures(count_hits(iter(data.draw(blocks_of(log))), log_format=log_format.text)) == whole
    assert figures(count_hits(io.BytesIO(log), log_format=log_format.text)) == whole


def test_a_block_that_ends_in_a_line_to_which_another_is_glued_is_no_line_without_a_newline() -> None:
    begin, rest = hit("/a").rstrip().split(b" 512 ")
    blocks = [begin + b" 512", b" " + rest + hit("/b").rstrip()]
    assert figures(count_hits(iter(blocks))) == figures(count_hits(b"".join(blocks)))


@given(line=mixed_logs.map(lambda log: split_lines(log)[0] if log else b"junk"), options=RULES)
def test_explain_and_count_agree_on_a_line(line: bytes, options: dict[str, object]) -> None:
    wanted = rules_of(options)
    if lacks_a_field(line, wanted):
        return
    found, counted = explain_line(line, **options), count_hits(line + b"\n", **options)
    buckets = {"hit": counted.hits, "malformed": counted.malformed, **counted.filtered}
    assert {bucket for bucket, lines in buckets.items() if lines} == {found.bucket}
    assert [found.path] * counted.hits == [path for _, path, _ in counted.rows()]
    assert found.bucket == judge(line, None, wanted, detect_format(line))[0]


def test_sources_of_all_kinds_add_up(tmp_path: Path) -> None:
    write(tmp_path / "a.log", LOG)
    write(tmp_path / "b.log.gz", gzip.compress(LOG))
    with mmap.mmap(-1, len(LOG)) as mapping, open(tmp_path / "a.log", "rb") as file:
        mapping[:] = LOG
        with gzip.open(tmp_path / "b.log.gz") as unpacked:
            found = count_hits(str(tmp_path / "*.log"), LOG, bytearray(LOG), mapping, file, [LOG], unpacked)
    one = count_hits(LOG)
    assert (found.lines, found.hits, found.malformed) == (8 * one.lines, 8 * one.hits, 8 * one.malformed)
    assert dict(found.filtered) == {"method": 8}
    assert found.views == {BEFORE: {"/a": 8}, DAY: {"/a": 16, "/b": 8}}
    assert list(found.rows()) == [(BEFORE, "/a", 8), (DAY, "/a", 16), (DAY, "/b", 8)]
    assert found.formats == ("combined",)
    assert [(Path(each.file).name, each.line, each.head) for each in found.examples] == [
        ("a.log", 2, b"junk"),
        ("b.log.gz", 2, b"junk"),
        ("<stream 1>", 2, b"junk"),
    ]


def test_a_result_cannot_be_changed() -> None:
    found = count_hits(LOG)
    with pytest.raises(FrozenInstanceError):
        found.hits = 5
    for mapping in (found.views, found.views[DAY], found.filtered, found.parts):
        assert isinstance(mapping, Mapping)
        with pytest.raises(TypeError):
            mapping["/a"] = 5
    assert figures(found) == figures(found)
    assert "_table" not in repr(found)


@pytest.mark.parametrize("again", [lambda found: pickle.loads(pickle.dumps(found)), copy.copy, copy.deepcopy])
def test_a_result_can_be_pickled_and_copied(
    again: Callable[[HitCount], HitCount], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one whose rows are in a temporary file."""
    for module in (overflow, counting):
        monkeypatch.setattr(module, "bytes_of_tables", lambda size: 1 << 20)
    bot = hit("/bot").replace(b"Mozilla/5.0", b"Googlebot/2.1")
    many = b"".join(hit(f"/{'x' * 1500}/{number}") for number in range(1500))
    file = write(tmp_path / "access.log", LOG + hit(b"/\xe9") + bot)
    for found in (
        count_hits(file, days=[BEFORE - timedelta(1), DAY]),
        count_hits(file, bots="apart"),
        count_hits(file, many, bots="apart", threads=1),
    ):
        other = again(found)
        assert figures(other) == figures(found)
        for name in ("examples", "formats", "days", "missing", "parts", "damaged", "bots"):
            assert getattr(other, name) == getattr(found, name), name
        with pytest.raises(TypeError):
            other.parts[DAY] = ()


def test_processes_of_a_pool_return_results(tmp_path: Path) -> None:
    file = write(tmp_path / "access.log", LOG)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert figures(pool.submit(count_hits, file).result()) == figures(count_hits(file))


def test_a_pool_that_is_no_executor_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "access.log", LOG)
    with pytest.raises(TypeError, match=r"an executor is one of concurrent\.futures, not int"):
        count_hits(file, executor=5)


def test_rows_are_in_the_order_of_the_csv(tmp_path: Path) -> None:
    log = b"".join(hit(path) for path in ("/b", "/a", "/c", "/c", b"/\xc3\xa9", b"/\xe9", rb"/\xe9"))
    file = write(tmp_path / "access.log", log)
    done = fasthits("rollup", str(DAY), "--logs", file, "--to", "-", "--partial")
    rows = [f"{day},{path},{views}" for day, path, views in count_hits(file).rows()]
    assert done.stdout.decode().splitlines()[1:] == rows
    assert rows[:2] == [f"{DAY},/\\xe9,2", f"{DAY},/c,2"]


@pytest.mark.parametrize(
    "days", [DAY, datetime(2026, 3, 12, 10), "2026-03-12", [DAY, DAY], iter([DAY]), "2026-03-12..2026-03-12"]
)
def test_days_can_be_named_in_many_ways(days: object) -> None:
    found = count_hits(LOG, days=days)
    assert (found.days, found.missing, found.hits) == ((DAY,), (), 3)
    assert found.filtered["day"] == 1


def test_a_day_without_a_line_is_missing_and_not_zero(tmp_path: Path) -> None:
    write(tmp_path / f"{DAY}.log", hit("/", method="HEAD"))
    found = count_hits(f"{tmp_path}/%F.log", days=[BEFORE, DAY])
    assert (found.days, found.missing, dict(found.views)) == ((DAY,), (BEFORE,), {DAY: {}})


def test_a_day_that_is_not_whole_is_counted_and_reported(tmp_path: Path) -> None:
    write(tmp_path / "access.log.1", hit("/a", DAY), hit("/a", DAY))
    write(tmp_path / "access.log", hit("/a", DAY + timedelta(1)))
    write(tmp_path / "access.log.2", hit("/a", BEFORE))
    found = count_hits(tmp_path / "access.log.1", days=DAY)
    assert found.hits == 2
    assert "its beginning is missing" in found.parts[DAY][0]
    everything = count_hits(f"{tmp_path}/access.log*")
    assert everything.days == (BEFORE, DAY, DAY + timedelta(1))
    assert DAY not in everything.parts
    assert BEFORE in everything.parts


def test_a_count_says_that_today_is_not_over(tmp_path: Path) -> None:
    today = date.today()
    file = write(tmp_path / "access.log", hit("/a", today))
    found = count_hits(file)
    assert found.hits == 1
    assert found.parts == {today: ("the day was not over when it was counted",)}


def lf_to_cr(log: bytes) -> bytes:
    return log.replace(b"\n", b"\r")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lambda log: log.decode().encode("utf-16"), lf_to_cr])
@pytest.mark.parametrize("step", [1, 1000])
def test_a_stream_may_be_packed(pack: Callable[[bytes], bytes], step: int) -> None:
    packed = pack(LOG)
    blocks = [packed[at : at + step] for at in range(0, len(packed), step)]
    plain = count_hits(LOG)
    for source in (packed, io.BytesIO(packed), blocks, io.BytesIO(gzip.compress(packed))):
        found = count_hits(source)
        assert list(found.rows()) == list(plain.rows())
        assert found.lines == plain.lines


def test_a_packed_stream_that_is_cut_is_an_error() -> None:
    with pytest.raises(DamagedLogError, match=r"damaged or cut short: <stream> \(it ends in the middle of the data\)"):
        count_hits([gzip.compress(LOG)[:-9]])


def test_an_unreadable_file_among_others_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "access.log", LOG)
    (tmp_path / "access.log.1").symlink_to("access.log.1")
    with pytest.raises(
        LogFileError, match=r"cannot read log file: .*access\.log\.1 \(Too many levels of symbolic links"
    ):
        count_hits(f"{tmp_path}/access.log*")


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    lines = b"".join(hit(f"/{number}") for number in range(5000))
    file = write(tmp_path / "access.log.gz", gzip.compress(lines)[:-500])
    found = count_hits(file)
    assert 0 < found.hits < 5000
    assert str(file) in found.damaged[0]
    assert "damaged or cut short" in found.parts[DAY][-1]


def test_bots_that_are_kept_apart_have_their_own_views() -> None:
    bot = hit("/a").replace(b"Mozilla/5.0", b"Googlebot/2.1")
    found = count_hits(hit("/a") + bot + bot, bots="apart")
    assert (found.hits, found.views, found.bots) == (3, {DAY: {"/a": 1}}, {DAY: {"/a": 2}})
    assert count_hits(bot).bots == {}


def test_a_log_without_lines_is_not_an_error(tmp_path: Path) -> None:
    for source in (b"", [], io.BytesIO(), write(tmp_path / "empty.log")):
        found = count_hits(source)
        assert (found.lines, found.hits, found.views, list(found.rows()), found.days) == (0, 0, {}, [], ())


def test_more_paths_than_memory_can_hold_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file and a stream, each with too many paths, and both together."""
    for module in (overflow, counting):
        monkeypatch.setattr(module, "bytes_of_tables", lambda size: 1 << 20)
    log = b"".join(hit(f"/{'x' * 1500}/{number % 1500}") for number in range(2000))
    file = write(tmp_path / "access.log", log)
    spilled = []
    real = runs.Spool.write
    monkeypatch.setattr(runs.Spool, "write", lambda *arguments: spilled.append(1) or real(*arguments))
    for sources in ([log], [file], [file, log, hit("/last")]):
        spilled.clear()
        found = count_hits(*sources, max_memory="32M", threads=1, bots="apart")
        enough = count_hits(*sources, bots="apart")
        assert len(spilled) > 2
        assert figures(found) == figures(enough)
        assert found.bots == enough.bots
        assert list(found.rows()) == list(found.rows())


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {}, "nothing to count"),
        ((b"",), {"days": []}, "no days"),
        ((b"",), {"days": ["2026-03-12"]}, "not a date"),
        ((b"",), {"days": "12 March"}, "not a DATE"),
        ((b"",), {"days": [5]}, "not a date"),
        ((b"",), {"days": 5}, "not a date: 5"),
        ((b"",), {"days": NotATime(2026, 3, 12)}, "not a date: NaT"),
        ((b"",), {"days": Range("2026-03-11", "2026-03-12")}, "not a date"),
        ((b"",), {"days": Range(DAY, BEFORE)}, "range ends before it begins: 2026-03-12 to 2026-03-11"),
        ((b"",), {"threads": -1}, "not a number of threads"),
        ((b"",), {"threads": "2"}, "not a number of threads: '2'"),
        ((b"",), {"threads": 2.0}, r"not a number of threads: 2\.0"),
        ((b"",), {"max_memory": [1]}, "not a number of bytes"),
        ((b"",), {"max_memory": float("nan")}, "max_memory is too small"),
        ((b"",), {"max_memory": 5}, "max_memory is too small"),
        ((b"",), {"status": "all"}, "invalid status"),
        (("logs/%F.log",), {}, "PATTERN has a date"),
        ((hit("/").replace(b' "-" "Mozilla/5.0 (X11; Linux x86_64)"', b""),), {"exclude_bots": True}, "user agent"),
    ],
)
def test_invalid_arguments_are_errors(arguments: tuple[object, ...], options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        count_hits(*arguments, **options)


def test_missing_files_are_errors(tmp_path: Path) -> None:
    for name, days in (("no.log", None), ("no.log", DAY), ("%F.log", DAY)):
        with pytest.raises(LogFileError, match=r"no such log file|no log file for"):
            count_hits(tmp_path / name, days=days)


@pytest.mark.parametrize("source", [None, 5, [5], ["text"], io.StringIO("text"), memoryview(LOG)[::2]])
def test_a_source_without_bytes_is_refused(source: object) -> None:
    with pytest.raises((TypeError, BufferError)):
        count_hits(source)


def test_the_error_about_a_list_of_names_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"gives bytes, not PosixPath .*: \*names\)"):
        count_hits([tmp_path / "a.log", tmp_path / "b.log"])


def test_a_line_is_explained_one_at_a_time() -> None:
    assert explain_line(hit("/a")).path == "/a"
    assert explain_line(hit("/a"), day=BEFORE).bucket == "day"
    assert explain_line(hit("/a"), day=datetime(2026, 3, 12, 10)).bucket == "hit"
    assert explain_line(hit("/caf%C3%A9").rstrip(), exclude_path="/caf*").path is None
    with pytest.raises(UsageError, match="more than one line"):
        explain_line(LOG)
    with pytest.raises(UsageError, match="not a date: ''"):
        explain_line(hit("/a"), day="")
    with pytest.raises(TypeError, match="a line of a log is bytes, not str"):
        explain_line("text")

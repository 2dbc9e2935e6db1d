"""Logs in an object store, a real S3 server on this machine. They count like the same files on a disk."""

import bz2
import gzip
import lzma
import os
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from fasthits.daily.counting.count_days import Counted, count_days
from fasthits.daily.counting.count_hits import count_hits
from fasthits.daily.logs import logfiles, store_connections, stores
from fasthits.daily.logs.lines import parse_lines
from fasthits.daily.logs.logfiles import find
from fasthits.daily.logs.sources import Sources
from fasthits.daily.urls import STORES
from fasthits.errors import LogFileError, StoreError, UsageError
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.rules import Rules
from tests.support.commands import fasthits, hit, write
from tests.support.stores import SECRET, ObjectStore

DAY = date(2026, 3, 12)
NEXT = DAY + timedelta(1)
Rows = list[tuple[str, str, int]]


@pytest.fixture(scope="module")
def bucket_of_all(store: ObjectStore) -> str:
    return store.bucket()


@pytest.fixture
def bucket(store: ObjectStore, bucket_of_all: str) -> str:
    """An empty bucket. It is always the same: the first connection of a process to a bucket takes long."""
    store.empty(bucket_of_all)
    return bucket_of_all


def count(*patterns: str, days: tuple[date, ...] = (DAY,), as_part: bool = False) -> tuple[Rows, Counted]:
    counted, rows = count_days(days, patterns, lambda _, rows: list(rows.sorted_rows(as_text=True)), as_part=as_part)
    wanted = [str(day) for day in counted.days]
    return [row for row in rows if row[0] in wanted], counted


def lines_of(url: str) -> bytes:
    (found,) = find(url)
    buffer = bytearray(1 << 16)
    return b"".join(bytes(block) for each in found.segments() for block in each.blocks(buffer, lambda size: None))


def test_a_rollup_of_a_store_equals_that_of_the_same_files_on_a_disk(
    store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    packers = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    for server, (suffix, pack) in enumerate(packers.items()):
        for day in (DAY - timedelta(1), DAY, NEXT):
            late = hit(f"/late/{server}", day - timedelta(1), "23:59:59")
            text = late + b"".join(hit(f"/{number}", day) for number in range(50 + server)) + b"torn"
            name = f"web{server}/{day:%Y/%m/%d}/access.log{suffix}"
            store.put(bucket, name, pack(text))
            write(tmp_path / name, pack(text))
    results = []
    for place in (f"s3://{bucket}", str(tmp_path)):
        done = fasthits(
            "rollup", str(DAY), "--logs", f"{place}/*/%Y/%m/%d/access.log", "--to", "-", **store.environment
        )
        assert done.returncode == 0
        results.append((done.stdout, [line for line in done.stderr.splitlines() if b" in " not in line]))
    assert results[0][0] == results[1][0]
    assert b"/late/3,1" in results[0][0]
    assert [line for line in results[0][1] if b"torn" not in line] == [
        line for line in results[1][1] if b"torn" not in line
    ]


def test_a_day_of_ten_servers_is_listed_with_one_request_a_server(store: ObjectStore, bucket: str) -> None:
    for server in range(10):
        for day in (DAY + timedelta(at) for at in range(-2, 2)):
            store.put(bucket, f"web{server:02}/{day:%Y/%m/%d}/access.log", b"x")
    before = store.requests(bucket)
    assert len(find(f"s3://{bucket}/*/{DAY:%Y/%m/%d}/access.log")) == 10
    spent = store.requests(bucket) - before
    assert spent.total() == spent["LIST"] == 11


def test_only_names_with_the_fixed_beginning_of_a_pattern_are_listed(store: ObjectStore, bucket: str) -> None:
    for number in range(20):
        store.put(bucket, f"logs/E1.2026-03-12-{number:02}.abc.gz", gzip.compress(hit("/a")))
    store.put(bucket, "logs/E1.2026-03-12-99/deeper", b"x")
    store.put(bucket, "logs/.E1.2026-03-12", b"x")
    assert len(find(f"s3://{bucket}/logs/E1.2026-03-12-*")) == 20
    assert len(find(f"s3://{bucket}/logs/*")) == 20
    assert [each.name for each in find(f"s3://{bucket}/l*s/E1.2026-03-12-0*")] == [
        f"s3://{bucket}/logs/E1.2026-03-12-{number:02}.abc.gz" for number in range(10)
    ]
    assert find(f"s3://{bucket}/none/access.log") == []
    assert find(f"s3://{bucket}/logs/none*") == []


def test_a_listing_is_never_out_of_date(store: ObjectStore, bucket: str) -> None:
    store.put(bucket, "a/access.log", b"x")
    assert len(find(f"s3://{bucket}/*/access.log")) == 1
    store.put(bucket, "b/access.log", b"x")
    assert len(find(f"s3://{bucket}/*/access.log")) == 2


@pytest.mark.parametrize("segment_bytes", [1 << 12, 10_000, 1 << 20])
def test_segments_give_every_line_once(
    store: ObjectStore, bucket: str, segment_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfiles, "STORED_SEGMENT_BYTES", segment_bytes)
    monkeypatch.setattr(logfiles, "SCAN_BYTES", 100)
    monkeypatch.setattr(stores, "FIRST_RANGE_BYTES", 300)
    monkeypatch.setattr(stores, "RANGE_BYTES", 2000)
    data = b"".join(b"%d %s\n" % (number, b"x" * (number * 7919 % 300)) for number in range(200)) + b"last"
    assert lines_of(store.put(bucket, "access.log", data)) == data


def test_a_plain_object_is_fetched_once_by_ranges_that_grow(store: ObjectStore, bucket: str) -> None:
    url = store.put(bucket, "access.log", hit("/a") * 30_000)
    (found,) = find(url)
    before = store.requests(bucket)
    assert len(lines_of(url)) == found.size
    spent = store.requests(bucket) - before
    assert spent["GET"] <= 5
    assert spent["HEAD"] <= 3


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_object_that_is_replaced_while_it_is_read_is_an_error(
    store: ObjectStore, bucket: str, pack: type[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "RANGE_BYTES", 1 << 16)
    text = b"".join(hit(f"/{os.urandom(40).hex()}") for _ in range(20_000))
    url = store.put(bucket, "access.log", pack(text))
    (found,) = find(url)
    blocks = found.segments()[0].blocks(bytearray(1 << 16), lambda size: None)
    next(blocks)
    store.put(bucket, "access.log", pack(text[::-1]))
    with pytest.raises(LogFileError, match=f"replaced while it was read: {url} .run it again"):
        list(blocks)


def test_an_object_that_is_replaced_after_its_last_byte_was_read_is_an_error(store: ObjectStore, bucket: str) -> None:
    url = store.put(bucket, "access.log", hit("/a"))
    (found,) = find(url)
    blocks = found.segments()[0].blocks(bytearray(1 << 16), lambda size: None)
    assert bytes(next(blocks)) == hit("/a")
    store.put(bucket, "access.log", hit("/b"))
    with pytest.raises(LogFileError, match="replaced while it was read"):
        next(blocks)


@pytest.mark.parametrize("change", ["replaced", "gone"])
def test_an_object_that_has_changed_since_it_was_listed_leaves_the_kept_day_as_it_is(
    store: ObjectStore, bucket: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in "ab":
        store.put(bucket, f"{server}/{DAY}.log", hit("/a"))
    real = stores.match

    def then_change(pattern: str, endings: tuple[str, ...]) -> list[stores.Entry]:
        found = real(pattern, endings)
        if change == "gone":
            store.client.delete_object(Bucket=bucket, Key=f"b/{DAY}.log")
        else:
            store.put(bucket, f"b/{DAY}.log", hit("/other"))
        return found

    monkeypatch.setattr(stores, "match", then_change)
    rows, counted = count(f"s3://{bucket}/*/%F.log")
    assert counted.days == []
    assert rows == []
    (gap,) = counted.parts[DAY]
    assert change in gap.text
    assert f"s3://{bucket}/b/{DAY}.log" in gap.text


def test_rotated_objects_and_objects_of_the_next_day_are_read(store: ObjectStore, bucket: str) -> None:
    before, after = hit("/old", DAY - timedelta(1)), hit("/new", NEXT)
    store.put(bucket, "access.log", hit("/late", DAY, "23:59:59"), after)
    store.put(bucket, "access.log.1", before, hit("/a") * 2)
    rows, counted = count(f"s3://{bucket}/access.log*")
    assert rows == [(str(DAY), "/a", 2), (str(DAY), "/late", 1)]
    assert counted.days == [DAY]
    assert not counted.parts


def test_a_rotated_object_outside_of_the_pattern_is_reported(store: ObjectStore, bucket: str) -> None:
    store.put(bucket, "access.log", hit("/a"))
    store.put(bucket, "access.log.1", hit("/b"))
    _, counted = count(f"s3://{bucket}/access.log")
    (gap,) = counted.parts[DAY]
    assert "its beginning is missing" in gap.text
    assert f"name all files of the log: --logs 's3://{bucket}/access.log*'" in gap.hint


def test_a_server_without_a_file_is_named(store: ObjectStore, bucket: str) -> None:
    for server, days in {"web1": (DAY, NEXT), "web2": (NEXT,)}.items():
        for day in days:
            store.put(bucket, f"{server}/{day}.log", hit("/a", day))
    _, counted = count(f"s3://{bucket}/*/%F.log")
    assert counted.missing_servers == {DAY: [f"s3://{bucket}/web2/{DAY}.log"]}


@pytest.mark.parametrize(("pattern", "name"), [("%F/access.log", "{day}/access.log"), ("access.log*", "access.log")])
def test_a_day_whose_object_was_written_before_its_end_is_not_whole(
    store: ObjectStore, bucket: str, pattern: str, name: str
) -> None:
    """Servers do not append to an object. An object that was written in the morning has no lines of the evening."""
    today = date.today() + timedelta(2)
    compiled = CompiledRules(Rules())
    for server in ("web1", "web2"):
        store.put(bucket, f"{server}/{name.format(day=today)}", hit("/a", today - timedelta(1)), hit("/b", today))
    sources = Sources((f"s3://{bucket}/*/{pattern}",), [today], compiled)
    judged = sources.judge({}, today + timedelta(9), datetime.now().astimezone() + timedelta(9))
    assert [gap.text.partition(" was put into the store at ")[0] for gap in judged.gaps[today]] == [
        f"its end is missing: s3://{bucket}/{server}/{name.format(day=today)}" for server in ("web1", "web2")
    ]


def test_python_and_explain_read_objects(store: ObjectStore, bucket: str) -> None:
    url = store.put(bucket, "access.log", gzip.compress(hit("/a") + hit("/b")))
    assert [line and line.path for line in parse_lines(url)] == [b"/a", b"/b"]
    assert count_hits(url).views == {DAY: {"/a": 1, "/b": 1}}
    done = fasthits("explain", url, "2", **store.environment)
    assert done.returncode == 0
    assert b":2: hit: counts as /b" in done.stdout


def test_doctor_checks_logs_in_a_store(store: ObjectStore, bucket: str) -> None:
    yesterday = date.today() - timedelta(1)
    for day in (yesterday - timedelta(1), yesterday, date.today()):
        store.put(bucket, f"{day}.log", hit("/a", day))
    done = fasthits("doctor", "--logs", f"s3://{bucket}/%F.log", **store.environment)
    assert f"yesterday's log: s3://{bucket}/{yesterday}.log".encode() in done.stdout
    assert b"combined, 1 of 1 lines parse" in done.stdout
    done = fasthits("doctor", "--logs", f"s3://no{bucket}/%F.log", **store.environment)
    assert b"FAIL  yesterday's log: no such bucket" in done.stdout


REFUSALS: dict[str, tuple[Mapping[str, str], str]] = {
    "no credentials": ({"AWS_ACCESS_KEY_ID": "", "HOME": "/nonexistent"}, "no credentials for the store"),
    "nobody listens": ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "cannot reach the store"),
    "no such host": ({"AWS_ENDPOINT_URL_S3": "http://user:swordfish@nosuch.invalid"}, "cannot reach the store"),
}


@pytest.mark.parametrize("cause", REFUSALS)
def test_an_unreachable_store_is_an_error_of_one_line_and_leaves_the_day(
    store: ObjectStore, bucket: str, cause: str, tmp_path: Path
) -> None:
    kept = write(tmp_path / "hits.csv", b"date,path,views\r\n2026-03-12,/kept,7\r\n")
    changes, message = REFUSALS[cause]
    environment = {**store.environment, **changes}
    done = fasthits("rollup", str(DAY), "--logs", f"s3://{bucket}/%F.log", "--to", str(kept), **environment)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"fasthits: {message}: s3://{bucket}/")
    assert "AWS_" in line
    assert "swordfish" not in line
    assert SECRET not in line
    assert kept.read_bytes() == b"date,path,views\r\n2026-03-12,/kept,7\r\n"


def test_a_store_that_denies_access_is_an_error(store: ObjectStore, bucket: str) -> None:
    with store.closed_to_all(), pytest.raises(StoreError, match="the store denies access"):
        count(f"s3://{bucket}/%F.log")


def test_a_bucket_that_does_not_exist_is_an_error(store: ObjectStore, bucket: str) -> None:
    with pytest.raises(StoreError, match=f"no such bucket: no{bucket}"):
        count(f"s3://no{bucket}/%F.log")


def test_each_address_of_a_store_has_its_kind() -> None:
    assert tuple(store_connections.KINDS) == STORES


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://me:swordfish@logs/%F.log", r"has a password: s3://\*\*\*@logs/%F.log"),
        ("s3://me:sword%40fish@logs/%F.log", r"has a password: s3://\*\*\*@logs/%F.log"),
        ("file:///var/log/%F.log", "no such kind of store"),
        ("ftp://host/%F.log", "no such kind of store: .*s3, .* are known"),
        ("ssh://host/%F.log", "no such kind of store: .*write sftp://"),
        ("sftp://me:swordfish@host/%F.log", r"has a password: sftp://\*\*\*@host/%F.log"),
        ("sftp://me@/%F.log", "not an address of a server: sftp://me@/"),
        ("sftp://web1:99999/%F.log", "not an address of a server: sftp://web1:99999/"),
        ("sftp://*/%F.log", r"PATTERN has \* in the name of a bucket or host"),
        ("sftp://web1", "not an address of log files"),
        ("s3://*/%F.log", r"PATTERN has \* in the name of a bucket or host"),
        ("s3://%F", "not an address of log files"),
    ],
)
def test_an_address_that_cannot_be_read_is_an_error_of_usage(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        count(url)
    assert "fish" not in str(raised.value)


@pytest.mark.parametrize(
    ("package", "folder", "extra"), [("s3fs", "s3://logs/", "s3"), ("asyncssh", "sftp://web1/", "sftp")]
)
def test_what_to_install_is_reported(package: str, folder: str, extra: str) -> None:
    hidden = f"import sys; sys.modules['{package}'] = None"
    done = fasthits("rollup", str(DAY), "--logs", f"{folder}%F.log", "--to", "-", first=hidden)
    assert done.returncode == 2
    text = f"fasthits: logs in a store need more packages: {folder} (pip install 'fasthits[{extra}]')"
    assert done.stderr.decode().splitlines() == [text]


def test_parquet_in_a_store_has_the_same_rows_and_errors_as_on_a_disk(
    store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    logs = [write(tmp_path / f"{views}.log", hit("/a") * views, hit("/b")) for views in (1, 2)]
    folders = (f"s3://{bucket}/stats/", f"{tmp_path}/stats/")

    def roll_up(log: Path, *options: str) -> list[int]:
        words = ("rollup", str(DAY), "--partial", "--referrers", "--logs", log)
        return [fasthits(*words, "--to", folder, *options, **store.environment).returncode for folder in folders]

    def check_equal() -> None:
        for table in ("hits", "referrers"):
            name = f"{table}/date={DAY}/{table}.parquet"
            stored = store.client.get_object(Bucket=bucket, Key=f"stats/{name}")["Body"].read()
            assert stored == (tmp_path / "stats" / name).read_bytes()

    assert roll_up(logs[1]) == [0, 0]
    check_equal()
    assert roll_up(logs[0]) == [1, 1]  # fewer hits than the kept day has
    check_equal()
    assert roll_up(logs[0], "--replace") == [0, 0]
    check_equal()
    name = f"hits/date={DAY}/part-0.parquet"  # readers would add its rows
    write(tmp_path / "stats" / name, b"")
    store.client.put_object(Bucket=bucket, Key=f"stats/{name}", Body=b"")
    assert roll_up(logs[1]) == [1, 1]
    check_equal()


def test_a_store_that_parquet_cannot_be_written_to_is_reported(store: ObjectStore) -> None:
    done = fasthits("rollup", str(DAY), "--logs", "/dev/null", "--to", "s3://nowhere-at-all/x/", **store.environment)
    assert done.returncode == 1
    assert b"no such bucket: nowhere-at-all" in done.stderr
    done = fasthits("rollup", str(DAY), "--logs", "/dev/null", "--to", "ftp://host/x/")
    assert done.returncode == 2
    assert b"no such kind of store: ftp://host/x/" in done.stderr

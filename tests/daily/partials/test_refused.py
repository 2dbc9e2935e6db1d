"""Partials that differ in their rules, or are damaged or crafted, are an error, and nothing changes."""

import contextlib
import gzip
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from fasthits._parse import HitTable
from fasthits.daily.partials import files as partials
from fasthits.daily.partials.merging import Servers, merge
from fasthits.daily.targets.opening import open_target
from fasthits.errors import TableError
from fasthits.rules.rules import Rules
from tests.daily.partials.support import DAY, NEXT, merged, partial_of
from tests.daily.support import only_line
from tests.support.commands import fasthits, hit, write


def refused(*files: Path, to: str = "hits.csv") -> str:
    done = fasthits("merge", *files, "--to", to, cwd=files[0].parent)
    assert (done.returncode, done.stdout) == (1, b"")
    assert not (files[0].parent / "hits.csv").exists()
    return only_line(done.stderr)


def test_partials_counted_by_other_rules_are_refused(tmp_path: Path) -> None:
    one = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    other = partial_of(tmp_path / "b.hits", "web2", {DAY: 1}, Rules(fold_slash=True, statuses=frozenset({200, 304})))
    assert refused(one, other) == (
        f"fasthits: partials were counted with different options: {other} "
        f"(use the options of {one} on all servers; they differ in fold-slash, statuses)"
    )
    for options, message in (
        (["--fold-slash"], "these options count differently (fold-slash) than the partial"),
        (["--server", "other"], "partial of another server, web1"),
        (["--search-terms"], "these options make other tables; the file has (hits)"),
    ):
        write(tmp_path / "log", hit("/"))
        rollup = ("rollup", str(DAY), "--logs", "log", "--to", "a.hits", "--partial")
        done = fasthits(*rollup, "--server", "web1", *options, cwd=tmp_path)
        assert done.returncode == 1
        assert only_line(done.stderr) == f"fasthits: {message}: a.hits (name another with --to NAME.hits)"


def test_the_order_of_options_is_no_difference(tmp_path: Path) -> None:
    for server, hosts in (("web1", ("a.example", "b.example")), ("web2", ("b.example", "a.example"))):
        options = [word for host in hosts for word in ("--own-host", host)]
        rollup = ("rollup", str(DAY), "--logs", "-", "--to", f"{server}.hits", "--server", server, "--referrers")
        done = fasthits(*rollup, *options, stdin=hit("/"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert merged(tmp_path)[:2] == (0, ["2026-03-12,/,2"])


def test_the_logs_of_servers_may_have_different_formats(tmp_path: Path) -> None:
    partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    partial_of(tmp_path / "b.hits", "web2", {DAY: 2}, Rules(format="json", json_fields={"path": "url"}))
    assert merged(tmp_path)[:2] == (0, ["2026-03-12,/web2,2", "2026-03-12,/web1,1"])


def test_a_damaged_partial_as_a_target_is_to_be_moved_away(tmp_path: Path) -> None:
    """Making it again under this name would give the same error."""
    whole = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    write(tmp_path / "log", hit("/"))
    for kept, failed in (
        (whole.read_bytes()[:40], "partial is cut off"),
        (with_contents(whole.read_bytes(), lambda contents: contents.update(format=2)), "partial of another version"),
        (b"SQLite format 3\0", "not a partial of fasthits"),
    ):
        whole.write_bytes(kept)
        done = fasthits("rollup", str(DAY), "--logs", "log", "--to", "a.hits", "--partial", cwd=tmp_path)
        assert done.returncode == 1
        assert only_line(done.stderr).startswith(f"fasthits: {failed}")
        assert only_line(done.stderr).endswith(": a.hits (move the file away, or name another with --to NAME.hits)")
        assert whole.read_bytes() == kept


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.hits")
    assert refused(tmp_path / "a.hits") == (
        f"fasthits: partial is a pipe or a device: {tmp_path}/a.hits (copy it to a file first, and name that file)"
    )


def test_rows_that_no_rollup_writes_are_an_error_and_nothing_changes(tmp_path: Path) -> None:
    rows = HitTable()
    rows.add(DAY, b"/\xff", 1)
    table = partials.Table((piece for _, piece in rows.dump()), rows.views_by_day())
    days = {str(DAY): {"made": "now", "gaps": [], "hours": []}}
    with (tmp_path / "a.hits").open("wb") as file:
        about = {"server": "web1", "rules": {}, "tables": ["hits"], "days": days}
        partials.write_partial(file, {"hits": table}, about)
    (tmp_path / "kept").mkdir()
    kept = partial_of(tmp_path / "kept" / "b.hits", "web1", {NEXT: 1})
    assert fasthits("merge", kept, "--to", "hits.db", cwd=tmp_path).returncode == 0
    assert refused(tmp_path / "a.hits", to="hits.db").startswith("fasthits: rows of a partial are not UTF-8, nothing")
    with contextlib.closing(sqlite3.connect(tmp_path / "hits.db")) as database:
        assert database.execute("SELECT * FROM hits").fetchall() == [("2026-03-13", "/web1", 1)]


def test_a_partial_is_no_target_for_several_servers(tmp_path: Path) -> None:
    one = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    done = fasthits("merge", one, "--to", "all.hits", cwd=tmp_path)
    assert done.returncode == 2
    assert only_line(done.stderr).startswith("fasthits: a partial holds one server only: all.hits (name a target")


def with_contents(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a partial with other contents and a right check sum."""
    start, length, _, whole = partials.TAIL.unpack(data[-partials.TAIL.size :])
    contents = json.loads(data[start : start + length])
    change(contents)
    text = json.dumps(contents).encode()
    return data[:start] + text + partials.TAIL.pack(start, len(text), crc32(text), whole)


STRANGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no places": lambda contents: contents.pop("places"),
    "places behind the end": lambda contents: contents["places"].update(hits=[[17, 1 << 40]]),
    "places before the start": lambda contents: contents["places"].update(hits=[[-5, 10]]),
    "other tables": lambda contents: contents["views"].update(more={}),
    "no date": lambda contents: contents["views"].update(hits={"yesterday": 1}),
    "no server": lambda contents: contents["about"].pop("server"),
    "rules": lambda contents: contents["about"].update(rules=[1]),
    "hours": lambda contents: contents["about"]["days"]["2026-03-12"].update(hours=[-1] * 24),
    "a list": lambda contents: contents.update(about=[1, 2]),
    "half of the rows": lambda contents: contents["places"]["hits"][0].__setitem__(1, 9),
    "endless views": lambda contents: contents["views"]["hits"].update({str(DAY): float("inf")}),
    "a table without rows": lambda contents: contents["about"]["tables"].append("referrers"),
    "rows of another table": lambda contents: (
        contents["about"]["tables"].append("referrers"),
        contents["places"].update(searches=[[17, 0]]),
        contents["views"].update(searches={}),
    ),
    "no rows at all": lambda contents: contents["places"]["hits"][0].__setitem__(1, 2),
}


def test_a_torn_or_altered_partial_is_refused_whatever_byte_it_is(tmp_path: Path) -> None:
    data = partial_of(tmp_path / "whole.hits", "web1", {DAY: 1, NEXT: 2}).read_bytes()
    bad = tmp_path / "bad.hits"
    for at in range(0, len(data), 7):
        for altered in (data[:at], data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]):
            bad.write_bytes(altered)
            with pytest.raises(TableError) as caught:
                merge(Servers([bad]), open_target(str(tmp_path / "hits.csv")))
            assert str(bad) in str(caught.value)
            assert caught.value.hint
    assert not (tmp_path / "hits.csv").exists()


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
def test_strange_contents_are_refused(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    file = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    file.write_bytes(with_contents(file.read_bytes(), change))
    with pytest.raises(TableError, match=r"a\.hits"):
        merge(Servers([file]), open_target(str(tmp_path / "hits.csv")))
    assert not (tmp_path / "hits.csv").exists()


def test_partials_of_another_version_and_other_files_are_refused(tmp_path: Path) -> None:
    file = partial_of(tmp_path / "a.hits", "web1", {DAY: 1})
    file.write_bytes(with_contents(file.read_bytes(), lambda contents: contents.update(format=2)))
    assert "partial of another version of fasthits: " in refused(file)
    assert "use one version on all servers" in refused(file)
    other = write(tmp_path / "b.hits", hit("/"))
    assert refused(other) == (
        f"fasthits: not a partial of fasthits: {other} (make one: fasthits rollup --to NAME.hits)"
    )
    packed = write(tmp_path / "c.hits.gz", gzip.compress(b"a partial"))
    assert refused(packed) == f"fasthits: not a partial of fasthits: {packed} (unpack it: gzip -dc {packed} > FILE)"
    done = fasthits("rollup", str(DAY), "--logs", "b.hits", "--to", "b.hits", cwd=tmp_path)
    assert done.returncode == 1
    assert other.read_bytes() == hit("/")
    assert "cannot read partial" in refused(tmp_path / "none.hits")
    assert "cannot read partial" in refused(
        tmp_path / f"{'x' * 300}.hits"
    )  # also a folder that this user may not enter
    assert "partial is cut off" in refused(write(tmp_path / "empty.hits", b""))

"""The generator of logs: a seed always gives the same bytes, with the stated shares and exactly the stated content."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from benchmarks.corpus import ASKED, Expected, main, write_day
from tests.support.reference import count, parse, split_lines

DAY = date(2026, 3, 12)
LINES = 20_000
SHA256_OF_THOUSAND_LINES = "91e2382b49a873a02c87490019b193ee946599ca2bbd9c0f44a5df2179d1bfaa"
EXAMPLE_NETWORKS = [
    ip_network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


@dataclass(frozen=True)
class Written:
    data: bytes
    expected: Expected
    lines: list[dict[str, bytes | None] | None]
    """The fields of each line, by the oracle."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    path = tmp_path_factory.mktemp("corpus") / "access.log"
    expected = write_day(path, DAY, LINES)
    data = path.read_bytes()
    return Written(data, expected, list(map(parse, split_lines(data))))


def test_a_seed_gives_the_same_bytes_on_every_python(tmp_path: Path) -> None:
    write_day(tmp_path / "log", DAY, 1000, seed=7, paths=500)
    assert hashlib.sha256((tmp_path / "log").read_bytes()).hexdigest() == SHA256_OF_THOUSAND_LINES


@pytest.mark.parametrize(
    ("day", "seed", "paths"),
    [(DAY + timedelta(days=1), 1, 500), (DAY, 2, 500), (DAY, 1, 501)],
    ids=["day", "seed", "paths"],
)
def test_another_day_seed_or_site_gives_another_log(tmp_path: Path, day: date, seed: int, paths: int) -> None:
    first = write_day(tmp_path / "first", DAY, 1000, seed=1, paths=500)
    other = write_day(tmp_path / "other", day, 1000, seed=seed, paths=paths)
    assert list(first.views.values()) != list(other.views.values())


def test_a_log_holds_what_the_generator_says(written: Written) -> None:
    counted = count(written.data)
    expected = written.expected
    assert counted.views == expected.views
    assert (counted.lines, counted.hits, counted.malformed) == (expected.lines, expected.hits, expected.malformed)
    assert counted.filtered == expected.filtered
    assert expected.lines == expected.hits + sum(expected.filtered.values()) + expected.malformed


def test_the_expected_figures_of_a_day_equal_its_rollup(written: Written) -> None:
    counted = count(written.data, [DAY])
    assert written.expected.of_day() == (counted.hits, counted.filtered)
    assert counted.filtered["day"] > 0


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 100])
def test_small_logs(tmp_path: Path, lines: int) -> None:
    expected = write_day(tmp_path / "log", DAY, lines, paths=1)
    data = (tmp_path / "log").read_bytes()
    counted = count(data)
    assert expected.size == len(data)
    assert expected.lines == lines == data.count(b"\n")
    assert counted.views == expected.views


@pytest.mark.parametrize(("lines", "paths"), [(-1, 1), (1, 0)])
def test_impossible_sizes(tmp_path: Path, lines: int, paths: int) -> None:
    with pytest.raises(ValueError, match="at least 0 lines and 1 path"):
        write_day(tmp_path / "log", DAY, lines, paths=paths)
    assert not (tmp_path / "log").exists()


def test_size_and_length_of_lines(written: Written) -> None:
    assert written.expected.size == len(written.data)
    assert written.expected.lines == LINES == written.data.count(b"\n")
    assert written.data.endswith(b"\n")
    assert len(written.data) / LINES == pytest.approx(229, abs=1.5)


def test_shares_agree_with_the_documentation(written: Written) -> None:
    parsed = [line for line in written.lines if line]
    gets = [line for line in parsed if line["method"] == b"GET"]
    targets = [line["target"] or b"" for line in gets]
    shares = {
        "GET": (len(gets), 0.9622),
        "query": (sum(b"?" in target for target in targets), 0.05),
        "the front page": (sum(line["path"] == b"/" for line in gets), 1 / 9),
        "HEAD": (sum(line["method"] == b"HEAD" for line in parsed), 0.018),
        "POST": (sum(line["method"] == b"POST" for line in parsed), 0.016),
        "absolute": (sum(target.startswith(b"http") for target in targets), 0.001),
        "HTTP/0.9": (sum(line["protocol"] is None and line["status"] != b"400" for line in gets), 0.0005),
        "handshake": (sum(line["method"].startswith(rb"\x16\x03") for line in parsed), 0.001),
        "408": (sum(line["status"] == b"408" for line in parsed), 0.0011),
        "200": (sum(line["status"] == b"200" for line in parsed), 0.82),
        "304": (sum(line["status"] == b"304" for line in parsed), 0.09),
        "no referer": (sum(line["referer"] == b"-" for line in parsed), 0.45),
        "malformed": (written.lines.count(None), 0.0005),
    }
    for name, (found, share) in shares.items():
        wanted = share * LINES
        assert found == pytest.approx(wanted, abs=4 * wanted**0.5 + 0.01 * wanted), name
    assert sum(share for share, _ in ASKED) == 100_000


def test_the_log_has_difficult_lines(written: Written) -> None:
    for pattern in (
        rb'"GET [^ ]*\\"[^ ]* HTTP',
        rb"GET [^ ]*\\xc3",
        rb"GET [^ ]*%C3",
        rb' - \S+ \S+ \[\d\d/|\] \[\d\d/| - "" ',
        rb"GET \S{251,} ",
        rb"\x00{20}",
        rb"\n\n",
    ):
        assert re.search(pattern, written.data), pattern


def test_time_rises_but_for_slow_requests(written: Written) -> None:
    times = [line["time"] for line in written.lines if line]
    days = [time[:11] for time in times]
    assert days[:2] == [b"11/Mar/2026"] * 2
    assert set(days) == {b"11/Mar/2026", b"12/Mar/2026"}
    assert b"11/Mar/2026" not in days[len(days) // 50 :]
    clock = [time[12:20] for time, day in zip(times, days, strict=True) if day == b"12/Mar/2026"]
    latest, late = b"", 0
    for time in clock:
        late += time < latest
        latest = max(time, latest)
    assert 0.05 < late / len(clock) < 0.1  # a delay of a second shows only if another line ends within that second
    hours = [sum(time[:2] == b"%02d" % hour for time in clock) for hour in range(24)]
    assert (hours.index(min(hours)), hours.index(max(hours))) == (4, 20)


def test_hosts_and_names_are_for_examples(written: Written) -> None:
    for line in filter(None, written.lines):
        host = ip_address(line["host_part"].split()[0].decode())
        assert any(host in network for network in EXAMPLE_NETWORKS)
    domains = set(re.findall(rb"https?://([^/ \"\\;)]+)", written.data))
    assert all(re.search(rb"(\.|^)example(\.com|\.net|\.org)?$", domain) for domain in domains)


def test_expected_survives_a_file(tmp_path: Path, written: Written) -> None:
    written.expected.save(tmp_path / "expected.json")
    assert Expected.load(tmp_path / "expected.json") == written.expected


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"{tmp_path}/%Y/%m/%d/access.log", "2026-03-12", "--lines", "1000", "--seed", "7"]) == 0
    path = tmp_path / "2026/03/12/access.log"
    expected = write_day(tmp_path / "again", DAY, 1000, seed=7)
    assert path.read_bytes() == (tmp_path / "again").read_bytes()
    said = capsys.readouterr().out
    assert said.startswith(f"{path}: 1,000 lines, ")
    assert f"{expected.of_day()[0]:,} hits" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["log", "2026-13-12", "--lines", "1"], 2, "not a day: 2026-13-12 (try YYYY-MM-DD, today or yesterday)"),
        (["log", "today"], 2, "--lines"),
        (["log", "today", "--lines", "-1"], 1, "at least 0 lines"),
        (["/dev/null/log", "yesterday", "--lines", "1"], 1, "/dev/null"),
    ],
)
def test_command_line_mistakes(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    said = capsys.readouterr().err
    assert stopped.value.code == code
    assert message in said
    assert "Traceback" not in said

"""Several patterns of log files add up, a file counts once, and a pattern that names nothing is an error."""

import gzip
from datetime import timedelta
from pathlib import Path

import pytest

from tests.daily.logs.rotated import TODAY, YESTERDAY, line, midnight, rolled
from tests.daily.support import rows_of
from tests.support.commands import fasthits, write


def test_several_patterns_add_up_and_a_file_is_read_once_however_it_is_reached(tmp_path: Path) -> None:
    noon = midnight(YESTERDAY) + timedelta(hours=12)
    write(tmp_path / "a" / "access.log", line("/a", noon))
    write(tmp_path / "b" / f"{YESTERDAY}.log", line("/b", noon) * 2)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "hard.log").hardlink_to(tmp_path / "a" / "access.log")
    expected = (0, {(str(YESTERDAY), "/a"): 1, (str(YESTERDAY), "/b"): 2})
    patterns = ["a/access.log*", "b/%F.log", "*/access.log", "hard.log", "a/access.log*"]
    options = [word for pattern in patterns for word in ("--logs", pattern)]
    assert rolled(tmp_path, "yesterday", *options)[:2] == expected
    done = fasthits("rollup", "--to", "env.csv", cwd=tmp_path, TZ="UTC", FASTHITS_LOGS=":".join(patterns))
    assert done.returncode == 0
    assert rows_of((tmp_path / "env.csv").read_bytes()) == expected[1]


def test_copies_that_a_star_reaches_are_named(tmp_path: Path) -> None:
    lines = b"".join(line(f"/{n}", midnight(YESTERDAY) + timedelta(hours=n)) for n in range(3))
    write(tmp_path / "access.log", lines, line("/a", midnight(TODAY)))
    write(tmp_path / "access.log.bak", lines, line("/a", midnight(TODAY)))
    write(tmp_path / "access.log.1.gz", gzip.compress(line("/a", midnight(YESTERDAY) - timedelta(hours=3))))
    warning = "warning: the same lines begin access.log, access.log.bak: if these are copies, their hits count twice\n"
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "access.log*", "--quiet")
    assert (code, sum(rows.values())) == (0, 6)
    assert f"  {warning}" in said
    (tmp_path / "access.log.bak").unlink()
    code, _, said, _ = rolled(tmp_path, "yesterday", "--logs", "access.log*", "--quiet", "--replace")
    assert (code, said) == (0, "")


def test_a_pattern_of_several_that_names_nothing_is_an_error(tmp_path: Path) -> None:
    noon = midnight(YESTERDAY) + timedelta(hours=12)
    write(tmp_path / "a.log", line("/a", noon))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "a.log", "--logs", "none.log*")
    assert (code, rows) == (1, {})
    assert said.startswith(f"fasthits: no log file for {YESTERDAY}: none.log* (name another log with --logs PATTERN")
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "a.log", "--logs", "%F.log")
    assert (code, rows) == (1, {})
    assert f"not the whole day, left unchanged: {YESTERDAY}: no log file: {YESTERDAY}.log (--partial" in said
    for several in ("a.log,b.log", "a.log b.log", "%F/a.log,%F/b.log"):
        code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", several)
        assert (code, rows) == (1, {})
        assert "(neither commas nor spaces separate logs: --logs once for each log" in said


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("“a.log*”", "the quotes are part of this name: leave them out, or type plain quotes in a shell"),
        ("'%F.log'", "the quotes are part of this name: leave them out, or type plain quotes in a shell"),
        (r"\%Y/\%m.log", r"only cron needs \ before %, and only systemd %%"),
        ("%%Y/%%m.log", r"only cron needs \ before %, and only systemd %%"),
        ("a.log*\xa0", "neither commas nor spaces separate logs: --logs once for each log"),
    ],
)
def test_what_a_pattern_has_of_a_word_processor_cron_or_systemd_is_told(
    tmp_path: Path, pattern: str, hint: str
) -> None:
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", pattern)
    assert (code, rows) == (1, {})
    assert f"({hint}; name another log with --logs PATTERN" in said


def test_wildcards_of_a_shell_are_no_wildcards_and_a_message_says_so(tmp_path: Path) -> None:
    noon = midnight(YESTERDAY) + timedelta(hours=12)
    write(tmp_path / "a1" / f"{YESTERDAY}.log", line("/a", noon))
    write(tmp_path / "a1" / "b" / f"{YESTERDAY}.log", line("/a", noon))
    for pattern in ("a?/%F.log", "a[01]/%F.log", "{a1,a2}/%F.log", "~/%F.log", "a?/access.log", "~/access.log"):
        code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", pattern)
        assert (code, rows) == (1, {})
        assert "only * stands for other characters; ?, [ ], { } and ~ do not; name another log with --logs" in said
    for pattern in ("**/%F.log", "a1/**/access.log"):
        code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", pattern)
        assert (code, rows) == (2, {})
        assert said == (
            f"fasthits: PATTERN has **: {pattern} "
            "(* stands for one folder: --logs once for each level, with */ and with */*/)\n"
        )
    both = ["--logs", "*/%F.log", "--logs", "*/*/%F.log"]
    assert rolled(tmp_path, "yesterday", *both)[:2] == (0, {(str(YESTERDAY), "/a"): 2})

"""The public names: they are light to import and typed, and exactly the documented ones."""

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import fasthits
from fasthits.errors import UsageError
from fasthits.rules.keywords import RuleOptions, rules_of
from fasthits.rules.options import OPTIONS
from fasthits.rules.rules import Rules


def test_a_name_is_imported_when_it_is_used() -> None:
    program = """
import sys, fasthits
def own(): return {name for name in sys.modules if name.startswith("fasthits.")}
assert not own(), own()
fasthits.hit_key
assert "fasthits.live.counters" in own() and "fasthits.daily" not in own()
fasthits.count_hits(b"junk")
heavy = {"pymemcache", "sqlite3", "csv", "json", "django", "typer", "rich", "crawleruseragents", "ssl"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_public_names_exist_and_no_others() -> None:
    assert dir(fasthits) == sorted(fasthits.__all__)
    assert len(fasthits.__all__) <= 14
    for name in fasthits.__all__:
        assert getattr(fasthits, name) is not None
    with pytest.raises(AttributeError, match="module 'fasthits' has no attribute 'count_hit'"):
        _ = fasthits.count_hit
    assert issubclass(UsageError, fasthits.FasthitsError)


def test_the_errors_are_there_before_the_first_error() -> None:
    program = "import fasthits; assert fasthits.errors.UsageError.exit_code == 2"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[1])


def test_each_rule_is_a_keyword() -> None:
    names = {name.replace("_", "-").replace("log-format", "format") for name in get_type_hints(RuleOptions)}
    assert names == set(OPTIONS)
    assert rules_of({}) == Rules()
    assert rules_of({"log_format": "common", "status": [200, "3xx"], "exclude_path": "/a,b"}) == Rules(
        format="common", statuses=frozenset([200, *range(300, 400)]), exclude_paths=("/a,b",)
    )


@pytest.mark.parametrize("name", ["exclude_bot", "format", "exclude-bots", "as_part", "threads_", "day"])
def test_the_error_about_an_unknown_rule_lists_the_rules(name: str) -> None:
    with pytest.raises(UsageError, match=f"no such argument: {name} ") as raised:
        fasthits.count_hits(b"", **{name: True})
    hints = {"exclude_bot": "try exclude_bots", "threads_": "try threads", "day": "try days"}
    assert raised.value.hint == hints.get(name, raised.value.hint)

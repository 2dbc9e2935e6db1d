"""User agents: the list of bots against its own examples and one plain regular expression; globs of the user's own."""

import re

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given
from hypothesis import strategies as st

from fasthits.agents import BOT, COUNTS, FILTERED, agent_verdict, bot_matcher, match_any
from fasthits.escapes import escape
from fasthits.rules import Bots, Rules

FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
IPHONE = (
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    b"Version/18.6 Mobile/15E148 Safari/604.1"
)
GOOGLEBOT = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

examples = [example.encode() for crawler in CRAWLER_USER_AGENTS_DATA for example in crawler["instances"]]
plain = re.compile("|".join(crawler["pattern"] for crawler in CRAWLER_USER_AGENTS_DATA).encode())
is_bot = bot_matcher()


def test_the_examples_of_each_bot_are_bots() -> None:
    assert len(examples) > 1000
    assert not [example for example in examples if is_bot(example) != bool(plain.search(example))]
    verdict = agent_verdict(Rules(bots="exclude"))
    assert all(verdict(escape(example)) == BOT for example in examples if is_bot(example))


@pytest.mark.parametrize("agent", [FIREFOX, CHROME, IPHONE, b"-", b"", b"\xff\0"])
def test_people_are_no_bots(agent: bytes) -> None:
    assert not is_bot(agent)


@given(st.sampled_from(examples), st.integers(0, 60), st.integers(0, 60), st.binary(max_size=3))
def test_the_index_finds_what_the_regular_expression_finds(example: bytes, start: int, size: int, noise: bytes) -> None:
    cut = example[start:][:size] + noise + example[:start]
    assert is_bot(cut) == bool(plain.search(cut))


pieces = st.sampled_from(
    [
        *(
            "bots",
            "crawler",
            "a",
            "x",
            r"\.",
            r"\/",
            "^",
            "$",
            "[bB]",
            "[^b]",
            "[]|]",
            "b?",
            "o*",
            "s+",
            "|",
            ".",
            r"\d",
        ),
        *("(ab|bots)", "(a(b|c))?", "t{2,}", "(?i:bots)"),
    ]
)


@given(st.lists(pieces, min_size=1, max_size=6).map("".join), st.text("botscrawlerBx./ab1|", max_size=12))
def test_any_pattern_is_found_where_it_is(pattern: str, agent: str) -> None:
    assert match_any([pattern])(agent.encode()) == bool(re.search(pattern, agent))


def test_no_pattern_is_found_nowhere() -> None:
    assert not match_any([])(GOOGLEBOT)


@pytest.mark.parametrize(
    ("bots", "include", "exclude", "agent", "verdict"),
    [
        ("count", (), (), GOOGLEBOT, COUNTS),
        ("exclude", (), (), GOOGLEBOT, BOT),
        ("apart", (), (), GOOGLEBOT, BOT),
        ("apart", (), (), FIREFOX, COUNTS),
        ("exclude", (), ("googlebot",), GOOGLEBOT, FILTERED),
        ("count", (), ("firefox",), FIREFOX, FILTERED),
        ("count", (), ("FireFox/1??.0",), FIREFOX, COUNTS),
        ("count", (), ("*FireFox/1??.0",), FIREFOX, FILTERED),
        ("count", (), ("x11; linux",), FIREFOX, FILTERED),
        ("count", (), ("opera", "gecko"), FIREFOX, FILTERED),
        ("count", ("safari",), (), CHROME, COUNTS),
        ("count", ("safari",), (), FIREFOX, FILTERED),
        ("count", ("mozilla/*",), ("*Chrome*",), CHROME, FILTERED),
        ("count", ("*",), (), b"-", COUNTS),
        ("count", (), ("-",), b"-", FILTERED),
        ("count", (), ("é",), b"caf\\xc3\\xa9", FILTERED),
        ("count", (), ('"x"',), b'\\"x\\"', FILTERED),
        ("exclude", (), (), b"Googlebot\\x2f2.1", BOT),
    ],
)
def test_the_verdict_on_an_agent(
    bots: Bots, include: tuple[str, ...], exclude: tuple[str, ...], agent: bytes, verdict: int
) -> None:
    assert agent_verdict(Rules(bots=bots, include_agents=include, exclude_agents=exclude))(agent) == verdict

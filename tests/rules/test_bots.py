"""User agents: the list of bots, compared with its own examples and with one plain regular expression; users' globs."""

import re

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given
from hypothesis import strategies as st

from fasthits.formats.escapes import escape
from fasthits.rules.bots import (
    AGENT_BYTES,
    BOT,
    COUNTS,
    FILTERED,
    PEOPLE,
    WORDS,
    agent_verdict,
    bot_matcher,
    match_any,
)
from fasthits.rules.patterns import translate
from fasthits.rules.rules import Bots, Rules

FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
IPHONE = (
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    b"Version/18.6 Mobile/15E148 Safari/604.1"
)
GOOGLEBOT = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

patterns = [crawler["pattern"] for crawler in CRAWLER_USER_AGENTS_DATA]
examples = [example.encode() for crawler in CRAWLER_USER_AGENTS_DATA for example in crawler["instances"]]
plain = re.compile("|".join(patterns).encode())
is_bot = bot_matcher()
has_bot = match_any(patterns)
INEXACT = {r"BlogTraffic\/\d\.\d+ Feed-Fetcher"}
"""Patterns of the list in place of which more is found than they find: what ``\\d+`` matches may be anything."""


APPS = [b"573DL1; mt6833; en_MY; 822918295; IABMV/1) NV/1"[-45:], b"680.174 Mobile Safari/537.36 MetaIAB Facebook"]
"""How the examples end that are of people in the browser of an app: a release of Android, Facebook's browser."""


def test_the_examples_of_each_bot_are_bots() -> None:
    assert len(examples) > 1000
    assert not [example for example in examples if has_bot(example) != bool(plain.search(example))]
    assert [example[-45:] for example in examples if plain.search(example) and not is_bot(example)] == APPS
    verdict = agent_verdict(Rules(bots="exclude"))
    assert all(verdict(escape(example)) == BOT for example in examples if is_bot(example))


def test_each_pattern_of_the_list_is_translated_exactly() -> None:
    """This test notices a release of the list with another pattern. Such a pattern is not an error: see `translate`."""
    assert {pattern for pattern in patterns if not translate(pattern).exact} <= INEXACT
    assert not [pattern for pattern in patterns for row in translate(pattern).rows if row.fits_all or not row.texts]
    assert all(translate(word, any_case=True).exact for word in WORDS)


def test_the_lists_have_no_word_twice() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert len(set(PEOPLE)) == len(PEOPLE)
    assert all(text == text.lower() for text in PEOPLE)


@pytest.mark.parametrize(
    "agent",
    [
        *(FIREFOX, CHROME, IPHONE, b"-", b"", b"\xff\0"),
        b"Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/80.0.3987.162 Mobile",
        b"Mozilla/5.0 (Linux; Android 15; SM-S911B Build/AP3A.240617.008; wv) AppleWebKit/537.36 Chrome/131.0.6778.39",
        b"Mozilla/5.0 (Linux; Android 4.4.2; ViewSonic V500 Build/KVT49L) AppleWebKit/535.19 Chrome/18.0.1025.166",
        b"Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
        b"Mozilla/5.0 (compatible; Konqueror/4.5; FreeBSD) KHTML/4.5.4 (like Gecko)",
        b"Mozilla/5.0 (Windows NT 10.0) Abbott/1.0 robotics/2.0",
        CHROME + b" " * AGENT_BYTES + b"Googlebot",
    ],
)
def test_agents_of_people_are_not_bots(agent: bytes) -> None:
    assert not is_bot(agent)


@given(st.sampled_from(examples), st.integers(0, 60), st.integers(0, 60), st.binary(max_size=3))
def test_the_index_agrees_with_the_regular_expression(example: bytes, start: int, size: int, noise: bytes) -> None:
    cut = example[start:][:size] + noise + example[:start]
    assert has_bot(cut) == bool(plain.search(cut))


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
def test_patterns_match_like_regular_expressions(pattern: str, agent: str) -> None:
    for any_case in (False, True):
        translation = translate(pattern, any_case)
        if any(row.fits_all for row in translation.rows):
            with pytest.warns(RuntimeWarning, match="matches every agent"):
                match_any([], [pattern]) if any_case else match_any([pattern])
            continue
        found = (match_any([], [pattern]) if any_case else match_any([pattern]))(agent.encode())
        expected = bool(re.search(pattern, agent, re.IGNORECASE if any_case else re.NOFLAG))
        assert found == expected or (found and not translation.exact)


@pytest.mark.parametrize(
    "agent",
    [
        *(b"SomeBot/1.0", b"my-bot", b"Some Bot", b"bots", b"acme crawler", b"WebSpider", b"x (http://example.org/x)"),
        *(b"Mozilla/5.0 (compatible; Thing/1.0)", b"python-requests/2.31.0", b"Go-http-client/1.1", b"curl/8.1.2"),
        *(b"Wget/1.21", b"okhttp/4.9.3", b"axios/1.6.0", b"Java/1.8.0_292", b"libwww-perl/6.67", b"PHP/8.2"),
        *(b"Cubot Googlebot/2.1", b"(compatible; MSIE 6.0; SomeBot)", b"HeadlessChrome/120.0", b"CUBOTbot/1"),
        *(b"GoogleHC/1.0", b"Envoy/HC", b"Load Balancer Agent", b"Prometheus/2.53.0", b"Blackbox-Exporter/0.25"),
        *(b"Telegraf/1.30 Go/1.22", b"ApacheBench/2.3", b"reqwest/0.12.4", b"RestSharp/110.2.0.0"),
    ],
)
def test_general_words_find_bots(agent: bytes) -> None:
    assert is_bot(agent)


def test_removing_a_part_of_an_agent_does_not_join_its_neighbours() -> None:
    assert not is_bot(b"Mozilla/5.0 craCUBOTwl")


def test_a_pattern_with_too_many_alternatives_matches_more_and_never_less() -> None:
    pattern = "(a|b|c)" * 5 + "x"
    assert not translate(pattern).exact
    assert len(translate(pattern).rows) == 1
    assert match_any([pattern])(b"abcabx")


def test_an_empty_list_of_patterns_matches_nothing() -> None:
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

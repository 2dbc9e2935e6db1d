"""The shares of bots that are found, and of people taken for bots, in the agents that make build/agents fetches."""

import os

import pytest

from benchmarks.bots import AGENTS, list_alone, read_bots, read_people
from fasthits.rules.bots import AGENT_BYTES, bot_matcher

if not AGENTS.exists() and not os.environ.get("FASTHITS_REQUIRE_SERVERS"):
    pytest.skip("make build/agents fetches the agents", allow_module_level=True)

is_bot, is_listed = bot_matcher(), list_alone()


def test_most_bots_are_found() -> None:
    bots = read_bots()
    assert len(bots) > 1300
    assert sum(map(is_bot, bots)) > 0.87 * len(bots) > 1.4 * sum(map(is_listed, bots))


def test_hardly_anybody_is_taken_for_a_bot() -> None:
    people = read_people()
    assert [len(agents) > least for agents, least in zip(people.values(), (30_000, 800), strict=True)] == [True, True]
    false, listed = ([sum(map(found, agents)) for agents in people.values()] for found in (is_bot, is_listed))
    assert false[0] < min(25, listed[0])
    assert false[1] == 0


def test_every_agent_in_the_lists_is_short_enough() -> None:
    agents = [*read_bots(), *(agent for agents in read_people().values() for agent in agents)]
    assert max(map(len, agents)) < AGENT_BYTES

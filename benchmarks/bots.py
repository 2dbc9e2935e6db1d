"""How many bots `is_bot` finds, and how many people it takes for bots: ``python -m benchmarks.bots [--show]``.

The agents are test data of two packages of PyPI, which `make build/agents` fetches. They are not shipped with fasthits.
device-detector has the agents of Matomo's tests: bots, and the browsers of people. fake-useragent has browsers of 2025.
"""

import re
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from benchmarks.tasks import ROOT
from fasthits.rules.bots import bot_matcher, match_any

AGENTS = ROOT / "build" / "agents"
_FIXTURES = Path("device_detector/tests/fixtures/upstream")
_DEVICES = ("car", "console", "desktop", "feature_phone", "phablet", "smart_display", "smartphone", "tablet", "tv")
_YAML = re.compile(r"^ *(?:- )?user_agent: (?P<text>.+)$", re.MULTILINE)
_JSON = re.compile(r'"useragent": "(?P<text>(?:[^"\\]|\\.)*)"')

Matcher = Callable[[bytes], bool]


def _read(files: list[Path], pattern: re.Pattern[str]) -> list[bytes]:
    texts = (found["text"].strip("'\" ") for file in files for found in pattern.finditer(file.read_text("utf-8")))
    return [text.encode() for text in dict.fromkeys(texts)]


def read_bots() -> list[bytes]:
    """Return agents of bots."""
    return _read([AGENTS / _FIXTURES / "bots.yml"], _YAML)


def read_people() -> dict[str, list[bytes]]:
    """Return agents of people, by the package that has them."""
    files = [file for kind in _DEVICES for file in sorted((AGENTS / _FIXTURES).glob(f"{kind}*.yml"))]
    browsers = AGENTS / "fake_useragent" / "data" / "browsers.jsonl"
    return {"device-detector": _read(files, _YAML), "fake-useragent": _read([browsers], _JSON)}


def list_alone() -> Matcher:
    """Return a matcher that only has the list of crawler-user-agents."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    return match_any(crawler["pattern"] for crawler in CRAWLER_USER_AGENTS_DATA)


def main(show: bool) -> None:
    """Print the figures and, with *show*, the bots that are taken for people and the people that are taken for bots."""
    bots, people = read_bots(), read_people()
    print("crawler-user-agents", metadata.version("crawler-user-agents"))
    for name, is_bot in (("the list", list_alone()), ("fasthits", bot_matcher())):
        found = sum(map(is_bot, bots))
        print(f"{name:9} finds {found:,} of {len(bots):,} bots ({found / len(bots):.1%})")
        for source, agents in people.items():
            print(f"{'':9} takes {sum(map(is_bot, agents)):,} of {len(agents):,} people of {source} for bots")
    print(f"longest agent: {max(map(len, [*bots, *(agent for agents in people.values() for agent in agents)]))} bytes")
    if show:
        for agent in bots:
            if not is_bot(agent):
                print("missed:", agent.decode())
        for agent in (agent for agents in people.values() for agent in agents if is_bot(agent)):
            print("false alarm:", agent.decode())


if __name__ == "__main__":
    main("--show" in sys.argv[1:])

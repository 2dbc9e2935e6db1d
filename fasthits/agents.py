"""Which user agents count: bots, by the list of the package crawler-user-agents, and those that the user names.

The list has 1,500 patterns, and one regular expression of them all takes 0.9 ms for the agent of a browser, which
matches none. But nearly every pattern holds a text that has to be there. So a pattern is looked at only when the first
four bytes of its text are among the hundred or so that an agent has, which are looked up in a set.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial

from fasthits.escapes import unescape
from fasthits.rules import Rules, compile_globs

COUNTS, FILTERED, BOT = range(3)
"""What `agent_verdict` says of an agent: its lines count, are filtered as ``agent``, or are a bot's."""

_CHARACTER = r"[^\\.^$*+?{}\[\]|()]|\\[^A-Za-z0-9]"
_TEXT = re.compile(rf"(?:{_CHARACTER})+")
_START_BYTES = 4


def agent_verdict(rules: Rules) -> Callable[[bytes], int]:
    """Return the function that says of a user agent, as it was logged, what its lines do.

    A glob matches the whole agent, in any case; one without ``*``, ``?`` and ``[`` matches where it occurs. An agent
    that was not logged is ``-``, and no bot.
    """
    included = _compile_agents(rules.include_agents) if rules.include_agents else None
    excluded = _compile_agents(rules.exclude_agents) if rules.exclude_agents else None
    is_bot = bot_matcher() if rules.bots != "count" else None

    def verdict(agent: bytes) -> int:
        agent = unescape(agent)
        if (included and not included(agent)) or (excluded and excluded(agent)):
            return FILTERED
        return BOT if is_bot and is_bot(agent) else COUNTS

    return verdict


def _compile_agents(globs: tuple[str, ...]) -> Callable[[bytes], object]:
    return compile_globs(tuple(glob if set(glob) & set("*?[") else f"*{glob}*" for glob in globs), re.IGNORECASE)


def bot_matcher() -> Callable[[bytes], bool]:
    """Return the function that tells whether an agent, as it was sent, is that of a known bot."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    return match_any(crawler["pattern"] for crawler in CRAWLER_USER_AGENTS_DATA)


def match_any(patterns: Iterable[str]) -> Callable[[bytes], bool]:
    """Return the function that tells whether one of *patterns*, which are regular expressions, is found in bytes.

    >>> match_any(["Googlebot\\\\/", "^curl"])(b"Mozilla/5.0 (compatible; Googlebot/2.1)")
    True
    """
    by_start: dict[bytes, list[Callable[[bytes], object]]] = {}
    others = []
    for pattern in patterns:
        if _TEXT.fullmatch(pattern):
            texts = [re.sub(r"\\(.)", r"\1", pattern).encode()]
            found: Callable[[bytes], object] = partial(_holds, texts[0])
        else:
            texts = [_longest_text(branch) for branch in _branches(pattern)]
            found = re.compile(pattern.encode()).search
        if min(len(text) for text in texts) < _START_BYTES:
            others.append(pattern.encode())
            continue
        for text in texts:
            by_start.setdefault(text[:_START_BYTES], []).append(found)
    starts = by_start.keys()
    search = re.compile(b"|".join(others) if others else rb"(?!)").search

    def matches(agent: bytes) -> bool:
        there = {agent[at : at + _START_BYTES] for at in range(len(agent) - _START_BYTES + 1)} & starts
        return any(found(agent) for start in there for found in by_start[start]) or bool(search(agent))

    return matches


def _holds(text: bytes, agent: bytes) -> bool:
    return text in agent


_TOKEN = re.compile(r"\\.|\[\^?\]?[^\]]*\]|\((?:\\.|[^()\\])*\)|.", re.DOTALL)


def _branches(pattern: str) -> list[list[str]]:
    """Return the tokens of each alternative of *pattern*; groups and classes are a token."""
    branches: list[list[str]] = [[]]
    for token in _TOKEN.findall(pattern):
        if token == "|":
            branches.append([])
        else:
            branches[-1].append(token)
    return branches


def _longest_text(tokens: list[str]) -> bytes:
    """Return the longest text that is in all that *tokens* match, none where that is hard to tell."""
    texts = [""]
    for token in tokens:
        if token in ("(", ")", "{") or token.startswith("(?"):  # a group within a group, a repetition, flags
            return b""
        if token in ("*", "?", "{"):
            texts[-1] = texts[-1][:-1]
        if re.fullmatch(_CHARACTER, token):
            texts[-1] += token[-1]
        else:
            texts.append("")
    return max(texts, key=len).encode()

"""Globs and regular expressions as rows of texts, which match in linear time.

A regular expression can take quadratic time or worse. A row cannot: each of its parts matches a fixed number of
characters, so the first match after the part before is always good enough, and nothing is tried twice.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from math import prod

_is_text = re.compile(r"(?s)(?:[^\\.^$*+?{}\[\]|()]++|\\[^A-Za-z0-9])+").fullmatch
_unescape = re.compile(r"(?s)\\(.)").sub
_MAX_ROWS = 64
"""If the alternatives of a pattern make more rows, they become gaps."""

_Item = bytes | str | None
"""A piece of a part: a text, or a regular expression for one character or place. None is a gap."""


@dataclass(frozen=True)
class Row:
    """Parts that must occur one after the other, with anything between them."""

    parts: tuple[tuple[bytes | str, ...], ...]
    """Each consists of texts and of regular expressions that match a fixed number of characters (``\\d``, ``^``)."""
    any_case: bool = False
    """Whether case does not matter. If so, the texts are in lower case."""

    @cached_property
    def texts(self) -> list[bytes]:
        """The texts that every match contains."""
        return [item for part in self.parts for item in part if isinstance(item, bytes)]

    @property
    def is_text(self) -> bool:
        """Whether the row is a single text."""
        return len(self.parts) == 1 and len(self.parts[0]) == 1 and bool(self.texts)

    @property
    def fits_all(self) -> bool:
        """Whether the row matches any text."""
        return all(item in ("^", "$") for part in self.parts for item in part)

    @cached_property
    def _finders(self) -> list[Callable[[bytes, int], re.Match[bytes] | None]]:
        sources = (
            b"".join(re.escape(item) if isinstance(item, bytes) else item.encode("latin-1") for item in part)
            for part in self.parts
        )
        flags = re.DOTALL | (re.IGNORECASE if self.any_case else re.NOFLAG)
        # search() would look for the beginning of the text up to its end.
        return [
            re.compile(source, flags).match if source.startswith(b"^") else re.compile(source, flags).search
            for source in sources
        ]

    def is_in(self, text: bytes) -> bool:
        """Tell whether *text* matches, in time proportional to the length of *text* and of the row."""
        at = 0
        for find in self._finders:
            found = find(text, at)
            if not found:
                return False
            at = found.end()
        return True


_GLOB_TOKEN = r"(?s)\[!?\]?[^\]]*\]|."


def compile_globs(globs: tuple[str, ...], any_case: bool = False) -> Callable[[bytes], bool]:
    """Return the function that tells whether a glob matches a whole text. Globs have ``*``, ``?``, ``[a-z]``, ``[!a]``.

    It takes time proportional to the length of the text and of the globs.

    >>> compile_globs(("/blog/*",))(b"/blog/2026/a")
    True
    """
    rows = [_row_of(glob, any_case) for glob in globs]
    return lambda text: any(row.is_in(text) for row in rows)


def _row_of(glob: str, any_case: bool) -> Row:
    """Return the row of the texts between the stars of a glob."""
    pieces = [""]
    # As Latin-1 each byte is a character, so that ? matches one byte.
    for token in re.findall(_GLOB_TOKEN, glob.encode("utf-8", "surrogateescape").decode("latin-1")):
        if token == "*":
            pieces.append("")
        else:
            pieces[-1] += token
    # fnmatch puts an anchor after its group, which does not belong here.
    parts = [fnmatch.translate(piece).rpartition(")")[0] + ")" if piece else "" for piece in pieces]
    if parts[0] or len(parts) == 1:
        parts[0] = "^" + parts[0]
    if parts[-1]:
        parts[-1] += r"\Z"
    return Row(tuple((part,) for part in parts if part), any_case)


@dataclass(frozen=True)
class Translation:
    """The rows that replace a regular expression."""

    rows: list[Row]
    """A text matches if one of them does."""
    exact: bool
    """Whether the rows match exactly the texts that the pattern matches."""


def translate(pattern: str, any_case: bool = False) -> Translation:
    """Return the rows that replace a regular expression; with *any_case* case does not matter.

    Each alternative becomes a row. A piece without a fixed length (``.*``, ``\\d+``) becomes a gap, which may hold
    anything. So do constructs that lists of bots do not use, such as ``(?=...)``. The rows match all texts that the
    pattern matches, and perhaps more.

    >>> [row.parts for row in translate("^([wW]get|curl)/").rows]
    [(('^', b'wget/'),), (('^', b'Wget/'),), (('^', b'curl/'),)]
    >>> [row.parts for row in translate("Current[\\\\s\\\\S]*RSS Reader").rows]
    [((b'Current',), (b'RSS Reader',))]
    >>> translate("v\\\\d+ Feed").exact
    False
    """
    if _is_text(pattern):
        text = _unescape(lambda escape: escape[1], pattern).encode()
        return Translation([Row((((text.lower() if any_case else text),),), any_case)], True)
    reader = _Reader(pattern, any_case)
    ways = reader.read()
    return Translation([Row(tuple(_parts(way)), any_case) for way in dict.fromkeys(ways)], reader.exact)


def _parts(way: tuple[_Item, ...]) -> Iterator[tuple[bytes | str, ...]]:
    """Yield the parts between the gaps, with adjacent texts joined."""
    for is_gap, items in groupby(way, lambda item: item is None):
        if not is_gap:
            part: list[bytes | str] = []
            for item in items:
                if isinstance(item, bytes) and part and isinstance(part[-1], bytes):
                    part[-1] += item
                elif item is not None:
                    part.append(item)
            yield tuple(part)


_TOKEN = r"""(?sx)
        (?P<any>\[\\s\\S\]|\.)
      | (?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])
      | (?P<repeat>[*+?]|\{\d*,?\d*\})[+?]?
      | (?P<set>\\[dDsSwW])
      | (?P<other>\\[A-Za-z0-9])
      | (?P<place>[$^])
      | (?P<open>\((?:\?(?!:)|\?:)?)
      | (?P<close>\))
      | (?P<bar>\|)
      | \\?(?P<character>.)"""
_Ways = list[tuple[_Item, ...]]
_GAP: _Ways = [(None,)]


class _Reader:
    """Reads a regular expression from left to right."""

    def __init__(self, pattern: str, any_case: bool) -> None:
        self._tokens = list(re.finditer(_TOKEN, pattern))[::-1]
        self._any_case = any_case
        self.exact = True

    def read(self) -> _Ways:
        """Return the ways to match the pattern from here to a closing bracket or the end."""
        ways: _Ways = []
        branch: list[_Ways] = []
        while self._tokens:
            token = self._tokens.pop()
            if token["close"]:
                break
            if token["bar"]:
                ways += self._join(branch)
                branch = []
            else:
                branch.append(self._repeat(self._ways_of(token), bool(token["any"])))
        return ways + self._join(branch)

    def _ways_of(self, token: re.Match[str]) -> _Ways:
        if opening := token["open"]:
            group = self.read()
            return group if opening in ("(", "(?:") else self._gap()
        if character := token["character"]:
            return self._texts(character)
        if (found := token["class"]) and re.fullmatch(r"\[[A-Za-z]{2}\]", found):
            return self._texts(found[1], found[2])
        if token["other"] or not token[0].isascii():
            return self._gap()
        return [("." if token["any"] else token[0],)]

    def _texts(self, *characters: str) -> _Ways:
        texts = [character.encode() for character in characters]
        return [(text,) for text in dict.fromkeys(text.lower() if self._any_case else text for text in texts)]

    def _repeat(self, ways: _Ways, of_any: bool) -> _Ways:
        """Return *ways*, repeated as the quantifier that may follow says."""
        repeat = self._tokens[-1]["repeat"] if self._tokens else None
        if repeat is None:
            return ways
        self._tokens.pop()
        if repeat == "?":
            return [*ways, ()]
        if repeat == "+":
            return self._join([ways, _GAP if of_any else self._gap()])
        return _GAP if of_any and repeat == "*" else self._gap()

    def _gap(self) -> _Ways:
        self.exact = False
        return _GAP

    def _join(self, branch: list[_Ways]) -> _Ways:
        """Return the ways to match pieces that follow each other."""
        if prod(map(len, branch)) > _MAX_ROWS:
            branch = [ways if len(ways) == 1 else self._gap() for ways in branch]
        return [tuple(item for way in ways for item in way) for ways in product(*branch)]

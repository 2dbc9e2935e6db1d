"""Regular expressions as rows of texts, which are found in time linear in what they are looked for in.

A regular expression can take a time that is quadratic or worse. A row cannot: each of its parts matches a fixed number
of characters, so the first place behind the part before is the one to take, and nothing is ever tried again.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from math import prod

_TEXT = re.compile(r"(?:[^\\.^$*+?{}\[\]|()]|\\[^A-Za-z0-9])+", re.DOTALL)
_MAX_ROWS = 64
"""Where alternatives would make more rows than that of a pattern, they become gaps."""

_Item = bytes | str | None
"""Of a part: a text, or a regular expression for one character or place. None is a gap."""


@dataclass(frozen=True)
class Row:
    """Parts that are to be found one behind the other, with anything between them."""

    parts: tuple[tuple[bytes | str, ...], ...]
    """Each is made of texts, and of regular expressions that match a fixed number of characters (``\\d``, ``^``)."""
    any_case: bool = False
    """Whether letters match in any case; if so, the texts are in lower case."""

    @property
    def texts(self) -> list[bytes]:
        """The texts that are in whatever the row matches."""
        return [item for part in self.parts for item in part if isinstance(item, bytes)]

    @property
    def is_text(self) -> bool:
        """Whether the row is one text and nothing else."""
        return len(self.parts) == 1 and len(self.parts[0]) == 1 and bool(self.texts)

    @property
    def fits_all(self) -> bool:
        """Whether the row asks for no character at all."""
        return all(item in ("^", "$") for part in self.parts for item in part)

    @cached_property
    def _finders(self) -> list[Callable[[bytes, int], re.Match[bytes] | None]]:
        sources = (
            b"".join(re.escape(item) if isinstance(item, bytes) else item.encode("latin-1") for item in part)
            for part in self.parts
        )
        flags = re.DOTALL | (re.IGNORECASE if self.any_case else re.NOFLAG)
        # A search for what stands at the beginning would go on to the end.
        return [
            re.compile(source, flags).match if source.startswith(b"^") else re.compile(source, flags).search
            for source in sources
        ]

    def is_in(self, text: bytes) -> bool:
        """Tell whether *text* matches; it takes time proportional to the length of *text* and to that of the row."""
        at = 0
        for find in self._finders:
            found = find(text, at)
            if not found:
                return False
            at = found.end()
        return True


_GLOB_TOKEN = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)


def compile_globs(globs: tuple[str, ...], any_case: bool = False) -> Callable[[bytes], bool]:
    """Return a function that tells whether bytes, as a whole, match one of *globs*: ``*``, ``?``, ``[a-z]``, ``[!a]``.

    It takes time proportional to the length of the bytes, and to that of the globs.

    >>> compile_globs(("/blog/*",))(b"/blog/2026/a")
    True
    """
    rows = [_row_of(glob, any_case) for glob in globs]
    return lambda text: any(row.is_in(text) for row in rows)


def _row_of(glob: str, any_case: bool) -> Row:
    """Return the row of what stands between the stars of a glob."""
    pieces = [""]
    # A byte for each character, so that ? is one byte.
    for token in _GLOB_TOKEN.findall(glob.encode("utf-8", "surrogateescape").decode("latin-1")):
        if token == "*":
            pieces.append("")
        else:
            pieces[-1] += token
    # Without the anchor that fnmatch puts behind its group.
    parts = [fnmatch.translate(piece).rpartition(")")[0] + ")" if piece else "" for piece in pieces]
    if parts[0] or len(parts) == 1:
        parts[0] = "^" + parts[0]
    if parts[-1]:
        parts[-1] += r"\Z"
    return Row(tuple((part,) for part in parts if part), any_case)


@dataclass(frozen=True)
class Translation:
    """What is looked for in place of a regular expression."""

    rows: list[Row]
    """One of them has to be found."""
    exact: bool
    """Whether they find what the pattern finds, and nothing else."""


def translate(pattern: str, any_case: bool = False) -> Translation:
    """Return what to look for in place of a regular expression, with *any_case* in any case of letters.

    Alternatives become rows. What has no fixed length (``.*``, ``\\d+``) becomes a gap, in which there may be anything,
    and so does what lists of bots do not use, for example ``(?=...)``. A translation finds at least what the pattern
    finds.

    >>> [row.parts for row in translate("^([wW]get|curl)/").rows]
    [(('^', b'wget/'),), (('^', b'Wget/'),), (('^', b'curl/'),)]
    >>> [row.parts for row in translate("Current[\\\\s\\\\S]*RSS Reader").rows]
    [((b'Current',), (b'RSS Reader',))]
    >>> translate("v\\\\d+ Feed").exact
    False
    """
    if _TEXT.fullmatch(pattern):
        text = re.sub(r"\\(.)", r"\1", pattern).encode()
        return Translation([Row((((text.lower() if any_case else text),),), any_case)], True)
    reader = _Reader(pattern, any_case)
    ways = reader.read()
    return Translation([Row(tuple(_parts(way)), any_case) for way in dict.fromkeys(ways)], reader.exact)


def _parts(way: tuple[_Item, ...]) -> Iterator[tuple[bytes | str, ...]]:
    """Yield what stands between the gaps, with the texts that stand side by side made one."""
    for is_gap, items in groupby(way, lambda item: item is None):
        if not is_gap:
            part: list[bytes | str] = []
            for item in items:
                if isinstance(item, bytes) and part and isinstance(part[-1], bytes):
                    part[-1] += item
                elif item is not None:
                    part.append(item)
            yield tuple(part)


_TOKEN = re.compile(
    r"""(?P<any>\[\\s\\S\]|\.)
      | (?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])
      | (?P<repeat>[*+?]|\{\d*,?\d*\})[+?]?
      | (?P<set>\\[dDsSwW])
      | (?P<other>\\[A-Za-z0-9])
      | (?P<place>[$^])
      | (?P<open>\((?:\?(?!:)|\?:)?)
      | (?P<close>\))
      | (?P<bar>\|)
      | \\?(?P<character>.)""",
    re.VERBOSE | re.DOTALL,
)
_Ways = list[tuple[_Item, ...]]
_GAP: _Ways = [(None,)]


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str, any_case: bool) -> None:
        self._tokens = list(_TOKEN.finditer(pattern))[::-1]
        self._any_case = any_case
        self.exact = True

    def read(self) -> _Ways:
        """Return the ways in which what stands here matches, up to a closing bracket or the end."""
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
        """Return *ways* as often as what stands here has it."""
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
        """Return the ways of what stands one behind the other."""
        if prod(map(len, branch)) > _MAX_ROWS:
            branch = [ways if len(ways) == 1 else self._gap() for ways in branch]
        return [tuple(item for way in ways for item in way) for ways in product(*branch)]

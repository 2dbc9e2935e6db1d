"""What counts, and under which path: the rules that `log`, `rollup`, `warm` and `check` share.

Rules apply to a line in this order: malformed; method; target; status; day; agent; bot; path; static. The first rule
that rejects the line names its bucket. The rules up to ``bot`` need the whole line, so the core applies them. ``path``,
``static`` and the final path (`fasthits.rules.paths`) need only the raw key, so they apply once a row and not once a
line. Without a rule for ``path`` the core applies ``static``, too, if the path is sure to stay as it was logged: then
it makes fewer rows, and it knows the hours of the hits. The core counts by the raw key: the path as logged,
with its query if queries are kept, and after the host and a space if hosts are kept apart.
"""

from collections.abc import Mapping
from typing import Literal
from zlib import crc32

from fasthits.records import Record, fields_of, replace

Bots = Literal["count", "exclude", "apart"]
NotFound = Literal["count", "apart"]

NOT_FOUND_STATUSES = frozenset({404, 410})
STATUSES = frozenset(range(100, 1000))

STATIC_ENDINGS = tuple(
    sorted(
        {".css", ".js", ".mjs", ".map", ".wasm"}
        | {".avif", ".bmp", ".gif", ".ico", ".jpeg", ".jpg", ".png", ".svg", ".svgz", ".tif", ".tiff", ".webp"}
        | {".eot", ".otf", ".ttf", ".woff", ".woff2"}
        | {".aac", ".flac", ".m4a", ".m4v", ".mov", ".mp3", ".mp4", ".ogg", ".ogv", ".opus", ".wav", ".webm"}
    )
)
"""The files that a page loads: styles, scripts, images, fonts, sound and film. Documents, archives and feeds
are not in the list: people open them for their own sake."""

NO_FIELDS: Mapping[str, str] = {}

FORMATS = ("format", "json_fields")
"""The fields of `Rules` that tell how the lines of a log look, not which of them count."""


class Rules(Record):
    """What counts as a hit, and under which path."""

    methods: tuple[str, ...] = ("GET",)
    statuses: frozenset[int] | None = None
    """None: any."""
    not_found: NotFound = "count"
    """Whether requests that were answered with NOT_FOUND_STATUSES count, or are kept apart and are no hits."""
    include_paths: tuple[str, ...] = ()
    """Globs; the path must match one of them. Empty: any path."""
    exclude_paths: tuple[str, ...] = ()
    exclude_static: bool = False
    keep_query: bool | tuple[str, ...] = False
    """Whether the path keeps its query, or the names of the parameters that it keeps."""
    fold_slash: bool = False
    fold_session: bool = False
    decode: bool = False
    bots: Bots = "count"
    include_agents: tuple[str, ...] = ()
    exclude_agents: tuple[str, ...] = ()
    by_host: bool = False
    pages: frozenset[str] = frozenset()
    """The fields above that ``--pages`` has set; for messages."""
    format: str = "auto"
    json_fields: Mapping[str, str] = NO_FIELDS
    """The name of the JSON field for each kind of field."""

    @property
    def looks_at_paths(self) -> bool:
        """Whether `final_path` can change or reject a path."""
        reshapes = self.fold_slash or self.fold_session or self.decode or self.by_host
        reshapes = reshapes or isinstance(self.keep_query, tuple)
        return reshapes or bool(self.include_paths or self.exclude_paths or self.exclude_static)

    @property
    def knows_hours(self) -> bool:
        """Whether the hours that the core counts are those of the hits: not if globs reject paths afterwards."""
        return not (self.include_paths or self.exclude_paths)

    @property
    def live(self) -> "Rules":
        """These rules for live counters, which keep nothing apart: they exclude bots, and what was not found."""
        bots: Bots = "exclude" if self.bots == "apart" else self.bots
        if self.not_found == "count":
            return replace(self, bots=bots)
        statuses = (self.statuses or STATUSES) - NOT_FOUND_STATUSES
        return replace(self, bots=bots, not_found="count", statuses=statuses)

    @property
    def looks_at_agents(self) -> bool:
        """Whether the user agent of a line matters."""
        return self.bots != "count" or bool(self.include_agents or self.exclude_agents)

    def texts(self) -> dict[str, str]:
        """Return the rules that are not the default, by name, as text; also FORMATS."""
        default = fields_of(Rules())
        used = {name: value for name, value in fields_of(self).items() if value != default[name] and name != "pages"}
        return {name: text_of(value) for name, value in sorted(used.items())}

    @property
    def mark(self) -> str:
        """Eight hexadecimal digits. Rules by which the same lines count under the same paths have the same."""
        texts = [text for text in self.texts().items() if text[0] not in FORMATS]
        return f"{crc32(ascii(texts).encode('ascii')):08x}"


def text_of(value: object) -> str:
    """Return the value of a rule or of another option as text. No rule depends on an order."""
    if isinstance(value, set | frozenset | tuple | list):
        return ", ".join(sorted(map(str, value)))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={value[key]}" for key in sorted(value))
    return "yes" if value is True else str(value)

"""Log formats: which field is where in a line, by the string of the format in the server's configuration.

A format is a sequence of literals and fields. It has at most one field of each kind. Fields that counting does not need
are of the kind ``skip``.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise, takewhile
from typing import Any

from fasthits.errors import UsageError
from fasthits.formats.directives import Field, Kind, Literal, date_layout, is_envoy, scan_apache, scan_envoy, scan_nginx
from fasthits.formats.pasted import directive_string
from fasthits.records import Record, replace


class Format(Record, uncompared=("text", "others")):
    """The format of a log's lines. A format without parts means JSON objects, whose fields have names."""

    name: str
    text: str
    parts: tuple[Literal | Field, ...]
    how: str = "steps"
    """``steps`` if the parts follow each other; ``json``, ``ltsv`` or ``w3c`` if the log names them: see `labelled`."""
    names: tuple[tuple[Any, ...], ...] = ()
    """The names of fields, with their kinds, as the core takes them."""
    only_wrapped: bool = False
    """Whether only lines in the message of a JSON line are read in this format."""
    closed: bool = False
    """Whether a line has to end where the format ends. Then a client cannot write text that is read as a field after
    it."""
    absolute: bool = False
    """Whether targets are absolute URLs of the site's own hosts: the path counts, and the host is the virtual host."""
    others: tuple["Format", ...] = ()
    """Further formats that the lines of a log with this name can have."""

    @property
    def ways(self) -> tuple["Format", ...]:
        """This format and the others. The first that fits a line counts."""
        return (self, *self.others)

    def field(self, kind: Kind) -> Field | None:
        """Return the field of *kind*, which is not ``skip``, or None."""
        return next((part for part in self.parts if isinstance(part, Field) and part.kind == kind), None)

    def require(self, kind: Kind, option: str, otherwise: str = "") -> None:
        """Raise UsageError if the format has no field of *kind*, which *option* needs.

        *otherwise* is another remedy.
        """
        if self.parts and not self.field(kind) and not (kind == "vhost" and self.absolute):
            pasted = self.name in PASTED
            hint = f"add {HINTS[kind]}" if pasted else f"let the server log it, in Apache or nginx as {HINTS[kind]}"
            hint += f"; {otherwise}" * bool(otherwise)
            failed = f"{option} needs a log format with the {WORDS[kind]}"
            raise UsageError(failed, self.text if pasted else self.name, hint)

    def reading(self) -> dict[str, Any]:
        """Return how the core reads lines of this format: one of the *ways* of `LineRules`."""
        return self._reading.copy()

    @cached_property
    def _reading(self) -> dict[str, Any]:
        if self.names:
            steps: list[_Step] = [(part.kind, "text", b"", None) for part in self.parts if isinstance(part, Field)]
            return {
                **{"how": self.how, "names": self.names, "steps": steps, "needed": len(steps), "anchored": False},
                **{"host_end": None, "host_words": 0, "begins_quoted": self.how == "w3c"},
                **{"closed": False, "absolute": False, "only_wrapped": self.only_wrapped},
            }
        parts = self.read_parts
        last = max(at for at, part in enumerate(parts) if isinstance(part, Field) and part.kind in NEEDED)
        # In a closed format, the last field ends where the separator before it would come once more.
        end = parts[-2] if self.closed and len(parts) > 1 else None
        return {
            "host_end": self._host_end,
            "host_words": self.host_words or 0,
            "steps": [_step(part, after) for part, after in pairwise((*parts, end))],
            "how": "steps",
            "names": (),
            "begins_quoted": isinstance(self.parts[0], Literal) and self.parts[0].text.startswith(b'"'),
            "only_wrapped": self.only_wrapped,
            "anchored": self.anchored,
            "needed": len(parts) if self.closed else last + 1,
            "closed": self.closed,
            "absolute": self.absolute,
        }

    @cached_property
    def host_words(self) -> int | None:
        """How many words come before a virtual host that the core takes from before the time; None for no such host."""
        return None if self._host_end is None else sum(isinstance(part, Literal) for part in self._before_host)

    @cached_property
    def _host_end(self) -> bytes | None:
        behind = self.parts[len(self._before_host) + 1 :] if self.anchored else ()
        return behind[0].text if behind and isinstance(behind[0], Literal) else None

    @property
    def _before_host(self) -> tuple[Literal | Field, ...]:
        return tuple(takewhile(lambda part: isinstance(part, Literal) or part.kind != "vhost", self.parts))

    @property
    def read_parts(self) -> tuple[Literal | Field, ...]:
        """The parts that the core reads, each in one step: all parts, or the parts from the time on."""
        if not self.anchored:
            return self.parts
        start = next(at for at, part in enumerate(self.parts) if isinstance(part, Field) and part.kind == "time")
        return self.parts[start:]

    @cached_property
    def anchored(self) -> bool:
        """Whether the core searches a line for its time and reads on from there, instead of reading from the left.

        It does if the request line follows the time as in Apache's common format, and if nothing before the time
        matters except a virtual host after words without spaces.
        """
        at = next((at for at, part in enumerate(self.parts) if isinstance(part, Field) and part.kind == "time"), 0)
        before, after = self.parts[:at], self.parts[at + 1 : at + 3]
        host = next((at for at, part in enumerate(before) if isinstance(part, Field) and part.kind == "vhost"), None)
        return (
            self.parts[at:] != ()
            and self.parts[at] == Field("time", "", 0, bracketed=True, time_format="apache", width=26)
            and after == (Literal(b'] "'), Field("request", "", 0, quoted=True))
            and all(isinstance(part, Literal) or part.kind in ("skip", "port", "vhost") for part in before)
            and (host is None or (_are_words(before[:host]) and isinstance(before[host + 1], Literal)))
        )


WORDS = {"user_agent": "user agent", "vhost": "virtual host", "bytes": "bytes sent"} | {
    kind: kind for kind in ("time", "request", "method", "target", "path", "query", "status", "referer")
}
HINTS = {
    "method": '"%r" or %m, "$request" or $request_method',
    "path": '"%r" or %U, "$request" or $request_uri',
    "query": '"%r" or %U%q, "$request" or $request_uri',
    "status": "%>s or $status",
    "referer": '"%{Referer}i" or "$http_referer"',
    "user_agent": '"%{User-Agent}i" or "$http_user_agent"',
    "vhost": "%v or $server_name",
}

PASTED = ("apache", "nginx", "envoy")
"""The names of formats that `parse_format` reads. All others are in `fasthits formats`."""

NEEDED = ("time", "request", "method", "target", "path", "query", "status", "bytes")
"""Fields that a line must have if its format has them. The parts after the last of these may be missing."""

_EPOCHS = {"epoch": (12, 1), "epoch_ms": (15, 10**3), "epoch_us": (18, 10**6)}
"""The most digits that the number may have, and how many of these units are in a second."""

_Step = tuple[str, str, object, tuple[object, ...] | None]


def _step(part: Literal | Field | None, after: Literal | Field | None) -> _Step:
    """Return a part as the core takes it: its kind, how to read it, what reading it needs, and the layout of a date."""
    if part is None or isinstance(part, Literal):
        return "skip", "literal", part.text if part else b"", None
    if part.kind in ("status", "bytes"):
        return part.kind, part.kind, 0, None
    if part.time_format in _EPOCHS:
        return part.kind, "epoch", _EPOCHS[part.time_format], None
    if part.time_format:
        how = part.time_format if part.time_format in ("apache", "iso8601") else "date"
        layout = date_layout(part.time_format)
        numbers = tuple(-1 if number is None else int(number) for number in layout or ())
        return part.kind, how, part.width or 0, numbers
    if part.width:
        return part.kind, "fixed", part.width, None
    if part.quoted:
        return part.kind, "quoted", 0, None
    return part.kind, "text", after.text if isinstance(after, Literal) else b"", None


_NGINX = re.compile(r"\$\{?(?:request|uri|msec|time_)")  # every usable string has one of them; % is then a literal


_HAPROXY = r"^\s*log-format\b|%(?:\{[+-][QEX][^}]*\})?(?:ci:%cp|HM\b|HU\b|HP\b|HPO\b|ST\b|tr\]|Tl\b|\[)|%\{\+Q\}"
_FOREIGN = (
    (r"%\(\w+\)", "a log format of Gunicorn or uWSGI", "leave --format out, or write it"),
    (_HAPROXY, "a log-format of HAProxy", "--format haproxy reads option httplog; write others"),
    (r"%\{[a-z],", "a log format of Undertow", "leave --format out, or write it"),
)
"""What Apache's strings never have, and these nearly always; whose they are, and what to do."""
_HOSTS = ("$host", "$http_host", "$server_name")
_WORDS_WITHOUT_SPACES = ("%h", "%a", "%l", "$remote_addr")


def _are_words(parts: Sequence[Literal | Field]) -> bool:
    """Tell whether *parts* are fields that cannot hold a space, each with a space after it."""
    words = [part.directive if isinstance(part, Field) else part.text for part in parts]
    return all(part == b" " if at % 2 else part in _WORDS_WITHOUT_SPACES for at, part in enumerate(words))


def parse_format(text: str) -> Format:
    """Return the format with this string of Apache's LogFormat or nginx's log_format.

    >>> parse_format('%v %t "%r" %>s').field("status").column
    12

    Escapes are read as in the server's configuration. Raises UsageError, with the column, for a string that it cannot
    read, and for a format without a date, a method or a path, which counting needs. `named.find_format` also takes the
    name of a format.
    """
    text = directive_string(text).removesuffix("\\n")  # Envoy's strings end with one
    for pattern, whose, remedy in _FOREIGN:
        if re.search(pattern, text):
            hint = f"{remedy} in Apache's directives, with %{{name}}n for skipped text"
            raise UsageError(f"{whose}, whose variables are not read", text, hint)
    if _NGINX.search(text) or ("$" in text and "%" not in text):
        return assemble("nginx", text, scan_nginx(text))
    if is_envoy(text):
        return assemble("envoy", text, scan_envoy(text))
    return assemble("apache", text, scan_apache(text))


def assemble(name: str, text: str, pieces: Iterable[Literal | Field], needs_method: bool = True) -> Format:
    """Return the format that consists of *pieces*, with one field of each kind.

    Raises UsageError for a format without a date or a path, and, with *needs_method*, for a format without a method.
    """
    parts = _split_request(_mark(_choose(_join(_join_request(_join_url(_join(pieces)))))))
    for before, after in pairwise(parts):
        if isinstance(before, Field) and isinstance(after, Field) and before.width is None:
            raise UsageError(
                f"no separator between {before.directive} and {after.directive}"
                f" in column {after.column} of the log format",
                text,
                "leave --format out, or let the server write a blank between them",
            )
    has_url = any(isinstance(part, Field) and part.kind != "skip" and "://" in part.directive for part in parts)
    found = Format(name, text, tuple(parts), absolute=has_url)
    if not found.field("time"):
        hint = "add %t, or %{...}t with fields of a fixed width: %Y, %m or %b, %d; or $time_local or $time_iso8601"
        raise UsageError("log format without a date", text, hint)
    kinds: tuple[Kind, ...] = ("request", "target", "path")
    if not any(found.field(kind) for kind in kinds):
        raise UsageError("log format without a path", text, f"add {HINTS['path']}")
    if needs_method and not found.field("request") and not found.field("method"):
        raise UsageError("log format without a method", text, f"add {HINTS['method']}")
    return found


def _join(pieces: Iterable[Literal | Field]) -> list[Literal | Field]:
    """Return *pieces* with neighbours joined that belong together: literals, skipped fields, a path and its query."""
    joined: list[Literal | Field] = []
    for piece in pieces:
        before = joined[-1] if joined else None
        if isinstance(piece, Literal) and isinstance(before, Literal):
            joined[-1] = Literal(before.text + piece.text)
        elif isinstance(piece, Field) and isinstance(before, Field):
            directive = before.directive + piece.directive
            if before.directive.endswith("$is_args") and piece.directive in ("$args", "$query_string"):
                joined[-1] = replace(before, directive=directive)
            elif (before.kind, piece.kind) == ("path", "query"):
                joined[-1] = replace(before, kind="target", directive=directive)
            elif (before.kind, piece.kind, before.width) == ("skip", "skip", None):
                joined[-1] = replace(before, directive=directive)
            else:
                joined.append(piece)
        elif not isinstance(piece, Literal) or piece.text:
            joined.append(piece)
    return joined


def _join_url(parts: list[Literal | Field]) -> list[Literal | Field]:
    """Return *parts* with ``$scheme://$host$request_uri`` as one field: a target that is an absolute URL."""
    for at in range(len(parts) - 3):
        scheme, colon, host, target = window = parts[at : at + 4]
        if (
            colon == Literal(b"://")
            and isinstance(scheme, Field)
            and isinstance(host, Field)
            and isinstance(target, Field)
            and scheme.directive == "$scheme"
            and host.directive in _HOSTS
            and target.kind in ("target", "path")
        ):
            directive = "".join("://" if isinstance(part, Literal) else part.directive for part in window)
            return [*parts[:at], Field("target", directive, scheme.column), *parts[at + 4 :]]
    return parts


def _join_request(parts: list[Literal | Field]) -> list[Literal | Field]:
    """Return *parts* with ``"%m %U%q %H"`` as one field: the request line, as Apache's manual says."""
    for at in range(len(parts) - 6):
        opening, method, _, target, _, protocol, closing = window = parts[at : at + 7]
        kinds = [part.kind if isinstance(part, Field) else part.text for part in window]
        if (
            isinstance(opening, Literal)
            and isinstance(closing, Literal)
            and isinstance(method, Field)
            and isinstance(target, Field)
            and isinstance(protocol, Field)
            and kinds[1:3] == ["method", b" "]
            and kinds[3] in ("target", "path")
            and kinds[4:6] == [b" ", "protocol"]
            and opening.text.endswith(b'"')
            and closing.text.startswith(b'"')
        ):
            directive = f"{method.directive} {target.directive} {protocol.directive}"
            return [*parts[: at + 1], Field("request", directive, method.column), *parts[at + 6 :]]
    return parts


def _split_request(parts: list[Literal | Field]) -> list[Literal | Field]:
    """Return *parts* with a request line that no quotes enclose, but blanks, as its three words."""
    for at, (request, after) in enumerate(pairwise(parts)):
        if not isinstance(request, Field) or request.kind != "request" or request.quoted:
            continue
        if isinstance(after, Literal) and after.text[:1] in (b" ", b"\t"):
            kinds: tuple[Kind, ...] = ("method", "target", "protocol")
            words = [Field(kind, request.directive, request.column) for kind in kinds]
            return [*parts[:at], words[0], Literal(b" "), words[1], Literal(b" "), words[2], *parts[at + 1 :]]
    return parts


def _choose(parts: list[Literal | Field]) -> list[Literal | Field]:
    """Return *parts* with at most one field of each kind. All other fields become ``skip``."""
    chosen: dict[Kind, Field] = {}
    for part in parts:
        # Prefer the final status (>) and Apache's own time; otherwise take the first.
        if isinstance(part, Field) and (
            part.kind not in chosen
            or (part.kind == "status" and ">" in part.directive and ">" not in chosen["status"].directive)
            or (part.kind == "time" and part.time_format == "apache" != chosen["time"].time_format)
        ):
            chosen[part.kind] = part
    needless: tuple[Kind, ...] = ()
    if "request" in chosen:
        needless = ("method", "target", "path", "query", "protocol")
    elif "target" in chosen:
        needless = ("path", "query")
    kept = [part for kind, part in chosen.items() if kind not in needless]
    return _join(
        part
        if isinstance(part, Literal) or part.kind == "skip" or any(part is other for other in kept)
        else replace(part, kind="skip", time_format=None)
        for part in parts
    )


def _mark(parts: list[Literal | Field]) -> list[Literal | Field]:
    """Return *parts* with each field marked as quoted or bracketed, or as neither."""

    def encloses(at: int, opening: bytes, closing: bytes) -> bool:
        before, after = parts[at - 1] if at else None, parts[at + 1] if at + 1 < len(parts) else None
        return (
            isinstance(before, Literal)
            and before.text.endswith(opening)
            and isinstance(after, Literal)
            and after.text.startswith(closing)
        )

    marked = list(parts)
    for at, part in enumerate(parts):
        quoted, bracketed = encloses(at, b'"', b'"'), encloses(at, b"[", b"]")
        if isinstance(part, Field) and (quoted, bracketed) != (part.quoted, part.bracketed):
            marked[at] = replace(part, quoted=quoted, bracketed=bracketed)
    return marked

"""Which object a path counts for, and why: what ``manage.py explain_path`` tells."""

from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.urls import ResolverMatch

from fasthits.django.resolve import PathResolver
from fasthits.django.sources import Source, source_of


class Told(NamedTuple):
    """The object that a path counts for, if any, and why."""

    obj: Any
    view: str
    why: str

    @property
    def object_text(self) -> str:
        """The object as text, with its model and primary key."""
        if self.obj is None:
            return "none"
        return f"{self.obj._meta.label} {self.obj.pk}: {self.obj}"


def explain_path(path: bytes) -> Told:
    """Return what `parse_log` makes of a counted path. Raises UsageError for FASTHITS."""
    resolver = PathResolver()
    match = resolver.match(path)
    key = resolver.find([path]).get(path)
    view = _name(match) if match else "none"
    source = source_of(match.func, match.kwargs) if match else None
    if key:
        obj = QuerySet(key.model).filter(pk=key.object_id).first()  # a manager may hide it
        by_view = PathResolver(by_hand=None).find([path])
        question = source.question(match.kwargs) if by_view and match and isinstance(source, Source) else None
        return Told(obj, view, _fields(question) if question else "RESOLVER returns it")
    if resolver.errors:
        error = resolver.errors[0][1]
        return Told(None, view, f"{type(error).__name__}: {error}")
    why = _why_none(match, source, resolver, path)
    return Told(None, view, f"{why}, and RESOLVER finds none" if resolver.by_hand else why)


def _name(match: ResolverMatch) -> str:
    return f"{match._func_path} at {match.route}"


def _fields(question: tuple[Any, tuple[Any, ...]]) -> str:
    lookup, values = question
    pairs = ", ".join(f"{name}={value!r}" for name, value in zip(lookup.fields, values, strict=True))
    return f"the view shows a {lookup.model._meta.label} with {pairs}"


def _why_none(match: ResolverMatch | None, source: Source | str | None, resolver: PathResolver, path: bytes) -> str:
    if match is None:
        folder = resolver.mount_point([path])
        hint = f'; the site seems to be below {folder}: set FORCE_SCRIPT_NAME = "{folder}"' if folder else ""
        return f"no URL of the site matches{hint}"
    if not isinstance(source, Source):
        return str(source)
    question = source.question(match.kwargs)
    if question is None:
        arguments = ", ".join(match.kwargs) or "no argument"
        return f"the URL gives {arguments}, and nothing that finds a {source.model._meta.label} (see @counts)"
    return f"there is none: {_fields(question)}"

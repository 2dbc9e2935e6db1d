"""Finds the objects of the paths in a log, by the site's own URLs and views.

Each path is resolved as Django does for a request. Its view tells the model and the fields that the URL gives: see
`fasthits.django.sources`. The objects of many paths are then found in one query for each model.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.db import DatabaseError, models
from django.http import Http404
from django.urls import Resolver404, ResolverMatch, get_resolver, get_script_prefix
from django.utils import translation
from django.utils.encoding import repercent_broken_unicode

from fasthits.django.conf import setting
from fasthits.django.expressions import has_key_of_history, history_model, key_field
from fasthits.django.sources import Lookup, Source, counts, source_of
from fasthits.formats.escapes import unescape
from fasthits.rules.rules import Rules

IN_VALUES = 900
"""The most values in a query. Every database allows this many. For more, one query reads all objects."""

ERRORS = 10
"""Errors to keep and show."""

KEY_CHARACTERS = 255
"""The longest primary key, as text, that the history can have."""

__all__ = ["ObjectKey", "PathResolver", "counts", "path_info"]


class ObjectKey(NamedTuple):
    """The key of an object's history: the model that has it, and `Hits.object_id`."""

    model: type[models.Model]
    object_id: str

    @classmethod
    def of(cls, model: type[models.Model], key: Any) -> "ObjectKey":
        """Return the key of the object of *model* with the primary key *key*.

        Raises ValueError for an object without a key, and for a key that the history cannot have: too long, or of
        another type. Databases differ: SQLite would store it, PostgreSQL would refuse the whole day.
        """
        if key is None:
            raise ValueError(f"the {model._meta.label} is not saved: it has no primary key")
        if not has_key_of_history(model):
            what = f"the primary key of the {model._meta.label} is a {type(key_field(model)).__name__}"
            raise ValueError(f"{what}, and the history takes integers, UUIDs and text")
        if len(text := str(key_field(model).get_prep_value(key))) > KEY_CHARACTERS:
            what = f"the primary key of the {model._meta.label} has {len(text)} characters"
            raise ValueError(f"{what}, and the history takes up to {KEY_CHARACTERS}")
        return cls(history_model(model), text)


def path_info(path: bytes) -> str:
    r"""Return a path of the log as Django sees it: without host, log escapes and percent-encoding.

    >>> path_info(rb"http://o.example/caf%C3%A9/\"x\x7f")
    '/café/"x\x7f'
    """
    if not path.startswith(b"/"):
        path = b"/" + b"".join(path.split(b"/", 3)[3:])
    return repercent_broken_unicode(unquote_to_bytes(unescape(path))).decode()


@dataclass
class PathResolver:
    """Finds the objects of paths, and keeps the errors. An error affects only its own path."""

    rules: Rules = field(default_factory=lambda: setting("RULES"))
    """The rules by which the paths were counted."""
    by_hand: Callable[..., Any] | None = field(default_factory=lambda: setting("RESOLVER"))
    """The site's function for paths whose view does not tell the object."""
    failed: int = 0
    """Number of paths with an error."""
    errors: list[tuple[bytes, Exception]] = field(default_factory=list)
    """The first ERRORS errors, each with its path."""

    def __post_init__(self) -> None:
        self._urls = get_resolver()
        self._urls.url_patterns  # noqa: B018 (fails here if the URLconf cannot be imported, not for each path)
        self._root = get_script_prefix()
        self._has_languages = is_language_prefix_patterns_used(settings.ROOT_URLCONF)[0]

    def find(self, paths: Iterable[bytes]) -> dict[bytes, ObjectKey]:
        """Return the objects of *paths*, which are distinct, without the paths that are no object's page.

        Costs one query for each model and way to find its objects, and a call of RESOLVER for each remaining path.
        """
        asked: dict[Lookup, dict[tuple[Any, ...], list[bytes]]] = defaultdict(lambda: defaultdict(list))
        matches = {}
        for path in paths:
            try:
                match = self.match(path)
                source = source_of(match.func, match.kwargs) if match else None
                question = source.question(match.kwargs) if match and isinstance(source, Source) else None
            except Exception as error:  # an error of the site's path converter or view
                self._report(path, error)
                continue
            if question:
                lookup, values = question
                asked[lookup][values].append(path)
            if self.by_hand:
                matches[path] = match
        found: dict[bytes, ObjectKey] = {}
        for lookup, wanted in asked.items():
            found |= self._look_up(lookup, wanted)
        for path in [path for path in matches if path not in found]:
            try:
                obj = self.by_hand(path_info(path), matches[path]) if self.by_hand else None
                if obj is not None:
                    found[path] = ObjectKey.of(obj.__class__, obj.pk)
            except (Http404, ObjectDoesNotExist):
                pass
            except Exception as error:  # an error of the site's RESOLVER
                self._report(path, error)
        return found

    def match(self, path: bytes) -> ResolverMatch | None:
        """Return the view of a path, or of the path with a slash at its end, where CommonMiddleware would redirect."""
        text = path_info(path.partition(b"?")[0] if self.rules.keep_query else path)
        if text.startswith(self._root):
            text = "/" + text[len(self._root) :]
        if not self._has_languages:
            return self._match_in_language(text)
        with translation.override(translation.get_language_from_path(text) or settings.LANGUAGE_CODE):
            return self._match_in_language(text)

    def mount_point(self, paths: Iterable[bytes]) -> str | None:
        """Return the folder without which one of *paths*, that have no object, has one: ``/app``.

        The web server has the site below that folder, and Django does not know it.
        """
        for path in paths:
            folder, slash, rest = path[1:].partition(b"/")
            if slash and path.startswith(b"/") and not self.match(path) and self.find([b"/" + rest]):
                return "/" + folder.decode("utf-8", "backslashreplace")
        return None

    def _match_in_language(self, path: str) -> ResolverMatch | None:
        had_slash = not path.endswith("/") and (settings.APPEND_SLASH or self.rules.fold_slash)
        for text in (path, path + "/") if had_slash else (path,):
            try:
                return self._urls.resolve(text)
            except Resolver404:
                pass
        return None

    def _look_up(self, lookup: Lookup, wanted: dict[tuple[Any, ...], list[bytes]]) -> dict[bytes, ObjectKey]:
        """Return the object of each path. *wanted* maps values of the lookup's fields to the paths that give them."""
        try:
            primary_keys = self._primary_keys(lookup, wanted)
        except DatabaseError:
            raise
        except Exception as error:  # the view names an unknown field
            for paths in wanted.values():
                for path in paths:
                    self._report(path, error)
            return {}
        found: dict[bytes, ObjectKey] = {}
        for values, (key, *others) in primary_keys.items():
            try:
                if others:
                    names = ", ".join(lookup.fields)
                    raise MultipleObjectsReturned(f"{len(others) + 1} objects of {lookup.model.__name__} by {names}")
                found |= dict.fromkeys(wanted[values], ObjectKey.of(lookup.model, key))
            except (MultipleObjectsReturned, ValueError) as error:
                self._report(wanted[values][0], error)
        return found

    def _primary_keys(self, lookup: Lookup, wanted: Collection[tuple[Any, ...]]) -> dict[tuple[Any, ...], set[Any]]:
        """Return the primary keys of the objects by their values, for the values in *wanted*, in one query."""
        objects = (lookup.model._default_manager if lookup.queryset is None else lookup.queryset).order_by()
        if len(wanted) <= IN_VALUES:
            objects = objects.filter(**{f"{lookup.fields[0]}__in": {values[0] for values in wanted}})
        found: dict[tuple[Any, ...], set[Any]] = defaultdict(set)
        for key, *values in objects.values_list("pk", *lookup.fields).iterator():
            if tuple(values) in wanted:
                found[tuple(values)].add(key)
        return found

    def _report(self, path: bytes, error: Exception) -> None:
        self.failed += 1
        if len(self.errors) < ERRORS:
            self.errors.append((path, error))

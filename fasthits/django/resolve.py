"""Finds the objects of the paths in a log, by the site's own URLs and views.

Each path is resolved as Django does for a request. Its view tells the model and the fields that the URL gives. The
objects of many paths are then found in one query for each model.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist, MultipleObjectsReturned, ValidationError
from django.db import DatabaseError, models
from django.urls import Resolver404, ResolverMatch, get_resolver, get_script_prefix
from django.utils import translation
from django.utils.encoding import repercent_broken_unicode
from django.views.generic.edit import BaseDeleteView, BaseUpdateView
from django.views.generic.list import MultipleObjectMixin

from fasthits.django.conf import setting
from fasthits.rules.escapes import unescape
from fasthits.rules.rules import Rules

IN_VALUES = 900
"""Up to so many values go into a query, which every database allows. For more, one query reads all objects."""

ERRORS = 10
"""Errors to keep and show."""

View = TypeVar("View", bound=Callable[..., Any])


class ObjectKey(NamedTuple):
    """The key of an object in `Hits`."""

    content_type_id: int
    object_id: str


class Lookup(NamedTuple):
    """A way to find objects: a model, a queryset of it or None, and the fields to search by."""

    model: type[models.Model]
    queryset: Any
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """The object that a view shows: its model, and choices of (field, argument of the URL) to find it by."""

    model: type[models.Model]
    queryset: Any
    choices: tuple[tuple[tuple[str, str], ...], ...]

    def question(self, arguments: dict[str, Any]) -> tuple[Lookup, tuple[Any, ...]] | None:
        """Return the lookup and the values for the *arguments* of a URL; None if no object can match."""
        for pairs in self.choices:
            if all(argument in arguments for _, argument in pairs):
                fields = tuple(name for name, _ in pairs)
                try:
                    values = tuple(_read_value(self.model, name, arguments[argument]) for name, argument in pairs)
                except ValidationError:
                    return None
                return Lookup(self.model, self.queryset, fields), values
        return None


def counts(model: type[models.Model], **fields: str) -> Callable[[View], View]:
    """Mark a view: it shows an object of *model*, found by *fields*, each given by an argument of the URL.

    ``@counts(Issue, year="year", number="issue")``. Default: ``pk`` or ``slug``, as for a DetailView.
    """
    choices = (tuple(fields.items()),) if fields else ((("pk", "pk"),), (("slug", "slug"),))

    def mark(view: View) -> View:
        view.fasthits_source = Source(model, None, choices)  # type: ignore[attr-defined]
        return view

    return mark


@cache
def source_of(view: Callable[..., Any]) -> Source | None:
    """Return what a view shows, from `counts` or from its class; None if neither tells.

    A class tells it by ``model`` or ``queryset``, as DetailView does. Lists and forms that edit or delete are not an
    object's page.
    """
    if hasattr(view, "fasthits_source"):
        return view.fasthits_source
    view_class = getattr(view, "view_class", None)
    if view_class is None or issubclass(view_class, (MultipleObjectMixin, BaseUpdateView, BaseDeleteView)):
        return None

    def option(name: str, default: Any) -> Any:
        return view.view_initkwargs.get(name, getattr(view_class, name, default))  # type: ignore[attr-defined]

    queryset = option("queryset", None)
    model = option("model", None) if queryset is None else queryset.model
    if model is None:
        return None
    primary_key = ("pk", option("pk_url_kwarg", "pk"))
    slug = (option("slug_field", "slug"), option("slug_url_kwarg", "slug"))
    both = ((primary_key, slug),) if option("query_pk_and_slug", False) else ()
    return Source(model, queryset, (*both, (primary_key,), (slug,)))


@cache
def _field_of(model: Any, name: str) -> models.Field | None:
    try:
        found = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:  # a lookup across a relation
        return None
    while found.is_relation:
        found = found.target_field
    return found


def _read_value(model: Any, name: str, value: Any) -> Any:
    """Return *value* in the field's type. Raises ValidationError for values that a database refuses.

    Strangers write the URLs: an integer may have a hundred digits, a text may contain NUL.
    """
    column = _field_of(model, name)
    if column is not None:
        value = column.to_python(value)
    if isinstance(value, int) and abs(value) > models.BigIntegerField.MAX_BIGINT:
        raise ValidationError("too large")
    if isinstance(value, str) and "\0" in value:
        raise ValidationError("NUL")
    return value


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
    failed: int = 0
    """Number of paths with an error."""
    errors: list[tuple[bytes, Exception]] = field(default_factory=list)
    """The first ERRORS errors, each with its path."""

    def __post_init__(self) -> None:
        self._urls = get_resolver()
        self._urls.url_patterns  # noqa: B018 (fails here if the URLconf cannot be imported, not for each path)
        self._by_hand = setting("RESOLVER")
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
                match = self._match(self._text_of(path))
                source = source_of(match.func) if match else None
                question = source.question(match.kwargs) if match and source else None
            except Exception as error:  # of the site's path converter or view
                self._report(path, error)
                continue
            if question:
                lookup, values = question
                asked[lookup][values].append(path)
            if self._by_hand:
                matches[path] = match
        found: dict[bytes, ObjectKey] = {}
        for lookup, wanted in asked.items():
            found |= self._look_up(lookup, wanted)
        for path in [path for path in matches if path not in found]:
            try:
                obj = self._by_hand(self._text_of(path), matches[path])
                if obj is not None:
                    found[path] = ObjectKey(_content_type_id(type(obj)), str(obj.pk))
            except Exception as error:  # of the site's RESOLVER
                self._report(path, error)
        return found

    def _text_of(self, path: bytes) -> str:
        return path_info(path.partition(b"?")[0] if self.rules.keep_query else path)

    def _match(self, path: str) -> ResolverMatch | None:
        """Return the view of a path, or of the path with a slash at its end, where CommonMiddleware would redirect."""
        if path.startswith(self._root):
            path = "/" + path[len(self._root) :]
        if not self._has_languages:
            return self._match_in_language(path)
        with translation.override(translation.get_language_from_path(path) or settings.LANGUAGE_CODE):
            return self._match_in_language(path)

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
        except Exception as error:  # of a view that names an unknown field
            for paths in wanted.values():
                for path in paths:
                    self._report(path, error)
            return {}
        content_type = _content_type_id(lookup.model)
        found: dict[bytes, ObjectKey] = {}
        for values, (key, *others) in primary_keys.items():
            if others:
                names = ", ".join(lookup.fields)
                several = f"{len(others) + 1} objects of {lookup.model.__name__} by {names}"
                self._report(wanted[values][0], MultipleObjectsReturned(several))
            else:
                found |= dict.fromkeys(wanted[values], ObjectKey(content_type, str(key)))
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


def _content_type_id(model: type[models.Model]) -> int:
    return ContentType.objects.get_for_model(model).pk

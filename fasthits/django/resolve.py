"""From the paths of a log to the objects whose pages they are, by the URLs and views of the site itself.

A path is resolved as Django would for a request. What its view says of its object, a model and the fields that the URL
gives, makes one question; the questions of many paths are asked in one query for each model.
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
"""Up to so many objects are asked for by name, which every database allows in a query; more in one pass over all."""

ERRORS = 10
"""How many of the errors are kept to be shown."""

View = TypeVar("View", bound=Callable[..., Any])


class ObjectKey(NamedTuple):
    """An object as `Hits` refers to it."""

    content_type_id: int
    object_id: str


class Lookup(NamedTuple):
    """Objects of a model, or of a queryset of it, to be found by the values of these fields."""

    model: type[models.Model]
    queryset: Any
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """What a view shows: an object of a model, by one of some choices of (field, argument of the URL)."""

    model: type[models.Model]
    queryset: Any
    choices: tuple[tuple[tuple[str, str], ...], ...]

    def question(self, arguments: dict[str, Any]) -> tuple[Lookup, tuple[Any, ...]] | None:
        """Return the lookup and the values that *arguments* of a URL ask for; None when there can be no object."""
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
    """Tell that a view shows an object of *model*, found by *fields*, each with the name of the URL's argument.

    ``@counts(Issue, year="year", number="issue")``. Without any they are ``pk`` or ``slug``, as for a DetailView.
    """
    choices = (tuple(fields.items()),) if fields else ((("pk", "pk"),), (("slug", "slug"),))

    def mark(view: View) -> View:
        view.fasthits_source = Source(model, None, choices)  # type: ignore[attr-defined]
        return view

    return mark


@cache
def source_of(view: Callable[..., Any]) -> Source | None:
    """Return what a view shows, as `counts` or its class says; None for a view that says nothing.

    A class says it by ``model`` or ``queryset``, as DetailView does. Lists, and forms that edit or delete, are not the
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
    except FieldDoesNotExist:  # a lookup through a relation
        return None
    while found.is_relation:
        found = found.target_field
    return found


def _read_value(model: Any, name: str, value: Any) -> Any:
    """Return *value* as the field has it. Raises ValidationError for one that it cannot have, which a database refuses.

    The arguments come from strangers: an integer may have a hundred digits, a text a NUL.
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
    r"""Return a path of the log as Django sees it: without host, the log's escapes and percent encoding undone.

    >>> path_info(rb"http://o.example/caf%C3%A9/\"x\x7f")
    '/café/"x\x7f'
    """
    if not path.startswith(b"/"):
        path = b"/" + b"".join(path.split(b"/", 3)[3:])
    return repercent_broken_unicode(unquote_to_bytes(unescape(path))).decode()


@dataclass
class PathResolver:
    """Finds the objects of paths, and keeps what went wrong meanwhile: an error costs its path alone."""

    rules: Rules = field(default_factory=lambda: setting("RULES"))
    """Those by which the paths were counted."""
    failed: int = 0
    """How many paths had an error."""
    errors: list[tuple[bytes, Exception]] = field(default_factory=list)
    """The first ERRORS of them."""

    def __post_init__(self) -> None:
        self._urls = get_resolver()
        self._urls.url_patterns  # noqa: B018 (a URLconf that cannot be imported is no error of a path)
        self._by_hand = setting("RESOLVER")
        self._root = get_script_prefix()
        self._has_languages = is_language_prefix_patterns_used(settings.ROOT_URLCONF)[0]

    def find(self, paths: Iterable[bytes]) -> dict[bytes, ObjectKey]:
        """Return the objects of those of *paths*, distinct ones, that are the page of one.

        One query for each model and way to look objects up; and what the site's own RESOLVER does for each of the rest.
        """
        asked: dict[Lookup, dict[tuple[Any, ...], list[bytes]]] = defaultdict(lambda: defaultdict(list))
        matches = {}
        for path in paths:
            try:
                match = self._match(self._text_of(path))
                source = source_of(match.func) if match else None
                question = source.question(match.kwargs) if match and source else None
            except Exception as error:  # of a path converter or a view's attributes, the site's own
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
        """Return the view of a path; without its last slash it is what CommonMiddleware redirects to."""
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
        """Return the object of each path of *wanted*, which has the paths by the values that they ask for."""
        try:
            primary_keys = self._primary_keys(lookup, wanted)
        except DatabaseError:
            raise
        except Exception as error:  # of a view that names a field which is none
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
        """Return the primary keys of the objects with the values of *wanted*, in one query."""
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

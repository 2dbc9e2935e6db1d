"""Which object a view shows: its model, and the fields that the URL gives. Told by `counts`, or by the view's class."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, partial
from typing import Any, NamedTuple, TypeGuard, TypeVar

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, ValidationError
from django.db import models
from django.http import Http404, HttpRequest
from django.views.generic.dates import BaseDateDetailView
from django.views.generic.detail import SingleObjectMixin
from django.views.generic.edit import DeletionMixin, FormMixin, ModelFormMixin
from django.views.generic.list import MultipleObjectMixin

from fasthits.django.expressions import value_field

MARK = "mark it with @counts(Model, field='argument')"
DAY = "fasthits_day"
"""The argument with the day of a date view, which its URL gives in parts."""
ANSWERS = 10_000
"""The most answers of a view to keep. Strangers write URLs."""

View = TypeVar("View", bound=Callable[..., Any])


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
    day_formats: tuple[tuple[str, str], ...] = ()
    """For a date view: the arguments with the parts of its day, each with its format."""

    def question(self, arguments: dict[str, Any]) -> tuple[Lookup, tuple[Any, ...]] | None:
        """Return the lookup and the values for the *arguments* of a URL; None if no object can match."""
        try:
            arguments = arguments | self._day(arguments)
            for pairs in self.choices:
                if all(argument in arguments for _, argument in pairs):
                    fields = tuple(name for name, _ in pairs)
                    values = tuple(_read_value(self.model, name, arguments[argument]) for name, argument in pairs)
                    return Lookup(self.model, self.queryset, fields), values
        except ValidationError:
            pass
        return None

    def _day(self, arguments: dict[str, Any]) -> dict[str, date]:
        if not self.day_formats or not all(name in arguments for name, _ in self.day_formats):
            return {}
        text = " ".join(str(arguments[name]) for name, _ in self.day_formats)
        try:
            return {DAY: datetime.strptime(text, " ".join(kind for _, kind in self.day_formats)).date()}
        except ValueError as error:
            raise ValidationError("no such day") from error


def counts(model: type[models.Model], **fields: str) -> Callable[[View], View]:
    """Mark a view, a function or a class: it shows an object of *model*, found by *fields*.

    Each field is given by an argument of the URL: ``@counts(Issue, year="year", number="issue")``. Default: ``pk`` or
    ``slug``, as for a DetailView.
    """
    choices = (tuple(fields.items()),) if fields else ((("pk", "pk"),), (("slug", "slug"),))

    def mark(view: View) -> View:
        view.fasthits_source = Source(model, None, choices)  # type: ignore[attr-defined]
        return view

    return mark


def source_of(view: Callable[..., Any], arguments: dict[str, Any]) -> Source | str:
    """Return what *view* shows, or the reason why nobody knows. *arguments* come from one of its URLs."""
    if view not in _known:
        _known[view] = _find_source(view)
    found = _known[view]
    return found.source(arguments) if isinstance(found, _Asked) else found


class _Asked:
    """A view without a model: its ``get_queryset`` tells the model, and may depend on the URL, as for ``/photo/5/`` and
    ``/article/5/``. It is asked once for URLs that differ only in the primary key or slug."""

    def __init__(self, view_class: type, initial: dict[str, Any], keys: Collection[str]) -> None:
        """*keys* are the arguments with the primary key and the slug."""
        self._view_class, self._initial, self._keys = view_class, initial, keys
        self._known: dict[str, Source | str] = {}

    def source(self, arguments: dict[str, Any]) -> Source | str:
        """Return what the view shows, or the reason why nobody knows."""
        others = repr(sorted((name, value) for name, value in arguments.items() if name not in self._keys))
        if others not in self._known:
            if len(self._known) == ANSWERS:
                self._known.clear()
            self._known[others] = self._ask(arguments)
        return self._known[others]

    def _ask(self, arguments: dict[str, Any]) -> Source | str:
        try:
            model = _ask_queryset(self._view_class(**self._initial), arguments)
        except (Http404, ObjectDoesNotExist) as error:
            return f"get_queryset() of the view finds no such page: {error}"
        except Exception as error:  # the site's view may need a real request
            return f"get_queryset() of the view fails without a request: {type(error).__name__}: {error}; {MARK}"
        return _source_of_model(self._view_class, self._initial, model)


_known: dict[Callable[..., Any], Source | str | _Asked] = {}


def _find_source(view: Callable[..., Any]) -> Source | str | _Asked:
    view_class = getattr(view, "view_class", None) or getattr(view, "cls", None)  # cls: of Django REST framework
    marked: Source | None = getattr(view, "fasthits_source", getattr(view_class, "fasthits_source", None))
    if marked:
        return marked
    if view_class is None:
        return f"the view is a function: {MARK}"
    if issubclass(view_class, MultipleObjectMixin):
        return "the view shows a list"
    is_other_form = issubclass(view_class, FormMixin) and not issubclass(view_class, SingleObjectMixin)
    if is_other_form or issubclass(view_class, (ModelFormMixin, DeletionMixin)):
        return "the view is a form, which is not the page of an object"
    if hasattr(view_class, "lookup_url_kwarg"):
        return _rest_source(view, view_class)
    initial = getattr(view, "view_initkwargs", None) or getattr(view, "initkwargs", {})  # initkwargs: of a ViewSet
    return _class_source(view_class, initial)


def _class_source(view_class: type, initial: dict[str, Any]) -> Source | str | _Asked:
    """Return the source of a class like a DetailView."""
    queryset = _option(view_class, initial, "queryset", None)
    model = _option(view_class, initial, "model", None) if queryset is None else getattr(queryset, "model", None)
    if model is None and _overrides(view_class, "get_queryset"):
        keys = [_option(view_class, initial, f"{name}_url_kwarg", name) for name in ("pk", "slug")]
        return _Asked(view_class, initial, keys)
    if model is None and _overrides(view_class, "get_object"):
        return f"only get_object() of the view knows the object: {MARK}"
    return _source_of_model(view_class, initial, model, queryset)


def _source_of_model(view_class: type, initial: dict[str, Any], model: Any, queryset: Any = None) -> Source | str:
    """Return the source of a class like a DetailView that shows an object of *model*."""
    if not _is_model(model):
        return f"the view has no model: {MARK}"
    option = partial(_option, view_class, initial)
    slug = (option("slug_field", "slug"), option("slug_url_kwarg", "slug"))
    primary_key = ("pk", option("pk_url_kwarg", "pk"))
    if issubclass(view_class, BaseDateDetailView):
        column = option("date_field", "")
        has_time = isinstance(model._meta.get_field(column), models.DateTimeField)
        day = (f"{column}__date" if has_time else column, DAY)
        formats = tuple((part, option(f"{part}_format", "")) for part in ("year", "month", "day"))
        return Source(model, queryset, ((primary_key, day), (slug, day)), formats)
    both = ((primary_key, slug),) if option("query_pk_and_slug", False) else ()
    return Source(model, queryset, (*both, (primary_key,), (slug,)))


def _option(view_class: type, initial: dict[str, Any], name: str, default: Any) -> Any:
    """Return an option of a view: an argument of ``as_view``, or else an attribute of its class."""
    return initial.get(name, getattr(view_class, name, default))


def _overrides(view_class: type, name: str) -> bool:
    return getattr(view_class, name, None) not in (None, getattr(SingleObjectMixin, name))


def _ask_queryset(view: Any, arguments: dict[str, Any]) -> Any:
    request = HttpRequest()
    request.method, request.path = "GET", "/"
    if apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.models import AnonymousUser

        request.user = AnonymousUser()
    view.setup(request, **arguments)
    return view.get_queryset().model


def _is_model(found: Any) -> TypeGuard[type[models.Model]]:
    """Tell whether what a view has for a model is one: other views use the same names for other things."""
    return isinstance(found, type) and issubclass(found, models.Model)


def _rest_source(view: Any, view_class: Any) -> Source | str:
    """Return the source of a view of Django REST framework."""
    actions = getattr(view, "actions", None)
    if not hasattr(view_class, "retrieve") or (actions is not None and actions.get("get") != "retrieve"):
        return "the view shows a list"
    queryset = view.initkwargs.get("queryset", view_class.queryset)
    serializer = view.initkwargs.get("serializer_class", view_class.serializer_class)
    model = (
        getattr(getattr(serializer, "Meta", None), "model", None)
        if queryset is None
        else getattr(queryset, "model", None)
    )
    if not _is_model(model):
        return f"the view has no queryset: {MARK}"
    return Source(
        model, queryset, (((view_class.lookup_field, view_class.lookup_url_kwarg or view_class.lookup_field),),)
    )


@cache
def _field_of(model: Any, name: str) -> models.Field | None:
    try:
        found = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:  # a lookup across a relation
        return None
    return value_field(found)


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

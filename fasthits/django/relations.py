"""The relation ``hits`` of a counted model: the history of each object, which is deleted with it.

It is more than a `GenericRelation`: it is a sequence for templates and for code that iterates it; it needs no query for
a content type; and deleting an object asks nobody for the permission to delete its history.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.fields import (
    GenericForeignKey,
    GenericRelation,
    ReverseGenericManyToOneDescriptor,
)
from django.contrib.contenttypes.models import ContentType
from django.db import models, router, transaction
from django.db.models.signals import post_delete
from django.utils.functional import cached_property

from fasthits.django.expressions import has_history, history_model, object_id
from fasthits.django.separate import ask_history

KEYS_OF_QUERY = 500
_GONE = "_fasthits_history_is_gone"
"""The attribute of an object whose history was deleted with that of others."""


class ObjectOfHistory(GenericForeignKey):
    """The object of a row of `Hits`; for a multi-table child the parent that has the history."""

    def get_content_type(self, obj: Any = None, **others: Any) -> ContentType:
        """Return the content type of the model that has the history of *obj*."""
        return super().get_content_type(**others) if obj is None else _content_type(obj.__class__)

    def contribute_to_class(self, cls: Any, name: str, **kwargs: Any) -> None:
        """Add the attribute."""
        super().contribute_to_class(cls, name, **kwargs)
        setattr(cls, name, _ObjectDescriptor(vars(cls)[name], self.fk_field))


class HitsRelation(GenericRelation):
    """The relation from a counted model to `Hits`."""

    def contribute_to_class(self, cls: Any, name: str, **kwargs: Any) -> None:
        """Add the attribute, and delete the history of each object that is deleted."""
        super().contribute_to_class(cls, name, **kwargs)
        setattr(cls, name, _HistoryDescriptor(self.remote_field))
        if not cls._meta.abstract:
            post_delete.connect(_delete_history, sender=cls, dispatch_uid="fasthits")

    def get_content_type(self) -> ContentType:
        """Return the content type of the model that has the history."""
        return _content_type(self.model)

    def bulk_related_objects(self, objs: Any, using: str = "default") -> Any:
        """Return what deletes the history of *objs* with them. In another database, `_delete_history` does that.

        With a queryset of the rows, Django would ask the admin of `Hits` for the permission, list every day as a
        consequence, and look for the rows in the database of the objects.
        """
        if _has_history_elsewhere(type(objs[0]), using):
            return []
        return _HistoryOf(objs, using)


class _HistoryOf:
    """The history of objects that Django deletes together. Their number may be large, so it goes in a few queries.

    For Django's `Collector` it is like a queryset whose rows it may delete without reading them. Who reads it, as the
    admin does before it asks for a confirmation, finds no row. If the site listens to signals of `Hits`, Django reads
    it, too, and `_delete_history` does the work.
    """

    def __init__(self, objects: Any, database: str) -> None:
        self.model = apps.get_model("fasthits", "Hits")
        self._objects = list(objects)
        self._database = database

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def _raw_delete(self, using: str) -> int:
        for start in range(0, len(self._objects), KEYS_OF_QUERY):
            batch = self._objects[start : start + KEYS_OF_QUERY]
            _delete_rows(type(batch[0]), list(map(object_id, batch)), self._database)
        for each in self._objects:
            vars(each)[_GONE] = True
        return 0


def _content_type(model: type[models.Model]) -> ContentType:
    """Return the content type in the database of the history: another database may have other numbers for them."""
    database = router.db_for_read(apps.get_model("fasthits", "Hits"))
    return ContentType.objects.db_manager(database).get_for_model(history_model(model))


def _delete_history(sender: type[models.Model], instance: models.Model, using: str, **_: Any) -> None:
    """Delete the history of an object that has been deleted, unless `_HistoryOf` has: with it, or after it in another
    database."""
    if vars(instance).pop(_GONE, False) or history_model(sender) is not sender._meta.concrete_model:
        return  # the parent has the history
    database = router.db_for_write(apps.get_model("fasthits", "Hits"))
    delete = partial(_delete_rows, sender, [object_id(instance)], database)
    if database == using:
        delete()
    else:
        transaction.on_commit(delete, using=using, robust=True)


def _has_history_elsewhere(model: type[models.Model], database: str) -> bool:
    """Tell whether a parent has the history of *model*, or another database."""
    hits = apps.get_model("fasthits", "Hits")
    return history_model(model) is not model._meta.concrete_model or router.db_for_write(hits) != database


def _delete_rows(model: type[models.Model], keys: Sequence[str | None], database: str) -> None:
    """Delete the history of the objects with these keys."""
    if has_history(database):
        tables = (apps.get_model("fasthits", name) for name in ("Hits", "MostRead"))
        hits, most_read = (table.objects.using(database).of_model(model).filter(object_id__in=keys) for table in tables)
        hits.delete()
        most_read.update(views=0)  # keeps the number of rows: see `size`


class _ObjectDescriptor:
    """Django's descriptor of a `GenericForeignKey`, but with the key as the history has it.

    Up to Django 6.0 the field is its own descriptor, from 6.1 on there is a class for it.
    """

    def __init__(self, django: Any, fk_field: str) -> None:
        self._django = django
        self._fk_field = fk_field

    def __getattr__(self, name: str) -> Any:
        return getattr(self._django, name)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else self._django.__get__(instance, owner)

    def __set__(self, instance: Any, value: Any) -> None:
        self._django.__set__(instance, value)
        setattr(instance, self._fk_field, None if value is None else object_id(value))


class _HistoryDescriptor(ReverseGenericManyToOneDescriptor):
    @cached_property
    def related_manager_cls(self) -> type[models.Manager]:
        return _as_sequence(super().related_manager_cls, self.rel)


def _as_sequence(related: Any, relation: Any) -> type[models.Manager]:
    """Return Django's manager of the rows of an object, also as a sequence of them."""

    class History(related):
        """The history of an object, newest first: a manager, and a sequence of `Hits`.

        The sequence is empty while a separate database of the history does not answer. The manager's querysets raise.
        """

        get_content_type: Callable[[Any], ContentType]

        def __init__(self, instance: Any) -> None:
            super(related, self).__init__()  # Django's own would look for a content type now
            field = relation.field
            self.instance, self.pk_val = instance, object_id(instance)
            self.model = relation.model
            self._db = router.db_for_read(self.model)  # Django would prefer that of the object
            self.get_content_type = lambda obj: _content_type(obj.__class__)
            self.content_type_field_name = field.content_type_field_name
            self.object_id_field_name = field.object_id_field_name
            self.prefetch_cache_name = field.attname

        @cached_property
        def content_type(self) -> ContentType:
            return self.get_content_type(self.instance)

        def _apply_rel_filters(self, queryset: Any) -> Any:
            return queryset.using(self._db).for_object(self.instance)

        def __iter__(self) -> Iterator[Any]:
            return iter(self._rows)

        def __len__(self) -> int:
            return len(self._rows)

        def __bool__(self) -> bool:
            return ask_history(lambda: bool(self.all().exists()), False)

        def __getitem__(self, place: Any) -> Any:
            found = ask_history(lambda: _fetched(self.all()[place]), None)
            return self.none()[place] if found is None else found

        @cached_property
        def _rows(self) -> Any:
            return ask_history(lambda: _fetched(self.all()), self.none())

    return History


def _fetched(rows: Any) -> Any:
    """Return a row, or a queryset that has made its query."""
    if isinstance(rows, models.QuerySet):
        len(rows)
    return rows

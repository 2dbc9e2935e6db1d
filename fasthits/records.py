"""Records: frozen dataclasses that cost a start nothing.

`dataclasses` imports `inspect` and compiles methods for each class, a sixth of the time that a small rollup takes. So
the classes that every rollup needs are records; others are dataclasses.
"""

from collections.abc import Collection
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, dataclass_transform

R = TypeVar("R", bound="Record")


@dataclass_transform(frozen_default=True)
class Record:
    """A class with exactly the attributes that it declares. Records with equal attributes are equal.

    The *uncompared* attributes do not matter for that.
    """

    _names: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}
    _compared: ClassVar[Any] = None

    def __init_subclass__(cls, uncompared: Collection[str] = ()) -> None:
        cls._names = tuple(cls.__annotations__)
        cls._defaults = {name: vars(cls)[name] for name in cls._names if name in vars(cls)}
        cls._compared = attrgetter(*(name for name in cls._names if name not in uncompared))

    def __init__(self, *values: Any, **named: Any) -> None:
        by_place = dict(zip(self._names, values, strict=False))
        given = self._defaults | by_place | named
        if len(values) > len(self._names) or given.keys() != set(self._names) or by_place.keys() & named.keys():
            raise TypeError(f"{type(self).__name__} has the attributes {', '.join(self._names)}")
        vars(self).update(given)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return bool(type(self)._compared(self) == type(self)._compared(other))

    def __hash__(self) -> int:
        return hash(type(self)._compared(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields_of(self).items())})"


def fields_of(record: Record) -> dict[str, Any]:
    """Return the declared attributes of a record by name, in their order."""
    return {name: getattr(record, name) for name in record._names}


def replace(record: R, **changes: Any) -> R:
    """Return a copy of this record with other values for some attributes."""
    return type(record)(**fields_of(record) | changes)

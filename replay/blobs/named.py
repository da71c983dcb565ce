"""Which blobs a fact names, found by the types of its fields."""

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from domain.events import FACT_BY_TYPE, Fact
from domain.values import Blob


@cache
def _may_hold(kind: Any) -> bool:
    """Whether values of a type may be, or have in them, a blob."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind is Blob or any(map(_may_hold, get_type_hints(kind).values()))
    return any(map(_may_hold, get_args(kind)))


def may_name(type_: str) -> bool:
    """Whether facts of a type may name blobs; those of an unknown one do not."""
    return type_ in FACT_BY_TYPE and _may_hold(FACT_BY_TYPE[type_])


def blobs_of(fact: Fact) -> tuple[Blob, ...]:
    """Return the blobs that a fact names, in the order of its fields."""
    return tuple(_blobs_in(fact)) if _may_hold(type(fact)) else ()


def _blobs_in(value: object) -> Iterator[Blob]:
    if isinstance(value, Blob):
        yield value
    elif isinstance(value, Struct):
        for field in fields(value):
            yield from _blobs_in(getattr(value, field.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _blobs_in(each)

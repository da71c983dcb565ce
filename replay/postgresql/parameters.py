"""Values and whole columns of values as PostgreSQL takes them in binary.

The layout of arrays is that of `array_recv` in the sources of PostgreSQL; the numbers of the types
are those of its `pg_type.dat`.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

_UNKNOWN: Final = 0
_BYTEA: Final = 17
_BIGINT: Final = 20
_TEXT: Final = 25
_BYTEA_ARRAY: Final = 1001
_TEXT_ARRAY: Final = 1009
_BIGINT_ARRAY: Final = 1016

_NUMBER: Final = Struct(">q").pack
_LENGTH: Final = Struct(">i").pack
_SIZED_NUMBER: Final = Struct(">iq").pack
# Dimensions, whether there are NULLs, the type of the elements, how many, the first index.
_HEADER: Final = Struct(">iiIii").pack
_NUMBER_BYTES: Final = 8


class Parameter(NamedTuple):
    """A value of a statement: the number of its type, and its bytes, None for NULL."""

    oid: int
    data: bytes | None


def scalar(value: Any) -> Parameter:
    """Return a single value: a text, a whole number, bytes or None."""
    match value:
        case str():
            return Parameter(_TEXT, value.encode())
        case int():
            return Parameter(_BIGINT, _NUMBER(value))
        case None:
            return Parameter(_UNKNOWN, None)
        case _:
            return Parameter(_BYTEA, bytes(value))


def column(values: Sequence[Any]) -> Parameter:
    """Return an array of texts, whole numbers or bytes; there has to be at least one."""
    kind = type(values[0])
    if kind is int:
        data = b"".join([_SIZED_NUMBER(_NUMBER_BYTES, value) for value in values])
        return Parameter(_BIGINT_ARRAY, _header(_BIGINT, values) + data)
    if kind is str:
        return Parameter(_TEXT_ARRAY, _header(_TEXT, values) + _joined(map(str.encode, values)))
    return Parameter(_BYTEA_ARRAY, _header(_BYTEA, values) + _joined(values))


def _header(oid: int, values: Sequence[Any]) -> bytes:
    return _HEADER(1, 0, oid, len(values), 1)


def _joined(elements: Any) -> bytes:
    return b"".join([part for each in elements for part in (_LENGTH(len(each)), each)])

"""Request bodies and query parameters: lenient in what a client may leave out, strict in types.

Texts name the member, what was expected and what was found; deciding checks the values.
"""

import re
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar, Union
from typing import get_args as arguments_of
from typing import get_origin as origin_of
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from msgspec.structs import fields as fields_of

from api.undecodable import explained
from domain import fields
from domain.errors import ValidationError
from domain.values import NO_JSON, Json

MAX_BODY: Final = 4 * 1024 * 1024
INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1

Int32 = Annotated[int, msgspec.Meta(ge=0, le=INT32_MAX, extra_json_schema={"format": "int32"})]
Int64 = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX, extra_json_schema={"format": "int64"})]
SignedInt32 = Annotated[
    int, msgspec.Meta(ge=-(2**31), le=INT32_MAX, extra_json_schema={"format": "int32"})
]
SignedInt64 = Annotated[
    int, msgspec.Meta(ge=-(2**63), le=INT64_MAX, extra_json_schema={"format": "int64"})
]

_TRAILING: Final = re.compile(r"trailing characters \(byte (\d+)\)")
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_SHOWN: Final = 80

B = TypeVar("B", bound="Body")
Q = TypeVar("Q", bound="Query")


def no_json() -> Json:
    """Return the absent JSON value; the default of raw members."""
    return NO_JSON


class Body(Struct, frozen=True, kw_only=True):
    """A request body. A member that is null or missing is absent; unknown members are ignored.

    `REQUIRED` names the members a client has to send, `NULLABLE` those documented as nullable.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ()
    NULLABLE: ClassVar[tuple[str, ...]] = ()


class Query(Struct, frozen=True, kw_only=True):
    """Query parameters: text, a Literal, bool, Int32, Int64 or a tuple of texts."""


class BodyReader(Generic[B]):
    """Turns bytes into one kind of body. `what` names the request in refusals."""

    def __init__(self, body: type[B], what: str, *, required: bool) -> None:
        """Prepare the decoder once."""
        self.body = body
        self.required = required
        self._what = what
        self._decode = msgspec.json.Decoder(body).decode
        self._absent = body()

    def read(self, sent: bytes) -> B:
        """Return the body; raises ValidationError when it cannot be decoded."""
        try:
            return self._decode(sent)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            return self._read_unusual(sent, error)

    def _read_unusual(self, sent: bytes, error: Exception) -> B:
        if not sent.strip():
            if self.required:
                raise self._refusal("expected an object, got nothing") from None
            return self._absent
        if trailing := _TRAILING.search(str(error)):
            # Only the first JSON value counts (task API, request bodies).
            return self.read(sent[: int(trailing[1]) - 1])
        if sent.strip() == b"null":
            return self._absent
        raise self._refusal(explained(error, sent)) from None

    def _refusal(self, message: str) -> ValidationError:
        return ValidationError(f"httpapi: decode {self._what} request: {message}")


def one_of(kinds: Any) -> Any:
    """Return metadata documenting a text that deciding compares trimmed and in lower case."""
    return msgspec.Meta(extra_json_schema={"enum": list(arguments_of(kinds))})


def between(least: int, most: int) -> Any:
    """Return metadata documenting the bounds of a number that deciding checks."""
    return msgspec.Meta(extra_json_schema={"minimum": least, "maximum": most})


def sized(least: int, most: int) -> Any:
    """Return metadata documenting how long a list may be, which deciding checks."""
    return msgspec.Meta(extra_json_schema={"minItems": least, "maxItems": most})


def like(pattern: str) -> Any:
    """Return metadata documenting the form of a text that deciding checks."""
    return msgspec.Meta(extra_json_schema={"pattern": pattern})


NOT_BLANK: Final = r"\S"
ChannelName = Annotated[str, like(r"^\s*([a-z0-9][a-z0-9_-]{0,63})?\s*$")]
Capability = Annotated[str, like(r"^\s*[^ \t\r\n,]{1,128}\s*$")]


def items_of(kind: type[Struct], least: int, most: int) -> Any:
    """Return metadata documenting a list of values that are each read by themselves."""
    bounds = {"minItems": least, "maxItems": most}
    return msgspec.Meta(extra={"items": kind}, extra_json_schema=bounds)


Reader = Callable[[list[str], str], Any]


class QueryReader(Generic[Q]):
    """Turns a query string into one kind of parameters; unknown ones are ignored."""

    def __init__(self, query: type[Q]) -> None:
        """Choose how to read each parameter once."""
        self.query = query
        self._absent = query()
        self._readers: Mapping[str, tuple[str, Reader]] = {
            field.encode_name: (field.name, _reader_of(field.type)) for field in fields_of(query)
        }

    def read(self, sent: bytes) -> Q:
        """Return the parameters; raises ValidationError naming the first bad one."""
        if not sent:
            return self._absent
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(sent.decode("latin-1"), keep_blank_values=True):
            values.setdefault(name, []).append(value.strip())
        found = {
            member: reader(values[name], name)
            for name, (member, reader) in self._readers.items()
            if any(values.get(name, ()))
        }
        return self.query(**found)


def _reader_of(kind: Any) -> Reader:
    if origin_of(kind) in {Union, UnionType}:
        (kind,) = (part for part in arguments_of(kind) if part is not NoneType)
    if origin_of(kind) is Annotated:
        base, meta = arguments_of(kind)[:2]
        return _integer_reader(meta) if base is int else _reader_of(base)
    if origin_of(kind) is Literal:
        return lambda sent, name: fields.choice(sent[0], name, kind, "") or None
    if origin_of(kind) is tuple:
        return _read_texts
    return _READERS[kind]


def _read_text(sent: list[str], name: str) -> str:
    if "\x00" in sent[0]:
        raise ValidationError(f"{name} must not contain the NUL character")
    return sent[0]


def _read_texts(sent: list[str], name: str) -> tuple[str, ...]:
    texts = [text.strip() for value in sent for text in value.split(",")]
    return tuple(dict.fromkeys(_read_text([text], name) for text in texts if text))


def _read_bool(sent: list[str], name: str) -> bool:
    if not sent[0]:
        return False
    if sent[0] in _TRUE:
        return True
    if sent[0] in _FALSE:
        return False
    raise ValidationError(f'{name} must be true or false: "{sent[0][:_SHOWN]}"')


def read_integer(text: str, name: str, least: int = 0, most: int = INT64_MAX) -> int:
    """Return the whole number a text says; raises ValidationError outside the bounds."""
    if not _INTEGER.fullmatch(text) or len(text) > _SHOWN:
        raise ValidationError(f'{name} must be an integer: "{text[:_SHOWN]}"')
    value = int(text)
    if value < least:
        complaint = "must not be negative" if least == 0 else f"must be >= {least}"
        raise ValidationError(f"{name} {complaint}: {value}")
    if value > most:
        raise ValidationError(f"{name} must be <= {most}: {value}")
    return value


def _integer_reader(meta: msgspec.Meta) -> Reader:
    least, most = int(meta.ge or 0), int(meta.le or INT64_MAX)
    return lambda sent, name: read_integer(sent[0], name, least, most) if sent[0] else 0


_READERS: Final[Mapping[Any, Reader]] = {str: _read_text, bool: _read_bool}

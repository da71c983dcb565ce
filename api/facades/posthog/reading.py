"""Reads bodies against their types and says what is wrong as Django REST framework would.

One error per answer: the first member in the order of the type, and the first thing about it.
Source of codes and texts: Django REST framework 3.18 with drf-exceptions-hog 0.4.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import Raw, inspect

from api.call import Call
from api.facades.posthog.bodies import PosthogBody
from api.facades.posthog.errors import PosthogError, RefusalError, invalid
from api.undecodable import explained

_JSON: Final = "application/json"
_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_items: Final = msgspec.json.Decoder(list[Raw]).decode
_decode: Final = msgspec.json.Decoder().decode
_NAMES: Final = {dict: "dict", list: "list", bool: "bool", int: "int", float: "float", str: "str"}


async def read(call: Call, kind: type[PosthogBody]) -> dict[str, Any]:
    """Return the members that were sent, checked and trimmed; JSON stays a text of one line.

    Raises RefusalError.
    """
    return members(kind, await read_object(call), "")


async def read_object(call: Call) -> Raw:
    """Return the body, which is a JSON object; an empty body is an empty one.

    Raises RefusalError.
    """
    sent = (await call.body()).strip()
    if not sent:
        return Raw(b"{}")
    _check_content_type(call)
    try:
        decoded = _decode(sent)
        body = Raw(msgspec.json.format(sent, indent=-1))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = f"JSON parse error - {explained(error, sent)}"
        raise RefusalError(400, PosthogError("invalid_request", "parse_error", detail)) from None
    if not isinstance(decoded, dict):
        raise invalid("invalid_input", _expected("dictionary", decoded), None)
    return body


def _check_content_type(call: Call) -> None:
    sent = call.headers.get(b"content-type", b"").decode("latin-1")
    if sent and sent.partition(";")[0].strip().lower() != _JSON:
        detail = f'Unsupported media type "{sent}" in request.'
        error = PosthogError("invalid_request", "unsupported_media_type", detail)
        raise RefusalError(415, error)


def _expected(what: str, found: Any) -> str:
    name = _NAMES.get(type(found), "null")
    return f'Expected a {what} of items but got type "{name}".'


@cache
def _fields(kind: type[PosthogBody]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info.fields


def members(kind: type[PosthogBody], sent: Raw, path: str) -> dict[str, Any]:
    """Return the members of an object that were sent; `path` names the object."""
    given = _members(sent)
    return {
        field.name: value
        for field in _fields(kind)
        for value in _member(kind, field, given.get(field.name), path)
    }


def _member(
    kind: type[PosthogBody], field: inspect.Field, sent: Raw | None, path: str
) -> Iterator[Any]:
    """Yield the value of a member, if it was sent."""
    where = f"{path}__{field.name}" if path else field.name
    if sent is None:
        if field.name in kind.REQUIRED:
            raise invalid("required", "This field is required.", where)
        return
    if bytes(sent) == b"null":
        if field.name not in kind.NULLABLE:
            raise invalid("null", "This field may not be null.", where)
        yield Raw(b"null") if isinstance(_without_null(field.type), inspect.RawType) else None
        return
    yield _value(field.type, sent, where, trimmed=field.name not in kind.VERBATIM)


def _without_null(info: inspect.Type) -> inspect.Type:
    if isinstance(info, inspect.UnionType):
        (info,) = (each for each in info.types if not isinstance(each, inspect.NoneType))
    return info


def _value(info: inspect.Type, sent: Raw, path: str, *, trimmed: bool = True) -> Any:
    info = _without_null(info)
    match info:
        case inspect.RawType():
            return sent
        case inspect.StrType():
            return _text(info, _decode(sent), path, trimmed=trimmed)
        case inspect.LiteralType(values=values):
            return _choice(values, _decode(sent), path)
        case inspect.IntType():
            return _integer(info, _decode(sent), path)
        case inspect.ListType():
            return _list(info, sent, path)
        case inspect.DictType():
            if bytes(sent)[:1] != b"{":
                raise invalid("invalid_input", _expected("dictionary", _decode(sent)), path)
            return sent
        case _:
            message = f"no body has a member of this type: {info}"
            raise TypeError(message)


def _text(info: inspect.StrType, value: Any, path: str, *, trimmed: bool) -> str:
    if not isinstance(value, str):
        raise invalid("invalid_input", "Not a valid string.", path)
    text = value.strip() if trimmed else value
    if "\x00" in text:
        detail = "Null characters are not allowed."
        raise invalid("null_characters_not_allowed", detail, path)
    if info.min_length and not text.strip():
        raise invalid("blank", "This field may not be blank.", path)
    if info.max_length is not None and len(text) > info.max_length:
        detail = f"Ensure this field has no more than {info.max_length} characters."
        raise invalid("max_length", detail, path)
    return text


def _choice(values: Iterable[object], value: Any, path: str) -> str:
    for known in values:
        if value == known and isinstance(known, str):
            return known
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    allowed = ", ".join(map(str, values))
    detail = f'"{shown[:80]}" is not a valid choice. Expected one of {allowed}.'
    raise invalid("invalid_choice", detail, path)


def _integer(info: inspect.IntType, value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid("invalid_input", "A valid integer is required.", path)
    if info.ge is not None and value < info.ge:
        detail = f"Ensure this value is greater than or equal to {info.ge}."
        raise invalid("min_value", detail, path)
    if info.le is not None and value > info.le:
        detail = f"Ensure this value is less than or equal to {info.le}."
        raise invalid("max_value", detail, path)
    return value


def _list(info: inspect.ListType, sent: Raw, path: str) -> list[Any]:
    if bytes(sent)[:1] != b"[":
        raise invalid("not_a_list", _expected("list", _decode(sent)), path)
    items = _items(sent)
    if info.min_length and not items:
        raise invalid("invalid_input", "This list may not be empty.", path)
    return [_item(info.item_type, item, f"{path}__{at}") for at, item in enumerate(items)]


def _item(info: inspect.Type, sent: Raw, path: str) -> Any:
    if isinstance(info, inspect.StrType):
        return _value(info, sent, path)
    if bytes(sent)[:1] != b"{":
        raise invalid("not_a_dict", _expected("dictionary", _decode(sent)), path)
    if isinstance(info, inspect.StructType) and issubclass(info.cls, PosthogBody):
        return members(info.cls, sent, path)
    return sent

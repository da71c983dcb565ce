"""Checks and normal forms of single values. `path` names the value in the refusal."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar, cast, get_args

import msgspec

from domain.errors import PayloadTooLargeError, ValidationError
from domain.instants import ZERO_TIME, parse_rfc3339, rfc3339
from domain.values import ID_BYTES, MAX_LEASE_SECONDS, NO_JSON, TEXT_BYTES, Json

Choice = TypeVar("Choice", bound=str)

_CHANNEL: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_NOT_IN_CAPABILITY: Final = re.compile(r"[ \t\r\n,]")
_CLAIM_TOKEN: Final = re.compile(r"agh_claim_[A-Za-z0-9_-]")
_CAPABILITY_BYTES: Final = 128
_CONTROL: Final = re.compile(r"[\t\r\n]")
_SELECTOR_BYTES: Final = 128
_LIST_ITEMS: Final = 256


def text(value: str | None, path: str, *, limit: int = TEXT_BYTES) -> str:
    """Return the trimmed text, empty when absent."""
    if not value:
        return ""
    trimmed = value.strip()
    # A character takes at most four bytes, so short texts need not be encoded to be measured.
    if len(trimmed) * 4 > limit and len(trimmed.encode()) > limit:
        message = f"{path} exceeds {limit} bytes"
        raise PayloadTooLargeError(message)
    if "\x00" in trimmed:
        message = f"{path} must not contain the NUL character"
        raise ValidationError(message)
    return trimmed


def identifier(value: str | None, path: str) -> str:
    """Return a trimmed id or key, empty when absent."""
    return text(value, path, limit=ID_BYTES)


def required(value: str | None, path: str, *, limit: int = TEXT_BYTES) -> str:
    """Return the trimmed text, refusing a blank one."""
    trimmed = text(value, path, limit=limit)
    if not trimmed:
        message = f"{path} is required"
        raise ValidationError(message)
    return trimmed


def short_text(value: str | None, path: str, limit: int) -> str:
    """Return the trimmed text, empty when absent; one that is too long is not a valid one."""
    try:
        return text(value, path, limit=limit)
    except PayloadTooLargeError as error:
        raise ValidationError(error.detail) from None


def instant(value: str | None, path: str) -> int:
    """Return the instant that an RFC 3339 text names; 0 when absent or the zero time."""
    given = (value or "").strip()
    if given in {"", ZERO_TIME}:
        return 0
    try:
        found = parse_rfc3339(given)
        return 0 if rfc3339(found) == ZERO_TIME else found
    except (ValueError, OverflowError):
        message = f'{path} must be an RFC 3339 time: "{given[:_CAPABILITY_BYTES]}"'
        raise ValidationError(message) from None


@cache
def _members(kinds: Any) -> tuple[str, ...]:
    return get_args(kinds)


def choice(value: str | None, path: str, kinds: Any, default: Choice | None = None) -> Choice:
    """Return the member of the Literal `kinds` that the value is, trimmed and in lower case.

    A blank value gives the default; without a default it is refused as missing. The member itself
    comes back, not the text that was sent: encoders know a default by its identity.
    """
    allowed = _members(kinds)
    if value in allowed:
        return cast("Choice", allowed[allowed.index(value)])
    word = (value or "").strip().lower()
    if not word:
        if default is not None:
            return default
        message = f"{path} is required"
        raise ValidationError(message)
    if word not in allowed:
        *most, last = (f'"{kind}"' for kind in allowed)
        listed = f"{', '.join(most)} or {last}" if most else last
        shown = word if len(word) <= _CAPABILITY_BYTES else word[:_CAPABILITY_BYTES] + "…"
        message = f'{path} must be {listed}: "{shown}"'
        raise ValidationError(message)
    return cast("Choice", allowed[allowed.index(word)])


def channel(value: str | None, path: str) -> str:
    """Return a network channel name, empty when absent (task API, channel grammar)."""
    name = text(value, path, limit=ID_BYTES)
    if name and not _CHANNEL.fullmatch(name):
        message = f'{path} must match ^[a-z0-9][a-z0-9_-]{{0,63}}$: "{name}"'
        raise ValidationError(message)
    return name


def limited(value: str, path: str, limit: int) -> str:
    """Return the trimmed text; one that is longer than this many bytes is refused as invalid."""
    trimmed = value.strip()
    if len(trimmed.encode()) > limit:
        message = f"{path} exceeds {limit} bytes"
        raise ValidationError(message)
    return text(trimmed, path)


def selector(value: str, path: str) -> str:
    """Return the trimmed name that an execution profile chooses somebody or something by."""
    name = limited(value, path, _SELECTOR_BYTES)
    if _CONTROL.search(name):
        message = f"{path} must not contain control whitespace: {name!r}"
        raise ValidationError(message)
    return name


def selectors(values: Sequence[str], path: str) -> tuple[str, ...]:
    """Return the trimmed names of an execution profile's list."""
    _check_length(values, path)
    return tuple(selector(value, f"{path}[{index}]") for index, value in enumerate(values))


def _check_length(values: Sequence[str], path: str) -> None:
    if len(values) > _LIST_ITEMS:
        message = f"{path} must have at most {_LIST_ITEMS} items: {len(values)}"
        raise ValidationError(message)


def at_least_one(value: int, path: str, most: int) -> int:
    """Return a number from 1 to `most`."""
    if value < 1:
        message = f"{path} must be positive: {value}"
        raise ValidationError(message)
    if value > most:
        message = f"{path} must be <= {most}: {value}"
        raise ValidationError(message)
    return value


def lease_seconds(value: int, default: int) -> int:
    """Return the length of a lease in seconds; 0 gives the default (task API, claim-next)."""
    if value < 0:
        message = f"lease_seconds must not be negative: {value}"
        raise ValidationError(message)
    if value > MAX_LEASE_SECONDS:
        message = f"lease_seconds exceeds {MAX_LEASE_SECONDS}: {value}"
        raise ValidationError(message)
    return value or default


def capabilities(values: Sequence[str], path: str) -> tuple[str, ...]:
    """Return the capability ids without duplicates, in the order given."""
    _check_length(values, path)
    ids = tuple(dict.fromkeys(value.strip() for value in values))
    for capability in ids:
        size = len(capability.encode())
        if not 1 <= size <= _CAPABILITY_BYTES or _NOT_IN_CAPABILITY.search(capability):
            message = (
                f"{path} must be ids of 1 to {_CAPABILITY_BYTES} bytes without space, tab, "
                f'line break or comma: "{capability[:_CAPABILITY_BYTES]}"'
            )
            raise ValidationError(message)
    return ids


def json(value: Json, path: str, limit: int, *, secret_free: bool = False) -> Json:
    """Return the JSON text in one line, absent for null; the limit counts the text as sent.

    With `secret_free` a claim token and a member named `claim_token` are refused at any depth.
    """
    sent = bytes(value).strip()
    if not sent or sent == b"null":
        return NO_JSON
    if len(sent) > limit:
        message = f"{path} exceeds {limit} bytes"
        raise PayloadTooLargeError(message)
    try:
        decoded = msgspec.json.decode(sent)
        compact = msgspec.json.format(sent, indent=-1)
    except RecursionError:
        message = f"{path} is nested too deeply"
        raise ValidationError(message) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{path} must contain valid JSON: {error}"
        raise ValidationError(message) from None
    if secret_free and _may_hold_a_token(sent) and any(map(_is_credential, _texts(decoded))):
        message = f"{path} must not contain raw lease credentials"
        raise ValidationError(message)
    return Json(compact)


def _may_hold_a_token(sent: bytes) -> bool:
    """Whether a look at all texts is needed; escapes may spell them differently."""
    return b"\\u" in sent or b"claim_" in sent.lower()


def _is_credential(found: tuple[str, bool]) -> bool:
    text, is_name = found
    return (is_name and text.lower() == "claim_token") or _CLAIM_TOKEN.search(text) is not None


def _texts(value: object) -> Iterator[tuple[str, bool]]:
    """Return each text at any depth, and whether it is the name of a member."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from ((name, True) for name in item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str):
            yield item, False

"""JSON that callers sent, on its way out: left out when absent, and without lease credentials."""

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from domain.values import NO_JSON, Json

OptionalJson: TypeAlias = Json | UnsetType
"""Any JSON value; UNSET leaves the member out."""


def optional_json(value: Json) -> OptionalJson:
    """Return the JSON as it is, UNSET when it is absent."""
    return UNSET if value is NO_JSON else value


def without_secrets(value: Json) -> Json:
    """Return the JSON without object members named `claim_token`, in any letter case and depth.

    JSON that is nested too deeply to look through is left out as a whole.
    """
    text = bytes(value).lower()
    # A name may also be spelled with \u escapes.
    if b"claim_token" not in text and b"\\u" not in text:
        return value
    try:
        decoded = msgspec.json.decode(value)
        return Json(msgspec.json.encode(decoded)) if _dropped(decoded) else value
    except RecursionError:
        return NO_JSON


def _dropped(decoded: Any) -> bool:
    """Drop the members in place; return whether there were any."""
    found = False
    waiting = [decoded]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            for name in [name for name in item if name.lower() == "claim_token"]:
                del item[name]
                found = True
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return found

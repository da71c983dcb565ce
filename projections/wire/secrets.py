"""Lease credentials never leave: members that would hold one are dropped from JSON going out."""

from typing import Any

import msgspec

from domain.values import NO_JSON, Json


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

"""JSON as the client gets it: plain dictionaries whose members it looks up by name."""

from collections.abc import Mapping
from typing import Any, TypeAlias

JsonValue: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Any]


def at(document: JsonValue, *path: str) -> JsonValue:
    """Return the member at the path, None where the path ends early."""
    for name in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(name)
    return document


def text_at(document: JsonValue, *path: str) -> str:
    """Return the member at the path as text, empty where there is none."""
    found = at(document, *path)
    if isinstance(found, bool):
        return "yes" if found else "no"
    return "" if found is None else str(found)


def without_nothing(**members: JsonValue) -> JsonObject:
    """Return the members that say something: neither None nor empty text nor an empty list."""
    return {name: value for name, value in members.items() if value not in (None, "", [], ())}

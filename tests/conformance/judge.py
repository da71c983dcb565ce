"""Holds answers, and the served document, against the agreed shapes."""

from collections.abc import Iterator
from typing import Any, Final

from domain.instants import parse_rfc3339
from tests.conformance.shapes import CHOICES, SHAPES

JsonObject = dict[str, Any]

_PLAIN: Final[dict[str, tuple[type, ...]]] = {
    "text": (str,),
    "int": (int,),
    "number": (int, float),
    "bool": (bool,),
    "object": (dict,),
}
_SERVED: Final = {
    "text": "string",
    "time": "string",
    "int": "integer",
    "number": "number",
    "bool": "boolean",
    "object": "object",
}


def members(shape: str) -> Iterator[tuple[str, str, bool]]:
    """Yield name and type of each member of a shape, and whether it must be there."""
    for entry in SHAPES[shape].split():
        name, _, kind = entry.partition(":")
        yield name.removesuffix("?"), kind or "text", not name.endswith("?")


def complaints(value: Any, kind: str, where: str = "$") -> list[str]:
    """Return what is wrong with a JSON value; members that the shape does not know are fine."""
    if kind.endswith("|null"):
        return [] if value is None else complaints(value, kind.removesuffix("|null"), where)
    if kind.startswith("["):
        if not isinstance(value, list):
            return [f"{where} is no list: {value!r}"]
        return [
            each
            for number, item in enumerate(value)
            for each in complaints(item, kind[1:-1], f"{where}[{number}]")
        ]
    if kind in SHAPES:
        return _of_shape(value, kind, where)
    return [] if _fits(value, kind) else [f"{where} is no {kind}: {value!r}"]


def _fits(value: Any, kind: str) -> bool:
    if kind == "any":
        return True
    if kind in CHOICES:
        return value in CHOICES[kind].split()
    if kind == "time":
        return isinstance(value, str) and _is_time(value)
    return isinstance(value, _PLAIN[kind]) and (kind == "bool" or not isinstance(value, bool))


def _is_time(text: str) -> bool:
    try:
        parse_rfc3339(text)
    except ValueError:
        return False
    return True


def _of_shape(value: Any, shape: str, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where} is no {shape}: {value!r}"]
    found = []
    for name, kind, needed in members(shape):
        if name in value:
            found += complaints(value[name], kind, f"{where}.{name}")
        elif needed:
            found.append(f"{where}.{name} is missing")
    return found


class Served:
    """The served document, as a promise that is at least as strict as the shapes."""

    def __init__(self, document: JsonObject) -> None:
        self.document = document
        self._seen: set[tuple[str, str]] = set()

    def looseness(self, schema: JsonObject, kind: str, where: str) -> Iterator[str]:
        """Yield where the schema lets something pass that the agreed type does not."""
        *options, nullable = self._options(schema)
        if nullable and not kind.endswith("|null") and kind != "any":
            yield f"{where} may be null"
        kind = kind.removesuffix("|null")
        if kind == "any":
            return
        if len(options) != 1:
            yield f"{where} may be several things"
            return
        (option,) = options
        if kind.startswith("["):
            if option.get("type") != "array":
                yield f"{where} may be no list"
            yield from self.looseness(option.get("items", {}), kind[1:-1], f"{where}[]")
        elif kind in SHAPES:
            yield from self._of_shape(option, kind, where)
        elif kind in CHOICES:
            if extra := set(option.get("enum", ("anything",))) - set(CHOICES[kind].split()):
                yield f"{where} may be {extra}"
        elif option.get("type") != _SERVED[kind]:
            yield f"{where} may be no {kind}: {option}"

    def _of_shape(self, schema: JsonObject, shape: str, where: str) -> Iterator[str]:
        if (where_seen := (schema.get("description", where), shape)) in self._seen:
            return
        self._seen.add(where_seen)
        for name, kind, needed in members(shape):
            member = schema.get("properties", {}).get(name)
            if needed and name not in schema.get("required", ()):
                yield f"{where}.{name} may be missing"
            if member is not None:
                yield from self.looseness(member, kind, f"{where}.{name}")

    def _options(self, schema: JsonObject) -> Iterator[Any]:
        """Yield what a value may be, without null, and at the end whether it may be null."""
        nullable = False
        for option in schema.get("anyOf", [schema]):
            named = self._resolved(option)
            kinds = named.get("type")
            if kinds == "null":
                nullable = True
                continue
            if isinstance(kinds, list):
                nullable = nullable or "null" in kinds
                (kind,) = (each for each in kinds if each != "null")
                named = {**named, "type": kind}
                if "enum" in named:
                    named["enum"] = [word for word in named["enum"] if word is not None]
            yield named
        yield nullable

    def _resolved(self, schema: JsonObject) -> JsonObject:
        if "$ref" not in schema:
            return schema
        name = schema["$ref"].rpartition("/")[2]
        return dict(self.document["components"]["schemas"][name])

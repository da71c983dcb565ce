"""JSON schemas as short text: what a reader of a table wants to know of a type."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.docs.markdown import code, link

_PREFIX: Final = "#/components/schemas/"
_FORMATS: Final = {"int32": "integer", "int64": "integer", "double": "number"}


def kind_of(schema: Mapping[str, Any], named: Callable[[str], str] = code) -> str:
    """Return the kind of value a schema describes; `named` renders the name of a type."""
    if reference := schema.get("$ref"):
        return named(reference.removeprefix(_PREFIX))
    if several := schema.get("anyOf"):
        return " or ".join(kind_of(each, named) for each in several)
    if values := schema.get("enum"):
        return ", ".join("null" if value is None else code(value) for value in values)
    if "const" in schema:
        return code(str(schema["const"]))
    kind = schema.get("type", "any JSON")
    if kind == "array":
        return f"list of {kind_of(schema['items'], named)}"
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), dict):
        return f"object of {kind_of(inner, named)}"
    shown = schema.get("format", kind)
    return str(_FORMATS.get(shown, shown))


def linked(name: str) -> str:
    """Return the name of a type as a link to its heading on the same page."""
    return link(code(name), name)


def fields(schema: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    """Return name, kind and whether it is always there, for each member of an object."""
    required = schema.get("required", ())
    return [
        (code(name), kind_of(inner, linked), "yes" if name in required else "")
        for name, inner in schema.get("properties", {}).items()
    ]

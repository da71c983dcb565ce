"""The reference of the events, from the facts that are stored."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec import inspect as types

from domain.events import FACTS, Fact
from domain.recorded import OPS_STREAM, SCHEDULER_STREAM, STARVATION_STREAM
from tests.docs.markdown import code, link, page, table

_INTRODUCTION: Final = """\
# Events

Every change is one event of the types below. A client reads it as a timeline item, over
[`/api/tasks/{id}/timeline`](http.md#get-apitasksidtimeline), its stream, and those of the whole
ledger:

| member | value |
| --- | --- |
| `sequence` | the place in the ledger; later events have a higher one |
| `event_id` | names the event for ever |
| `event_type` | one of the types below |
| `task`, `run` | the task and run it belongs to, as they were right after the event |
| `actor` | who did it: `kind` and `ref` |
| `origin` | through which door: `kind`, and the operation as `ref` |
| `payload` | what this type adds; the tables below |
| `timestamp` | the time of the command, RFC 3339 |

A member of a payload that is always there is marked; the others are left out when they are empty.
A type "added" is not known to other servers of the task API; clients may pass over it."""
_STREAMS: Final = {
    "task": "one stream per task",
    "scheduler": f"the streams {code(SCHEDULER_STREAM)} and {code(STARVATION_STREAM)}",
    "session": "one stream per agent session",
    "workspace": "one stream per workspace",
    "inbox": "one stream per actor",
    "bridge": "one stream per bridge",
    "notification": "one stream per subscription",
    "tempest": "one stream per app version, and one per task of an operation",
    "posthog": "one stream per task, one per run and one per log of a run",
    "ona": "one stream per Ona task",
    "ops": f"the stream {code(OPS_STREAM)}",
}
_SIMPLE: Final[Mapping[type[types.Type], str]] = {
    types.StrType: "string",
    types.BoolType: "boolean",
    types.IntType: "integer",
    types.FloatType: "number",
    types.NoneType: "null",
    types.RawType: "any JSON",
    types.AnyType: "any JSON",
}


def events() -> str:
    """Return the page."""
    return page(
        _INTRODUCTION,
        "## All types",
        table(("type", "what happened"), map(_row, FACTS)),
        *(block for area in _areas() for block in _part(area)),
    )


def _row(fact: type[Fact]) -> tuple[str, str]:
    return link(code(fact.TYPE), fact.TYPE), _summary(fact)


def _summary(fact: type[Fact]) -> str:
    return inspect.cleandoc(fact.__doc__ or "").partition("\n\n")[0]


def _area(fact: type[Fact]) -> str:
    return fact.TYPE.partition(".")[0]


def _areas() -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_area, FACTS)))


def _part(area: str) -> Iterator[str]:
    yield f"## {area}.*"
    yield f"Kept in {_STREAMS[area]}."
    for fact in FACTS:
        if _area(fact) == area:
            yield f"### {fact.TYPE}"
            yield inspect.cleandoc(fact.__doc__ or "")
            rows = list(_members(fact))
            yield table(("payload", "value", "always"), rows) if rows else "No payload."


def _members(fact: type[Fact]) -> Iterator[tuple[str, str, str]]:
    for field in _fields(fact):
        if field.name not in fact.PRIVATE:
            yield code(field.name), _kind(field.type), "yes" if field.required else ""


def _fields(kind: type[Struct]) -> tuple[types.Field, ...]:
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)
    return info.fields


def _kind(info: types.Type) -> str:
    """Return the kind of value that a payload shows for a field of this type."""
    match info:
        case types.Metadata(type=inner, extra=extra):
            return "date-time" if "instant" in (extra or {}) else _kind(inner)
        case types.StructType(cls=cls):
            members = ", ".join(code(field.name) for field in _fields(cls))
            return f"object with {members}"
        case types.UnionType(types=several):
            return " or ".join(map(_kind, several))
        case types.LiteralType(values=values):
            return ", ".join(code(str(value)) for value in values)
        case types.VarTupleType(item_type=item) | types.ListType(item_type=item):
            return f"list of {_kind(item)}"
        case types.DictType(value_type=value):
            return f"object of {_kind(value)}"
        case _:
            return _SIMPLE[type(info)]

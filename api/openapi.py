"""The OpenAPI document, made from the same operations and types as the server itself."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from types import UnionType
from typing import Any, Final

import orjson
from msgspec import Struct, inspect

from api.errors import ErrorBody
from api.operations import EVENTS, JSON, Operation
from api.parsing import NOT_BLANK, Body, Query
from api.past import AS_OF, REWINDING

_REF: Final = "#/components/schemas/"
_ANY: Final[dict[str, Any]] = {}
_SIMPLE: Final[Mapping[type[inspect.Type], dict[str, Any]]] = {
    inspect.StrType: {"type": "string"},
    inspect.BoolType: {"type": "boolean"},
    inspect.FloatType: {"type": "number", "format": "double"},
    inspect.NoneType: {"type": "null"},
    inspect.RawType: _ANY,
    inspect.AnyType: _ANY,
}
_PARAMETER: Final = {
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": NOT_BLANK},
}
_REPLAYED: Final = {
    "Idempotent-Replayed": {
        "description": "`true` when this had been done before and nothing new happened.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
_AGENT_HEADERS: Final = (
    ("X-AGH-Session-ID", "The session of the calling agent."),
    ("X-AGH-Agent", "The name of the calling agent."),
    ("X-AGH-Workspace-ID", "The workspace the caller expects its session to have."),
)


class Schemas:
    """Collects the schemas of types; each Struct becomes a component of its own."""

    def __init__(self) -> None:
        """Start empty."""
        self.components: dict[str, Any] = {}
        self._named: dict[str, type[Struct]] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type, also of one that is never read: any of several structs."""
        if isinstance(kind, UnionType):
            return {"anyOf": [self.of(each) for each in kind.__args__]}
        # Looking at a type takes a while, and most answers are the same few.
        name = getattr(kind, "__name__", "")
        if name and self._named.get(name) is kind:
            return {"$ref": _REF + name}
        return self._schema(inspect.type_info(kind))

    def _schema(self, info: inspect.Type) -> dict[str, Any]:
        match info:
            case inspect.Metadata(type=inner, extra_json_schema=schema, extra=extra):
                items = {"items": self.of(extra["items"])} if extra else {}
                return {**self._schema(inner), **items, **(schema or {})}
            case inspect.StructType(cls=cls):
                return self._reference(cls, info)
            case inspect.UnionType(types=types):
                return self._union(types)
            case inspect.LiteralType(values=values):
                return {"type": "string", "enum": list(values)}
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                return {"type": "array", "items": self._schema(item)}
            case inspect.DictType(value_type=value):
                return {"type": "object", "additionalProperties": self._schema(value) or True}
            case inspect.IntType(ge=least, le=most):
                bounds = {"minimum": least, "maximum": most}
                known = {name: bound for name, bound in bounds.items() if bound is not None}
                return {"type": "integer", "format": "int64", **known}
            case _:
                return dict(_SIMPLE[type(info)])

    def _union(self, types: Iterable[inspect.Type]) -> dict[str, Any]:
        members = [self._schema(each) for each in types]
        kinds = [member.get("type") for member in members]
        if len(members) == 2 and kinds[1] == "null" and isinstance(kinds[0], str):  # noqa: PLR2004
            merged = {**members[0], "type": [kinds[0], "null"]}
            if "enum" in merged:
                merged["enum"] = [*merged["enum"], None]
            return merged
        return {"anyOf": members}

    def _reference(self, cls: type[Struct], info: inspect.StructType) -> dict[str, Any]:
        name = cls.__name__
        if self._named.setdefault(name, cls) is not cls:
            message = f"two types are called {name}"
            raise ValueError(message)
        if name not in self.components:
            self.components[name] = {}
            self.components[name] = self._object(cls, info)
        return {"$ref": _REF + name}

    def _object(self, cls: type[Struct], info: inspect.StructType) -> dict[str, Any]:
        lenient = issubclass(cls, Body | Query)
        nullable = getattr(cls, "NULLABLE", ())
        properties = {}
        for field in info.fields:
            schema = self._schema(field.type)
            if lenient and field.name not in nullable:
                schema = _without_null(schema)
            if field.name in getattr(cls, "REQUIRED", ()) and schema.get("type") == "string":
                schema = schema if "enum" in schema else {"pattern": NOT_BLANK, **schema}
            properties[field.encode_name] = schema
        required = [field.encode_name for field in info.fields if field.required]
        required += getattr(cls, "REQUIRED", ())
        described = (cls.__doc__ or "").partition("\n")[0]
        schema = {"type": "object", "description": described, "properties": properties}
        return {**schema, "required": sorted(required)} if required else schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without null: leaving a member out is the documented way."""
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        schema = {**schema, "type": kinds[0]}
        if "enum" in schema:
            schema["enum"] = [value for value in schema["enum"] if value is not None]
        return schema
    members = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return members[0] if len(members) == 1 else schema


def document(operations: Iterable[Operation]) -> bytes:
    """Return the document of these operations as JSON."""
    schemas = Schemas()
    paths: dict[str, Any] = {}
    for operation in operations:
        described = _operation(operation, schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": "taskledger",
            "version": version("taskledger"),
            "description": "A task ledger: every change of a task or a run is one event.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }
    return orjson.dumps(made, option=orjson.OPT_SORT_KEYS)


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": _responses(operation, schemas),
    }
    if parameters := _parameters(operation, schemas):
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_expected,
            "content": {JSON: {"schema": schemas.of(operation.body)}, **_also(operation)},
        }
    if operation.public:
        described["security"] = []
    if operation.media_type == EVENTS:
        described["x-sse"] = {
            "id": "sequence",
            "event": "type",
            "data": "one JSON value of the response schema per event",
        }
    return described


def _parameters(operation: Operation, schemas: Schemas) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [{"name": name, **_PARAMETER} for name in names]
    if operation.query is not None:
        described = Schemas()
        described.of(operation.query)
        for name, schema in described.components.pop(operation.query.__name__)[
            "properties"
        ].items():
            parameters.append({"name": name, "in": "query", "required": False, "schema": schema})
    if operation.operation_id in REWINDING:
        parameters.append(AS_OF)
    if operation.media_type == EVENTS:
        parameters.append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "description": "The last sequence a client got; goes before `after_sequence`.",
                "schema": {"type": "string"},
            }
        )
    if operation.agent:
        for position, (name, text) in enumerate(_AGENT_HEADERS):
            parameters.append(
                {
                    "name": name,
                    "in": "header",
                    "required": position < 2,  # noqa: PLR2004 - session and agent
                    "description": text,
                    "schema": {"type": "string"},
                }
            )
    return parameters


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    responses = {str(operation.success): _success(operation, schemas)}
    if operation.repeated_success:
        repeated = operation.repeated_success
        phrase = HTTPStatus(repeated).phrase
        responses[str(repeated)] = {**responses[str(operation.success)], "description": phrase}
    if operation.empty_success:
        responses[str(operation.empty_success)] = _response(operation.empty_success)
    by_transport = (403,) if operation.public else (401, 403, 413, 500, 503)
    refusals = dict.fromkeys(by_transport, operation.refusal if operation.dialect else ErrorBody)
    refusals |= dict.fromkeys(operation.statuses, operation.refusal)
    if operation.operation_id in REWINDING and HTTPStatus.BAD_REQUEST not in refusals:
        refusals[422] = operation.refusal
    for status, kind in sorted(refusals.items()):
        responses[str(status)] = _response(status, {JSON: {"schema": schemas.of(kind)}})
    for status in operation.bare:
        responses[str(status)] = _response(status)
    return responses


def _success(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    if operation.reply is None:
        return _response(operation.success)
    schema = operation.reply
    if not isinstance(schema, dict):
        schema = schemas.of(schema)
    content = {operation.media_type: {"schema": schema}, **_also(operation)}
    response = _response(operation.success, content)
    if operation.method == "POST":
        response["headers"] = _REPLAYED
    return response


def _also(operation: Operation) -> dict[str, Any]:
    """Return the content in other media types, of which only their bytes are described."""
    return {kind: {"schema": {"type": "string", "format": "binary"}} for kind in operation.also}


def _response(status: int, content: Any = None) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    return {**described, "content": content} if content else described

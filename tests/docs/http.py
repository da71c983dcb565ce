"""The reference of the HTTP API, from the operations and types that serve it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from api.openapi import document
from api.operations import EVENTS, JSON, Operation
from api.parsing import MAX_BODY
from api.routes import OPERATIONS
from tests.docs.markdown import anchor, cell, code, page, table
from tests.docs.schemas import fields, kind_of, linked

_INTRODUCTION: Final = f"""\
# HTTP

The server describes itself at `/openapi.json`; this page says the same for people.

* Bodies and answers are JSON. A member that is `null` or missing is absent; unknown members are
  ignored. A body has at most {MAX_BODY >> 20} MiB.
* A refusal is {linked("ErrorBody")}. Besides the refusals named at an operation, any of them may
  answer 401 (no usable token), 403 (the token does not allow it, or a foreign origin), 413 (body
  too long), 500 or 503 (the store cannot be used now; try again).
* An answer to something that had been done before carries `Idempotent-Replayed: true`.
* [Tokens](../how-to/run-in-production.md#tokens) have scopes; `admin` includes the others.
* Operations for agents need the headers `X-AGH-Session-ID` and `X-AGH-Agent`, and answer 401
  without them or for a session that was stopped.
  `X-AGH-Workspace-ID` may name the workspace that the session is expected to have."""
_TITLES: Final = {
    "tasks": "Tasks",
    "runs": "Runs",
    "agent": "Agents",
    "force-operations": "Force operations",
    "observe": "Dashboard, inbox and inspection",
    "scheduler": "Scheduler",
    "ledger": "The whole ledger",
    "registry": "Sessions and workspaces",
    "projections": "Read models",
    "console": "The console",
    "server": "The server itself",
}


def http() -> str:
    """Return the page."""
    made = msgspec.json.decode(document(OPERATIONS))
    parts = [_title(tag) for tag in _tags()]
    return page(
        _INTRODUCTION,
        "\n".join(f"* [{part}](#{anchor(part)})" for part in [*parts, "Types"]),
        *(block for tag in _tags() for block in _part(tag, made["paths"])),
        "## Types",
        *(block for name in made["components"]["schemas"] for block in _type(name, made)),
    )


def _tags() -> tuple[str, ...]:
    return tuple(dict.fromkeys(operation.tag for operation in OPERATIONS))


def _title(tag: str) -> str:
    return _TITLES.get(tag, tag.replace("-", " ").capitalize())


def _part(tag: str, paths: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {_title(tag)}"
    for operation in OPERATIONS:
        if operation.tag == tag:
            yield from _operation(operation, paths[operation.path][operation.method.lower()])


def _operation(operation: Operation, described: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {operation.method} {operation.path}"
    facts = [f"`{operation.operation_id}`", _access(operation)]
    yield f"{operation.summary}. ({', '.join(filter(None, facts))})"
    parameters = [each for each in described.get("parameters", ()) if not _is_plain(each)]
    if parameters:
        yield table(("parameter", "in", "value"), map(_parameter, parameters))
    yield "\n".join(f"* {cell(line)}" for line in _exchange(operation, described))


def _access(operation: Operation) -> str:
    if operation.public:
        return "no token needed"
    return f"scope `{operation.scope}`" + (", agent headers" if operation.agent else "")


def _is_plain(parameter: Mapping[str, Any]) -> bool:
    """Whether a parameter needs no row: the path shows it, or all agent operations have it."""
    return parameter["in"] == "path" or str(parameter["name"]).startswith("X-AGH-")


def _parameter(parameter: Mapping[str, Any]) -> tuple[str, str, str]:
    text = kind_of(parameter["schema"])
    if "description" in parameter:
        text += f". {parameter['description']}"
    return code(parameter["name"]), parameter["in"], text


def _exchange(operation: Operation, described: Mapping[str, Any]) -> Iterator[str]:
    if body := described.get("requestBody"):
        content, *_ = body["content"].values()
        may = "" if body["required"] else " (may be left out)"
        yield f"Body: {kind_of(content['schema'], linked)}{_also(operation)}{may}"
    answers = described["responses"]
    for status in filter(None, (operation.success, operation.empty_success)):
        yield f"Answers {status}{_content(operation, answers[str(status)])}"
    refusals = sorted(status for status in map(int, answers) if status in operation.statuses)
    if refusals:
        yield f"Refuses with {', '.join(map(str, refusals))}"


def _content(operation: Operation, answer: Mapping[str, Any]) -> str:
    content = answer.get("content")
    if not content:
        return ""
    media_type = operation.media_type if operation.media_type in content else JSON
    kind = kind_of(content[media_type]["schema"], linked)
    if media_type == EVENTS:
        return f": server-sent events; `data` is {kind}"
    told = kind if media_type == JSON else f"`{media_type}`"
    return f": {told}{_also(operation)}"


def _also(operation: Operation) -> str:
    return "".join(f", also as `{media_type}`" for media_type in operation.also)


def _type(name: str, made: Mapping[str, Any]) -> Iterator[str]:
    schema = made["components"]["schemas"][name]
    yield f"### {name}"
    yield str(schema.get("description", ""))
    rows = fields(schema)
    if rows:
        yield table(("member", "value", "required"), rows)

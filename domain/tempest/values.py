"""The vocabulary of Tempest Private Apps (`tempestdx/openapi`, and what its CLI sends)."""

from typing import Final, Literal

from msgspec import Struct

from domain.instants import Instant
from domain.values import NO_JSON, Actor, Json

RequestType = Literal["execute_resource_operation", "execute_resource_action", "list_resources"]
Verb = Literal["create", "update", "delete", "read"]
Asked = Literal["create", "update", "delete", "read", "list", "action"]
VariableType = Literal["variable", "secret", "certificate", "private_key", "public_key"]
HealthStatus = Literal["healthy", "degraded", "disrupted"]
ReportStatus = Literal["ok", "error"]

EXECUTE: Final = "execute_resource_operation"
ACT: Final = "execute_resource_action"
LIST: Final = "list_resources"

NO_OBJECT: Final = Json(b"{}")
"""The empty JSON object."""

MAX_PAGES: Final = 1_000
"""So many pages of one list are asked for at most."""
MAX_VARIABLES: Final = 256
NAME_BYTES: Final = 256

_PREFIX: Final = "tempest/"


class Link(Struct, frozen=True, kw_only=True):
    """Where to read more about a resource, or a type of them."""

    title: str
    url: str
    type: str


class Links(Struct, frozen=True, kw_only=True):
    """Links, in the object that the API wraps them in."""

    links: tuple[Link, ...] = ()


class Resource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that an app looks after, as the API tells of it; what is None is left out."""

    type: str
    external_id: str
    display_name: str
    id: str | None = None
    name: str | None = None
    status: str | None = None
    external_url: str | None = None
    organization_id: str | None = None
    created_at: str | None = None
    created_by: str | None = None
    updated_at: str | None = None
    deleted_at: str | None = None
    synced_at: str | None = None
    properties: Json = NO_JSON
    links: Links | None = None


class ActionDefinition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something more that can be done to resources of a type."""

    name: str
    display_name: str = ""
    description: str = ""
    input_json_schema: Json = NO_JSON
    output_json_schema: Json = NO_JSON


class ResourceDefinition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A type of resources, and what an app version can do to them."""

    type: str
    display_name: str
    description: str
    lifecycle_stage: str
    list_supported: bool = False
    read_supported: bool = False
    create_supported: bool = False
    update_supported: bool = False
    delete_supported: bool = False
    healthcheck_supported: bool = False
    property_json_schema: Json = NO_JSON
    create_input_schema: Json = NO_JSON
    update_input_schema: Json = NO_JSON
    links: Links | None = None
    instructions_markdown: str = ""
    actions: tuple[ActionDefinition, ...] = ()


class HealthReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the resources of a type are."""

    type: str
    status: HealthStatus
    message: str = ""


class Variable(Struct, frozen=True, kw_only=True):
    """An environment variable of an operation; its value is kept apart from the ledger."""

    name: str
    type: VariableType


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an app is asked to do, as it is told, without the environment variables."""

    request_type: RequestType
    resource: Resource
    operation: Verb | None = None
    action: str | None = None
    next: str | None = None
    input: Json = NO_JSON
    metadata: Json = NO_JSON

    @property
    def what(self) -> str:
        """The operation or action in a word."""
        return self.operation or self.action or "list"


class Response(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an app said came of it."""

    response_type: RequestType
    resource: Resource | None = None
    output: Json = NO_JSON
    resources: tuple[Resource, ...] | None = None
    next: str | None = None


class Health(Struct, frozen=True, kw_only=True):
    """The last report about a type."""

    report: HealthReport
    reported_at: Instant


def actor_of(app_id: str, version: str) -> Actor:
    """Return the actor that an app version is."""
    return Actor("extension", f"{_PREFIX}{app_id}:{version}")


def may_speak_for(actor: Actor, app_id: str, version: str) -> bool:
    """Whether an actor may act as an app version: one that is an app is that one alone."""
    if actor.kind != "extension" or not actor.ref.startswith(_PREFIX):
        return True
    return actor.ref in {f"{_PREFIX}{app_id}", f"{_PREFIX}{app_id}:{version}"}

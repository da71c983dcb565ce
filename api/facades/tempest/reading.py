"""From what the Tempest CLI sends to the words of the domain, its quirks put right."""

from typing import Final

from api.facades.tempest import bodies as b
from domain import fields
from domain.errors import ValidationError
from domain.tempest.values import (
    ActionDefinition,
    HealthReport,
    Link,
    Links,
    Resource,
    ResourceDefinition,
    Response,
)
from domain.values import NO_JSON, Json

MAX_BYTES: Final = 16 * 1024 * 1024
"""How long a report or a request to an app may be."""

_LINK_PREFIX: Final = "link_type_"


def json_object(value: Json, path: str) -> Json:
    """Return a JSON object in one line, absent for null; raises ValidationError."""
    found = fields.json(value, path, MAX_BYTES)
    if found is not NO_JSON and bytes(found)[:1] != b"{":
        raise ValidationError(f"{path} must be an object")
    return found


def links_of(sent: b.TempestLinks | None) -> Links | None:
    """Return links with the types as the API writes them; the CLI may name them as protobuf does.

    (Observed: `LINK_TYPE_EXTERNAL` in reports.)
    """
    if sent is None:
        return None
    return Links(
        links=tuple(
            Link(title=each.title, url=each.url, type=each.type.lower().removeprefix(_LINK_PREFIX))
            for each in sent.links or ()
        )
    )


def resource_of(sent: b.TempestReportedResource, path: str) -> Resource:
    """Return a resource; what is null is left out."""
    return Resource(
        type=sent.type,
        external_id=sent.external_id,
        display_name=sent.display_name,
        id=sent.id,
        name=sent.name,
        status=sent.status,
        external_url=sent.external_url,
        organization_id=sent.organization_id,
        created_at=sent.created_at,
        created_by=sent.created_by,
        updated_at=sent.updated_at,
        deleted_at=sent.deleted_at,
        synced_at=sent.synced_at,
        properties=json_object(sent.properties, f"{path}.properties"),
        links=links_of(sent.links),
    )


def definition_of(sent: b.TempestResourceDefinition, path: str) -> ResourceDefinition:
    """Return what an app version tells of a type of resources."""
    return ResourceDefinition(
        type=sent.type,
        display_name=sent.display_name,
        description=sent.description,
        lifecycle_stage=sent.lifecycle_stage,
        list_supported=sent.list_supported,
        read_supported=sent.read_supported,
        create_supported=sent.create_supported,
        update_supported=sent.update_supported,
        delete_supported=sent.delete_supported,
        healthcheck_supported=sent.healthcheck_supported,
        property_json_schema=json_object(sent.property_json_schema, f"{path}.property_json_schema"),
        create_input_schema=json_object(sent.create_input_schema, f"{path}.create_input_schema"),
        update_input_schema=json_object(sent.update_input_schema, f"{path}.update_input_schema"),
        links=links_of(sent.links),
        instructions_markdown=sent.instructions_markdown or "",
        actions=tuple(
            _action(each, f"{path}.actions[{index}]")
            for index, each in enumerate(sent.actions or ())
        ),
    )


def _action(sent: b.TempestActionDefinition, path: str) -> ActionDefinition:
    return ActionDefinition(
        name=sent.name,
        display_name=sent.display_name or "",
        description=sent.description or "",
        input_json_schema=json_object(sent.input_json_schema, f"{path}.input_json_schema"),
        output_json_schema=json_object(sent.output_json_schema, f"{path}.output_json_schema"),
    )


def health_of(sent: b.TempestHealthReport) -> HealthReport:
    """Return a health report."""
    return HealthReport(type=sent.type, status=sent.status, message=sent.message or "")


def response_of(sent: b.TempestReportResponse | None) -> Response | None:
    """Return what came of an operation, None when that is null; only what its type has is kept."""
    if sent is None:
        return None
    match sent.response_type:
        case "execute_resource_operation":
            resource = resource_of(sent.resource, "response.resource") if sent.resource else None
            return Response(response_type=sent.response_type, resource=resource)
        case "execute_resource_action":
            output = json_object(sent.output, "response.output")
            return Response(response_type=sent.response_type, output=output)
        case "list_resources":
            return Response(
                response_type=sent.response_type,
                resources=tuple(
                    resource_of(each, f"response.resources[{index}]")
                    for index, each in enumerate(sent.resources or ())
                ),
                next=sent.next or "",
            )

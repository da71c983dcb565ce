"""What may be asked of an app version: only what it told that it can do."""

from domain import fields
from domain.errors import TempestAppNotFoundError, ValidationError
from domain.tempest.state import AppState
from domain.tempest.values import (
    ACT,
    LIST,
    MAX_VARIABLES,
    NAME_BYTES,
    Request,
    ResourceDefinition,
    Variable,
)
from domain.values import Json

_TIMES = ("created_at", "updated_at", "deleted_at", "synced_at")


def check_request(
    request: Request, environment: tuple[Variable, ...], app: AppState | None, subject: str
) -> None:
    """Refuse what the app version could not do, or could not even read.

    Its client throws away what it cannot decode without telling (Tempest CLI). Raises
    TempestAppNotFoundError for a version that was never connected, ValidationError.
    """
    if app is None or not app.connected_at:
        raise TempestAppNotFoundError(f"{subject} was never connected")
    definition = _definition(request, app, subject)
    if request.request_type == ACT:
        _check_action(request, definition)
    elif not getattr(definition, f"{request.what}_supported"):
        raise ValidationError(f'{subject} does not support {request.what} of "{definition.type}"')
    _check_resource(request)
    _check_object(request.input, "input")
    _check_object(request.metadata, "metadata")
    _check_environment(request, environment)


def _definition(request: Request, app: AppState, subject: str) -> ResourceDefinition:
    wanted = request.resource.type
    definition = app.definition(wanted)
    if definition is None:
        known = ", ".join(f'"{each.type}"' for each in app.resources) or "none"
        raise ValidationError(
            f'resource.type must be one of the types of {subject} ({known}): "{wanted}"'
        )
    return definition


def _check_action(request: Request, definition: ResourceDefinition) -> None:
    declared = [each.name for each in definition.actions]
    if request.action not in declared:
        known = ", ".join(f'"{name}"' for name in declared) or "none"
        message = f'action must be one of those declared for "{definition.type}" ({known})'
        raise ValidationError(f'{message}: "{request.action or ""}"')


def _check_resource(request: Request) -> None:
    resource = request.resource
    if request.operation in {"update", "delete", "read"} and not resource.external_id:
        raise ValidationError(f"resource.external_id is required to {request.operation}")
    fields.short_text(resource.external_id, "resource.external_id", NAME_BYTES * 4)
    for name in _TIMES:
        fields.instant(getattr(resource, name), f"resource.{name}")
    _check_object(resource.properties, "resource.properties")


def _check_object(value: Json, path: str) -> None:
    """Refuse a JSON value that is neither absent nor an object."""
    if bytes(value)[:1] not in {b"", b"{"}:
        raise ValidationError(f"{path} must be an object")


def _check_environment(request: Request, environment: tuple[Variable, ...]) -> None:
    if environment and request.request_type == LIST:
        raise ValidationError("environment_variables must be empty to list resources")
    if len(environment) > MAX_VARIABLES:
        raise ValidationError(
            f"environment_variables must have at most {MAX_VARIABLES} items: {len(environment)}"
        )
    names = [each.name for each in environment]
    for index, name in enumerate(names):
        if not fields.short_text(name, f"environment_variables[{index}].name", NAME_BYTES):
            raise ValidationError(f"environment_variables[{index}].name is required")
        if name in names[:index]:
            raise ValidationError(f'environment_variables must not name "{name}" twice')

"""App versions and operations as clients of the ledger see them."""

from collections.abc import Mapping
from typing import Final, get_args

from msgspec import UNSET, Struct

from domain.task.state import Run
from domain.tempest.state import AppState, OperationState
from domain.tempest.values import HealthStatus, RequestType, ResourceDefinition, VariableType
from domain.values import PRIORITY_VALUE, Actor, Priority, RunStatus
from projections.wire.json import OptionalJson
from projections.wire.times import DateTime, date_time, optional_time


class TempestHealth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last report about a type of resources."""

    type: str
    status: HealthStatus
    message: str = ""
    reported_at: DateTime


class TempestResourceType(Struct, frozen=True, kw_only=True):
    """A type of resources, and what the app version can do to them."""

    type: str
    display_name: str
    description: str
    lifecycle_stage: str
    operations: tuple[str, ...]
    actions: tuple[str, ...]


class TempestApp(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of an app; without `connected_at` it has only told how it is."""

    app_id: str
    version: str
    workspace_id: str = ""
    connected_at: DateTime | None = None
    updated_at: DateTime
    resource_types: tuple[TempestResourceType, ...]
    health: tuple[TempestHealth, ...]


class TempestVariableName(Struct, frozen=True, kw_only=True):
    """An environment variable without its value."""

    name: str
    type: VariableType


class TempestOperation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of an app version, and how its latest run stands.

    The app knows it by its `run_id`. A later page of a list names the task of the page before.
    """

    task_id: str
    run_id: str
    app_id: str
    version: str
    workspace_id: str = ""
    request_type: RequestType
    operation: str
    resource_type: str
    external_id: str = ""
    page: int
    previous_task_id: str = ""
    environment_variables: tuple[TempestVariableName, ...] = ()
    requested_by: Actor
    priority: Priority
    status: RunStatus
    expiries: int = 0
    queued_at: DateTime
    claimed_at: DateTime | None = None
    lease_until: DateTime | None = None
    ended_at: DateTime | None = None
    failure_kind: str = ""
    error: str = ""
    request: OptionalJson = UNSET
    response: OptionalJson = UNSET


_PRIORITIES: Final[Mapping[int, Priority]] = {
    -PRIORITY_VALUE[name]: name for name in get_args(Priority)
}
_VERBS: Final = ("list", "read", "create", "update", "delete")


def app_view(app: AppState) -> TempestApp:
    """Return an app version."""
    return TempestApp(
        app_id=app.app_id,
        version=app.app_version,
        workspace_id=app.workspace_id,
        connected_at=optional_time(app.connected_at),
        updated_at=date_time(app.updated_at),
        resource_types=tuple(map(_type_view, app.resources)),
        health=tuple(
            TempestHealth(
                type=each.report.type,
                status=each.report.status,
                message=each.report.message,
                reported_at=date_time(each.reported_at),
            )
            for _, each in sorted(app.health.items())
        ),
    )


def _type_view(definition: ResourceDefinition) -> TempestResourceType:
    return TempestResourceType(
        type=definition.type,
        display_name=definition.display_name,
        description=definition.description,
        lifecycle_stage=definition.lifecycle_stage,
        operations=tuple(verb for verb in _VERBS if getattr(definition, f"{verb}_supported")),
        actions=tuple(each.name for each in definition.actions),
    )


def operation_view(operation: OperationState, run: Run, rank: int) -> TempestOperation:
    """Return an operation; `rank` is the negative value of its priority."""
    return TempestOperation(
        task_id=operation.task_id,
        run_id=run.id,
        app_id=operation.app_id,
        version=operation.app_version,
        workspace_id=operation.workspace_id,
        request_type=operation.request_type,
        operation=operation.operation,
        resource_type=operation.resource_type,
        external_id=operation.external_id,
        page=operation.page,
        previous_task_id=operation.previous_task_id,
        environment_variables=tuple(
            TempestVariableName(name=each.name, type=each.type) for each in operation.environment
        ),
        requested_by=operation.requested_by,
        priority=_PRIORITIES[rank],
        status=run.status,
        expiries=run.expiries,
        queued_at=date_time(run.queued_at),
        claimed_at=optional_time(run.claimed_at),
        lease_until=optional_time(run.lease_until),
        ended_at=optional_time(run.ended_at),
        failure_kind=run.failure_kind,
        error=run.error,
    )

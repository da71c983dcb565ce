"""App versions and what is asked of them, as folded from their streams."""

from msgspec import Struct
from msgspec.structs import replace

from domain.instants import Instant
from domain.recorded import Recorded
from domain.tempest import events as e
from domain.tempest.values import Health, RequestType, ResourceDefinition, Variable
from domain.uuids import uuid_of
from domain.values import NO_JSON, Actor, Blob, Json


class AppState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of an app; `connected_at` is 0 for one that has only told how it is."""

    app_id: str
    app_version: str
    workspace_id: str = ""
    resources: tuple[ResourceDefinition, ...] = ()
    health: dict[str, Health] = {}
    connected_at: Instant = 0
    updated_at: Instant = 0
    version: int = 0

    def definition(self, resource_type: str) -> ResourceDefinition | None:
        """Return what was told of a type of resources."""
        return next((each for each in self.resources if each.type == resource_type), None)


class OperationState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the task of an operation asks; `responses` are those kept apart, by run."""

    task_id: str
    app_id: str
    app_version: str
    request_type: RequestType
    operation: str
    resource_type: str
    requested_by: Actor
    page: int
    workspace_id: str = ""
    external_id: str = ""
    previous_task_id: str = ""
    request: Json = NO_JSON
    request_blob: Blob | None = None
    environment: tuple[Variable, ...] = ()
    secret_id: str = ""
    responses: dict[str, Blob] = {}
    version: int = 0


def app_stream(app_id: str, version: str) -> str:
    """Return the stream of an app version."""
    return f"tempest-app:{app_id}:{version}"


def operation_stream(task_id: str) -> str:
    """Return the stream of what the task of an operation asks."""
    return f"tempest-operation:{uuid_of(task_id)}"


def evolve_app(state: AppState | None, recorded: Recorded) -> AppState:
    """Return the app version after one more event."""
    fact = recorded.fact
    assert isinstance(fact, e.TempestVersionConnected | e.TempestHealthReported)
    now = recorded.occurred_at
    before = state or AppState(
        app_id=fact.app_id, app_version=fact.version, workspace_id=fact.workspace_id
    )
    moved = replace(before, updated_at=now, version=recorded.originator_version)
    if isinstance(fact, e.TempestVersionConnected):
        return replace(moved, resources=fact.resources, connected_at=now)
    told = {each.type: Health(report=each, reported_at=now) for each in fact.reports}
    return replace(moved, health={**before.health, **told})


def evolve_operation(state: OperationState | None, recorded: Recorded) -> OperationState | None:
    """Return what is asked, and what was kept of the answers, after one more event."""
    fact, version = recorded.fact, recorded.originator_version
    if isinstance(fact, e.TempestOperationQueued):
        return OperationState(
            task_id=recorded.task_id,
            app_id=fact.app_id,
            app_version=fact.version,
            request_type=fact.request_type,
            operation=fact.operation,
            resource_type=fact.resource_type,
            requested_by=fact.requested_by,
            page=fact.page,
            workspace_id=fact.workspace_id,
            external_id=fact.external_id,
            previous_task_id=fact.previous_task_id,
            request=fact.request,
            request_blob=fact.request_blob,
            environment=fact.environment,
            secret_id=fact.secret_id,
            version=version,
        )
    if state is None:
        return None
    assert isinstance(fact, e.TempestResponseKept)
    kept = {**state.responses, recorded.run_id: fact.response}
    return replace(state, responses=kept, version=version)

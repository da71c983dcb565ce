"""An Ona task definition with its fold."""

from msgspec import Struct
from msgspec.structs import replace

from domain.instants import Instant
from domain.ona.events import OnaTaskCreated, OnaTaskUpdated
from domain.ona.values import TaskSpec, Trigger
from domain.recorded import Recorded
from domain.values import Actor


class OnaTask(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What can be started any number of times."""

    id: str
    workspace_id: str
    reference: str = ""
    name: str = ""
    description: str = ""
    triggered_by: tuple[Trigger, ...] = ()
    spec: TaskSpec = TaskSpec()
    depends_on: tuple[str, ...] = ()
    creator: Actor
    created_at: Instant
    deleted: bool = False
    version: int = 0


def ona_task_stream(ona_task_id: str) -> str:
    """Return the stream of an Ona task definition."""
    return f"ona-task:{ona_task_id}"


def evolve_ona_task(state: OnaTask | None, recorded: Recorded) -> OnaTask | None:
    """Return the definition after one more event."""
    fact, version = recorded.fact, recorded.originator_version
    if isinstance(fact, OnaTaskCreated):
        return OnaTask(
            id=fact.ona_task_id,
            workspace_id=fact.workspace_id,
            reference=fact.reference,
            name=fact.name,
            description=fact.description,
            triggered_by=fact.triggered_by,
            spec=fact.spec,
            depends_on=fact.depends_on,
            creator=recorded.actor,
            created_at=recorded.occurred_at,
            version=version,
        )
    if state is None:
        return None
    if isinstance(fact, OnaTaskUpdated):
        changes = {name: getattr(fact, name) for name in fact.changed_fields}
        return replace(state, **changes, version=version)
    return replace(state, deleted=True, version=version)

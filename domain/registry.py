"""The small aggregates with their folds: scheduler, sessions, workspaces and access tokens."""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from domain import events as e
from domain.instants import Instant
from domain.recorded import Recorded
from domain.values import Actor


class SchedulerState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether claiming is stopped everywhere, and by whom."""

    paused: bool = False
    paused_by: str = ""
    paused_at: Instant = 0
    paused_reason: str = ""
    version: int = 0


class SessionState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent session, which holds at most `concurrency` leases.

    A declared one may offer only its registered capabilities.
    """

    id: str
    agent_name: str
    state: str = "active"
    workspace_id: str = ""
    channel: str = ""
    name: str = ""
    capabilities: tuple[str, ...] = ()
    declared: bool = False
    concurrency: int = 1
    soul_digest: str = ""
    soul_snapshot_id: str = ""
    created_at: Instant = 0
    updated_at: Instant = 0
    version: int = 0


class WorkspaceState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workspace; it answers to its id, name or path."""

    id: str
    name: str = ""
    path: str = ""
    removed: bool = False
    created_at: Instant = 0
    updated_at: Instant = 0
    version: int = 0


class TokenState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access token without its secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    actor: Actor
    secret_hash: str
    workspace_id: str = ""
    created_at: Instant = 0
    revoked_at: Instant = 0


class OpsState(Struct, frozen=True, kw_only=True):
    """What operators did that later commands depend on.

    `skipped` names, by read model, the sequences that it passes over; `worked` what the last work
    on it came to; `switched` what last changed which rows are the live ones. `rebuilding` is the
    last event of a rebuild that was neither finished nor canceled.
    """

    tokens: dict[str, TokenState] = {}
    skipped: dict[str, tuple[int, ...]] = {}
    worked: dict[str, e.Fact] = {}
    switched: dict[str, e.Fact] = {}
    rebuilding: dict[str, e.Fact] = {}
    version: int = 0


_WORK: Final = (
    e.ProjectionCaughtUp,
    e.ProjectionCompared,
    e.ProjectionRebuildFinished,
    e.ProjectionRebuildFailed,
    e.ProjectionRebuildCanceled,
    e.ProjectionRolledBack,
)
_SWITCH: Final = (e.ProjectionRebuildFinished, e.ProjectionCaughtUp, e.ProjectionRolledBack)
_REBUILDING: Final = (e.ProjectionRebuildStarted, e.ProjectionRebuildFailed)


def tells(state: OpsState, fact: e.Fact) -> bool:
    """Whether the ledger tells this end of work on a read model already."""
    match fact:
        case e.ProjectionRebuildFailed(projection=name):
            return isinstance(state.rebuilding.get(name), e.ProjectionRebuildFailed)
        case e.ProjectionRebuildCanceled(projection=name):
            return name not in state.rebuilding
        case e.ProjectionRebuildFinished() | e.ProjectionCaughtUp() | e.ProjectionRolledBack():
            return state.switched.get(fact.projection) == fact
        case _:
            return False


def evolve_scheduler(state: SchedulerState | None, recorded: Recorded) -> SchedulerState:
    """Return the scheduler after one more event."""
    fact = recorded.fact
    before = state or SchedulerState()
    version = recorded.originator_version
    if isinstance(fact, e.SchedulerPaused):
        return SchedulerState(
            paused=True,
            paused_by=recorded.actor.label,
            paused_at=recorded.occurred_at,
            paused_reason=fact.reason,
            version=version,
        )
    if isinstance(fact, e.SchedulerResumed):
        return SchedulerState(version=version)
    return replace(before, version=version)


def evolve_session(state: SessionState | None, recorded: Recorded) -> SessionState | None:
    """Return the session after one more event."""
    fact = recorded.fact
    now, version = recorded.occurred_at, recorded.originator_version
    if isinstance(fact, e.SessionRegistered):
        return SessionState(
            id=fact.session_id,
            agent_name=fact.agent_name,
            workspace_id=fact.workspace_id,
            channel=fact.channel,
            name=fact.name,
            capabilities=fact.capabilities,
            declared=fact.declared,
            concurrency=fact.concurrency,
            soul_digest=fact.soul_digest,
            soul_snapshot_id=fact.soul_snapshot_id,
            created_at=state.created_at if state else now,
            updated_at=now,
            version=version,
        )
    return replace(state, state="stopped", updated_at=now, version=version) if state else None


def evolve_workspace(state: WorkspaceState | None, recorded: Recorded) -> WorkspaceState | None:
    """Return the workspace after one more event."""
    fact = recorded.fact
    now, version = recorded.occurred_at, recorded.originator_version
    if isinstance(fact, e.WorkspaceRegistered):
        return WorkspaceState(
            id=fact.workspace_id,
            name=fact.name,
            path=fact.path,
            created_at=state.created_at if state else now,
            updated_at=now,
            version=version,
        )
    return replace(state, removed=True, updated_at=now, version=version) if state else None


def evolve_ops(state: OpsState | None, recorded: Recorded) -> OpsState:
    """Return the operators' state after one more event."""
    fact = recorded.fact
    tokens = dict(state.tokens) if state else {}
    skipped = state.skipped if state else {}
    worked = state.worked if state else {}
    switched = state.switched if state else {}
    rebuilding = state.rebuilding if state else {}
    if isinstance(fact, _WORK):
        worked = {**worked, fact.projection: fact}
    if isinstance(fact, _SWITCH):
        switched = {**switched, fact.projection: fact}
    if isinstance(fact, _REBUILDING):
        rebuilding = {**rebuilding, fact.projection: fact}
    if isinstance(fact, (e.ProjectionRebuildFinished, e.ProjectionRebuildCanceled)):
        rebuilding = {name: each for name, each in rebuilding.items() if name != fact.projection}
    if isinstance(fact, e.ProjectionEventSkipped):
        known = skipped.get(fact.projection, ())
        skipped = {**skipped, fact.projection: (*known, fact.skipped_sequence)}
    if isinstance(fact, e.TokenCreated):
        tokens[fact.token_id] = TokenState(
            id=fact.token_id,
            name=fact.name,
            scopes=fact.scopes,
            actor=fact.token_actor,
            secret_hash=fact.secret_hash,
            workspace_id=fact.workspace_id,
            created_at=recorded.occurred_at,
        )
    if isinstance(fact, e.TokenRevoked) and fact.token_id in tokens:
        tokens[fact.token_id] = replace(tokens[fact.token_id], revoked_at=recorded.occurred_at)
    return OpsState(
        tokens=tokens,
        skipped=skipped,
        worked=worked,
        switched=switched,
        rebuilding=rebuilding,
        version=recorded.originator_version,
    )

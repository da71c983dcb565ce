"""A small ledger for tests: workspaces, one read model of them, and the timeline's rows."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api.services import LedgerWorld
from domain.commands import Command, RegisterWorkspace, Reply
from domain.errors import ValidationError
from domain.events import WorkspaceRegistered
from domain.recorded import Recorded, workspace_stream
from domain.registry import WorkspaceState
from domain.values import LOCAL_USER, Actor, Origin
from domain.world import Change, Context, Plan
from projections.rows import Rows, Table
from projections.schema import define
from replay.committer import Committer, Listener, Outcome
from replay.feed import FEED_COLUMNS, FEED_TABLE
from replay.ledger import Ledger

NAMES = define("names", key={"name": "TEXT"}, values={"workspace_id": "TEXT"}, eager=True)
FRAMES = Table(
    name=FEED_TABLE,
    columns=FEED_COLUMNS,
    key_columns=1,
    ddl=(
        f"CREATE TABLE IF NOT EXISTS {FEED_TABLE}"
        f" (sequence INTEGER PRIMARY KEY, {' TEXT, '.join(FEED_COLUMNS[1:])} BLOB)",
    ),
)
POISON = "poison"
FIRST_TIME = 1_700_000_000_000_000


class Names:
    """Which workspace has a name: read while later commands are decided."""

    name = "names"
    version = 1
    tables: tuple[Table, ...] = (NAMES,)

    def apply(self, change: Change, rows: Rows) -> None:
        state = change.after
        if not isinstance(state, WorkspaceState):
            return
        if state.name == POISON:
            message = "this projector cannot take a poisonous name"
            raise LookupError(message)
        if isinstance(change.before, WorkspaceState) and change.before.name != state.name:
            rows.delete(NAMES, (change.before.name,))
        rows.put(NAMES, (state.name, state.id))


class Frames:
    """The rows of the feed."""

    name = "frames"
    version = 1
    tables: tuple[Table, ...] = (FRAMES,)

    def apply(self, change: Change, rows: Rows) -> None:
        rows.put(FRAMES, feed_row(change.recorded))


PROJECTORS = (Names(), Frames())


def feed_row(recorded: Recorded) -> tuple[object, ...]:
    """Return a row of the feed; the lineage is the stream alone."""
    return (
        recorded.sequence,
        recorded.task_id,
        recorded.run_id,
        recorded.type,
        "",
        recorded.actor.kind,
        recorded.actor.ref,
        f'["{recorded.originator_id}"]',
        b'{"version":%d}' % recorded.originator_version,
    )


class SmallWorld(LedgerWorld):
    """The product's world, with names looked up in the small read models."""

    def workspace_of_ref(self, ref: str) -> str | None:
        rows = self._store.select("SELECT workspace_id FROM names WHERE name=?", (ref,))
        return rows[0][0] if rows else None


class Repeat(Command, frozen=True, kw_only=True):
    """Register the same workspace several times over, in one command."""

    workspace_id: str
    times: int
    name: str = ""


class Break(Command, frozen=True, kw_only=True):
    """Make deciding itself fail."""


def decide(command: Command, plan: Plan) -> Reply:
    """Register a workspace unless another one has the name."""
    match command:
        case RegisterWorkspace(workspace_id=workspace_id, name=name):
            owner = plan.world.workspace_of_ref(name)
            if owner not in (None, workspace_id):
                message = f"{name} is the name of {owner}"
                raise ValidationError(message)
            _register(plan, workspace_id, name)
        case Repeat(workspace_id=workspace_id, times=times, name=name):
            for _ in range(times):
                _register(plan, workspace_id, name or workspace_id)
        case _:
            message = f"nobody decides {command}"
            raise TypeError(message)
    return Reply(session_id=workspace_id)


def _register(plan: Plan, workspace_id: str, name: str) -> None:
    fact = WorkspaceRegistered(workspace_id=workspace_id, name=name)
    plan.emit(workspace_stream(workspace_id), fact)


class Clock:
    """A clock that tests move."""

    def __init__(self, now: int = FIRST_TIME) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


_ids = itertools.count(1)


def context(now: int = FIRST_TIME, actor: Actor = LOCAL_USER) -> Context:
    """Return the circumstances of a command."""
    return Context(
        actor=actor,
        origin=Origin("cli", "test"),
        now=now,
        command_id=f"cmd-{next(_ids)}",
        new_id=lambda prefix: f"{prefix}-{next(_ids)}",
    )


def env_of(path: Path | str) -> dict[str, str]:
    """Return the environment of a ledger in a file."""
    return {"SQLITE_DBNAME": str(path)}


@contextmanager
def opened(path: Path | str, **env: str) -> Iterator[Ledger]:
    """Give the ledger in a file, or at a URI of SQLite, and close it afterwards."""
    ledger = Ledger({**env_of(path), **env})
    try:
        yield ledger
    finally:
        ledger.close()


def committer_of(
    ledger: Ledger,
    *,
    clock: Callable[[], int] | None = None,
    on_commit: Iterable[Listener] = (),
    slow_commit_ms: float = 1_000.0,
) -> Committer:
    """Return a committer over the small read models; commits stay on the thread by default."""
    return Committer(
        ledger,
        PROJECTORS,
        decide,
        SmallWorld,
        clock or Clock(),
        on_commit=on_commit,
        slow_commit_ms=slow_commit_ms,
    )


def register(workspace_id: str, name: str = "") -> RegisterWorkspace:
    """Return the command that registers a workspace."""
    return RegisterWorkspace(workspace_id=workspace_id, name=name or workspace_id)


async def together(committer: Committer, *commands: Command) -> list[Outcome | BaseException]:
    """Submit commands at once, so that they are one batch, and return what each came to."""
    return await asyncio.gather(
        *(committer.submit(command, context()) for command in commands), return_exceptions=True
    )

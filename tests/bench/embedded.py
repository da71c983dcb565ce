"""The product without HTTP: a ledger with its committer, and the contexts commands come with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from api.services import new_id, now, world_of
from domain.commands import CreateTask, OwnerInput
from domain.decide import decide
from domain.values import LOCAL_USER, Actor, Json, Origin
from domain.world import Context
from projections.catalog import PROJECTORS
from replay.batch import Desk
from replay.committer import Committer
from replay.ledger import Ledger
from tests.bench.agents import session_of

METADATA: Final = Json(b'{"page":"https://example.org/pages/1","depth":2}')
RESULT: Final = Json(b'{"links":41,"broken":["https://example.org/gone"]}')
DESCRIPTION: Final = "Fetch the page, follow each link once and note those that are broken."


class Embedded(Struct, frozen=True):
    """An open ledger and its only writer."""

    ledger: Ledger
    committer: Committer


def context(action: str, session: str = "") -> Context:
    """Return the circumstances of one command, of the local user or of an agent's session."""
    return Context(
        actor=Actor("agent_session", session) if session else LOCAL_USER,
        origin=Origin("http", action),
        now=now(),
        command_id=new_id("cmd"),
        new_id=new_id,
    )


def task_of(task_id: str, agent: int | None = None, *, attempts: int = 3) -> CreateTask:
    """Return the creation of a task that one agent, or any, may claim."""
    owner = None if agent is None else OwnerInput(kind="agent_session", ref=session_of(agent))
    return CreateTask(
        id=task_id,
        scope="global",
        title="Check the links of a page",
        description=DESCRIPTION,
        owner=owner,
        max_attempts=attempts,
        metadata=METADATA,
    )


def open_ledger(path: Path) -> Ledger:
    """Return the ledger in a file."""
    return Ledger({"SQLITE_DBNAME": str(path)})


def desk_of(ledger: Ledger) -> Desk:
    """Return what decides commands for a writer of one's own."""
    return Desk(
        committed=ledger.state,
        decide=decide,
        world_factory=world_of,
        projectors=PROJECTORS,
        clock=now,
    )


@contextmanager
def embedded(path: Path) -> Iterator[Embedded]:
    """Give the ledger in a file with a committer, and close it afterwards."""
    ledger = open_ledger(path)
    try:
        yield Embedded(ledger, Committer(ledger, PROJECTORS, decide, world_of, now))
    finally:
        ledger.close()

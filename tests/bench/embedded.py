"""The product without HTTP: a ledger, its committer, and the commands that cases send."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from api.server import settle_memory
from api.services import Services, build, world_of
from api.settings import Settings
from domain.commands import Command, CreateTask, OwnerInput
from domain.decide import decide
from domain.errors import DomainError
from domain.values import LOCAL_USER, Actor, Json, Origin
from projections.catalog import PROJECTORS
from replay.batch import Desk, Job, Outcome
from replay.committer import Committer
from replay.transaction import Transaction
from tests.bench.agents import session_of

METADATA: Final = Json(b'{"page":"https://example.org/pages/1","depth":2}')
RESULT: Final = Json(b'{"links":41,"broken":["https://example.org/gone"]}')
DESCRIPTION: Final = "Fetch the page, follow each link once and note those that are broken."


class Embedded:
    """The parts of a server, used from the same process."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def committer(self) -> Committer:
        """The writer of the ledger."""
        return self._services.committer

    @property
    def head(self) -> int:
        """The last sequence of the ledger."""
        return self._services.ledger.head

    def job(self, command: Command, action: str, session: str = "") -> Job:
        """Return a command of the local user, or of an agent's session, ready to be decided."""
        actor = Actor("agent_session", session) if session else LOCAL_USER
        return Job(command, self._services.context(actor, Origin("http", action)))

    async def submit(self, command: Command, action: str, session: str = "") -> Outcome:
        """Return the outcome of a command once it is durable."""
        job = self.job(command, action, session)
        return await self.committer.submit(job.command, job.context)

    async def submit_together(
        self, commands: Sequence[Command], action: str, session: str
    ) -> list[Outcome | DomainError]:
        """Return what the commands of an agent's session came to, in one durable commit."""
        context = self._services.context(Actor("agent_session", session), Origin("http", action))
        return await self.committer.submit_together(commands, context)

    def execute(self, command: Command, action: str, session: str = "") -> Outcome:
        """Return the outcome of a command that is a batch of its own."""
        job = self.job(command, action, session)
        return self.committer.execute(job.command, job.context)

    def transaction(self) -> Transaction:
        """Return transactions of any size; the committer may not be used beside them."""
        ledger = self._services.ledger
        desk = Desk(
            committed=ledger,
            decide=decide,
            world_factory=world_of,
            projectors=PROJECTORS,
            clock=self._services.clock,
        )
        return Transaction(ledger, desk)


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


def place_of(where: Path | str) -> str:
    """Return a place as the product's settings name it."""
    return f"sqlite:{where}" if isinstance(where, Path) else where


@contextmanager
def embedded(where: Path | str) -> Iterator[Embedded]:
    """Give the product over the ledger in a file or another place; close it afterwards.

    Memory is settled as in a server.
    """
    services = build(Settings(store=place_of(where)))
    settle_memory()
    try:
        yield Embedded(services)
    finally:
        services.close()

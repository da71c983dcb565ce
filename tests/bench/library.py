"""The same work done the event-sourcing library's own way: aggregates and `Application.save`."""

from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from replay.places import environment_of


class Task(Aggregate):
    """A task with one run, written as the library's documentation suggests."""

    @event("Created")
    def __init__(self, title: str, description: str, owner: str, metadata: dict[str, object]):
        self.title = title
        self.description = description
        self.owner = owner
        self.metadata = metadata
        self.status = "ready"
        self.claimed_by = ""
        self.lease_until = 0
        self.result: dict[str, object] = {}

    @event("Enqueued")
    def enqueue(self, run_id: str, key: str) -> None:
        self.run_id = run_id
        self.key = key
        self.status = "queued"

    @event("Claimed")
    def claim(self, claimed_by: str, lease_until: int) -> None:
        self.claimed_by = claimed_by
        self.lease_until = lease_until
        self.status = "claimed"

    @event("Completed")
    def complete(self, result: dict[str, object]) -> None:
        self.result = result
        self.status = "completed"


class Tasks(Application[UUID]):
    """Commands on tasks, each loaded, changed and saved by itself."""

    def create(self, title: str, description: str, owner: str, page: str) -> UUID:
        """Create a task and return its id."""
        task = Task(title, description, owner, {"page": page, "depth": 2})
        self.save(task)
        return task.id

    def enqueue(self, task_id: UUID) -> None:
        """Queue the run of a task."""
        task: Task = self.repository.get(task_id)
        task.enqueue(f"run-{task_id}", f"{task_id}")
        self.save(task)

    def claim(self, task_id: UUID, session: str) -> None:
        """Claim the run of a task."""
        task: Task = self.repository.get(task_id)
        task.claim(session, 1_700_000_000_000_000)
        self.save(task)

    def complete(self, task_id: UUID) -> None:
        """Complete the run of a task."""
        task: Task = self.repository.get(task_id)
        task.complete({"links": 41, "broken": ["https://example.org/gone"]})
        self.save(task)


def open_tasks(where: Path | str) -> Tasks:
    """Return the application over a file or a database, with the library's own settings."""
    if isinstance(where, Path):
        return Tasks({"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(where)})
    return Tasks(environment_of(where) | {"PERSISTENCE_MODULE": "eventsourcing.postgres"})

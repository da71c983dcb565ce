"""Random requests, and every answer that can be asked for again kept as it was given."""

from pathlib import Path
from typing import Any

from domain.instants import rfc3339
from tests.machine.gates import Answer, DirectGate
from tests.machine.machines import DirectMachine
from tests.machine.state import Outcome

OF_ALL = (
    "/api/tasks",
    "/api/tasks?status=ready&limit=3",
    "/api/tasks?include_drafts=true&query=o",
    "/api/tasks?scope=workspace&workspace=one",
    "/api/scheduler",
    "/api/scheduler/backlog",
    "/api/scheduler/backlog?include_paused=true&limit=2",
    "/api/observe/tasks/inbox",
    "/api/observe/tasks/inbox?unread=true&limit=2",
    "/api/observe/tasks/dashboard",
    "/api/observe/tasks/dashboard?scope=global&owner_kind=pool",
)
ENDS = ("", "/tree", "/runs", "/reviews")
"""What is read of one task."""
OF_TIME = ("/api/tasks", "/api/scheduler", "/api/observe/tasks/dashboard")
"""Some whose answers change with the clock alone, and one whose answer does not."""
_TRIAGE = ("read", "archive", "dismiss")


class RecordingGate(DirectGate):
    """Keeps each answer as of the sequence, or the time, at which it was given."""

    def __init__(self, folder: Path | None = None, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self.answers: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._head = 0
        self._triaged = 0

    def send(self, method: str, path: str, body: Any = None, session: str = "") -> Answer:
        if method != "GET":
            self._keep(rfc3339(self.now), OF_TIME)
        answer = super().send(method, path, body, session)
        self._note()
        return answer

    def sweep(self) -> None:
        super().sweep()
        self._note()

    def _note(self) -> None:
        head = self.services.ledger.head
        if head == self._head:
            return
        self._head = head
        tasks = self.services.ledger.reader.select("SELECT task_id FROM tasks")
        runs = self.services.ledger.reader.select("SELECT run_id FROM runs")
        paths = [f"/api/tasks/{id_}{end}" for (id_,) in tasks for end in ENDS]
        paths += [f"/api/task-runs/{id_}{end}" for (id_,) in runs for end in ("", "/reviews")]
        reviews = self.services.ledger.reader.select("SELECT review_id FROM reviews")
        paths += [f"/api/task-reviews/{id_}" for (id_,) in reviews]
        self._keep(str(head), (*OF_ALL, *paths))

    def _keep(self, as_of: str, paths: tuple[str, ...]) -> None:
        for path in paths:
            self.answers[as_of, path] = self.answer(path)

    def answer(self, path: str, as_of: str = "") -> tuple[int, bytes]:
        """Return status and body of an answer."""
        if as_of:
            path = f"{path}{'&' if '?' in path else '?'}as_of={as_of}"
        answer = self.read(path)
        return answer.status, answer.body

    def check(self) -> None:
        """Ask everything again, in another order, from a time long after."""
        self.now += 10**12
        for (as_of, path), expected in reversed(self.answers.items()):
            assert self.answer(path, as_of) == expected, (as_of, path)


class RewindMachine(DirectMachine):
    """Looks at nothing but whether the past can be told again."""

    gate_class = RecordingGate

    def compare(self) -> None:
        """Triage something now and then, which no rule does."""
        self.steps += 1
        tasks = list(self.model.tasks)
        if tasks and self.steps % 4 == 0:
            task_id = tasks[self.steps % len(tasks)]
            verb = _TRIAGE[self.steps % len(_TRIAGE)]
            self.both.ask(self._triaged, "POST", f"/tasks/{task_id}/triage/{verb}", {})
        self.sound = True

    def _triaged(self) -> Outcome:
        self.model.note("inbox.triaged")
        return Outcome(200)

    def teardown(self) -> None:
        """Look back."""
        try:
            if self.sound:
                self.gate.check()
        finally:
            self.gate.close()
            self.gate.clean()

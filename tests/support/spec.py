"""Given what happened, when a command comes, then these facts, or a refusal."""

from itertools import count, zip_longest
from typing import Any

from msgspec import Struct

from domain.commands import Command, Reply
from domain.errors import DomainError
from domain.events import Fact
from domain.instants import parse_rfc3339
from domain.recorded import Recorded
from domain.values import Actor, Origin
from domain.world import Change, Context, Policy
from tests.support.invariants import check_invariants
from tests.support.world import World

NOW = parse_rfc3339("2026-04-26T12:00:00Z")
HUMAN = Actor("human", "local-user")
HTTP = Origin("http", "tasks.test")


class Step(Struct, frozen=True, kw_only=True):
    """A command with who sent it, when, and the run id to give out."""

    command: Command
    actor: Actor = HUMAN
    origin: Origin = HTTP
    at: int = NOW
    run_id: str = ""


class Past(Struct, frozen=True):
    """A fact with the stream and the run it belongs to."""

    stream: str
    fact: Fact
    run_id: str = ""


def on(task_id: str, fact: Fact, run_id: str = "") -> Past:
    """Place a fact in the stream of a task."""
    return Past(f"task:{task_id}", fact, run_id)


class Spec:
    """A scenario. Every accepted command also has to keep the invariants."""

    def __init__(self) -> None:
        self.world = World()
        self.policy = Policy()
        self.reply = Reply()
        self.changes: list[Change] = []
        self.refusal: DomainError | None = None
        self._ids: dict[str, count[int]] = {}
        self._commands = count(1)

    def given(self, *steps: Step | Command | Past) -> "Spec":
        """Let something happen; commands must be accepted."""
        for step in steps:
            if isinstance(step, Past):
                self._record(step)
            else:
                self.when(step)
                assert self.refusal is None, self.refusal
        return self

    def when(self, step: Step | Command, **given: Any) -> "Spec":
        """Decide a command; `given` are members of the step, or of the context."""
        checked = given.pop("checked", True)
        if isinstance(step, Command):
            members = {name: given.pop(name) for name in Step.__struct_fields__ if name in given}
            step = Step(command=step, **members)
        self.reply, self.changes, self.refusal = Reply(), [], None
        before = dict(self.world.states)
        try:
            self.reply, self.changes = self.world.execute(step.command, self._context(step, given))
        except DomainError as refusal:
            self.refusal = refusal
            assert self.world.states == before
        if checked:
            check_invariants(self.world)
        return self

    def then(self, *expected: Fact | Past) -> "Spec":
        """Expect exactly these facts; a placed one also in its stream and of its run."""
        assert self.refusal is None, self.refusal
        placed = [Past(past.originator_id, past.fact, past.run_id) for past in self.recorded]
        seen = [
            place if isinstance(wanted, Past) else place.fact
            for place, wanted in zip_longest(placed, expected[: len(placed)])
        ]
        assert seen == list(expected)
        return self

    def then_nothing(self) -> "Spec":
        """Expect success without any fact."""
        return self.then()

    def then_refused(self, error: type[DomainError], text: str = "") -> "Spec":
        """Expect a refusal of exactly this class whose text holds `text`."""
        assert type(self.refusal) is error, self.refusal or self.facts
        assert text in self.refusal.text
        return self

    def then_reply(self, **members: Any) -> "Spec":
        """Expect a reply of exactly these members."""
        assert self.refusal is None, self.refusal
        assert self.reply == Reply(**members)
        return self

    def then_task(self, task_id: str, **members: Any) -> "Spec":
        """Expect these members of a task."""
        return self._expect(self.world.task(task_id), members)

    def then_run(self, run_id: str, **members: Any) -> "Spec":
        """Expect these members of a run."""
        return self._expect(self.world.run(run_id), members)

    @property
    def recorded(self) -> list[Recorded]:
        """What the last command recorded."""
        return [change.recorded for change in self.changes]

    @property
    def facts(self) -> list[Fact]:
        """The facts of the last command."""
        return [past.fact for past in self.recorded]

    @property
    def statuses(self) -> dict[str, str]:
        """The status of every task."""
        return {state.id: state.task.status for state in self.world.tasks()}

    def _expect(self, subject: Struct, members: dict[str, Any]) -> "Spec":
        assert {name: getattr(subject, name) for name in members} == members
        return self

    def _context(self, step: Step, given: dict[str, Any]) -> Context:
        def new_id(kind: str) -> str:
            if kind == "run" and step.run_id:
                return step.run_id
            return f"{kind}-{next(self._ids.setdefault(kind, count(1)))}"

        return Context(
            actor=step.actor,
            origin=step.origin,
            now=step.at,
            command_id=f"command-{next(self._commands)}",
            new_id=new_id,
            **{"policy": self.policy, **given},
        )

    def _record(self, past: Past) -> None:
        before = self.world.state(past.stream)
        kind, _, name = past.stream.partition(":")
        self.world.record(
            Recorded(
                sequence=self.world.head + 1,
                originator_id=past.stream,
                originator_version=before.version + 1 if before else 1,
                event_id=f"past-{self.world.head + 1}",
                fact=past.fact,
                actor=HUMAN,
                origin=HTTP,
                occurred_at=NOW,
                recorded_at=NOW,
                command_id="past",
                task_id=name if kind == "task" else "",
                run_id=past.run_id,
            )
        )


def given(*steps: Step | Command | Past) -> Spec:
    """Start a scenario."""
    return Spec().given(*steps)

"""Random commands of the PostHog Tasks API, decided as in a server."""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, get_args

from domain.commands import Command
from domain.decide import decide
from domain.errors import DomainError
from domain.posthog import commands as c
from domain.posthog.state import PosthogRun, PosthogTask
from domain.posthog.values import Status
from domain.uuids import uuid_of
from domain.values import Blob, Json
from tests.projections.support import Ledger

_JSON = (Json(b'{"a":1}'), Json(b'{"b":{"c":[1]}}'), Json(b"[1]"), Json(b"null"))
_BLOB = Blob("6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", 1)
_ARTIFACT = c.NewArtifact(id="a1", name="x", type="plan", storage_path="p/x", content=_BLOB)


class PosthogSteps:
    """Steps of a random history; what is refused does nothing."""

    def __init__(self, random: Random, ledger: Ledger) -> None:
        self.random = random
        self.ledger = ledger
        self.steps: tuple[Callable[[], object], ...] = (
            self._define,
            self._on_task(lambda ids: c.UpdatePosthogTask(**ids, title="", repository="a/b")),
            self._on_task(lambda ids: c.DeletePosthogTask(**ids)),
            self._on_task(self._run),
            self._on_task(self._run),
            self._on_run(self._change),
            self._on_run(self._change),
            self._on_run(lambda ids: c.SetPosthogOutput(**ids, output=_JSON[0])),
            self._on_run(
                lambda ids: c.AppendPosthogLog(**ids, count=1, size=8, entries=(_JSON[0],))
            ),
            self._on_run(lambda ids: c.StorePosthogArtifacts(**ids, artifacts=(_ARTIFACT,))),
        )

    def _decide(self, command: Command) -> None:
        with suppress(DomainError):
            self.ledger.step(lambda plan: decide(command, plan))

    def _define(self) -> None:
        workspace_id = f"ws-{self.random.randint(1, 2)}"
        number = self.random.randrange(1 << 30)
        command = c.CreatePosthogTask(
            posthog_task_id=uuid_of(str(number)), workspace_id=workspace_id, description="do it"
        )
        self._decide(command)

    def _on_task(self, make: Callable[[dict[str, Any]], Command]) -> Callable[[], object]:
        def step() -> None:
            states = self.ledger.states.values()
            if tasks := [state for state in states if isinstance(state, PosthogTask)]:
                self._decide(make(_ids(self.random.choice(tasks))))

        return step

    def _on_run(self, make: Callable[[dict[str, Any]], Command]) -> Callable[[], object]:
        def step() -> None:
            states = self.ledger.states
            if runs := [state for state in states.values() if isinstance(state, PosthogRun)]:
                run = self.random.choice(runs)
                task = states[f"posthog-task:{run.posthog_task_id}"]
                assert isinstance(task, PosthogTask)
                self._decide(make({**_ids(task), "posthog_run_id": run.id}))

        return step

    def _run(self, ids: dict[str, Any]) -> Command:
        status: Status = self.random.choice(get_args(Status))
        return c.CreatePosthogRun(**ids, status=status, state=self.random.choice(_JSON[:2]))

    def _change(self, ids: dict[str, Any]) -> Command:
        members = {
            "status": self.random.choice(get_args(Status)),
            "stage": self.random.choice((None, "build")),
            "error_message": self.random.choice((None, "why")),
            "output": self.random.choice(_JSON),
            "state": self.random.choice(_JSON[:2]),
            "state_remove_keys": ("a",),
        }
        chosen = self.random.sample(sorted(members), self.random.randint(0, 3))
        return c.UpdatePosthogRun(**ids, **{name: members[name] for name in chosen})


def _ids(task: PosthogTask) -> dict[str, Any]:
    return {"workspace_id": task.workspace_id, "posthog_task_id": task.id}

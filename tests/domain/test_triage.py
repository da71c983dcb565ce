"""Triage of the inbox: facts of the caller's own stream."""

import pytest

from domain.actor import ActorState
from domain.commands import CreateTask, DeleteTask, TriageTask
from domain.errors import PermissionDeniedError, TaskNotFoundError
from domain.events import TaskTriaged
from domain.instants import SECOND
from domain.values import Actor, TriageAction
from tests.support.spec import NOW, Past, given

ANN = Actor("human", "ann")
TASK = CreateTask(id="t", scope="global", title="A task")


@pytest.mark.parametrize("action", ["read", "archive", "dismiss"])
def test_triage_is_an_event_of_the_callers_own_stream(action: TriageAction) -> None:
    spec = given(TASK)
    before = spec.world.state("task:t")
    spec.when(TriageTask(task_id="t", action=action), actor=ANN, at=NOW + SECOND)
    fact = TaskTriaged(triaged_task_id="t", action=action, last_seen_activity_at=NOW)
    spec.then(Past("actor:human:ann", fact)).then_reply(task_id="t")
    assert spec.world.state("task:t") is before
    assert spec.recorded[0].task_id == ""


def test_repeating_an_action_is_another_event_with_the_activity_of_then() -> None:
    read = TriageTask(task_id="t", action="read")
    spec = given(TASK, read).when(read)
    spec.then(TaskTriaged(triaged_task_id="t", action="read", last_seen_activity_at=NOW))
    assert spec.world.state("actor:human:local-user") == ActorState(version=2)


def test_a_task_that_never_was_or_is_deleted_cannot_be_triaged() -> None:
    spec = given(TASK, DeleteTask(task_id="t"))
    for task_id in ("t", "other"):
        spec.when(TriageTask(task_id=task_id, action="read"))
        spec.then_refused(TaskNotFoundError, f'task "{task_id}"')


def test_a_token_of_a_workspace_reaches_no_task_outside_it() -> None:
    spec = given(TASK).when(TriageTask(task_id="t", action="read"), workspace_limit="w")
    spec.then_refused(PermissionDeniedError, "bound to workspace")

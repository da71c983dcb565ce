"""Definitions: made, changed and deleted."""

import pytest

from domain.commands import CompleteRun, RemoveWorkspace
from domain.errors import PermissionDeniedError, TaskNotFoundError, WorkspaceNotFoundError
from domain.posthog import events as e
from domain.posthog.commands import DeletePosthogTask, UpdatePosthogTask
from domain.posthog.state import evolve_run, evolve_task, run_stream, task_stream
from domain.posthog.tasks import prefix_of, title_of
from domain.values import NO_JSON
from tests.domain.posthog.scenes import TASK, WORKSPACE, change, definition, new_run, types
from tests.domain.test_events import recorded
from tests.support.spec import Past, given
from tests.support.steps import json


def test_a_definition_gets_the_next_number_of_its_workspace() -> None:
    spec = given(WORKSPACE).when(definition(repository="a/b", json_schema=json("{}")))
    spec.then(
        Past(
            task_stream("p1"),
            e.PosthogTaskCreated(
                posthog_task_id="p1",
                workspace_id="w1",
                task_number=0,
                slug="MBS-0",
                title="a task",
                origin_product="user_created",
                repository="a/b",
                json_schema=json("{}"),
            ),
        )
    )
    spec.when(definition(posthog_task_id="p2", title="", description="one\ntwo"))
    assert [(fact.slug, fact.title) for fact in spec.facts] == [("MBS-1", "one")]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("project", "prefix"),
    [("My Big Shop", "MBS"), ("PostHog", "POS"), ("ä-b c", "ÄBC"), ("x", "X"), ("12", "TSK")],
)
def test_slugs_begin_with_letters_of_the_project(project: str, prefix: str) -> None:
    assert prefix_of(project) == prefix


def test_a_title_is_made_from_the_description() -> None:
    assert title_of("\n  \n first  \nsecond") == "first"
    assert title_of("x" * 300) == "x" * 255
    assert title_of(" ") == "Untitled task"


def test_only_a_known_workspace_in_reach_is_a_project() -> None:
    given().when(definition()).then_refused(WorkspaceNotFoundError)
    gone = given(WORKSPACE, RemoveWorkspace(workspace_id="w1"))
    gone.when(definition()).then_refused(WorkspaceNotFoundError)
    for command in (definition(), UpdatePosthogTask(**TASK)):
        spec = given(WORKSPACE, definition())
        spec.when(command, workspace_limit="w2").then_refused(PermissionDeniedError)


def test_only_what_was_sent_changes() -> None:
    spec = given(WORKSPACE, definition())
    spec.when(UpdatePosthogTask(**TASK)).then_nothing()
    spec.when(UpdatePosthogTask(**TASK, repository=None, json_schema=NO_JSON)).then(
        e.PosthogTaskUpdated(
            posthog_task_id="p1",
            workspace_id="w1",
            changed_fields=("repository", "json_schema"),
        )
    )
    spec.given(UpdatePosthogTask(**TASK, description="from here"))
    spec.when(UpdatePosthogTask(**TASK, title="")).then(
        e.PosthogTaskUpdated(
            posthog_task_id="p1", workspace_id="w1", changed_fields=("title",), title="from here"
        )
    )


def test_a_run_is_a_task_that_says_what_its_definition_says() -> None:
    spec = given(WORKSPACE, definition(description="x" * 70_000))
    spec.given(UpdatePosthogTask(**TASK, title="other"), new_run())
    task = spec.world.task("task-1")

    assert (task.identifier, task.title, task.facade) == ("MBS-0", "other", "posthog")
    assert (task.workspace_id, task.status, task.max_attempts) == ("w1", "draft", 1)
    assert task.description == "x" * 65_536
    named = b'{"posthog":{"task":"p1","origin_product":"user_created"}}'
    assert bytes(task.metadata) == named


def test_deleting_cancels_what_has_not_ended() -> None:
    spec = given(
        WORKSPACE, definition(), new_run(), new_run(status="completed"), new_run(status="queued")
    )
    spec.when(DeletePosthogTask(**TASK))

    assert types(spec) == [
        "task.canceled",
        "task.run_canceled",
        "task.canceled",
        "posthog.task_deleted",
    ]
    assert spec.statuses == {"task-1": "canceled", "task-2": "completed", "task-3": "canceled"}
    for command in (DeletePosthogTask(**TASK), new_run(), change(stage="x")):
        spec.when(command).then_refused(TaskNotFoundError)
    other = DeletePosthogTask(workspace_id="w2", posthog_task_id="p1")
    given(WORKSPACE, definition()).when(other).then_refused(TaskNotFoundError)


def test_a_run_that_was_ended_over_the_task_api_is_not_canceled() -> None:
    spec = given(WORKSPACE, definition(), new_run(status="in_progress"))
    spec.given(CompleteRun(run_id="run-1")).when(DeletePosthogTask(**TASK))

    assert types(spec) == ["posthog.task_deleted"]


def test_what_happens_to_something_unknown_folds_to_nothing() -> None:
    deleted = e.PosthogTaskDeleted(posthog_task_id="p1", workspace_id="w1")
    changed = e.PosthogOutputSet(posthog_run_id="r1", output=json("{}"))
    assert evolve_task(None, recorded(task_stream("p1"), deleted)) is None
    assert evolve_run(None, recorded(run_stream("r1"), changed)) is None

"""Defining Ona tasks."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.errors import (
    ConflictError,
    DeletePreconditionError,
    PayloadTooLargeError,
    PermissionDeniedError,
    TaskNotFoundError,
    ValidationError,
)
from domain.events import Fact, WorkspaceRegistered
from domain.ona.commands import DeleteOnaTask, UpdateOnaTask
from domain.ona.events import OnaTaskCreated, OnaTaskDeleted, OnaTaskUpdated
from domain.ona.state import OnaTask, evolve_ona_task, ona_task_stream
from domain.ona.values import Docker, RunsOn, TaskSpec, Trigger, Variable
from domain.world import evolve
from tests.support.ona import ENVIRONMENT, define, ona_id, start
from tests.support.spec import HUMAN, NOW, Past, Spec, given

OTHER = "0190c2b5-5d6e-7e1a-8c6b-000000000000"
SECRET = "0190C2B5-5D6E-7E1A-8C6B-111111111111"
FIRST, SECOND = ona_id(1), ona_id(2)


def created(number: int = 1, **more: Any) -> Past:
    usual = {"ona_task_id": ona_id(number), "workspace_id": ENVIRONMENT}
    return Past(ona_task_stream(ona_id(number)), OnaTaskCreated(**{**usual, **more}))


def updated(*names: str, **more: Any) -> Past:
    fact = OnaTaskUpdated(ona_task_id=FIRST, workspace_id=ENVIRONMENT, changed_fields=names, **more)
    return Past(ona_task_stream(FIRST), fact)


def update(**more: Any) -> UpdateOnaTask:
    return UpdateOnaTask(**{"ona_task_id": FIRST, **more})


def delete(number: int = 1) -> DeleteOnaTask:
    return DeleteOnaTask(ona_task_id=ona_id(number))


def definition(spec: Spec, number: int = 1) -> OnaTask:
    state = spec.world.states[ona_task_stream(ona_id(number))]
    assert isinstance(state, OnaTask)
    return state


def test_the_environment_of_a_task_becomes_a_workspace_on_first_use() -> None:
    workspace = WorkspaceRegistered(workspace_id=ENVIRONMENT)
    made = created(reference="build", name="BUILD")

    given().when(define("build")).then(Past(f"workspace:{ENVIRONMENT}", workspace), made)


def test_a_task_keeps_all_that_it_was_defined_with() -> None:
    spec = TaskSpec(
        command="make\n",
        env=(Variable(name="A", value=""), Variable(name="B", secret_id=SECRET)),
        runs_on=RunsOn(docker=Docker(image="alpine", environment=("X=1",))),
        prebuild_requires_success=True,
    )
    triggers = (Trigger(kind="manual"), Trigger(kind="prebuild", on=False), Trigger())
    more: dict[str, Any] = {"description": " as sent ", "spec": spec, "triggered_by": triggers}

    made = given(define("first")).when(define("second", FIRST.upper(), **more))

    assert definition(made, 2) == OnaTask(
        id=SECOND,
        workspace_id=ENVIRONMENT,
        reference="second",
        name="SECOND",
        description=" as sent ",
        triggered_by=triggers,
        spec=TaskSpec(
            command="make\n",
            env=(spec.env[0], Variable(name="B", secret_id=SECRET.lower())),
            runs_on=spec.runs_on,
            prebuild_requires_success=True,
        ),
        depends_on=(FIRST,),
        creator=HUMAN,
        created_at=NOW,
        version=1,
    )


def test_a_task_needs_no_metadata() -> None:
    made = given().when(define("", named=False, name=""))
    assert made.facts[-1] == created().fact


def test_a_reference_is_free_in_another_environment_and_after_its_task_is_gone() -> None:
    given(define("a"), define("a", environment_id=OTHER), delete()).when(define("a")).then(
        created(3, reference="a", name="A")
    )


def test_a_reference_names_one_task_of_an_environment() -> None:
    again = given(define("a")).when(define("a"))
    again.then_refused(ConflictError, f'reference "a" already names task "{FIRST}"')


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"environment_id": "here"}, 'environmentId must be a UUID: "here"'),
        ({"environment_id": "x" * 100}, "…"),
        ({"reference": ""}, "metadata.reference must match"),
        ({"reference": "a b"}, "metadata.reference must match"),
        ({"reference": "a" * 129}, "metadata.reference must match"),
        ({"name": ""}, "metadata.name must have at least 1 character"),
        ({"name": "\0"}, "metadata.name must not contain the NUL character"),
        ({"depends_on": ("x",)}, 'dependsOn[0] must be a UUID: "x"'),
        ({"depends_on": (OTHER,)}, "dependsOn[0] is no task of environment"),
        ({"depends_on": (OTHER, OTHER)}, "dependsOn[1] comes twice"),
        ({"depends_on": (FIRST,)}, "dependsOn[0] is the task itself"),
        (
            {"depends_on": tuple(ona_id(number) for number in range(2, 35))},
            "dependsOn must have at most 32 items: 33",
        ),
        ({"spec": TaskSpec(command="x" * 16_000)}, "spec takes 17"),
        (
            {"spec": TaskSpec(env=(Variable(name=""),))},
            "spec.env[0].name must have at least 1 character",
        ),
        (
            {"spec": TaskSpec(env=(Variable(name="A", secret_id="s"),))},
            'spec.env[0].valueFrom.secretRef.id must be a UUID: "s"',
        ),
        (
            {"spec": TaskSpec(runs_on=RunsOn(docker=Docker(image="")))},
            "spec.runsOn.docker.image must have at least 1 character",
        ),
        (
            {"spec": TaskSpec(runs_on=RunsOn(docker=Docker(image="a", environment=("\0",))))},
            "spec.runsOn.docker.environment[0] must not contain the NUL",
        ),
    ],
)
def test_what_a_task_must_not_say(more: dict[str, Any], text: str) -> None:
    given().when(define("a", **more) if "reference" not in more else define(**more)).then_refused(
        ValidationError, text
    )


def test_texts_have_limits() -> None:
    long = "x" * 65_537
    given().when(define("a", description=long)).then_refused(PayloadTooLargeError)


def test_a_task_depends_on_tasks_of_its_own_environment_alone() -> None:
    elsewhere = given(define("a", environment_id=OTHER)).when(define("b", FIRST))
    elsewhere.then_refused(ValidationError, "dependsOn[0] is no task of environment")


def test_a_task_may_run_on_the_machine() -> None:
    spec = TaskSpec(runs_on=RunsOn(machine=True))
    made = given().when(define("a", spec=spec))
    assert definition(made).spec == spec


def test_an_update_changes_what_it_names_and_differs() -> None:
    triggers = (Trigger(kind="manual"),)
    given(define("a"), define("b")).when(
        update(
            name="A",
            description="new",
            triggered_by=triggers,
            command="make",
            env=(Variable(name="X", value="1"),),
            runs_on=RunsOn(machine=True),
            prebuild_requires_success=True,
            depends_on=(SECOND,),
        )
    ).then(
        updated(
            "description",
            "triggered_by",
            "spec",
            "depends_on",
            description="new",
            triggered_by=triggers,
            spec=TaskSpec(
                command="make",
                env=(Variable(name="X", value="1"),),
                runs_on=RunsOn(machine=True),
                prebuild_requires_success=True,
            ),
            depends_on=(SECOND,),
        )
    )


def test_an_update_without_a_difference_writes_nothing() -> None:
    for command in (update(), update(name="A", description="", triggered_by=(), command="")):
        given(define("a")).when(command).then()


def test_lists_are_kept_when_they_are_not_named() -> None:
    spec = TaskSpec(env=(Variable(name="X", value="1"),), command="make")
    changed = given(define("z"), define("a", FIRST, spec=spec, triggered_by=(Trigger(),))).when(
        update(ona_task_id=SECOND, command="", triggered_by=())
    )
    after = definition(changed, 2)
    assert (after.spec, after.depends_on) == (TaskSpec(env=spec.env), (FIRST,))
    assert (after.triggered_by, after.version) == ((), 2)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (update(ona_task_id="x"), 'id must be a UUID: "x"'),
        (update(name=""), "metadata.name must have at least 1 character"),
        (update(depends_on=(FIRST,)), "dependsOn[0] is the task itself"),
        (update(depends_on=(OTHER,)), "dependsOn[0] is no task of environment"),
        (update(depends_on=(ona_id(3),)), f'dependsOn would make task "{FIRST}" depend on itself'),
        (update(command="x" * 17_000), "spec takes 1"),
    ],
)
def test_what_an_update_must_not_say(command: UpdateOnaTask, text: str) -> None:
    chain = given(define("a"), define("b", FIRST), define("c", FIRST, SECOND))
    chain.when(command).then_refused(ValidationError, text)


def test_a_task_may_come_to_depend_on_what_shares_its_own_dependencies() -> None:
    diamond = given(define("a"), define("b"), define("c", SECOND), define("d", SECOND))
    changed = diamond.when(update(depends_on=(ona_id(3), ona_id(4))))
    assert definition(changed).depends_on == (ona_id(3), ona_id(4))


def test_an_unknown_task_can_be_neither_changed_nor_started_nor_deleted() -> None:
    for command in (update(), start(1), delete()):
        given().when(command).then_refused(TaskNotFoundError, f'Ona task "{FIRST}"')


def test_a_task_is_deleted_once() -> None:
    fact = OnaTaskDeleted(ona_task_id=FIRST, workspace_id=ENVIRONMENT)
    gone = given(define("a")).when(delete()).then(Past(ona_task_stream(FIRST), fact))
    gone.when(delete()).then_refused(TaskNotFoundError)


def test_a_task_that_another_depends_on_stays() -> None:
    needed = given(define("a"), define("b", FIRST))
    needed.when(delete()).then_refused(
        DeletePreconditionError, f'task "{FIRST}" is a dependency of task "{SECOND}"'
    )
    needed.given(delete(2)).given(delete())


def test_a_caller_bound_elsewhere_reaches_nothing() -> None:
    for command in (define("b"), update(), start(1), delete()):
        given(define("a")).when(command, workspace_limit=OTHER).then_refused(PermissionDeniedError)


def test_a_history_that_begins_in_the_middle_gives_no_state() -> None:
    spec = given(define("a"))
    (past,) = [each for each in spec.world.history if each.originator_id.startswith("ona-task")]
    fact: Fact = OnaTaskDeleted(ona_task_id=FIRST, workspace_id=ENVIRONMENT)
    assert evolve_ona_task(None, replace(past, fact=fact)) is None
    assert evolve(None, past) == definition(spec)

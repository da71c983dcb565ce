"""Creating tasks and children: validation, limits, initial state."""

from typing import Any

import pytest

from domain import errors
from domain.commands import CancelTask, CreateTask, DeleteTask, OwnerInput
from domain.events import TaskChildCreated, TaskCreated
from domain.values import Actor, Owner
from tests.support.spec import HTTP, HUMAN, NOW, Spec, given, on
from tests.support.steps import (
    child,
    draft,
    json,
    manual,
    session,
    task,
    workspace,
    workspace_task,
)

REFUSED = [
    ({"title": " "}, errors.ValidationError, "create_task.title is required"),
    ({"scope": ""}, errors.ValidationError, "create_task.scope is required"),
    (
        {"scope": "x"},
        errors.ValidationError,
        'create_task.scope must be "global" or "workspace": "x"',
    ),
    (
        {"workspace": "w1"},
        errors.InvalidScopeBindingError,
        "task: invalid scope binding: "
        'create_task.workspace must be empty when create_task.scope is "global"',
    ),
    (
        {"scope": "workspace"},
        errors.InvalidScopeBindingError,
        'create_task.workspace is required when create_task.scope is "workspace"',
    ),
    (
        {"scope": "workspace", "workspace": "w9"},
        errors.WorkspaceNotFoundError,
        'workspace not found: "w9"',
    ),
    ({"priority": "huge"}, errors.ValidationError, "create_task.priority must be"),
    ({"approval_policy": "maybe"}, errors.ValidationError, "create_task.approval_policy must be"),
    ({"owner": OwnerInput()}, errors.ValidationError, "create_task.owner.kind is required"),
    (
        {"owner": OwnerInput(kind="daemon", ref="x")},
        errors.ValidationError,
        "create_task.owner.kind must be",
    ),
    (
        {"owner": OwnerInput(kind="human", ref=" ")},
        errors.ValidationError,
        "create_task.owner.ref is required",
    ),
    ({"max_attempts": 0}, errors.ValidationError, "create_task.max_attempts must be positive: 0"),
    ({"max_attempts": 11}, errors.ValidationError, "create_task.max_attempts must be <= 10: 11"),
    ({"network_channel": "A!"}, errors.ValidationError, "create_task.network_channel must match"),
    (
        {"metadata": json('"' + "x" * 16_383 + '"')},
        errors.PayloadTooLargeError,
        "create_task.metadata exceeds 16384 bytes",
    ),
    ({"metadata": json("{")}, errors.ValidationError, "must contain valid JSON"),
    ({"title": "x" * 65_537}, errors.PayloadTooLargeError, "create_task.title exceeds 65536"),
    ({"description": "\x00"}, errors.ValidationError, "create_task.description must not"),
    ({"identifier": "x" * 1025}, errors.PayloadTooLargeError, "create_task.identifier exceeds"),
    ({"id": "x" * 1025}, errors.PayloadTooLargeError, "create_task.id exceeds 1024 bytes"),
]


@pytest.mark.parametrize(("members", "error", "text"), REFUSED)
def test_a_task_with_a_bad_value_is_refused(
    members: dict[str, Any], error: type[errors.DomainError], text: str
) -> None:
    given(workspace("w1")).when(task("t1", **members)).then_refused(error, text)


def test_the_limits_themselves_are_accepted() -> None:
    metadata = json('"' + "x" * 16_382 + '"')
    spec = given().when(task("t1", max_attempts=10, metadata=metadata, title="x" * 65_536))
    spec.then_task("t1", max_attempts=10, metadata=metadata)


def test_a_task_has_defaults() -> None:
    (
        given()
        .when(CreateTask(scope=" Global ", title=" Title "))
        .then(on("task-1", TaskCreated(scope="global", title="Title", status="ready")))
        .then_reply(task_id="task-1")
        .then_task(
            "task-1",
            priority="medium",
            max_attempts=3,
            approval_policy="none",
            approval_state="not_required",
            auto_enqueue_on_ready=False,
            created_by=HUMAN,
            origin=HTTP,
            created_at=NOW,
            updated_at=NOW,
            closed_at=0,
            latest_event_seq=1,
            last_activity_at=NOW,
            children=(),
            current_run_id="",
        )
    )


def test_a_task_keeps_everything_it_is_given() -> None:
    (
        given(workspace("w1", name="home", path="/srv/home"))
        .when(
            workspace_task(
                " t1 ",
                " home ",
                identifier=" TASK-17 ",
                description=" why ",
                priority=" HIGH ",
                max_attempts=5,
                auto_enqueue_on_ready=True,
                network_channel=" dev ",
                owner=OwnerInput(kind=" POOL ", ref=" coder "),
                metadata=json(' {"a": 1} '),
            )
        )
        .then(
            on(
                "t1",
                TaskCreated(
                    scope="workspace",
                    workspace_id="w1",
                    status="ready",
                    network_channel="dev",
                    owner=Owner("pool", "coder"),
                    identifier="TASK-17",
                    title="Title",
                    description="why",
                    priority="high",
                    max_attempts=5,
                    auto_enqueue_on_ready=True,
                    metadata=json('{"a":1}'),
                ),
            )
        )
    )


@pytest.mark.parametrize(
    ("command", "status", "approval"),
    [
        (draft("t1"), "draft", "not_required"),
        (draft("t1", approval_policy="manual"), "draft", "pending"),
        (manual("t1"), "blocked", "pending"),
        (task("t1"), "ready", "not_required"),
    ],
)
def test_the_first_status_follows_from_draft_and_approval(
    command: CreateTask, status: str, approval: str
) -> None:
    spec = given().when(command)
    spec.then_task("t1", status=status, approval_state=approval)


def test_creating_never_queues_a_run() -> None:
    given().when(task("t1", auto_enqueue_on_ready=True)).then(
        TaskCreated(scope="global", title="Title", status="ready", auto_enqueue_on_ready=True)
    )


def test_the_workspace_reference_may_be_an_id_a_name_or_a_path() -> None:
    for ref in ("w1", "home", "/srv/home"):
        spec = given(workspace("w1", name="home", path="/srv/home"))
        spec.when(workspace_task("t1", ref)).then_task("t1", workspace_id="w1")


def test_the_pairing_of_scope_and_workspace_is_checked_first() -> None:
    bad = task("t1", title="", workspace="w1", priority="x", network_channel="!")
    given().when(bad).then_refused(errors.InvalidScopeBindingError)


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (0, "network_channel"),
        (1, "title"),
        (2, "owner"),
        (3, "priority"),
        (4, "max_attempts"),
        (5, "approval_policy"),
        (6, "metadata"),
    ],
)
def test_values_are_checked_in_the_documented_order(broken: int, text: str) -> None:
    bad: list[tuple[str, Any]] = [
        ("network_channel", "!"),
        ("title", ""),
        ("owner", OwnerInput()),
        ("priority", "x"),
        ("max_attempts", 0),
        ("approval_policy", "x"),
        ("metadata", json("{")),
    ]
    spec = given().when(task("t1", **dict(bad[broken:])))
    spec.then_refused(errors.ValidationError, f"create_task.{text}")


def test_an_id_that_exists_is_a_conflict() -> None:
    spec = given(task("t1")).when(task("t1"))
    spec.then_refused(errors.ConflictError, 'task: conflict: task "t1" already exists')


def test_a_child_with_the_id_of_its_parent_is_a_conflict() -> None:
    spec = given(task("t1")).when(child("t1", "t1"))
    spec.then_refused(errors.ConflictError, 'task "t1" already exists')


def test_an_id_is_not_used_again_after_a_delete() -> None:
    spec = given(task("t1"), DeleteTask(task_id="t1")).when(task("t1"))
    spec.then_refused(errors.ConflictError, 'task "t1" was deleted; ids are not used again')


def test_a_child_is_told_to_its_parent() -> None:
    spec = given(workspace("w1"), task("t1")).when(workspace_task("t2", parent_task_id="t1"))
    spec.then(
        on(
            "t2",
            TaskCreated(
                scope="workspace",
                workspace_id="w1",
                parent_task_id="t1",
                ancestors=("t1",),
                status="ready",
                title="Title",
            ),
        ),
        on(
            "t1",
            TaskChildCreated(child_task_id="t2", child_scope="workspace", child_workspace_id="w1"),
        ),
    )
    assert spec.recorded[1].causation_id == spec.recorded[0].event_id
    spec.then_task("t1", children=("t2",), latest_event_seq=spec.recorded[1].sequence)


def test_a_missing_parent_is_not_found() -> None:
    spec = given().when(child("t9", "t1"))
    spec.then_refused(errors.TaskNotFoundError, 'task: task not found: task "t9"')


def test_a_childs_values_are_named_as_a_childs() -> None:
    spec = given(task("t1")).when(child("t1", "t2", title=""))
    spec.then_refused(errors.ValidationError, "create_child_task.title is required")


def test_a_child_of_a_workspace_task_belongs_to_the_same_workspace() -> None:
    spec = given(workspace("w1"), workspace("w2"), workspace_task("t1"))
    text = 'child of workspace task "t1" must have scope "workspace" and workspace "w1"'
    spec.when(child("t1", "t2")).then_refused(errors.ValidationError, text)
    other = workspace_task("t2", "w2", parent_task_id="t1")
    spec.when(other).then_refused(errors.ValidationError, text)
    spec.when(workspace_task("t2", "w1", parent_task_id="t1")).then_task("t2", workspace_id="w1")


def test_a_canceled_parent_still_takes_children() -> None:
    spec = given(task("t1"), CancelTask(task_id="t1")).when(child("t1", "t2"))
    spec.then_task("t2", status="ready")


def test_the_eighth_level_is_the_last() -> None:
    spec = given(task("t1"), *(child(f"t{depth - 1}", f"t{depth}") for depth in range(2, 9)))
    spec.then_task("t8", ancestors=tuple(f"t{depth}" for depth in range(7, 0, -1)))
    spec.when(child("t8", "t9")).then_refused(
        errors.GraphLimitError, "task: graph limit exceeded: hierarchy depth exceeds 8: 9"
    )


def _parent_of_64() -> Spec:
    return given(task("t"), *(child("t", f"c{number}") for number in range(64)))


def test_the_sixty_fourth_child_is_the_last() -> None:
    spec = _parent_of_64().when(child("t", "c64"))
    spec.then_refused(errors.GraphLimitError, "direct child count exceeds 64: 65")
    spec.given(DeleteTask(task_id="c0")).when(child("t", "c64")).then_task("c64", status="ready")


def _child_fact(task_id: str) -> TaskChildCreated:
    return TaskChildCreated(child_task_id=task_id, child_scope="global")


def test_the_number_of_children_is_checked_before_the_depth() -> None:
    spec = given(task("t1"), *(child(f"t{depth - 1}", f"t{depth}") for depth in range(2, 9)))
    spec.given(*(on("t8", _child_fact(f"c{number}")) for number in range(64)))
    spec.when(child("t8", "t9"), checked=False)
    spec.then_refused(errors.GraphLimitError, "direct child count exceeds 64: 65")


def test_an_agent_of_another_workspace_is_refused() -> None:
    spec = given(workspace("w1"), workspace("w2"), session("s1", workspace="w1"))
    agent = Actor("agent_session", "s1")
    spec.when(workspace_task("t1", "w2"), actor=agent).then_refused(
        errors.PermissionDeniedError, 'session "s1" belongs to workspace "w1"'
    )
    spec.when(workspace_task("t1", "w1"), actor=agent).then_task("t1", created_by=agent)
    spec.when(task("t2"), actor=agent).then_task("t2", scope="global")


def test_an_agent_without_a_workspace_may_create_in_any() -> None:
    spec = given(workspace("w1"), session("s1"))
    spec.when(workspace_task("t1"), actor=Actor("agent_session", "s1")).then_task(
        "t1", workspace_id="w1"
    )


def test_a_token_of_a_workspace_creates_only_there() -> None:
    spec = given(workspace("w1"), workspace("w2"))
    for other in (task("t1"), workspace_task("t1", "w2")):
        spec.when(other, workspace_limit="w1").then_refused(
            errors.PermissionDeniedError, 'the token is bound to workspace "w1"'
        )
    spec.when(workspace_task("t1", "w1"), workspace_limit="w1").then_task("t1", scope="workspace")


def test_a_token_of_a_workspace_touches_no_other_task() -> None:
    spec = given(task("t1")).when(child("t1", "t2"), workspace_limit="w1")
    spec.then_refused(errors.PermissionDeniedError, 'task "t1" is outside it')


def test_metadata_null_is_no_metadata() -> None:
    given().when(task("t1", metadata=json("null"))).then(
        TaskCreated(scope="global", title="Title", status="ready")
    )

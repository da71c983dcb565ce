"""Scheduler control, workspaces and access tokens."""

from typing import Any

import pytest

from domain import errors
from domain.commands import (
    Command,
    CreateToken,
    EndDrain,
    PauseScheduler,
    RegisterWorkspace,
    RemoveWorkspace,
    ResumeScheduler,
    RevokeToken,
    StartDrain,
)
from domain.events import (
    SchedulerDrainCompleted,
    SchedulerDrainStarted,
    SchedulerPaused,
    SchedulerResumed,
    TokenCreated,
    TokenRevoked,
    WorkspaceRegistered,
    WorkspaceRemoved,
)
from domain.instants import SECOND
from domain.registry import OpsState, SchedulerState, TokenState, WorkspaceState
from domain.values import Actor
from tests.support.spec import NOW, Past, Spec, given
from tests.support.steps import workspace, workspace_task

ANN = Actor("human", "ann")


def scheduler(spec: Spec) -> SchedulerState:
    state = spec.world.state("scheduler")
    assert isinstance(state, SchedulerState)
    return state


def test_a_pause_says_who_when_and_why() -> None:
    spec = given().when(PauseScheduler(reason=" why "), actor=ANN, at=NOW + SECOND)
    spec.then(Past("scheduler", SchedulerPaused(reason="why"))).then_reply()
    assert scheduler(spec) == SchedulerState(
        paused=True,
        paused_by="human:ann",
        paused_at=NOW + SECOND,
        paused_reason="why",
        version=1,
    )


def test_pausing_again_overwrites() -> None:
    spec = given(PauseScheduler(reason="old")).when(PauseScheduler(), at=NOW + SECOND)
    spec.then(SchedulerPaused())
    assert (scheduler(spec).paused_reason, scheduler(spec).paused_at) == ("", NOW + SECOND)


def test_resume_ends_the_pause_and_passes_without_one() -> None:
    spec = given(PauseScheduler()).when(ResumeScheduler(reason="ok"))
    spec.then(Past("scheduler", SchedulerResumed(reason="ok"))).then_reply()
    assert scheduler(spec) == SchedulerState(version=2)
    spec.when(ResumeScheduler()).then(SchedulerResumed())


def test_a_drain_pauses_and_stays_paused() -> None:
    spec = given().when(StartDrain(reason=" ", timeout_seconds=60, active_claims=2))
    spec.then(
        Past("scheduler", SchedulerPaused(reason="scheduler drain")),
        Past(
            "scheduler",
            SchedulerDrainStarted(reason="scheduler drain", timeout_seconds=60, active_claims=2),
        ),
    )
    assert spec.recorded[1].causation_id == spec.recorded[0].event_id
    spec.when(EndDrain(completed=False, timed_out=True, remaining_claims=1)).then(
        SchedulerDrainCompleted(completed=False, timed_out=True, remaining_claims=1)
    )
    assert scheduler(spec).paused
    assert scheduler(spec).version == 3


def test_the_events_of_a_drain_alone_leave_the_scheduler_running() -> None:
    spec = given().when(EndDrain(completed=True, timed_out=False, remaining_claims=0))
    assert scheduler(spec) == SchedulerState(version=1)


@pytest.mark.parametrize(
    ("command", "error", "text"),
    [
        (
            StartDrain(timeout_seconds=-1, active_claims=0),
            errors.ValidationError,
            "scheduler.timeout_seconds must not be negative: -1",
        ),
        (
            PauseScheduler(reason="x" * 65_537),
            errors.PayloadTooLargeError,
            "scheduler.reason exceeds 65536 bytes",
        ),
        (ResumeScheduler(reason="\x00"), errors.ValidationError, "scheduler.reason must not"),
    ],
)
def test_a_bad_scheduler_command_is_refused(command: Command, error: type[Any], text: str) -> None:
    given().when(command).then_refused(error, text)


def test_a_workspace_is_registered() -> None:
    spec = given().when(RegisterWorkspace(workspace_id=" w1 ", name=" home ", path=" /srv "))
    spec.then(
        Past("workspace:w1", WorkspaceRegistered(workspace_id="w1", name="home", path="/srv"))
    )
    spec.then_reply()
    spec.when(workspace("w1", path="/new"), at=NOW + SECOND)
    assert spec.world.state("workspace:w1") == WorkspaceState(
        id="w1", path="/new", created_at=NOW, updated_at=NOW + SECOND, version=2
    )


@pytest.mark.parametrize(
    ("command", "error", "text"),
    [
        (workspace(" "), errors.ValidationError, "workspace.id is required"),
        (workspace("w2", name="w1"), errors.ConflictError, '"w1" already names workspace "w1"'),
        (workspace("w2", path="home"), errors.ConflictError, '"home" already names workspace "w1"'),
        (workspace("home"), errors.ConflictError, '"home" already names workspace "w1"'),
    ],
)
def test_a_reference_means_one_workspace(command: Command, error: type[Any], text: str) -> None:
    given(workspace("w1", name="home")).when(command).then_refused(error, text)


def test_a_workspace_may_keep_its_own_names() -> None:
    spec = given(workspace("w1", name="home")).when(workspace("w1", name="w1", path="home"))
    spec.then(WorkspaceRegistered(workspace_id="w1", name="w1", path="home"))


def test_a_removed_workspace_takes_no_tasks_and_keeps_its_old_ones() -> None:
    spec = given(workspace("w1"), workspace_task("t1"))
    spec.when(RemoveWorkspace(workspace_id="w1"), at=NOW + SECOND)
    spec.then(Past("workspace:w1", WorkspaceRemoved(workspace_id="w1"))).then_reply()
    assert spec.world.state("workspace:w1") == WorkspaceState(
        id="w1", removed=True, created_at=NOW, updated_at=NOW + SECOND, version=2
    )
    spec.when(workspace_task("t2")).then_refused(errors.WorkspaceNotFoundError)
    spec.then_task("t1", workspace_id="w1")
    spec.given(workspace("w1")).when(workspace_task("t2")).then_task("t2", workspace_id="w1")


def test_a_workspace_that_is_unknown_or_gone_cannot_be_removed() -> None:
    remove = RemoveWorkspace(workspace_id="w1")
    spec = given().when(remove)
    spec.then_refused(errors.WorkspaceNotFoundError, 'workspace not found: "w1"')
    spec.given(workspace("w1"), remove).when(remove).then_refused(errors.WorkspaceNotFoundError)


def token(**members: Any) -> CreateToken:
    usual = {"token_id": "k1", "scopes": ("task:read",), "token_actor": ANN, "secret_hash": "h"}
    return CreateToken(**{**usual, **members})


def tokens(spec: Spec) -> dict[str, TokenState]:
    state = spec.world.state("ops")
    assert isinstance(state, OpsState)
    return state.tokens


def test_a_token_is_known_by_its_hash() -> None:
    spec = given(workspace("w1", name="home"))
    spec.when(token(name=" ci ", scopes=("task:read", "admin"), workspace=" home "))
    spec.then(
        Past(
            "ops",
            TokenCreated(
                token_id="k1",
                name="ci",
                scopes=("task:read", "admin"),
                token_actor=ANN,
                workspace_id="w1",
                secret_hash="h",
            ),
        )
    )
    spec.then_reply()
    assert tokens(spec) == {
        "k1": TokenState(
            id="k1",
            name="ci",
            scopes=("task:read", "admin"),
            actor=ANN,
            secret_hash="h",
            workspace_id="w1",
            created_at=NOW,
        )
    }


@pytest.mark.parametrize(
    ("members", "error", "text"),
    [
        ({"scopes": ()}, errors.ValidationError, "token.scopes must be among task:read"),
        ({"scopes": ("task:read", "root")}, errors.ValidationError, "'task:read, root'"),
        ({"workspace": "w9"}, errors.WorkspaceNotFoundError, '"w9"'),
        ({"name": "x" * 1025}, errors.PayloadTooLargeError, "token.name exceeds"),
    ],
)
def test_a_bad_token_is_refused(members: dict[str, Any], error: type[Any], text: str) -> None:
    given().when(token(**members)).then_refused(error, text)


def test_a_token_is_revoked_once() -> None:
    spec = given(token(), token(token_id="k2")).when(RevokeToken(token_id="k1"), at=NOW + SECOND)
    spec.then(Past("ops", TokenRevoked(token_id="k1"))).then_reply()
    revoked = {name: state.revoked_at for name, state in tokens(spec).items()}
    assert revoked == {"k1": NOW + SECOND, "k2": 0}
    spec.when(RevokeToken(token_id="k1")).then_nothing().then_reply()


@pytest.mark.parametrize("past", [[], [token()]])
def test_an_unknown_token_cannot_be_revoked(past: list[Any]) -> None:
    given(*past).when(RevokeToken(token_id="k9")).then_refused(
        errors.TokenNotFoundError, 'token not found: "k9"'
    )


@pytest.mark.parametrize(
    "command",
    [
        PauseScheduler(),
        ResumeScheduler(),
        StartDrain(timeout_seconds=1, active_claims=0),
        workspace("w2"),
        workspace("w3"),
        RemoveWorkspace(workspace_id="w2"),
        token(),
        token(workspace="w2"),
        RevokeToken(token_id="k0"),
    ],
)
def test_a_token_of_a_workspace_operates_nothing_outside_it(command: Command) -> None:
    spec = given(workspace("w1"), workspace("w2"), token(token_id="k0"))
    spec.when(command, workspace_limit="w1").then_refused(
        errors.PermissionDeniedError, 'the token is bound to workspace "w1"; '
    )


def test_a_token_of_a_workspace_operates_inside_it() -> None:
    spec = given(workspace("w1"))
    for command in (
        workspace("w1", name="home"),
        token(workspace="home"),
        RevokeToken(token_id="k1"),
        RemoveWorkspace(workspace_id="w1"),
    ):
        assert spec.when(command, workspace_limit="w1").refusal is None

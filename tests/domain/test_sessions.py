"""Agent sessions: registration, verification, end."""

from typing import Any

import pytest

from domain import errors
from domain.commands import RegisterSession, StopSession
from domain.events import SessionRegistered, SessionStopped
from domain.instants import SECOND
from domain.registry import SessionState
from domain.session import verify_session
from tests.support.spec import NOW, Past, given
from tests.support.steps import claim_next, heartbeat, leased, session, task, workspace

STOP = StopSession(session_id="s1")


def test_a_session_is_registered_as_it_says() -> None:
    spec = given(workspace("w1", name="home"))
    spec.when(
        RegisterSession(
            session_id=" s1 ",
            agent_name=" coder ",
            workspace=" home ",
            channel=" dev ",
            name=" Ann's ",
            capabilities=("go", " go "),
        )
    )
    fact = SessionRegistered(
        session_id="s1",
        agent_name="coder",
        workspace_id="w1",
        channel="dev",
        name="Ann's",
        capabilities=("go",),
        declared=True,
    )
    spec.then(Past("session:s1", fact)).then_reply(session_id="s1")
    assert spec.world.state("session:s1") == SessionState(
        id="s1",
        agent_name="coder",
        workspace_id="w1",
        channel="dev",
        name="Ann's",
        capabilities=("go",),
        declared=True,
        created_at=NOW,
        updated_at=NOW,
        version=1,
    )


@pytest.mark.parametrize(
    ("members", "error", "text"),
    [
        ({"session_id": " "}, errors.ValidationError, "session.id is required"),
        ({"agent_name": ""}, errors.ValidationError, "session.agent_name is required"),
        ({"channel": "!"}, errors.ValidationError, "session.channel must match"),
        ({"capabilities": ("a b",)}, errors.ValidationError, "session.capabilities must be ids"),
        ({"workspace": "w9"}, errors.WorkspaceNotFoundError, 'workspace not found: "w9"'),
        ({"name": "x" * 1025}, errors.PayloadTooLargeError, "session.name exceeds 1024 bytes"),
    ],
)
def test_a_bad_registration_is_refused(
    members: dict[str, Any], error: type[Any], text: str
) -> None:
    command = RegisterSession(**{"session_id": "s1", "agent_name": "coder", **members})
    given().when(command).then_refused(error, text)


def test_a_stopped_session_may_come_back_with_other_facts() -> None:
    spec = given(session("s1", name="old"), STOP)
    spec.when(session("s1", "tester"), at=NOW + SECOND)
    assert spec.world.state("session:s1") == SessionState(
        id="s1",
        agent_name="tester",
        declared=True,
        created_at=NOW,
        updated_at=NOW + SECOND,
        version=3,
    )


def test_stopping_is_recorded_once() -> None:
    spec = given(session("s1")).when(STOP, at=NOW + SECOND)
    spec.then(Past("session:s1", SessionStopped(session_id="s1"))).then_reply(session_id="s1")
    state = spec.world.state("session:s1")
    assert isinstance(state, SessionState)
    assert (state.state, state.updated_at, state.version) == ("stopped", NOW + SECOND, 2)
    spec.when(STOP).then_nothing().then_reply(session_id="s1")


def test_an_unknown_session_cannot_be_stopped() -> None:
    given().when(STOP).then_refused(errors.SessionNotFoundError, 'session: session not found: "s1"')


def test_the_leases_of_a_stopped_session_run_on() -> None:
    spec = given(session("s1"), task("t1"), *leased("t1", "r1"), STOP)
    spec.when(heartbeat("r1", "s1")).then_run("r1", status="claimed")
    spec.when(claim_next("s1")).then_refused(errors.IdentityError)


ACTIVE = SessionState(id="s1", agent_name="coder", workspace_id="w1")


@pytest.mark.parametrize(
    ("state", "agent", "workspace_id", "reason"),
    [
        (None, "coder", "", "identity_stale"),
        (SessionState(id="s1", agent_name="coder", state="stopped"), "coder", "", "identity_stale"),
        (ACTIVE, "tester", "", "identity_mismatch"),
        (ACTIVE, "coder", "w2", "identity_unauthorized"),
    ],
)
def test_an_identity_that_does_not_hold_is_refused(
    state: SessionState | None, agent: str, workspace_id: str, reason: str
) -> None:
    with pytest.raises(errors.IdentityError) as refused:
        verify_session(state, "s1", agent, workspace_id)
    assert refused.value.reason == reason
    assert refused.value.text == f"{refused.value.detail}: {refused.value.hint}"


@pytest.mark.parametrize("workspace_id", ["", "w1"])
def test_an_identity_that_holds_gives_the_session(workspace_id: str) -> None:
    assert verify_session(ACTIVE, "s1", "coder", workspace_id) is ACTIVE


def test_a_token_of_a_workspace_manages_only_its_sessions() -> None:
    spec = given(workspace("w1"), workspace("w2"), session("s1", workspace="w2"))
    outside: list[Any] = [
        session("s2"),
        session("s2", workspace="w2"),
        session("s1", workspace="w1"),
        STOP,
    ]
    for command in outside:
        spec.when(command, workspace_limit="w1").then_refused(
            errors.PermissionDeniedError, 'the token is bound to workspace "w1"; session "s'
        )
    spec.when(session("s2", workspace="w1"), workspace_limit="w1").then_reply(session_id="s2")
    spec.when(StopSession(session_id="s2"), workspace_limit="w1").then_reply(session_id="s2")

"""Any script of commands, sensible or not, keeps the invariants and can be told again."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain import bridge_commands as b
from domain import commands as c
from domain import force_commands as f
from domain.commands import Command
from domain.decide import COMMANDS
from domain.events import NotificationPassedOver, ProjectionCaughtUp
from domain.instants import SECOND, rfc3339
from domain.ona import commands as o
from domain.tempest.commands import TakeOperation
from domain.uuids import uuid_of
from domain.values import Actor, Json, Origin
from tests.domain.posthog import scripts as posthog
from tests.domain.tempest import scripts as tempest
from tests.support.invariants import refold
from tests.support.ona import ENVIRONMENT, ona_id
from tests.support.spec import HUMAN, NOW, Spec, Step

AGENTS = [Actor("agent_session", name) for name in ("s1", "s2")]
ROBOT = Actor("automation", "cron")

# What executions of Ona tasks are made of gets its ids from the server.
MADE = ["task-1", "task-2", "task-3"]
task_ids = st.sampled_from(["t1", "t2", "t3", "t4", "t5", *MADE])
ona_task_ids = st.sampled_from([ona_id(1), ona_id(2), ona_id(3), "x"])
run_ids = st.integers(1, 8).map("run-{}".format)
session_ids = st.sampled_from(["s1", "s2", "s3"])
workspaces = st.sampled_from(["", "", "w1", "w2", "home", ENVIRONMENT])
keys = st.sampled_from(["", "", "", "k1", "k2"])
channels = st.sampled_from(["", "", "", "dev", "ops", "!"])
texts = st.sampled_from(["why", "", " more "])
bodies = st.sampled_from([b"", b"", b"1", b'{"a": 1}', b"{", b'{"claim_token":1}']).map(Json)
flags = st.booleans()
capabilities = st.sampled_from([(), ("go",), ("go", "rust"), ("a b",)])
execution: dict[str, Any] = {
    "task_id": task_ids,
    "idempotency_key": keys,
    "network_channel": channels,
    "metadata": bodies,
}
owners = st.none() | st.builds(
    c.OwnerInput,
    kind=st.sampled_from(["pool", "agent_session", "human", "x"]),
    ref=st.sampled_from(["coder", "s1", ""]),
)
a_claim: dict[str, Any] = {
    "session_id": session_ids,
    "agent_name": st.sampled_from(["coder", "coder", "tester"]),
    "workspace_id": workspaces,
    "capabilities": capabilities,
    "priority_min": st.sampled_from([0, 0, 20, -1]),
    "lease_seconds": st.sampled_from([0, 1, 100, -1]),
}
review_ids = st.integers(1, 4).map("review-{}".format)
a_run: dict[str, Any] = {"run_id": run_ids}
a_lease: dict[str, Any] = {"run_id": run_ids, "session_id": session_ids}
bridge_ids = st.sampled_from(["b1", "b2"])
subscription_ids = st.sampled_from(["n1", "n2", ""])
notifications = st.builds(
    NotificationPassedOver,
    subscription_id=st.sampled_from(["n1", "n2"]),
    subject_sequence=st.integers(1, 30),
    error=st.just("another outcome"),
)

chosen: dict[str, st.SearchStrategy[Any]] = {
    "mode": st.sampled_from(["", "select", "odd"]),
    "agent_name": st.sampled_from(["", "", "coder", "tester"]),
    "required_capabilities": capabilities,
}
BUILDERS: dict[type[Command], dict[str, Any]] = {
    c.CreateTask: {
        "id": task_ids,
        "parent_task_id": st.none() | st.none() | task_ids,
        "scope": st.sampled_from(["global", "global", "workspace"]),
        "workspace": workspaces,
        "title": texts,
        "network_channel": channels,
        "priority": st.sampled_from(["", "low", "urgent", "x"]),
        "max_attempts": st.sampled_from([None, 1, 2, 0]),
        "auto_enqueue_on_ready": flags,
        "draft": st.sampled_from([False, False, True]),
        "approval_policy": st.sampled_from(["", "", "manual"]),
        "owner": owners,
        "metadata": bodies,
    },
    c.UpdateTask: {
        "task_id": task_ids,
        "title": st.none() | texts,
        "max_attempts": st.sampled_from([None, 1, 2, 3]),
        "auto_enqueue_on_ready": st.none() | flags,
        "approval_policy": st.sampled_from([None, None, "manual", "none"]),
        "network_channel": st.none() | channels,
        "owner": owners,
        "clear_owner": flags,
        "metadata": bodies,
    },
    c.PublishTask: execution,
    c.StartTask: execution,
    c.ApproveTask: execution,
    c.EnqueueRun: execution,
    c.RejectTask: {"task_id": task_ids},
    c.CancelTask: {"task_id": task_ids, "reason": texts, "metadata": bodies},
    c.PauseTask: {"task_id": task_ids, "reason": texts, "metadata": bodies},
    c.ResumeTask: {"task_id": task_ids, "metadata": bodies},
    c.DeleteTask: {"task_id": task_ids},
    c.SetProfile: {
        "task_id": task_ids,
        "worker": st.none() | st.builds(c.ProfileSection, **chosen),
        "participants": st.none() | st.builds(c.ProfileSection, required_capabilities=capabilities),
    },
    c.DeleteProfile: {"task_id": task_ids},
    c.AddDependency: {"task_id": task_ids, "depends_on_task_id": task_ids},
    c.RemoveDependency: {"task_id": task_ids, "depends_on_task_id": task_ids},
    c.ClaimRun: {**a_run, "idempotency_key": keys},
    c.StartRun: {**a_run, "idempotency_key": keys, "session_id": st.just("") | session_ids},
    c.AttachSession: a_lease,
    c.CompleteRun: {**a_run, "result": bodies},
    c.FailRun: {**a_run, "error": texts, "metadata": bodies},
    c.CancelRun: {**a_run, "reason": texts},
    f.ReleaseRun: {**a_run, "reason": texts},
    f.ForceFailRun: {**a_run, "reason": texts, "metadata": bodies},
    f.RetryRun: {**a_run, "metadata": bodies},
    f.RecoverRun: {**a_run, "reason": texts, "in_place": flags},
    c.ClaimNext: a_claim,
    c.ClaimSeveral: {**a_claim, "claim_token_hashes": st.sampled_from([("1",), ("1", "2", "3")])},
    c.Heartbeat: {**a_lease, "lease_seconds": st.sampled_from([0, 1, -1])},
    c.CompleteLease: {**a_lease, "result": bodies},
    c.FailLease: {**a_lease, "error": texts},
    c.ReleaseLease: {**a_lease, "reason": texts},
    c.ExpireLeases: {"limit": st.sampled_from([0, 1]), "reason": texts},
    c.PauseScheduler: {"reason": texts},
    c.ResumeScheduler: {"reason": texts},
    c.StartDrain: {"timeout_seconds": st.sampled_from([0, -1]), "active_claims": st.just(0)},
    c.EndDrain: {"completed": flags, "timed_out": flags, "remaining_claims": st.just(0)},
    c.RegisterSession: {
        "session_id": session_ids,
        "agent_name": st.sampled_from(["coder", "tester"]),
        "workspace": workspaces,
        "channel": channels,
        "capabilities": capabilities,
        "concurrency": st.sampled_from([1, 1, 2, 0]),
        "soul_digest": st.sampled_from(["", "sha256:aa"]),
    },
    c.StopSession: {"session_id": session_ids},
    c.RegisterWorkspace: {
        "workspace_id": st.sampled_from(["w1", "w2"]),
        "name": st.sampled_from(["", "home"]),
    },
    c.RemoveWorkspace: {"workspace_id": st.sampled_from(["w1", "w2"])},
    c.CreateToken: {
        "token_id": st.sampled_from(["k1", "k2"]),
        "scopes": st.sampled_from([("admin",), ()]),
        "token_actor": st.just(HUMAN),
        "workspace": workspaces,
        "secret_hash": st.just("hash"),
    },
    c.RevokeToken: {"token_id": st.sampled_from(["k1", "k2"])},
    c.NoteProjection: {"fact": st.just(ProjectionCaughtUp(projection="tasks", position=7))},
    o.CreateOnaTask: {
        "environment_id": st.just(ENVIRONMENT),
        "named": flags,
        "reference": st.sampled_from(["build", "test", "a b"]),
        "name": st.sampled_from(["Build", ""]),
        "depends_on": st.sampled_from([(), (), (ona_id(1),), (ona_id(2), ona_id(1))]),
    },
    o.UpdateOnaTask: {
        "ona_task_id": ona_task_ids,
        "description": st.sampled_from([None, "new"]),
        "depends_on": st.sampled_from([(), (ona_id(1),), (ona_id(3),)]),
    },
    o.DeleteOnaTask: {"ona_task_id": ona_task_ids},
    o.StartOnaTask: {"ona_task_id": ona_task_ids},
    o.StopOnaExecution: {"execution_id": st.sampled_from(["x", *map(uuid_of, MADE)])},
    b.PutBridge: {
        "bridge_id": bridge_ids,
        "url": st.sampled_from(["https://a.example/", "x", None]),
        "workspace": st.none() | workspaces,
        "enabled": st.none() | flags,
        "secret_id": st.sampled_from(["", "sec-1"]),
    },
    b.RemoveBridge: {"bridge_id": bridge_ids},
    b.SubscribeBridge: {
        "task_id": task_ids,
        "subscription_id": subscription_ids,
        "bridge_instance_id": bridge_ids,
        "peer_id": st.sampled_from(["ann", "ann", ""]),
        "delivery_mode": st.sampled_from(["reply", "send", ""]),
    },
    b.UnsubscribeBridge: {"task_id": task_ids, "subscription_id": subscription_ids},
    b.NoteNotification: {"fact": notifications},
    c.EscalateRuns: {
        "min_queued_age": st.sampled_from([0, SECOND]),
        "event_after": st.just(2),
        "needs_attention_after": st.just(3),
        "limit": st.just(5),
    },
    c.RequestReview: {
        **a_run,
        "policy": st.sampled_from(["", "", "on_success", "none"]),
        "review_round": st.sampled_from([0, 0, 2]),
        "attempt": st.sampled_from([0, 0, 2]),
        "deadline_at": st.sampled_from(["", rfc3339(NOW + 60 * SECOND)]),
    },
    c.ClaimNextReview: {
        "session_id": session_ids,
        "agent_name": st.sampled_from(["coder", "tester"]),
    },
    c.SubmitVerdict: {
        "review_id": review_ids,
        "outcome": st.sampled_from(["rejected", "rejected", "approved", "error", ""]),
        "confidence": st.just(1.0),
        "reason": st.just("why"),
        "delivery_id": st.sampled_from(["d1", "d2"]),
        "next_round_guidance": st.just("go on"),
    },
    c.EndReviews: {"limit": st.sampled_from([1, 5])},
    c.TriageTask: {
        "task_id": task_ids,
        "action": st.sampled_from(["read", "archive", "dismiss"]),
    },
    c.SkipEvent: {
        "projection": st.sampled_from(["tasks", "runs"]),
        "sequence": st.integers(1, 3),
        "reason": texts,
        "in_the_way": st.booleans(),
    },
    **posthog.BUILDERS,
    **tempest.BUILDERS,
}
OFTEN: list[type[Command]] = [
    c.CreateTask,
    c.EnqueueRun,
    c.ClaimNext,
    c.ClaimRun,
    c.StartRun,
    c.CompleteRun,
    c.CompleteLease,
    c.AddDependency,
    c.RequestReview,
    c.SubmitVerdict,
    *tempest.OFTEN,
]
Script: TypeAlias = Sequence[tuple[Command, Actor, int, str]]


def commands() -> st.SearchStrategy[Command]:
    kinds = [*BUILDERS, *OFTEN, *OFTEN]
    return st.one_of([st.builds(kind, **BUILDERS[kind]) for kind in kinds])


scripts = st.lists(
    st.tuples(
        commands(),
        st.sampled_from([HUMAN, HUMAN, HUMAN, *AGENTS, ROBOT]),
        st.sampled_from([0, 1, 50, 400]),
        st.sampled_from(["", "", "", "w1"]),
    ),
    min_size=20,
    max_size=60,
)


def told(script: Script, *, checked: bool) -> Spec:
    """Run a script; refused commands leave no trace."""
    spec, now = Spec(), NOW
    for number, (command, actor, seconds, limit) in enumerate(script):
        now += seconds * SECOND
        step = Step(command=_own_token(command, number), actor=actor, origin=_origin(actor), at=now)
        spec.when(step, workspace_limit=limit, checked=checked)
    return spec


def _own_token(command: Command, number: int) -> Command:
    token = f"sha256:{number}"
    if isinstance(command, c.ClaimNext | TakeOperation):
        return replace(command, claim_token_hash=token)
    if isinstance(command, c.ClaimSeveral):
        made = (f"{token}.{n}" for n in command.claim_token_hashes)
        return replace(command, claim_token_hashes=tuple(made))
    return command


def _origin(actor: Actor) -> Origin:
    return Origin("automation", "cron") if actor is ROBOT else Origin("http", "tasks.any")


def test_every_command_is_part_of_the_scripts() -> None:
    assert set(BUILDERS) == COMMANDS


@settings(max_examples=100)
@for_all(scripts)
def test_every_script_keeps_the_invariants(script: Script) -> None:
    told(script, checked=True)


@settings(max_examples=50)
@for_all(scripts)
def test_deciding_is_deterministic_and_the_events_alone_give_the_states(script: Script) -> None:
    first, second = told(script, checked=False).world, told(script, checked=False).world
    assert first.history == second.history
    assert first.states == second.states == refold(first.history)

"""Execution profiles: what is kept of what was sent, and when it may change."""

from typing import Any

import pytest

from domain.commands import CancelRun, DeleteProfile, DeleteTask, ProfileSection, SetProfile
from domain.errors import (
    InvalidTransitionError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProfileNotFoundError,
    TaskNotFoundError,
    ValidationError,
)
from domain.events import TaskProfileDeleted, TaskProfileUpdated
from domain.instants import SECOND
from domain.profile import (
    DEFAULT_PROFILE,
    CoordinatorProfile,
    ExecutionProfile,
    ParticipantPolicy,
    ReviewProfile,
    RuntimePolicy,
    SandboxPolicy,
    WorkerProfile,
)
from domain.world import Policy
from tests.support.spec import NOW, Spec, given
from tests.support.steps import claim_next, queued, running, session, task

TIMES: dict[str, Any] = {"created_at": NOW, "updated_at": NOW}


def sections(**sent: Any) -> SetProfile:
    """Set a profile of task `t` from plain members."""
    members_of: dict[str, Any] = {name: ProfileSection(**members) for name, members in sent.items()}
    return SetProfile(task_id="t", **members_of)


def updated(profile: ExecutionProfile) -> TaskProfileUpdated:
    return TaskProfileUpdated(
        task_id="t",
        coordinator_mode=profile.coordinator.mode,
        worker_mode=profile.worker.mode,
        sandbox_mode=profile.sandbox.mode,
        profile=profile,
    )


def kept(**sent: Any) -> ExecutionProfile:
    """Return the profile that is kept of what was sent."""
    spec = given(task("t")).when(sections(**sent))
    assert spec.refusal is None, spec.refusal
    profile = spec.world.task("t").profile
    assert profile is not None
    return profile


def test_what_is_left_out_is_as_in_the_default() -> None:
    spec = given(task("t")).when(SetProfile(task_id="t"))
    expected = ExecutionProfile(**TIMES)
    spec.then(updated(expected)).then_reply(task_id="t").then_task("t", profile=expected)
    assert expected.worker == DEFAULT_PROFILE.worker


def test_every_member_is_kept_in_its_normal_form() -> None:
    kinds = ("agent_names", "channel_ids", "peer_ids")
    lists = [f"{rank}_{kind}" for rank in ("allowed", "preferred") for kind in kinds]
    lists += ["required_capabilities", "preferred_capabilities"]
    everything = dict.fromkeys(lists, (" b ", "a", "", "b", " "))
    normal: dict[str, Any] = dict.fromkeys(lists, ("a", "b"))
    of_worker = [name for name in lists if not name.endswith(("channel_ids", "peer_ids"))]
    chosen = {"agent_name": " a ", "provider": " p ", "model": " m "}
    trimmed: dict[str, Any] = {"agent_name": "a", "provider": "p", "model": "m"}
    profile = kept(
        coordinator={"mode": " GUIDED ", "guidance": " slowly ", **chosen},
        worker={"mode": "Select", **chosen, **{name: everything[name] for name in of_worker}},
        review={**chosen, **everything},
        participants=everything,
        sandbox={"mode": "ref", "sandbox_ref": " box "},
        runtime={"mode": "evidence"},
    )
    assert profile == ExecutionProfile(
        coordinator=CoordinatorProfile(mode="guided", guidance="slowly", **trimmed),
        worker=WorkerProfile(
            mode="select", **trimmed, **{name: normal[name] for name in of_worker}
        ),
        review=ReviewProfile(**trimmed, **normal),
        participants=ParticipantPolicy(**normal),
        sandbox=SandboxPolicy(mode="ref", sandbox_ref="box"),
        runtime=RuntimePolicy(mode="evidence"),
        **TIMES,
    )


def test_a_blank_mode_is_the_default_one() -> None:
    blank = {"mode": "  "}
    profile = kept(coordinator=blank, worker=blank, sandbox=blank, runtime=blank)
    assert profile == ExecutionProfile(**TIMES)


def test_the_limits_themselves_are_accepted() -> None:
    profile = kept(
        coordinator={"guidance": "é" * 4096, "model": "m" * 128}, worker={"agent_name": "a\x0bb"}
    )
    assert len(profile.coordinator.guidance.encode()) == 8192


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("coordinator", {"mode": "odd"}, 'coordinator.mode must be "inherit" or "guided": "odd"'),
    ("worker", {"mode": "odd"}, 'worker.mode must be "inherit" or "select": "odd"'),
    ("sandbox", {"mode": "odd"}, 'sandbox.mode must be "inherit", "none" or "ref": "odd"'),
    ("runtime", {"mode": "odd"}, 'runtime.mode must be "default" or "evidence": "odd"'),
    ("coordinator", {"guidance": "x" * 8193}, "coordinator.guidance exceeds 8192 bytes"),
    ("coordinator", {"guidance": "a\x00b"}, "coordinator.guidance must not contain the NUL"),
    ("coordinator", {"agent_name": "x" * 129}, "coordinator.agent_name exceeds 128 bytes"),
    ("worker", {"provider": "a\tb"}, "worker.provider must not contain control whitespace"),
    ("review", {"model": "a\rb"}, "review.model must not contain control whitespace"),
    (
        "participants",
        {"allowed_peer_ids": ("ok", "a\nb")},
        "participants.allowed_peer_ids[0] must not contain control whitespace",
    ),
    (
        "review",
        {"preferred_channel_ids": ("x" * 129,)},
        "review.preferred_channel_ids[0] exceeds 128 bytes",
    ),
    (
        "worker",
        {"preferred_agent_names": tuple(map(str, range(257)))},
        "worker.preferred_agent_names must have at most 256 items: 257",
    ),
    (
        "worker",
        {"required_capabilities": tuple(map(str, range(257)))},
        "worker.required_capabilities must have at most 256 items: 257",
    ),
    ("worker", {"required_capabilities": ("a b",)}, "worker.required_capabilities must be ids"),
    ("participants", {"preferred_capabilities": ("a,b",)}, "preferred_capabilities must be ids"),
    (
        "worker",
        {"agent_name": "a", "allowed_agent_names": ("b",)},
        'worker.agent_name "a" is outside allowed_agent_names',
    ),
    (
        "review",
        {"agent_name": "a", "allowed_agent_names": ("b",)},
        'review.agent_name "a" is outside allowed_agent_names',
    ),
    ("sandbox", {"mode": "ref"}, "sandbox.sandbox_ref is required for ref"),
    ("sandbox", {"sandbox_ref": "box"}, 'sandbox.sandbox_ref must be empty for inherit: "box"'),
    (
        "sandbox",
        {"mode": "none", "sandbox_ref": "box"},
        'sandbox.sandbox_ref must be empty for none: "box"',
    ),
]


@pytest.mark.parametrize(("section", "members", "text"), BAD, ids=lambda each: str(each)[:40])
def test_bad_content_is_refused(section: str, members: dict[str, Any], text: str) -> None:
    spec = given(task("t")).when(sections(**{section: members}))
    spec.then_refused(ValidationError, text)
    assert str(spec.refusal).startswith("task: validation failed: task_execution_profile.")


@pytest.mark.parametrize(
    ("switched_off", "sent", "text"),
    [
        (name, {section: {member: "x"}}, f"{section} provider/model override is disabled by config")
        for name in ("allow_provider_override",)
        for section in ("coordinator", "worker", "review")
        for member in ("provider", "model")
    ]
    + [
        ("allow_sandbox_none", {"sandbox": {"mode": "none"}}, "sandbox.mode none is disabled"),
        (
            "allow_sandbox_ref",
            {"sandbox": {"mode": "ref", "sandbox_ref": "x"}},
            "sandbox.mode ref is disabled by config",
        ),
    ],
)
def test_what_is_switched_off_is_refused(
    switched_off: str, sent: dict[str, Any], text: str
) -> None:
    spec = given(task("t"))
    spec.policy = Policy(**{switched_off: False})
    spec.when(sections(**sent)).then_refused(ValidationError, f"task_execution_profile.{text}")
    spec.when(sections(worker={"agent_name": "a"}))
    assert spec.refusal is None


def test_a_profile_as_a_whole_has_a_limit() -> None:
    names = tuple(f"{number:0128}" for number in range(256))
    lists = {"allowed_agent_names": names, "preferred_agent_names": names}
    spec = given(task("t")).when(sections(worker=lists))
    spec.then_refused(PayloadTooLargeError, "task_execution_profile exceeds 65536 bytes")


def test_a_profile_that_names_another_task_is_refused_first_of_all() -> None:
    spec = given(task("t")).when(SetProfile(task_id="t", sent_task_id=" u "))
    spec.then_refused(ValidationError, 'task_execution_profile.task_id must match task id "t": "u"')
    spec.when(SetProfile(task_id="nowhere", sent_task_id="t")).then_refused(ValidationError)
    spec.when(SetProfile(task_id="t", sent_task_id=" t ")).then_task("t", title="Title")
    assert spec.refusal is None


def test_a_replacement_keeps_nothing_but_the_time_of_creation() -> None:
    spec = given(task("t"), sections(worker={"agent_name": "a"}))
    spec.when(sections(sandbox={"mode": "none"}), at=NOW + SECOND)
    expected = ExecutionProfile(
        sandbox=SandboxPolicy(mode="none"), created_at=NOW, updated_at=NOW + SECOND
    )
    spec.then(updated(expected))
    assert spec.world.task("t").updated_at == NOW


def test_the_same_profile_again_is_another_event() -> None:
    spec = given(task("t"), SetProfile(task_id="t")).when(SetProfile(task_id="t"))
    spec.then(updated(ExecutionProfile(**TIMES)))


def test_after_a_deletion_the_default_is_in_force_and_a_new_profile_is_new() -> None:
    spec = given(task("t"), sections(worker={"agent_name": "a"})).when(DeleteProfile(task_id="t"))
    spec.then(TaskProfileDeleted(task_id="t")).then_task("t", profile=None)
    spec.when(DeleteProfile(task_id="t"))
    spec.then_refused(ProfileNotFoundError, 'task: task execution profile not found: task "t"')
    spec.when(SetProfile(task_id="t"), at=NOW + SECOND)
    spec.then(updated(ExecutionProfile(created_at=NOW + SECOND, updated_at=NOW + SECOND)))


def locked(how: str) -> Spec:
    """Return a scenario in which a run of `t` is active."""
    spec = given(task("t"), session("s1"), SetProfile(task_id="t"))
    match how:
        case "claimed":
            return spec.given(queued("t", "r"), claim_next("s1"))
        case _:
            return spec.given(*running("t", "r"))


@pytest.mark.parametrize("how", ["claimed", "running"])
@pytest.mark.parametrize(
    "command",
    [SetProfile(task_id="t"), sections(worker={"mode": "odd"}), DeleteProfile(task_id="t")],
)
def test_an_active_run_locks_the_profile_whatever_is_sent(how: str, command: Any) -> None:
    spec = locked(how).when(command)
    spec.then_refused(
        InvalidTransitionError, 'task "t" execution profile cannot change while run "r" is active'
    )


def test_a_queued_run_or_one_that_ended_does_not_lock() -> None:
    spec = given(task("t"), queued("t", "r")).when(SetProfile(task_id="t"))
    assert spec.refusal is None
    spec.given(CancelRun(run_id="r")).when(DeleteProfile(task_id="t"))
    spec.then(TaskProfileDeleted(task_id="t"))


@pytest.mark.parametrize("kind", [SetProfile, DeleteProfile])
def test_there_has_to_be_a_task_within_reach(kind: Any) -> None:
    spec = given(task("t"), task("gone"), DeleteTask(task_id="gone"))
    for task_id in ("gone", "never"):
        spec.when(kind(task_id=task_id)).then_refused(TaskNotFoundError, f'task "{task_id}"')
    spec.when(kind(task_id="t"), workspace_limit="w").then_refused(PermissionDeniedError)

"""The body that sets an execution profile."""

from typing import Annotated, TypeAlias

import msgspec

from api.bodies import Text
from api.parsing import Body, one_of
from domain.profile import CoordinatorMode, RuntimeMode, SandboxMode, WorkerMode

Names: TypeAlias = tuple[str, ...] | None
Time: TypeAlias = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})] | None


class CoordinatorProfileRequest(Body, frozen=True, kw_only=True):
    """Who leads the work on the task, and with what guidance."""

    REQUIRED = ("mode",)
    mode: Annotated[str, one_of(CoordinatorMode)] | None = None
    agent_name: Text = None
    provider: Text = None
    model: Text = None
    guidance: Text = None


class WorkerProfileRequest(Body, frozen=True, kw_only=True):
    """Who may work on the task."""

    REQUIRED = ("mode",)
    mode: Annotated[str, one_of(WorkerMode)] | None = None
    agent_name: Text = None
    provider: Text = None
    model: Text = None
    allowed_agent_names: Names = None
    preferred_agent_names: Names = None
    required_capabilities: Names = None
    preferred_capabilities: Names = None


class ParticipantPolicyRequest(Body, frozen=True, kw_only=True):
    """Who may take part at all."""

    allowed_agent_names: Names = None
    preferred_agent_names: Names = None
    allowed_channel_ids: Names = None
    preferred_channel_ids: Names = None
    allowed_peer_ids: Names = None
    preferred_peer_ids: Names = None
    required_capabilities: Names = None
    preferred_capabilities: Names = None


class ReviewProfileRequest(ParticipantPolicyRequest, frozen=True, kw_only=True):
    """Who may review the runs of the task."""

    agent_name: Text = None
    provider: Text = None
    model: Text = None


class SandboxPolicyRequest(Body, frozen=True, kw_only=True):
    """In which sandbox the task is worked on."""

    REQUIRED = ("mode",)
    mode: Annotated[str, one_of(SandboxMode)] | None = None
    sandbox_ref: Text = None


class RuntimePolicyRequest(Body, frozen=True, kw_only=True):
    """What a run has to leave behind."""

    REQUIRED = ("mode",)
    mode: Annotated[str, one_of(RuntimeMode)] | None = None


class ExecutionProfileRequest(Body, frozen=True, kw_only=True):
    """A whole profile: what is left out is as in the default one; times are not looked at."""

    REQUIRED = (
        "coordinator",
        "created_at",
        "participants",
        "review",
        "runtime",
        "sandbox",
        "task_id",
        "updated_at",
        "worker",
    )
    task_id: Text = None
    coordinator: CoordinatorProfileRequest | None = None
    worker: WorkerProfileRequest | None = None
    review: ReviewProfileRequest | None = None
    participants: ParticipantPolicyRequest | None = None
    sandbox: SandboxPolicyRequest | None = None
    runtime: RuntimePolicyRequest | None = None
    created_at: Time = None
    updated_at: Time = None

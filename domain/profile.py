"""How a task wants to be executed: who coordinates, works and reviews, and in what surroundings."""

from typing import Literal

from msgspec import Struct

from domain.instants import Instant

CoordinatorMode = Literal["inherit", "guided"]
WorkerMode = Literal["inherit", "select"]
SandboxMode = Literal["inherit", "none", "ref"]
RuntimeMode = Literal["default", "evidence"]


class CoordinatorProfile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who leads the work on the task, and with what guidance."""

    mode: CoordinatorMode
    agent_name: str = ""
    provider: str = ""
    model: str = ""
    guidance: str = ""


class WorkerProfile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who may work on the task. What is preferred has no say in the order of claims."""

    mode: WorkerMode
    agent_name: str = ""
    provider: str = ""
    model: str = ""
    allowed_agent_names: tuple[str, ...] = ()
    preferred_agent_names: tuple[str, ...] = ()
    required_capabilities: tuple[str, ...] = ()
    preferred_capabilities: tuple[str, ...] = ()


class ParticipantPolicy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who may take part at all."""

    allowed_agent_names: tuple[str, ...] = ()
    preferred_agent_names: tuple[str, ...] = ()
    allowed_channel_ids: tuple[str, ...] = ()
    preferred_channel_ids: tuple[str, ...] = ()
    allowed_peer_ids: tuple[str, ...] = ()
    preferred_peer_ids: tuple[str, ...] = ()
    required_capabilities: tuple[str, ...] = ()
    preferred_capabilities: tuple[str, ...] = ()


class ReviewProfile(ParticipantPolicy, frozen=True, kw_only=True, omit_defaults=True):
    """Who may review the runs of the task."""

    agent_name: str = ""
    provider: str = ""
    model: str = ""


class SandboxPolicy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """In which sandbox the task is worked on."""

    mode: SandboxMode
    sandbox_ref: str = ""


class RuntimePolicy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run has to leave behind."""

    mode: RuntimeMode


class ExecutionProfile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it, checked and in its normal form."""

    coordinator: CoordinatorProfile = CoordinatorProfile(mode="inherit")
    worker: WorkerProfile = WorkerProfile(mode="inherit")
    review: ReviewProfile = ReviewProfile()
    participants: ParticipantPolicy = ParticipantPolicy()
    sandbox: SandboxPolicy = SandboxPolicy(mode="inherit")
    runtime: RuntimePolicy = RuntimePolicy(mode="default")
    created_at: Instant = 0
    updated_at: Instant = 0


DEFAULT_PROFILE = ExecutionProfile()
"""What holds for a task that has none of its own."""

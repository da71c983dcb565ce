"""The execution profile of a task as clients see it."""

from msgspec import Struct

from domain.profile import (
    DEFAULT_PROFILE,
    CoordinatorProfile,
    ParticipantPolicy,
    ReviewProfile,
    RuntimePolicy,
    SandboxPolicy,
    WorkerProfile,
)
from domain.task.state import Task
from projections.wire.times import DateTime, date_time


class ExecutionProfile(Struct, frozen=True, kw_only=True):
    """How a task wants to be executed."""

    task_id: str
    coordinator: CoordinatorProfile
    worker: WorkerProfile
    review: ReviewProfile
    participants: ParticipantPolicy
    sandbox: SandboxPolicy
    runtime: RuntimePolicy
    created_at: DateTime
    updated_at: DateTime


def profile_view(task: Task) -> ExecutionProfile:
    """Return the profile of a task; the default one, without times, when it has none of its own."""
    profile = task.profile or DEFAULT_PROFILE
    return ExecutionProfile(
        task_id=task.id,
        coordinator=profile.coordinator,
        worker=profile.worker,
        review=profile.review,
        participants=profile.participants,
        sandbox=profile.sandbox,
        runtime=profile.runtime,
        created_at=date_time(profile.created_at),
        updated_at=date_time(profile.updated_at),
    )

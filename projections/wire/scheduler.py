"""The scheduler and its backlog as clients see them."""

from msgspec import Struct

from projections.wire.runs import Run
from projections.wire.tasks import TaskSummary
from projections.wire.times import DateTime


class SchedulerStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether claiming is stopped, and how much waits and works."""

    paused: bool
    paused_by: str = ""
    paused_at: DateTime | None = None
    paused_reason: str = ""
    active_claim_count: int
    queued_run_count: int
    paused_task_count: int
    starved_run_count: int
    needs_attention_run_count: int
    as_of: DateTime


class SchedulerBacklogEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that waits, with its task."""

    run: Run
    task: TaskSummary


class SchedulerBacklog(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first runs that wait, and how many there are; the same of those that need attention."""

    runs: tuple[SchedulerBacklogEntry, ...]
    total: int
    needs_attention: tuple[SchedulerBacklogEntry, ...] = ()
    needs_attention_total: int = 0

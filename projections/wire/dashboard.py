"""The dashboard as clients see it: counts, ages and health of all tasks that pass a filter."""

from msgspec import Struct

from domain.values import Owner, Priority, RunStatus, Scope, TaskStatus
from projections.wire.times import DateTime


class DashboardTotals(Struct, frozen=True, kw_only=True):
    """Tasks and runs by status; `needs_attention_runs` is added to the task API."""

    tasks_total: int
    runs_total: int
    draft_tasks: int
    pending_tasks: int
    ready_tasks: int
    in_progress_tasks: int
    blocked_tasks: int
    completed_tasks: int
    failed_tasks: int
    canceled_tasks: int
    awaiting_approval_tasks: int
    dependency_blocked_tasks: int
    queued_runs: int
    claimed_runs: int
    starting_runs: int
    running_runs: int
    completed_runs: int
    failed_runs: int
    canceled_runs: int
    needs_attention_runs: int
    active_runs: int


class DashboardInProgressCard(Struct, frozen=True, kw_only=True):
    """What is being worked on."""

    tasks: int
    active_runs: int
    running_runs: int
    starting_runs: int
    claimed_runs: int
    queued_runs: int
    health_status: str


class DashboardBlockedCard(Struct, frozen=True, kw_only=True):
    """What waits for something else; `needs_attention` counts runs and is added to the task API."""

    tasks: int
    awaiting_approval: int
    awaiting_dependencies: int
    needs_attention: int
    health_status: str


class DashboardFailedCard(Struct, frozen=True, kw_only=True):
    """What did not work; `forced_stops` are runs canceled under a session, since the server began.

    Sessions are not run here, so none can be asked to stop: the run is taken from it at once.
    """

    tasks: int
    failed_runs: int
    forced_stops: int
    health_status: str


class LatencyMetric(Struct, frozen=True, kw_only=True):
    """How long something took, over so many samples."""

    samples: int
    average_ms: int
    maximum_ms: int


class DashboardLatencyCard(Struct, frozen=True, kw_only=True):
    """How long runs wait for a claim, and then for their start."""

    claim_latency_ms: LatencyMetric
    start_latency_ms: LatencyMetric


class DashboardCards(Struct, frozen=True, kw_only=True):
    """The same counts as cards."""

    in_progress: DashboardInProgressCard
    blocked: DashboardBlockedCard
    failed: DashboardFailedCard
    latency: DashboardLatencyCard


class DashboardStatusBucket(Struct, frozen=True, kw_only=True):
    """How many tasks have a status, and their share of all."""

    status: TaskStatus
    count: int
    share_percent: int


class DashboardQueueDepth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The queued runs of one channel, or those without a channel."""

    network_channel: str = ""
    count: int
    oldest_queued_at: DateTime
    oldest_queue_age_ms: int


class DashboardQueue(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The queued runs."""

    total: int
    depth: tuple[DashboardQueueDepth, ...] = ()
    oldest_queued_at: DateTime
    oldest_queue_age_ms: int
    backlog_threshold_ms: int
    backlog_warning: bool
    backlog_status: str


class DashboardHealth(Struct, frozen=True, kw_only=True):
    """Whether something needs a look: `ok` or `warn`."""

    status: str
    stuck_runs: int
    active_orphan_runs: int
    queue_backlog: bool


class DashboardActiveRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An active run with its task."""

    task_id: str
    task_identifier: str = ""
    task_title: str
    task_status: TaskStatus
    task_priority: Priority
    task_owner: Owner | None = None
    scope: Scope
    workspace_id: str = ""
    latest_event_seq: int
    run_id: str
    run_status: RunStatus
    attempt: int
    max_attempts: int
    session_id: str = ""
    network_channel: str = ""
    last_activity_at: DateTime
    age_ms: int
    health_status: str
    stuck: bool
    error: str = ""


class DashboardActiveRuns(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many runs are active, and the first of them."""

    total: int
    running: int
    starting: int
    claimed: int
    queued: int
    items: tuple[DashboardActiveRun, ...] = ()


class DashboardFreshness(Struct, frozen=True, kw_only=True):
    """How old the latest activity is: `empty`, `current` or `stale`."""

    observed_at: DateTime
    latest_activity_at: DateTime
    age_ms: int
    stale_after_ms: int
    has_live_work: bool
    status: str
    stale: bool


class Dashboard(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it."""

    totals: DashboardTotals
    cards: DashboardCards
    status_breakdown: tuple[DashboardStatusBucket, ...] = ()
    queue: DashboardQueue
    health: DashboardHealth
    active_runs: DashboardActiveRuns
    freshness: DashboardFreshness

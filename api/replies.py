"""The answers of the task API, named as in the published contract."""

from msgspec import Struct

from api.errors import ErrorBody
from projections.wire import (
    CoordinationChannel,
    DateTime,
    LedgerItem,
    Run,
    RunDetail,
    RunLease,
    SchedulerBacklog,
    SchedulerStatus,
    Session,
    Task,
    TaskDetail,
    TaskReference,
    TaskSummary,
    TaskTree,
    TimelineItem,
    Workspace,
)
from projections.wire.bridges import Bridge, BridgeSubscription
from projections.wire.dashboard import Dashboard
from projections.wire.explain import Explanation
from projections.wire.inbox import Inbox, TriageState
from projections.wire.inspect import Inspect
from projections.wire.profile import ExecutionProfile
from projections.wire.reviews import Review


class TaskResponse(Struct, frozen=True):
    """A task."""

    task: Task


class TaskDetailResponse(Struct, frozen=True):
    """A task with everything about it."""

    task: TaskDetail


class TaskExecutionResponse(Struct, frozen=True):
    """A task and its queued run."""

    task: Task
    run: Run


class ListTasksResponse(Struct, frozen=True):
    """Tasks, the latest activity first."""

    tasks: tuple[TaskSummary, ...]


class GetTaskTreeResponse(Struct, frozen=True):
    """A task and everything below it."""

    tree: TaskTree


class ListTaskRunsResponse(Struct, frozen=True):
    """Runs of a task, the newest first."""

    runs: tuple[Run, ...]


class RunResponse(Struct, frozen=True):
    """A run."""

    run: Run


class RunChainResponse(Struct, frozen=True):
    """A run and the one that follows it."""

    previous_run: Run
    run: Run


class BulkForceRunItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one run, or why nothing did."""

    run_id: str
    ok: bool
    run: Run | None = None
    error: ErrorBody | None = None


class BulkForceRunResponse(Struct, frozen=True):
    """What became of each run."""

    results: tuple[BulkForceRunItem, ...]


class GetTaskRunResponse(Struct, frozen=True):
    """A run with everything about it."""

    run: RunDetail


class GetTaskTimelineResponse(Struct, frozen=True):
    """Events of a task, the oldest first."""

    timeline: tuple[TimelineItem, ...]


class LedgerTimelineResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Events of the whole ledger, the oldest first.

    `next_after` is where the next page starts, also when nothing matched; `head` is the last
    sequence of the ledger when the page was read. `next_before` comes with a page that was asked
    for by `before_sequence`: the page before it ends there, and there is none when it is
    the one behind `after_sequence`.
    """

    timeline: tuple[LedgerItem, ...]
    next_after: int
    next_before: int = 0
    head: int


class LedgerStreamEvent(Struct, frozen=True):
    """What one message of the stream of the whole ledger carries."""

    sequence: int
    type: str
    timeline: LedgerItem


class AgentClaim(Struct, frozen=True, omit_defaults=True):
    """What a session has claimed."""

    task: TaskReference
    run: Run
    lease: RunLease
    coordination_channel: CoordinationChannel | None = None


class ClaimNextAgentTaskResponse(Struct, frozen=True):
    """A claim."""

    claim: AgentClaim


class ClaimAgentTasksResponse(Struct, frozen=True):
    """Claims, the best first."""

    claims: tuple[AgentClaim, ...]


class ReportResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one report came to: the status it would have been answered with by itself."""

    run_id: str
    action: str
    ok: bool
    status: int
    replayed: bool = False
    lease: RunLease | None = None
    error: ErrorBody | None = None


class ReportAgentTaskRunsResponse(Struct, frozen=True):
    """What each report came to, in the order in which they were sent."""

    results: tuple[ReportResult, ...]


class LeaseResponse(Struct, frozen=True):
    """A lease."""

    lease: RunLease


class ReviewRequestResponse(Struct, frozen=True):
    """A review, and whether it is new."""

    review: Review
    created: bool


class GetTaskRunReviewResponse(Struct, frozen=True):
    """A review."""

    review: Review


class ReviewListResponse(Struct, frozen=True):
    """Reviews, the latest change first."""

    reviews: tuple[Review, ...]


class SubmitTaskRunReviewVerdictResponse(Struct, frozen=True, omit_defaults=True):
    """A review, the run that continues what it rejected, and whether that was the last round."""

    review: Review
    continuation_run: Run | None = None
    circuit_opened: bool = False


class ClaimNextAgentReviewResponse(Struct, frozen=True):
    """What a session is to review."""

    review: Review
    task: TaskReference
    run: Run


class SchedulerResponse(Struct, frozen=True):
    """How the scheduler stands."""

    scheduler: SchedulerStatus


class GetSchedulerBacklogResponse(Struct, frozen=True):
    """The runs that wait."""

    backlog: SchedulerBacklog


class DrainSchedulerResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a drain ended."""

    scheduler: SchedulerStatus
    completed: bool
    timed_out: bool = False
    remaining_claims: int
    started_at: DateTime
    completed_at: DateTime


class SessionResponse(Struct, frozen=True):
    """An agent session."""

    session: Session


class ListSessionsResponse(Struct, frozen=True):
    """Agent sessions."""

    sessions: tuple[Session, ...]


class WorkspaceResponse(Struct, frozen=True):
    """A workspace."""

    workspace: Workspace


class ListWorkspacesResponse(Struct, frozen=True):
    """Workspaces."""

    workspaces: tuple[Workspace, ...]


class Health(Struct, frozen=True):
    """Whether the server can do its work; `reasons` says why not.

    `notices` tells of read models that stand still, which keeps nobody from working.
    """

    status: str
    reasons: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class TriageResponse(Struct, frozen=True):
    """How far the caller is with a task."""

    triage: TriageState


class GetTaskInboxResponse(Struct, frozen=True):
    """What waits for the caller."""

    inbox: Inbox


class GetTaskDashboardResponse(Struct, frozen=True):
    """How the work of all tasks stands."""

    dashboard: Dashboard


class InspectResponse(Struct, frozen=True):
    """A close look at a task or run."""

    inspect: Inspect


class ExecutionProfileResponse(Struct, frozen=True):
    """How a task wants to be executed."""

    profile: ExecutionProfile


class ExplainRunResponse(Struct, frozen=True):
    """Why a run is handed to whom."""

    explain: Explanation


class PutBridgeResponse(Struct, frozen=True, omit_defaults=True):
    """A bridge; `secret` is there when it is new, and shown at no other time."""

    bridge: Bridge
    secret: str = ""


class BridgeResponse(Struct, frozen=True):
    """A bridge; `secret_available` is false when its secret has to be set again."""

    bridge: Bridge
    secret_available: bool


class ListBridgesResponse(Struct, frozen=True):
    """Bridges."""

    bridges: tuple[Bridge, ...]


class BridgeSubscriptionResponse(Struct, frozen=True):
    """A subscription."""

    subscription: BridgeSubscription


class ListTaskBridgeNotificationSubscriptionsResponse(Struct, frozen=True):
    """Subscriptions, with what became of the last tries."""

    subscriptions: tuple[BridgeSubscription, ...]

"""Query parameters of the task API."""

from api.parsing import ChannelName, Int32, Int64, Query, SignedInt32
from domain.values import (
    ApprovalState,
    OriginKind,
    OwnerKind,
    Priority,
    ReviewStatus,
    RunStatus,
    Scope,
    TaskStatus,
)
from projections.wire.inbox import InboxLane


class ListTasksQuery(Query, frozen=True, kw_only=True):
    """Which tasks to list; `query` is a part of the title or identifier, 0 means no limit."""

    scope: Scope | None = None
    workspace: str = ""
    status: TaskStatus | None = None
    priority: Priority | None = None
    include_drafts: bool = False
    approval_state: ApprovalState | None = None
    owner_kind: OwnerKind | None = None
    owner_ref: str = ""
    parent_task_id: str = ""
    network_channel: ChannelName = ""
    query: str = ""
    limit: Int32 = 0


class ListRunsQuery(Query, frozen=True, kw_only=True):
    """Which runs of a task to list; 0 means no limit."""

    status: RunStatus | None = None
    session_id: str = ""
    limit: Int32 = 0


class ListReviewsQuery(Query, frozen=True, kw_only=True):
    """Which reviews to list; 0 means no limit."""

    status: ReviewStatus | None = None
    reviewer_session_id: str = ""
    limit: Int32 = 0


class TimelineQuery(Query, frozen=True, kw_only=True):
    """Which part of a timeline; 0 means from the start, and no limit.

    With `before_sequence` it is the last `limit` events before that sequence, 1000 at most, behind
    `after_sequence`.
    """

    after_sequence: Int64 = 0
    before_sequence: Int64 = 0
    limit: Int32 = 0


class StreamQuery(Query, frozen=True, kw_only=True):
    """Where a stream starts: behind this sequence."""

    after_sequence: Int64 = 0


class LedgerStreamQuery(StreamQuery, frozen=True, kw_only=True):
    """Which events of the whole ledger: of these types, this workspace, this actor."""

    type: tuple[str, ...] = ()
    workspace: str = ""
    actor: str = ""


class LedgerTimelineQuery(LedgerStreamQuery, frozen=True, kw_only=True):
    """A page of the ledger; 0 means no limit.

    With `before_sequence` it is the last `limit` events before that sequence, 1000 at most, behind
    `after_sequence`.
    """

    before_sequence: Int64 = 0
    limit: Int32 = 0


class BacklogQuery(Query, frozen=True, kw_only=True):
    """Which waiting runs to show; a limit of 0 or less means 50, and 500 is the most."""

    limit: SignedInt32 = 0
    scope: Scope | None = None
    workspace: str = ""
    include_paused: bool = False


class InboxQuery(Query, frozen=True, kw_only=True):
    """What of the inbox to show; `limit` is per lane, 0 means no limit."""

    scope: Scope | None = None
    workspace: str = ""
    owner_kind: OwnerKind | None = None
    owner_ref: str = ""
    lane: InboxLane | None = None
    unread: bool = False
    query: str = ""
    limit: Int32 = 0


class DashboardQuery(Query, frozen=True, kw_only=True):
    """Which tasks the dashboard is about; their runs have to have the channel and origin, too."""

    scope: Scope | None = None
    workspace: str = ""
    owner_kind: OwnerKind | None = None
    owner_ref: str = ""
    network_channel: ChannelName = ""
    origin_kind: OriginKind | None = None


class ExplainRunQuery(Query, frozen=True, kw_only=True):
    """For which session to explain, all when none is named, and what least priority it asks for."""

    session_id: str = ""
    priority_min: Int32 = 0


class BridgeSubscriptionsQuery(Query, frozen=True, kw_only=True):
    """Which subscriptions of a task to list; a limit of 0 or less means no limit."""

    bridge_instance_id: str = ""
    scope: Scope | None = None
    workspace_id: str = ""
    limit: SignedInt32 = 0


class BridgeDeliveriesQuery(Query, frozen=True, kw_only=True):
    """How many subscriptions of a bridge to list; 0 means 50, and 500 is the most."""

    limit: Int32 = 0

"""Operations that show where the work of many tasks stands."""

from typing import Final

from api import replies
from api.answers import Answer
from api.call import Call
from api.operations import Operation
from api.queries import DashboardQuery, InboxQuery
from api.routes.common import operation
from api.settings import Settings
from domain import fields
from domain.errors import InvalidScopeBindingError, WorkspaceNotFoundError
from domain.instants import SECOND
from projections.lookup import workspace_of_ref
from projections.queries.dashboard import DashboardFilters, Thresholds, dashboard
from projections.queries.inbox import InboxFilters, task_inbox


def bound_workspace(call: Call, scope: str, ref: str) -> str:
    """Return the workspace to look at: the named one, else the only one the token reaches.

    Raises InvalidScopeBindingError unless a workspace comes with its scope, and the scope with
    a workspace; WorkspaceNotFoundError; PermissionDeniedError.
    """
    if ref and scope != "workspace":
        raise InvalidScopeBindingError('workspace needs scope "workspace"')
    if scope == "workspace" and not ref:
        raise InvalidScopeBindingError('workspace is required when scope is "workspace"')
    if scope == "global":
        call.require_workspace("", "the global scope")
    if not ref:
        return call.caller.workspace_limit
    found = workspace_of_ref(call.services.ledger.reader, ref)
    if found is None:
        raise WorkspaceNotFoundError(f'"{ref}"')
    call.require_workspace(found, f'workspace "{found}"')
    return found


def thresholds_of(settings: Settings) -> Thresholds:
    """Return from when on the dashboard warns."""
    return Thresholds(
        backlog=settings.backlog_warning_seconds * SECOND,
        claimed=settings.stuck_claimed_seconds * SECOND,
        starting=settings.stuck_starting_seconds * SECOND,
        running=settings.stuck_running_seconds * SECOND,
        stale=settings.stale_seconds * SECOND,
    )


async def get_dashboard(call: Call) -> Answer:
    """Return how the work of all tasks stands."""
    query = call.query(DashboardQuery)
    filters = DashboardFilters(
        scope=query.scope or "",
        workspace_id=bound_workspace(call, query.scope or "", query.workspace),
        owner_kind=query.owner_kind or "",
        owner_ref=query.owner_ref,
        network_channel=fields.channel(query.network_channel, "network_channel"),
        origin_kind=query.origin_kind or "",
    )
    thresholds = thresholds_of(call.services.settings)
    with call.services.ledger.snapshot() as reader:
        services = call.services
        found = dashboard(reader, services.clock(), filters, thresholds, services.started_at)
    return call.reply(replies.GetTaskDashboardResponse(found))


async def get_inbox(call: Call) -> Answer:
    """Return what waits for the caller, in lanes."""
    query = call.query(InboxQuery)
    filters = InboxFilters(
        scope=query.scope or "",
        workspace_id=bound_workspace(call, query.scope or "", query.workspace),
        owner_kind=query.owner_kind or "",
        owner_ref=query.owner_ref,
        lane=query.lane or "",
        unread=query.unread,
        query=query.query,
        limit=query.limit,
    )
    with call.services.ledger.snapshot() as reader:
        inbox = task_inbox(reader, call.caller.actor, filters)
    return call.reply(replies.GetTaskInboxResponse(inbox))


OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "GET",
        "/api/observe/tasks/dashboard",
        "getTaskDashboard",
        get_dashboard,
        tag="observe",
        action="tasks.dashboard",
        query=DashboardQuery,
        reply=replies.GetTaskDashboardResponse,
        statuses=(403, 404, 422),
    ),
    operation(
        "GET",
        "/api/observe/tasks/inbox",
        "getTaskInbox",
        get_inbox,
        tag="observe",
        action="tasks.inbox",
        query=InboxQuery,
        reply=replies.GetTaskInboxResponse,
        statuses=(403, 404, 422),
    ),
)

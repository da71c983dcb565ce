"""Operations on agent sessions and workspaces (added resources)."""

from typing import Any, Final

from api import bodies as b
from api import replies
from api.answers import NO_CONTENT, Answer
from api.call import Call
from api.operations import Operation
from api.parsing import Body
from api.routes.common import operation
from domain import commands as c
from domain.errors import SessionNotFoundError, WorkspaceNotFoundError
from projections import registry
from projections.wire import session_view, workspace_view


async def put_session(call: Call) -> Answer:
    """Register an agent session, or change its registration."""
    body = await call.read(b.RegisterSessionRequest)
    command = c.RegisterSession(
        session_id=call.id,
        agent_name=body.agent_name or "",
        workspace=body.workspace or "",
        channel=body.channel or "",
        name=body.name or "",
        capabilities=body.capabilities or (),
        concurrency=1 if body.concurrency is None else body.concurrency,
        soul_digest=body.soul_digest or "",
        soul_snapshot_id=body.soul_snapshot_id or "",
    )
    await call.submit(command)
    return await get_session(call)


async def get_session(call: Call) -> Answer:
    """Return an agent session."""
    session = registry.session_of(call.services.ledger.reader, call.id)
    if session is None:
        raise SessionNotFoundError(f'"{call.id}"')
    call.require_workspace(session.workspace_id, f'session "{session.id}"')
    return call.reply(replies.SessionResponse(session_view(session)))


async def delete_session(call: Call) -> Answer:
    """Stop an agent session; its leases run out by themselves."""
    await call.submit(c.StopSession(session_id=call.id))
    return NO_CONTENT


async def list_sessions(call: Call) -> Answer:
    """List the agent sessions, the oldest first."""
    limit = call.caller.workspace_limit
    found = registry.sessions(call.services.ledger.reader)
    shown = (session_view(each) for each in found if not limit or each.workspace_id == limit)
    return call.reply(replies.ListSessionsResponse(tuple(shown)))


async def put_workspace(call: Call) -> Answer:
    """Register a workspace, or change its registration."""
    body = await call.read(b.RegisterWorkspaceRequest)
    await call.submit(
        c.RegisterWorkspace(workspace_id=call.id, name=body.name or "", path=body.path or "")
    )
    return await get_workspace(call)


async def get_workspace(call: Call) -> Answer:
    """Return a workspace."""
    workspace = registry.workspace_of(call.services.ledger.reader, call.id)
    if workspace is None:
        raise WorkspaceNotFoundError(f'"{call.id}"')
    call.require_workspace(workspace.id, f'workspace "{workspace.id}"')
    return call.reply(replies.WorkspaceResponse(workspace_view(workspace)))


async def delete_workspace(call: Call) -> Answer:
    """Forget a workspace; its tasks stay."""
    await call.submit(c.RemoveWorkspace(workspace_id=call.id))
    return NO_CONTENT


async def list_workspaces(call: Call) -> Answer:
    """List the workspaces, the oldest first."""
    limit = call.caller.workspace_limit
    found = registry.workspaces(call.services.ledger.reader)
    shown = (workspace_view(each) for each in found if not limit or each.id == limit)
    return call.reply(replies.ListWorkspacesResponse(tuple(shown)))


def _one(kind: str, method: str, handle: Any, **more: Any) -> Operation:
    return operation(
        method,
        f"/api/{kind}s/{{id}}",
        f"{method.lower()}{kind.capitalize()}",
        handle,
        tag="registry",
        action=f"tasks.{method.lower()}_{kind}",
        labels=(f"{kind} id",),
        **more,
    )


def _put(kind: str, handle: Any, body: type[Body], reply: Any) -> Operation:
    return _one(
        kind,
        "PUT",
        handle,
        scope="admin",
        body=body,
        what=f"put {kind}",
        body_required=True,
        reply=reply,
        statuses=(404, 409, 422),
    )


def _delete(kind: str, handle: Any) -> Operation:
    return _one(kind, "DELETE", handle, scope="admin", success=204)


def _list(kind: str, handle: Any, reply: Any) -> Operation:
    return operation(
        "GET",
        f"/api/{kind}s",
        f"list{kind.capitalize()}s",
        handle,
        tag="registry",
        action=f"tasks.list_{kind}s",
        reply=reply,
        statuses=(),
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    _put("session", put_session, b.RegisterSessionRequest, replies.SessionResponse),
    _one("session", "GET", get_session, reply=replies.SessionResponse),
    _delete("session", delete_session),
    _list("session", list_sessions, replies.ListSessionsResponse),
    _put("workspace", put_workspace, b.RegisterWorkspaceRequest, replies.WorkspaceResponse),
    _one("workspace", "GET", get_workspace, reply=replies.WorkspaceResponse),
    _delete("workspace", delete_workspace),
    _list("workspace", list_workspaces, replies.ListWorkspacesResponse),
)

"""Short names for what happens often in scenarios. Times are as in `spec`."""

from typing import Any

from domain import commands as c
from domain.events import RunEnqueued
from domain.values import NO_JSON, Actor, Json
from tests.support.spec import HTTP, NOW, Step

AGENT = "coder"
EMPTY_REQUEST = "6e340b9cffb37a989ca544e6bb780a2c"
"""SHA-256 of the separator between an absent channel and absent metadata, shortened."""


def json(text: str) -> Json:
    """Return a JSON text as it was sent."""
    return Json(text.encode())


def task(task_id: str, **given: Any) -> c.CreateTask:
    """Create a global task."""
    return c.CreateTask(**{"id": task_id, "scope": "global", "title": "Title", **given})


def child(parent_id: str, task_id: str, **given: Any) -> c.CreateTask:
    """Create a global task below another."""
    return task(task_id, parent_task_id=parent_id, **given)


def draft(task_id: str, **given: Any) -> c.CreateTask:
    """Create a draft."""
    return task(task_id, draft=True, **given)


def manual(task_id: str, **given: Any) -> c.CreateTask:
    """Create a task that needs approval."""
    return task(task_id, approval_policy="manual", **given)


def workspace(workspace_id: str, **given: Any) -> c.RegisterWorkspace:
    """Make a workspace known."""
    return c.RegisterWorkspace(workspace_id=workspace_id, **given)


def workspace_task(task_id: str, workspace_id: str = "w1", **given: Any) -> c.CreateTask:
    """Create a task of a workspace."""
    return task(task_id, scope="workspace", workspace=workspace_id, **given)


def session(session_id: str, agent: str = AGENT, **given: Any) -> c.RegisterSession:
    """Make an agent session known."""
    return c.RegisterSession(session_id=session_id, agent_name=agent, **given)


def waits(task_id: str, blocker_id: str) -> c.AddDependency:
    """Let a task wait for another."""
    return c.AddDependency(task_id=task_id, depends_on_task_id=blocker_id)


def queued(task_id: str, run_id: str, at: int = NOW, **given: Any) -> Step:
    """Queue a run of a given id."""
    return Step(command=c.EnqueueRun(task_id=task_id, **given), run_id=run_id, at=at)


def enqueued(**given: Any) -> RunEnqueued:
    """Return the fact of a first run that was asked for without a body."""
    usual = {"attempt": 1, "status": "queued", "task_status": "ready"}
    return RunEnqueued(**{**usual, "request_hash": EMPTY_REQUEST, **given})


def agent(session_id: str, command: c.Command, at: int = NOW) -> Step:
    """Let an agent session send a command."""
    return Step(command=command, actor=Actor("agent_session", session_id), origin=HTTP, at=at)


def claim_next(session_id: str, at: int = NOW, **given: Any) -> Step:
    """Let an agent session ask for work; the token hash names session and time."""
    token = f"sha256:{session_id}@{at}"
    claim = {"agent_name": AGENT, "claim_token_hash": token, **given}
    return agent(session_id, c.ClaimNext(session_id=session_id, **claim), at)


def claim_several(session_id: str, most: int, at: int = NOW, **given: Any) -> Step:
    """Let an agent session ask for up to so many runs; the token hashes name session and time."""
    tokens = tuple(f"sha256:{session_id}@{at}#{number}" for number in range(most))
    claim = {"agent_name": AGENT, "claim_token_hashes": tokens, **given}
    return agent(session_id, c.ClaimSeveral(session_id=session_id, **claim), at)


def leased(task_id: str, run_id: str, session_id: str = "s1") -> tuple[Step, Step]:
    """Queue a run and let an agent session claim it; no other run may be claimable."""
    return queued(task_id, run_id), claim_next(session_id)


def running(task_id: str, run_id: str) -> tuple[Step | c.Command, ...]:
    """Queue, claim and start a run by hand."""
    return queued(task_id, run_id), c.ClaimRun(run_id=run_id), c.StartRun(run_id=run_id)


def completed(task_id: str, run_id: str) -> tuple[Step | c.Command, ...]:
    """Take a run to its good end by hand."""
    return *running(task_id, run_id), c.CompleteRun(run_id=run_id)


def failed(task_id: str, run_id: str) -> tuple[Step | c.Command, ...]:
    """Take a run to its bad end by hand."""
    return *running(task_id, run_id), c.FailRun(run_id=run_id, error="broken")


def canceled(task_id: str, run_id: str) -> tuple[Step | c.Command, ...]:
    """Queue a run and give it up."""
    return queued(task_id, run_id), c.CancelRun(run_id=run_id)


def heartbeat(run_id: str, session_id: str, at: int = NOW, lease_seconds: int = 0) -> Step:
    """Let a holder show that it is alive."""
    beat = c.Heartbeat(run_id=run_id, session_id=session_id, lease_seconds=lease_seconds)
    return agent(session_id, beat, at)


def complete(run_id: str, session_id: str, at: int = NOW, result: Json = NO_JSON) -> Step:
    """Let a holder end its run well."""
    return agent(
        session_id, c.CompleteLease(run_id=run_id, session_id=session_id, result=result), at
    )


def fail(
    run_id: str,
    session_id: str,
    at: int = NOW,
    error: str = "broken",
    metadata: Json = NO_JSON,
) -> Step:
    """Let a holder end its run badly."""
    command = c.FailLease(run_id=run_id, session_id=session_id, error=error, metadata=metadata)
    return agent(session_id, command, at)


def release(run_id: str, session_id: str, at: int = NOW, reason: str = "") -> Step:
    """Let a holder give its run back."""
    command = c.ReleaseLease(run_id=run_id, session_id=session_id, reason=reason)
    return agent(session_id, command, at)


def expire(at: int, limit: int = 0) -> Step:
    """Take back the leases past their deadline."""
    return Step(command=c.ExpireLeases(limit=limit, reason="scheduler_sweep"), at=at)

"""What clients have to see of the model's tasks and runs."""

from datetime import datetime
from typing import Any

from tests.machine.state import ENDED, OPEN, SECOND, Review, Run, Task

ANY: Any = object()
"""Stands for a value that is there, whatever it is."""


def instant(text: str) -> int:
    """Return the microseconds of a time on the wire."""
    assert text.endswith("Z")
    whole, _, fraction = text[:-1].partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * SECOND + int(fraction.ljust(6, "0")[:6] or 0)


def check(found: Any, expected: dict[str, Any]) -> None:
    """Check members; an empty expected value means that the member is left out."""
    shown = {name: found.get(name) for name in expected}
    wanted = {
        name: shown[name] if value is ANY and shown[name] else value or None
        for name, value in expected.items()
    }
    assert shown == wanted


def pair(actor: tuple[str, str] | None) -> dict[str, str] | None:
    """Return an owner or actor as it is shown."""
    return {"kind": actor[0], "ref": actor[1]} if actor else None


def reference(task: Task) -> dict[str, Any]:
    """Return what a mention of a task shows."""
    return {
        "id": task.id,
        "title": task.title,
        "status": task.status,
        "priority": task.priority,
        "owner": pair(task.owner),
        "scope": "workspace" if task.workspace else "global",
        "workspace_id": task.workspace,
        "latest_event_seq": task.sequences[-1],
        "paused": task.paused,
        "effective_paused": task.paused_by != "",
        "paused_by_task_id": task.paused_by,
    }


def whole(task: Task) -> dict[str, Any]:
    """Return what a task shows."""
    current = next((r for r in task.runs if r.status in {"claimed", "starting", "running"}), None)
    return {
        **reference(task),
        "parent_task_id": task.parent.id if task.parent else "",
        "max_attempts": task.max_attempts,
        "auto_enqueue_on_ready": task.auto,
        "draft": task.status == "draft",
        "approval_policy": task.policy,
        "approval_state": task.approval,
        "current_run_id": current.id if current else "",
        "closed_at": ANY if task.status in ENDED else "",
        "paused_reason": ANY if task.paused else "",
        "created_at": ANY,
        "updated_at": ANY,
    }


def summary(task: Task) -> dict[str, Any]:
    """Return what a row of a list shows, without what it says about others."""
    return {
        **whole(task),
        "child_count": len(task.children),
        "dependency_count": len(task.blockers),
    }


def attempt(run: Run) -> dict[str, Any]:
    """Return what a run shows, short or whole."""
    claimed = run.status not in {"queued", "needs_attention"} and run.claimed_by is not None
    return {
        "id": run.id,
        "task_id": run.task.id,
        "status": run.status,
        "attempt": run.attempt,
        "previous_run_id": run.previous.id if run.previous else "",
        "failure_kind": run.failure_kind,
        "claimed_by": pair(run.claimed_by),
        "session_id": run.session,
        "claim_token_hash": ANY if run.leased else "",
        "lease_until": ANY if run.until else "",
        "heartbeat_at": ANY if run.until else "",
        "queued_at": ANY,
        "claimed_at": ANY if claimed else "",
        "started_at": ANY if run.started else "",
        "ended_at": ANY if run.status not in OPEN else "",
        "error": ANY if run.status == "needs_attention" else run.error,
    }


def whole_run(run: Run) -> dict[str, Any]:
    """Return what a whole run shows."""
    key = ANY if run.key.startswith("task.auto_enqueue.") else run.key
    return {**attempt(run), "idempotency_key": key, "result": run.result}


def judgement(review: Review) -> dict[str, Any]:
    """Return what a review shows."""
    return {
        "review_id": review.id,
        "task_id": review.run.task.id,
        "run_id": review.run.id,
        "status": review.status,
        "outcome": review.outcome,
        "review_round": review.run.round,
        "attempt": review.attempt,
        "reviewer_session_id": review.reviewer,
    }

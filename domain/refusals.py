"""Refusals of what is done by hand, each with a diagnostic (task API, force operations)."""

from typing import Final, TypeAlias

from domain.errors import (
    BulkTooLargeError,
    Diagnostic,
    ForbiddenOperatorError,
    ForceRateError,
    InvalidTransitionError,
    RequiresReasonError,
    RetryChainError,
    StreamHeldError,
)
from domain.task.state import Run
from domain.values import FORCE_LIMIT, MAX_BULK, Actor

DOCS: Final = "/runtime/core/autonomy/task-runs-and-leases#force-operations"

_NEXT: Final = {"needs_attention": "recover", "failed": "retry"}
"""What can be done about a run in that status."""

_Evidence: TypeAlias = dict[str, str | int | bool]


def _diagnostic(
    code: str,
    title: str,
    message: str,
    *,
    severity: str = "error",
    evidence: _Evidence | None = None,
    command: str = "",
) -> Diagnostic:
    return Diagnostic(
        id=f"task.force.{code}",
        code=code,
        severity=severity,
        category="task",
        title=title,
        message=message,
        suggested_command=command,
        doc_url=DOCS,
        data_freshness="live",
        evidence=evidence or {},
    )


def held_back(stream: str, message: str, command: str) -> StreamHeldError:
    """Return the refusal of what concerns a stream with an event that nobody here can take."""
    told = Diagnostic(
        id="ledger.stream_held",
        code="stream_held",
        severity="error",
        category="ledger",
        title="Held back",
        message=message,
        suggested_command=command,
        data_freshness="live",
        evidence={"stream": stream},
    )
    return StreamHeldError(message, told)


def forbidden(actor: Actor) -> ForbiddenOperatorError:
    """Return the refusal of an agent while agents may do nothing by hand."""
    message = f"agents may not do this here: {actor.label}"
    evidence: _Evidence = {"actor_kind": actor.kind, "actor_id": actor.ref}
    return ForbiddenOperatorError(
        message,
        _diagnostic("forbidden_operator_action", "Force operation", message, evidence=evidence),
    )


def rate_limited(actor: Actor, task_id: str) -> ForceRateError:
    """Return the refusal of an agent that did too much by hand to one task."""
    message = f'{actor.label} did {FORCE_LIMIT} force operations on task "{task_id}" in a minute'
    evidence: _Evidence = {
        "actor_kind": actor.kind,
        "actor_id": actor.ref,
        "task_id": task_id,
        "limit": FORCE_LIMIT,
    }
    return ForceRateError(
        message,
        _diagnostic(
            "force_op_rate_limited",
            "Force operation rate limited",
            message,
            severity="warn",
            evidence=evidence,
        ),
    )


def requires_reason(operation: str) -> RequiresReasonError:
    """Return the refusal of an operation that came without a reason."""
    message = f"{operation} requires a reason"
    return RequiresReasonError(
        f"{operation}.reason is required",
        _diagnostic("force_op_requires_reason", "Reason required", message),
    )


def bulk_too_large(count: int) -> BulkTooLargeError:
    """Return the refusal of too many runs at once."""
    message = f"at most {MAX_BULK} runs at once: {count}"
    evidence: _Evidence = {"limit": MAX_BULK, "count": count}
    return BulkTooLargeError(
        message,
        _diagnostic("bulk_too_large", "Bulk operation too large", message, evidence=evidence),
    )


def chain_too_deep(run: Run, depth: int) -> RetryChainError:
    """Return the refusal of one retry more."""
    message = f'task run "{run.id}" is retry {depth} of its first run'
    evidence: _Evidence = {"run_id": run.id, "task_id": run.task_id, "depth": depth}
    return RetryChainError(
        message,
        _diagnostic("retry_chain_too_deep", "Retry chain too deep", message, evidence=evidence),
    )


def not_releasable(run: Run) -> InvalidTransitionError:
    """Return the refusal of taking a run back that nobody has merely claimed."""
    return _unfit(run, "task_run_not_releasable", "Task run not releasable", "claimed")


def not_recoverable(run: Run) -> InvalidTransitionError:
    """Return the refusal of recovering a run that needs no attention."""
    return _unfit(run, "task_run_not_recoverable", "Task run not recoverable", "needs_attention")


def not_retryable(run: Run) -> InvalidTransitionError:
    """Return the refusal of retrying a run that has not failed."""
    return _unfit(run, "task_run_still_active", "Task run not failed", "failed")


def still_active(run: Run) -> InvalidTransitionError:
    """Return the refusal of failing a run that is being worked on."""
    expected = "queued, claimed or needs_attention"
    return _unfit(run, "task_run_still_active", "Task run still active", expected)


def already_terminal(run: Run) -> InvalidTransitionError:
    """Return the refusal of failing a run that has ended."""
    code, title = "task_run_already_terminal", "Task run already terminal"
    return _unfit(run, code, title, "queued, claimed or needs_attention", severity="info")


def _unfit(
    run: Run, code: str, title: str, expected: str, *, severity: str = "error"
) -> InvalidTransitionError:
    message = f'task run "{run.id}" is {run.status}, expected {expected}'
    evidence: _Evidence = {"run_id": run.id, "status": run.status}
    command = f"taskledger run {_NEXT[run.status]} {run.id}" if run.status in _NEXT else ""
    diagnostic = _diagnostic(
        code, title, message, severity=severity, evidence=evidence, command=command
    )
    return InvalidTransitionError(message, diagnostic)


def task_already_terminal(task_id: str, status: str) -> InvalidTransitionError:
    """Return the refusal of pausing a finished task."""
    return InvalidTransitionError(
        f'task "{task_id}" is {status}; a finished task cannot be paused',
        Diagnostic(
            id="task.pause.task_run_already_terminal",
            code="task_run_already_terminal",
            severity="info",
            category="task",
            title="Task already terminal",
            message=f'task "{task_id}" is already {status}',
            data_freshness="live",
            evidence={"task_id": task_id, "task_status": status},
        ),
    )

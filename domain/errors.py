"""Refusals of the domain. Each class has a stable code; the HTTP status lives at the edge.

Texts begin with the sentinel of their class (task API, error sentinels), then name the subject,
what was expected and what was found.
"""

from typing import ClassVar

from msgspec import Struct


class Diagnostic(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A structured explanation that accompanies some refusals."""

    id: str
    code: str
    severity: str
    category: str
    title: str
    message: str
    suggested_command: str = ""
    doc_url: str = ""
    data_freshness: str
    evidence: dict[str, str | int | bool] = {}


class DomainError(Exception):
    """A command was refused; nothing was written."""

    code: ClassVar[str] = "domain_error"
    sentinel: ClassVar[str] = "task: refused"

    def __init__(self, detail: str = "", diagnostic: Diagnostic | None = None) -> None:
        """Keep the detail, and the diagnostic when the refusal carries one."""
        self.detail = detail
        self.diagnostic = diagnostic
        super().__init__(f"{self.sentinel}: {detail}" if detail else self.sentinel)

    @property
    def text(self) -> str:
        """What the caller reads; with a diagnostic, `<title>: <message> (next: <command>)`."""
        if self.diagnostic is None:
            return str(self)
        command = self.diagnostic.suggested_command
        following = f" (next: {command})" if command else ""
        return f"{self.diagnostic.title}: {self.diagnostic.message}{following}"


class ValidationError(DomainError):
    """A value of the command is not acceptable."""

    code = "validation_failed"
    sentinel = "task: validation failed"


class InvalidScopeBindingError(DomainError):
    """Scope and workspace do not fit together."""

    code = "invalid_scope_binding"
    sentinel = "task: invalid scope binding"


class StreamHeldError(DomainError):
    """An event stands in the way of everything that concerns its stream; nothing else waits."""

    code = "stream_held"
    sentinel = "task: held back"


class PayloadTooLargeError(DomainError):
    """A value is longer than its limit."""

    code = "payload_too_large"
    sentinel = "task: payload too large"


class PermissionDeniedError(DomainError):
    """The caller may not do this."""

    code = "permission_denied"
    sentinel = "task: permission denied"


class RequiresReasonError(DomainError):
    """The operation needs a reason."""

    code = "force_op_requires_reason"
    sentinel = "task: force operation requires reason"


class ForbiddenOperatorError(DomainError):
    """Agents may not do this by hand."""

    code = "forbidden_operator_action"
    sentinel = "task: forbidden operator action"


class ForceRateError(DomainError):
    """The agent does too much by hand."""

    code = "force_op_rate_limited"
    sentinel = "task: force operation rate limited"


class BulkTooLargeError(DomainError):
    """Too many runs at once."""

    code = "bulk_too_large"
    sentinel = "task: bulk operation too large"


class RetryChainError(DomainError):
    """The run has been retried too often already."""

    code = "retry_chain_too_deep"
    sentinel = "task: retry chain too deep"


class TaskNotFoundError(DomainError):
    """No such task."""

    code = "task_not_found"
    sentinel = "task: task not found"


class RunNotFoundError(DomainError):
    """No such run."""

    code = "run_not_found"
    sentinel = "task: task run not found"


class ReviewNotFoundError(DomainError):
    """No such review."""

    code = "review_not_found"
    sentinel = "task: task run review not found"


class DependencyNotFoundError(DomainError):
    """No such dependency edge."""

    code = "dependency_not_found"
    sentinel = "task: task dependency not found"


class ProfileNotFoundError(DomainError):
    """The task has no execution profile of its own."""

    code = "profile_not_found"
    sentinel = "task: task execution profile not found"


class WorkspaceNotFoundError(DomainError):
    """No such workspace."""

    code = "workspace_not_found"
    sentinel = "workspace not found"


class SessionNotFoundError(DomainError):
    """No such agent session."""

    code = "session_not_found"
    sentinel = "session: session not found"


class ProjectionNotFoundError(DomainError):
    """No such read model."""

    code = "projection_not_found"
    sentinel = "projection: projection not found"


class BridgeNotFoundError(DomainError):
    """No such bridge."""

    code = "bridge_not_found"
    sentinel = "bridge: bridge instance not found"


class SubscriptionNotFoundError(DomainError):
    """The task has no such subscription."""

    code = "subscription_not_found"
    sentinel = "bridge: task subscription not found"


class TokenNotFoundError(DomainError):
    """No such access token."""

    code = "token_not_found"
    sentinel = "token not found"


class TempestAppNotFoundError(DomainError):
    """No such version of an app."""

    code = "tempest_app_not_found"
    sentinel = "tempest: app version not found"


class InvalidTransitionError(DomainError):
    """The state of the task or run does not allow this."""

    code = "invalid_transition"
    sentinel = "task: invalid status transition"


class DeletePreconditionError(DomainError):
    """The task cannot be deleted yet."""

    code = "delete_precondition"
    sentinel = "task: validation failed"


class GraphLimitError(DomainError):
    """Too deep, too many children or too many dependencies."""

    code = "graph_limit_exceeded"
    sentinel = "task: graph limit exceeded"


class DependencyCycleError(DomainError):
    """The edge would close a cycle."""

    code = "dependency_cycle"
    sentinel = "task: dependency cycle detected"


class SessionAlreadyBoundError(DomainError):
    """The run or the session is bound already."""

    code = "session_already_bound"
    sentinel = "task: session already bound"


class SessionAttachError(DomainError):
    """The session cannot be attached now."""

    code = "session_attach_not_allowed"
    sentinel = "task: session attach not allowed"


class StaleChannelError(DomainError):
    """The channel of the run is no longer usable."""

    code = "stale_network_channel"
    sentinel = "task: stale network channel"


class InvalidClaimTokenError(DomainError):
    """The run is fenced by a lease the caller does not hold."""

    code = "invalid_claim_token"
    sentinel = "task: invalid claim token"


class ActiveLeaseError(DomainError):
    """The session holds a lease already."""

    code = "active_lease_exists"
    sentinel = "task: active run lease exists"


class ConflictError(DomainError):
    """The same name or key stands for something else already."""

    code = "conflict"
    sentinel = "task: conflict"


class LeaseRejectedError(DomainError):
    """The caller holds no usable lease on the run; `reason` says which way."""

    code = "autonomy_lease_rejected"
    sentinel = "task: autonomy lease rejected"

    def __init__(self, reason: str, cause: str) -> None:
        """Keep the reason code beside the text."""
        self.reason = reason
        super().__init__(f"{reason}: {cause}")


class IdentityError(DomainError):
    """The caller's identity does not hold; `code` of the diagnostic says why."""

    code = "identity"
    sentinel = "agent identity"

    def __init__(self, reason: str, message: str, hint: str) -> None:
        """Build text and diagnostic from the reason code."""
        self.reason = reason
        self.hint = hint
        super().__init__(
            message,
            Diagnostic(
                id=f"agentidentity.{reason}",
                code=reason,
                severity="error",
                category="session",
                title="Agent identity",
                message=message,
                data_freshness="live",
            ),
        )

    @property
    def text(self) -> str:
        """The message and what to do about it."""
        return f"{self.detail}: {self.hint}"

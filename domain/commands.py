"""Commands: what somebody wants. Values are as they were sent; deciding checks and trims them."""

from msgspec import Struct

from domain.fact import Fact
from domain.values import NO_JSON, Actor, Json, TriageAction


class Command(Struct, frozen=True, kw_only=True):
    """One intent, decided as a whole: all of its events commit or none."""


class OwnerInput(Struct, frozen=True, kw_only=True):
    """An owner as it was sent."""

    kind: str = ""
    ref: str = ""


class CreateTask(Command, frozen=True, kw_only=True):
    """Create a task, below `parent_task_id` when that is not None."""

    parent_task_id: str | None = None
    id: str = ""
    identifier: str = ""
    scope: str = ""
    workspace: str = ""
    title: str = ""
    description: str = ""
    network_channel: str = ""
    priority: str = ""
    max_attempts: int | None = None
    auto_enqueue_on_ready: bool = False
    draft: bool = False
    approval_policy: str = ""
    owner: OwnerInput | None = None
    metadata: Json = NO_JSON


class UpdateTask(Command, frozen=True, kw_only=True):
    """Change fields of a task; None leaves a field as it is."""

    task_id: str
    title: str | None = None
    description: str | None = None
    priority: str | None = None
    max_attempts: int | None = None
    auto_enqueue_on_ready: bool | None = None
    approval_policy: str | None = None
    metadata: Json = NO_JSON
    network_channel: str | None = None
    owner: OwnerInput | None = None
    clear_owner: bool = False


class Execution(Command, frozen=True, kw_only=True):
    """What publish, start, approve and enqueue have in common: they queue one run."""

    task_id: str
    idempotency_key: str = ""
    network_channel: str = ""
    metadata: Json = NO_JSON


class PublishTask(Execution, frozen=True, kw_only=True):
    """Make a draft runnable and queue a run."""


class StartTask(Execution, frozen=True, kw_only=True):
    """Queue a run of a task that is not held back."""


class ApproveTask(Execution, frozen=True, kw_only=True):
    """Give the pending approval and queue a run."""


class EnqueueRun(Execution, frozen=True, kw_only=True):
    """Queue a run; a blocked task's run waits until it is unblocked."""


class RejectTask(Command, frozen=True, kw_only=True):
    """Refuse the pending approval."""

    task_id: str


class CancelTask(Command, frozen=True, kw_only=True):
    """Give up a task and everything below it."""

    task_id: str
    reason: str = ""
    metadata: Json = NO_JSON


class PauseTask(Command, frozen=True, kw_only=True):
    """Stop claiming for a task and everything below it."""

    task_id: str
    reason: str = ""
    metadata: Json = NO_JSON


class ResumeTask(Command, frozen=True, kw_only=True):
    """End a task's own pause."""

    task_id: str
    metadata: Json = NO_JSON


class DeleteTask(Command, frozen=True, kw_only=True):
    """Remove a task that has no children and no open run."""

    task_id: str


class ProfileSection(Struct, frozen=True, kw_only=True):
    """One section of an execution profile as it was sent; each section has some of the members."""

    mode: str = ""
    agent_name: str = ""
    provider: str = ""
    model: str = ""
    guidance: str = ""
    sandbox_ref: str = ""
    allowed_agent_names: tuple[str, ...] = ()
    preferred_agent_names: tuple[str, ...] = ()
    allowed_channel_ids: tuple[str, ...] = ()
    preferred_channel_ids: tuple[str, ...] = ()
    allowed_peer_ids: tuple[str, ...] = ()
    preferred_peer_ids: tuple[str, ...] = ()
    required_capabilities: tuple[str, ...] = ()
    preferred_capabilities: tuple[str, ...] = ()


class SetProfile(Command, frozen=True, kw_only=True):
    """Replace the execution profile of a task; `sent_task_id` is what the profile itself says."""

    task_id: str
    sent_task_id: str = ""
    coordinator: ProfileSection | None = None
    worker: ProfileSection | None = None
    review: ProfileSection | None = None
    participants: ProfileSection | None = None
    sandbox: ProfileSection | None = None
    runtime: ProfileSection | None = None


class DeleteProfile(Command, frozen=True, kw_only=True):
    """Go back to the default execution profile."""

    task_id: str


class AddDependency(Command, frozen=True, kw_only=True):
    """Let a task wait for another."""

    task_id: str
    depends_on_task_id: str = ""
    kind: str = ""


class RemoveDependency(Command, frozen=True, kw_only=True):
    """Let a task no longer wait for another."""

    task_id: str
    depends_on_task_id: str


class ClaimRun(Command, frozen=True, kw_only=True):
    """Claim a given run without a lease (operators)."""

    run_id: str
    idempotency_key: str = ""


class StartRun(Command, frozen=True, kw_only=True):
    """Start a claimed run; the session is the given one, the bound one or a new one."""

    run_id: str
    idempotency_key: str = ""
    session_id: str = ""


class AttachSession(Command, frozen=True, kw_only=True):
    """Bind a registered session to a claimed run."""

    run_id: str
    session_id: str = ""


class CompleteRun(Command, frozen=True, kw_only=True):
    """End a running run well (operators)."""

    run_id: str
    result: Json = NO_JSON


class FailRun(Command, frozen=True, kw_only=True):
    """End a starting or running run badly (operators)."""

    run_id: str
    error: str = ""
    metadata: Json = NO_JSON


class CancelRun(Command, frozen=True, kw_only=True):
    """Give up a run."""

    run_id: str
    reason: str = ""
    metadata: Json = NO_JSON


class Claim(Command, frozen=True, kw_only=True):
    """What a session says that claims under a lease (agents)."""

    session_id: str
    agent_name: str
    header_workspace_id: str = ""
    workspace_id: str = ""
    capabilities: tuple[str, ...] = ()
    priority_min: int = 0
    lease_seconds: int = 0


class ClaimNext(Claim, frozen=True, kw_only=True):
    """Claim the best waiting run.

    `claim_token_hash` is made at the edge from a fresh token that nobody keeps.
    """

    claim_token_hash: str = ""


class ClaimSeveral(Claim, frozen=True, kw_only=True):
    """Claim the best waiting runs, at most one for each claim token hash."""

    claim_token_hashes: tuple[str, ...]


class LeaseCommand(Command, frozen=True, kw_only=True):
    """What the holder of a lease sends about its run."""

    run_id: str
    session_id: str


class Heartbeat(LeaseCommand, frozen=True, kw_only=True):
    """Extend the lease from now on."""

    lease_seconds: int = 0


class CompleteLease(LeaseCommand, frozen=True, kw_only=True):
    """End the leased run well."""

    result: Json = NO_JSON


class FailLease(LeaseCommand, frozen=True, kw_only=True):
    """End the leased run badly."""

    error: str = ""
    metadata: Json = NO_JSON


class ReleaseLease(LeaseCommand, frozen=True, kw_only=True):
    """Give the leased run back to the queue."""

    reason: str = ""


class ExpireLeases(Command, frozen=True, kw_only=True):
    """Take back leases past their deadline, oldest first; 0 means all."""

    limit: int = 0
    reason: str


class PauseScheduler(Command, frozen=True, kw_only=True):
    """Stop claiming everywhere."""

    reason: str = ""


class ResumeScheduler(Command, frozen=True, kw_only=True):
    """Let claiming go on."""

    reason: str = ""


class StartDrain(Command, frozen=True, kw_only=True):
    """Stop claiming everywhere and note that somebody waits for the claims to end."""

    reason: str = ""
    timeout_seconds: int
    active_claims: int


class EndDrain(Command, frozen=True, kw_only=True):
    """Note how the wait ended."""

    completed: bool
    timed_out: bool
    remaining_claims: int


class RegisterSession(Command, frozen=True, kw_only=True):
    """Make an agent session known; `workspace` is an id, name or path."""

    session_id: str
    agent_name: str = ""
    workspace: str = ""
    channel: str = ""
    name: str = ""
    capabilities: tuple[str, ...] = ()
    concurrency: int = 1
    soul_digest: str = ""
    soul_snapshot_id: str = ""


class StopSession(Command, frozen=True, kw_only=True):
    """End an agent session."""

    session_id: str


class RegisterWorkspace(Command, frozen=True, kw_only=True):
    """Make a workspace known."""

    workspace_id: str
    name: str = ""
    path: str = ""


class RemoveWorkspace(Command, frozen=True, kw_only=True):
    """Forget a workspace; its tasks stay."""

    workspace_id: str


class CreateToken(Command, frozen=True, kw_only=True):
    """Make an access token known by the hash of its secret."""

    token_id: str
    name: str = ""
    scopes: tuple[str, ...]
    token_actor: Actor
    workspace: str = ""
    secret_hash: str


class RevokeToken(Command, frozen=True, kw_only=True):
    """Accept a token no longer."""

    token_id: str


class NoteProjection(Command, frozen=True, kw_only=True):
    """Put on record what was done to a read model, or what happened to it."""

    fact: Fact


class SkipEvent(Command, frozen=True, kw_only=True):
    """Have a read model pass over an event; the edge knows whether it is in the way."""

    projection: str
    sequence: int
    reason: str
    in_the_way: bool


class TriageTask(Command, frozen=True, kw_only=True):
    """Read, archive or dismiss a task in the caller's inbox."""

    task_id: str
    action: TriageAction


class RequestReview(Command, frozen=True, kw_only=True):
    """Let an ended run be judged. `stated_` ids are those of the body, which have to agree.

    A round of 0 is that of the run, an attempt of 0 the first one.
    """

    run_id: str
    stated_run_id: str = ""
    stated_task_id: str = ""
    policy: str = ""
    review_round: int = 0
    attempt: int = 0
    parent_review_id: str = ""
    reason: str = ""
    deadline_at: str = ""


class ClaimNextReview(Command, frozen=True, kw_only=True):
    """Let a session take the oldest review that waits and that it may do."""

    session_id: str
    agent_name: str
    workspace_id: str = ""


class SubmitVerdict(Command, frozen=True, kw_only=True):
    """Say what came of a review. The `run_id`, when it is given, has to be the review's."""

    review_id: str
    run_id: str = ""
    outcome: str = ""
    confidence: float | None = None
    reason: str = ""
    delivery_id: str = ""
    missing_work: Json = NO_JSON
    next_round_guidance: str = ""
    review_text: str = ""


class EndReviews(Command, frozen=True, kw_only=True):
    """Let the reviews past their deadline end without a judgement."""

    limit: int


class EscalateRuns(Command, frozen=True, kw_only=True):
    """Let a cycle pass for runs that wait too long. Ages are microseconds, the rest are cycles."""

    min_queued_age: int
    event_after: int
    needs_attention_after: int
    limit: int


class Reply(Struct, frozen=True, kw_only=True):
    """What a decided command is about; `replayed` when it had been done before.

    `stale_channel` names the channel for which a start or attach was refused; that refusal is an
    event of its own.
    """

    task_id: str = ""
    run_id: str = ""
    session_id: str = ""
    review_id: str = ""
    subscription_id: str = ""
    replayed: bool = False
    stale_channel: str = ""

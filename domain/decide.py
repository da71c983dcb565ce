"""The one entry of the domain: a command and what is known give events, or a refusal."""

from collections.abc import Callable
from typing import Any

from domain import bridge_commands as b
from domain import bridges, operations, session, starvation, triage
from domain import commands as c
from domain import force_commands as f
from domain.ona import decisions as ona
from domain.posthog.decisions import DECIDE as POSTHOG
from domain.reactions import react
from domain.task import (
    claims,
    creation,
    dependencies,
    execution,
    force,
    leases,
    lifecycle,
    profile,
    reviews,
    runs,
    verdicts,
)
from domain.tempest import decisions as tempest
from domain.world import Plan

_DECIDE: dict[type[c.Command], Callable[[Any, Plan], c.Reply]] = {
    c.CreateTask: creation.create_task,
    c.UpdateTask: lifecycle.update_task,
    c.PublishTask: execution.publish_task,
    c.StartTask: execution.start_task,
    c.ApproveTask: execution.approve_task,
    c.EnqueueRun: execution.enqueue_run,
    c.RejectTask: lifecycle.reject_task,
    c.CancelTask: lifecycle.cancel_task,
    c.PauseTask: lifecycle.pause_task,
    c.ResumeTask: lifecycle.resume_task,
    c.DeleteTask: lifecycle.delete_task,
    c.AddDependency: dependencies.add_dependency,
    c.RemoveDependency: dependencies.remove_dependency,
    c.SetProfile: profile.set_profile,
    c.DeleteProfile: profile.delete_profile,
    c.ClaimRun: runs.claim_run,
    c.StartRun: runs.start_run,
    c.AttachSession: runs.attach_session,
    c.CompleteRun: runs.complete_run,
    c.FailRun: runs.fail_run,
    c.CancelRun: runs.cancel_run,
    f.ReleaseRun: force.release_run,
    f.ForceFailRun: force.force_fail_run,
    f.RetryRun: force.retry_run,
    f.RecoverRun: force.recover_run,
    c.ClaimNext: claims.claim_next,
    c.ClaimSeveral: claims.claim_several,
    c.Heartbeat: leases.heartbeat,
    c.CompleteLease: leases.complete_lease,
    c.FailLease: leases.fail_lease,
    c.ReleaseLease: leases.release_lease,
    c.ExpireLeases: leases.expire_leases,
    c.PauseScheduler: operations.pause_scheduler,
    c.ResumeScheduler: operations.resume_scheduler,
    c.StartDrain: operations.start_drain,
    c.EndDrain: operations.end_drain,
    c.RegisterSession: session.register_session,
    c.StopSession: session.stop_session,
    c.RegisterWorkspace: operations.register_workspace,
    c.RemoveWorkspace: operations.remove_workspace,
    c.CreateToken: operations.create_token,
    c.RevokeToken: operations.revoke_token,
    c.NoteProjection: operations.note_projection,
    c.SkipEvent: operations.skip_event,
    c.TriageTask: triage.triage_task,
    c.RequestReview: reviews.request_review,
    c.ClaimNextReview: reviews.claim_next_review,
    c.SubmitVerdict: verdicts.submit_verdict,
    c.EndReviews: verdicts.end_reviews,
    c.EscalateRuns: starvation.escalate_runs,
    b.PutBridge: bridges.put_bridge,
    b.RemoveBridge: bridges.remove_bridge,
    b.SubscribeBridge: bridges.subscribe_bridge,
    b.UnsubscribeBridge: bridges.unsubscribe_bridge,
    b.NoteNotification: bridges.note_notification,
    **tempest.DECIDE,
    **POSTHOG,
    **ona.DECIDE,
}

COMMANDS: frozenset[type[c.Command]] = frozenset(_DECIDE)
"""Every command there is."""


def decide(command: c.Command, plan: Plan) -> c.Reply:
    """Note the events of a command in the plan and return what it is about.

    Raises DomainError when the command is refused; the plan is then to be thrown away.
    """
    reply = _DECIDE[type(command)](command, plan)
    react(plan)
    return reply

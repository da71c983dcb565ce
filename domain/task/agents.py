"""What agents may do by hand: whether at all, and how often (task API, agent policy)."""

from domain.refusals import forbidden, rate_limited
from domain.task.state import TaskState
from domain.values import FORCE_LIMIT, FORCE_WINDOW
from domain.world import Plan


def check_agent(plan: Plan) -> None:
    """Raise ForbiddenOperatorError for an agent while agents may do nothing by hand."""
    actor = plan.context.actor
    if actor.kind == "agent_session" and not plan.policy.allow_agent_force:
        raise forbidden(actor)


def check_rate(plan: Plan, state: TaskState) -> None:
    """Raise ForceRateError when the calling agent did enough to this task lately.

    Only what was accepted counts; it is folded from the events of the task.
    """
    actor = plan.context.actor
    lately = [
        each for each in state.forced if each.actor == actor and plan.now - each.at < FORCE_WINDOW
    ]
    if len(lately) >= FORCE_LIMIT:
        raise rate_limited(actor, state.id)

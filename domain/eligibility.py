"""Who may be handed a queued run: the one definition behind claims, inspection and explanation.

The rules of a run hold whoever asks. The others compare the run with the session that asks. What a
task's profile asks of a session is summed up as a `Demand`, which the claim queue sorts runs by.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from domain.registry import SchedulerState, SessionState
from domain.task.state import Run, Task
from domain.values import NO_JSON, PRIORITY_VALUE, Owner
from domain.world import ClaimQuery

HELD_BACK: Final = frozenset({"draft", "blocked", "canceled"})
"""The statuses of a task whose run is not handed out."""

NEVER_HANDED_OUT: Final = "!"
_ANYBODY: Final = "anybody"


class Rule(Struct, frozen=True, kw_only=True):
    """One rule, and the values it was decided by."""

    rule: str
    passed: bool
    expected: str
    found: str


class Demand(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run asks of a session beyond workspace, channel, owner and priority.

    A `soulless` run is one that has no room for the mark of a session's soul.
    """

    worker_agent: str = ""
    worker_agents: tuple[str, ...] = ()
    participant_agents: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    soulless: bool = False

    @property
    def only_agent(self) -> str:
        """The one agent that can meet it, empty when that is not a single one."""
        named = (self.worker_agent,) if self.worker_agent else ()
        lists = [set(names) for names in (named, self.worker_agents, self.participant_agents)]
        limits = [names for names in lists if names]
        left = set.intersection(*limits) if limits else set()
        return left.pop() if len(left) == 1 else ""


NO_DEMAND: Final = Demand()


class _Check(Struct, frozen=True):
    """One thing that a demand asks, and how to tell of it."""

    rule: str
    holds: Callable[[Demand, ClaimQuery], bool]
    expected: Callable[[Demand], str]
    found: Callable[[ClaimQuery], str]


def _names(names: Iterable[str], nothing: str) -> str:
    return ", ".join(names) or nothing


def _agent(claim: ClaimQuery) -> str:
    return claim.agent_name


_DEMAND_CHECKS: Final = (
    _Check(
        "worker_agent",
        lambda demand, claim: demand.worker_agent in {"", claim.agent_name},
        lambda demand: demand.worker_agent or _ANYBODY,
        _agent,
    ),
    _Check(
        "worker_allowed_agents",
        lambda demand, claim: not demand.worker_agents or claim.agent_name in demand.worker_agents,
        lambda demand: _names(demand.worker_agents, _ANYBODY),
        _agent,
    ),
    _Check(
        "participant_allowed_agents",
        lambda demand, claim: (
            not demand.participant_agents or claim.agent_name in demand.participant_agents
        ),
        lambda demand: _names(demand.participant_agents, _ANYBODY),
        _agent,
    ),
    _Check(
        "capabilities",
        lambda demand, claim: claim.offered.issuperset(demand.capabilities),
        lambda demand: _names(demand.capabilities, "none"),
        lambda claim: _names(sorted(claim.offered), "none"),
    ),
    _Check(
        "soul",
        lambda demand, claim: not (demand.soulless and claim.soul),
        lambda demand: "no soul: the metadata is no object" if demand.soulless else "any",
        lambda claim: "a soul" if claim.soul else "no soul",
    ),
)


def claimant(session: SessionState, offered: Iterable[str] = (), least: int = 0) -> ClaimQuery:
    """Return what a session may be handed when it claims with these offers besides its own."""
    return ClaimQuery(
        workspace_id=session.workspace_id,
        agent_name=session.agent_name,
        session_id=session.id,
        channel=session.channel,
        priority_min=least,
        offered=frozenset((*session.capabilities, *offered)),
        soul=bool(session.soul_digest),
    )


def owner_key(owner: Owner | None) -> str:
    """Return whom a run waits for: `kind:ref`, empty for anybody, `!` for no session at all."""
    if owner is None:
        return ""
    if owner.kind in {"pool", "agent_session"}:
        return f"{owner.kind}:{owner.ref}"
    return NEVER_HANDED_OUT


def owner_keys(claim: ClaimQuery) -> tuple[str, str, str]:
    """Return the owner keys whose runs a session may be handed."""
    return ("", f"pool:{claim.agent_name}", f"agent_session:{claim.session_id}")


def demand_of(task: Task, run: Run) -> Demand:
    """Return what a run asks of a session. What the profile prefers has no say."""
    profile = task.profile
    if profile is None and run.metadata is NO_JSON:
        return NO_DEMAND
    soulless = bytes(run.metadata)[:1] not in {b"", b"{"}
    if profile is None:
        return Demand(soulless=True) if soulless else NO_DEMAND
    worker, participants = profile.worker, profile.participants
    return Demand(
        worker_agent=worker.agent_name,
        worker_agents=worker.allowed_agent_names,
        participant_agents=participants.allowed_agent_names,
        capabilities=tuple(
            sorted({*worker.required_capabilities, *participants.required_capabilities})
        ),
        soulless=soulless,
    )


def meets(demand: Demand, claim: ClaimQuery) -> bool:
    """Return whether a session is what a run asks for."""
    return all(check.holds(demand, claim) for check in _DEMAND_CHECKS)


def demand_rules(demand: Demand, claim: ClaimQuery) -> Iterator[Rule]:
    """Yield what a run asks of a session, and what the session has to say to it."""
    for check in _DEMAND_CHECKS:
        yield Rule(
            rule=check.rule,
            passed=check.holds(demand, claim),
            expected=check.expected(demand),
            found=check.found(claim),
        )


def run_rules(
    task: Task,
    run: Run,
    scheduler: SchedulerState,
    paused_by: str = "",
    waits_for: Iterable[str] = (),
) -> tuple[Rule, ...]:
    """Return the rules that do not depend on the session.

    `paused_by` is the nearest paused task of the lineage, `waits_for` what blocks the task.
    """
    return (
        Rule(rule="run_queued", passed=run.status == "queued", expected="queued", found=run.status),
        Rule(
            rule="scheduler_running",
            passed=not scheduler.paused,
            expected="running",
            found=f"paused by {scheduler.paused_by}" if scheduler.paused else "running",
        ),
        Rule(
            rule="task_not_paused",
            passed=not paused_by,
            expected="not paused",
            found=f"paused with task {paused_by}" if paused_by else "not paused",
        ),
        Rule(
            rule="task_status",
            passed=task.status not in HELD_BACK,
            expected="not draft, blocked or canceled",
            found=_status(task, waits_for),
        ),
    )


class _Match(Struct, frozen=True):
    """One thing in which run and session have to match, and how to tell of it."""

    rule: str
    holds: Callable[[Task, Run, ClaimQuery], bool]
    expected: Callable[[Task, Run, ClaimQuery], str]
    found: Callable[[Task, Run, ClaimQuery], str]


_MATCHES: Final = (
    _Match(
        "workspace",
        lambda task, _, claim: task.workspace_id == claim.workspace_id,
        lambda task, _, __: task.workspace_id or "no workspace",
        lambda _, __, claim: claim.workspace_id or "no workspace",
    ),
    _Match(
        "channel",
        lambda _, run, claim: claim.channel in {"", run.coordination_channel_id},
        lambda _, run, __: run.coordination_channel_id or "no channel",
        lambda _, __, claim: claim.channel or "any channel",
    ),
    _Match(
        "priority",
        lambda task, _, claim: PRIORITY_VALUE[task.priority] >= claim.priority_min,
        lambda _, __, claim: f"at least {claim.priority_min}",
        lambda task, _, __: f"{task.priority} ({PRIORITY_VALUE[task.priority]})",
    ),
    _Match(
        "owner",
        lambda task, _, claim: owner_key(task.owner) in owner_keys(claim),
        lambda task, _, __: f"{task.owner.kind}:{task.owner.ref}" if task.owner else _ANYBODY,
        lambda _, __, claim: f"agent {claim.agent_name}, session {claim.session_id}",
    ),
)


def suits(task: Task, run: Run, claim: ClaimQuery) -> bool:
    """Return whether a run may be handed to a session, as far as that depends on the two."""
    return all(match.holds(task, run, claim) for match in _MATCHES) and meets(
        demand_of(task, run), claim
    )


def session_rules(task: Task, run: Run, claim: ClaimQuery) -> tuple[Rule, ...]:
    """Return the rules that compare a run with the session that claims."""
    matches = (
        Rule(
            rule=match.rule,
            passed=match.holds(task, run, claim),
            expected=match.expected(task, run, claim),
            found=match.found(task, run, claim),
        )
        for match in _MATCHES
    )
    return (*matches, *demand_rules(demand_of(task, run), claim))


def lease_rule(held: int, concurrency: int) -> Rule:
    """Return whether a session that holds so many leases may have another."""
    return Rule(
        rule="leases",
        passed=held < concurrency,
        expected=f"fewer than {concurrency}",
        found=str(held),
    )


def _status(task: Task, waits_for: Iterable[str]) -> str:
    if task.status != "blocked":
        return task.status
    reasons = [f"approval {task.approval_state}"] if task.awaits_approval else []
    reasons += [f"waits for {task_id}" for task_id in waits_for]
    return f"blocked: {', '.join(reasons)}" if reasons else "blocked"

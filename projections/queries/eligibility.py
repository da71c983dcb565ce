"""Who could be handed a run, and why not: the rules of claims over the rows of the read models."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from domain.eligibility import Rule, claimant, lease_rule, run_rules, session_rules, suits
from domain.registry import SchedulerState, SessionState
from domain.task.state import Run, Task
from projections.queries.batches import leases_held, paused_by_of, task_of, task_rows
from projections.queries.runs import run_of
from projections.registry import active_sessions, session_of
from projections.rows import Reader
from projections.wire.explain import Explanation, SessionExplanation
from projections.wire.runs import run_view
from projections.wire.tasks import task_reference
from projections.wire.times import date_time

ELIGIBLE_SHOWN: Final = 200


def rules_of_run(
    reader: Reader, task: Task, run: Run, scheduler: SchedulerState
) -> tuple[Rule, ...]:
    """Return the rules that hold for every session."""
    blockers = task_rows(reader, (edge.depends_on_task_id for edge in task.dependencies))
    waits_for = sorted(
        task_id for task_id, row in blockers.items() if row.task.status != "completed"
    )
    return run_rules(task, run, scheduler, paused_by_of(reader, task), waits_for)


def eligible_sessions(reader: Reader, task: Task, run: Run) -> int:
    """Return how many active sessions suit a run, busy or not, among 200 of its workspace."""
    known = active_sessions(reader, task.workspace_id, ELIGIBLE_SHOWN)
    return sum(suits(task, run, claimant(session)) for session in known)


class Asked(Struct, frozen=True, kw_only=True):
    """For whom to explain: all active sessions, those of a workspace, or one."""

    workspace_id: str | None = None
    session_id: str = ""
    priority_min: int = 0


def explain_run(
    reader: Reader, run_id: str, scheduler: SchedulerState, as_of: int, asked: Asked
) -> Explanation | None:
    """Return each rule of a claim for a run, None when there is no such run."""
    run = run_of(reader, run_id)
    task = task_of(reader, run.task_id) if run else None
    if run is None or task is None:
        return None
    rules = rules_of_run(reader, task, run, scheduler)
    known = _sessions(reader, asked)
    held = leases_held(reader, (session.id for session in known), as_of)
    sessions = tuple(
        _explained(session, _passed(rules), _rules(task, run, session, held[session.id], asked))
        for session in known
    )
    return Explanation(
        run=run_view(run),
        task=task_reference(task, paused_by_of(reader, task)),
        claimable=_passed(rules),
        rules=rules,
        eligible_sessions=sum(session.eligible for session in sessions),
        sessions=sessions,
        as_of=date_time(as_of),
    )


def _sessions(reader: Reader, asked: Asked) -> list[SessionState]:
    if not asked.session_id:
        return active_sessions(reader, asked.workspace_id)
    found = session_of(reader, asked.session_id)
    within = found is not None and asked.workspace_id in {None, found.workspace_id}
    return [found] if found is not None and within and found.state == "active" else []


def _rules(
    task: Task, run: Run, session: SessionState, held: int, asked: Asked
) -> tuple[Rule, ...]:
    claim = claimant(session, least=asked.priority_min)
    return (*session_rules(task, run, claim), lease_rule(held, session.concurrency))


def _explained(
    session: SessionState, claimable: bool, rules: tuple[Rule, ...]
) -> SessionExplanation:
    return SessionExplanation(
        session_id=session.id,
        agent_name=session.agent_name,
        workspace_id=session.workspace_id,
        channel=session.channel,
        eligible=claimable and _passed(rules),
        rules=rules,
    )


def _passed(rules: Iterable[Rule]) -> bool:
    return all(rule.passed for rule in rules)

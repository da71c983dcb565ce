"""Executing Ona tasks: an execution is a root task, each of its steps a child with one run.

The root's own run belongs to the extension and is never handed out: it tells how the execution as a
whole stands. The children of a group depend on all children of the group before.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from domain import commands as c
from domain.errors import GraphLimitError, RunNotFoundError
from domain.events import RunClaimed, TaskChildCreated, TaskCreated, TaskDependencyAdded
from domain.ona import checks
from domain.ona.commands import StartOnaTask, StopOnaExecution
from domain.ona.known import definition, required
from domain.ona.state import OnaTask
from domain.ona.values import Place, Started, execution_metadata, step_metadata
from domain.operations import ensure_workspace
from domain.recorded import Recorded
from domain.task.cascade import auto_enqueue, queue_run, status_with
from domain.task.lifecycle import cancel_task
from domain.values import MAX_CHILDREN, Actor, Owner
from domain.world import Plan

Groups: TypeAlias = Sequence[Sequence[OnaTask]]

EXTENSION: Final = Actor("extension", "ona")
_MANUAL: Final = "manual"
_STOPPED: Final = "stopped"


def start_ona_task(command: StartOnaTask, plan: Plan) -> c.Reply:
    """Begin an execution of a task and of all it depends on; the reply names the root task."""
    started = required(plan, command.ona_task_id)
    groups = groups_of(plan, started)
    steps = sum(map(len, groups))
    if steps > MAX_CHILDREN:
        message = f'the plan of task "{started.id}" has {steps} steps, at most {MAX_CHILDREN}'
        raise GraphLimitError(message)
    ensure_workspace(plan, started.workspace_id)
    root_id = plan.new_task_id()
    created = plan.emit_task(root_id, _root(started))
    first = _plan_steps(plan, root_id, groups, created)
    _hold_root(plan, root_id, created)
    for step_id in first:
        auto_enqueue(plan, step_id, created)
    return c.Reply(task_id=root_id)


def groups_of(plan: Plan, started: OnaTask) -> Groups:
    """Return the tasks that have to run, in groups: each depends on groups before its own alone.

    Dependencies have no cycles, so the task that is started is alone in the last group.
    """
    found = _closure(plan, started)
    depth: dict[str, int] = {}
    waiting = [started.id]
    while waiting:
        each = found[waiting[-1]]
        if missing := [one for one in each.depends_on if one not in depth]:
            waiting.extend(reversed(missing))
            continue
        depth[each.id] = 1 + max((depth[one] for one in each.depends_on), default=-1)
        waiting.pop()
    groups: list[list[OnaTask]] = [[] for _ in range(depth[started.id] + 1)]
    for each_id, level in depth.items():
        groups[level].append(found[each_id])
    return groups


def _closure(plan: Plan, started: OnaTask) -> dict[str, OnaTask]:
    """Return a task and everything it depends on; what others depend on is never deleted."""
    found = {started.id: started}
    waiting = list(started.depends_on)
    for each_id in waiting:
        each = None if each_id in found else definition(plan, each_id)
        if each is not None:
            found[each_id] = each
            waiting.extend(each.depends_on)
    return found


def _root(started: OnaTask) -> TaskCreated:
    said = Started(task_id=started.id, reference=started.reference, started_by=_MANUAL)
    return TaskCreated(
        scope="workspace",
        workspace_id=started.workspace_id,
        status="ready",
        owner=Owner("extension", EXTENSION.ref),
        identifier=started.reference,
        title=_label(started),
        description=started.description,
        max_attempts=1,
        metadata=execution_metadata(said),
        facade="ona",
    )


def _label(task: OnaTask) -> str:
    return task.name.strip() or task.reference or task.id


def _plan_steps(plan: Plan, root_id: str, groups: Groups, cause: Recorded) -> Sequence[str]:
    """Note a child for each step; return those of the first group."""
    step_ids = {task.id: plan.new_task_id() for group in groups for task in group}
    before: list[str] = []
    for number, group in enumerate(groups):
        for task in group:
            depends_on = tuple(step_ids[each] for each in task.depends_on)
            place = Place(task_id=task.id, group=number, depends_on=depends_on)
            _plan_step(plan, root_id, step_ids[task.id], _step(task, root_id, place), cause)
            _let_wait(plan, step_ids[task.id], before)
        before = [step_ids[task.id] for task in group]
    return [step_ids[task.id] for task in groups[0]]


def _step(task: OnaTask, root_id: str, place: Place) -> TaskCreated:
    return TaskCreated(
        scope="workspace",
        workspace_id=task.workspace_id,
        parent_task_id=root_id,
        status="ready",
        ancestors=(root_id,),
        identifier=task.reference,
        title=_label(task),
        description=task.description,
        max_attempts=1,
        auto_enqueue_on_ready=True,
        metadata=step_metadata(task.spec, place),
        facade="ona",
    )


def _plan_step(plan: Plan, root_id: str, step_id: str, fact: TaskCreated, cause: Recorded) -> None:
    created = plan.emit_task(step_id, fact, cause=cause)
    child = TaskChildCreated(
        child_task_id=step_id, child_scope="workspace", child_workspace_id=fact.workspace_id
    )
    plan.emit_task(root_id, child, cause=created)


def _let_wait(plan: Plan, step_id: str, blockers: Iterable[str]) -> None:
    for blocker_id in blockers:
        edge = TaskDependencyAdded(depends_on_task_id=blocker_id, kind="blocks", status="blocked")
        plan.emit_task(step_id, edge)


def _hold_root(plan: Plan, root_id: str, cause: Recorded) -> None:
    """Note the root's own run, which the extension holds until the steps are over."""
    run_id = queue_run(plan, plan.existing_task(root_id), cause=cause)
    state = plan.existing_task(root_id)
    claimed = RunClaimed(
        status="claimed",
        task_status=status_with(plan, state, state.runs[run_id], "claimed"),
        claimed_by=EXTENSION,
        lease_until=0,
    )
    plan.emit_task(root_id, claimed, run_id)


def stop_ona_execution(command: StopOnaExecution, plan: Plan) -> c.Reply:
    """Give an execution up at once, with whatever runs of it; a finished one stays as it is."""
    execution_id = checks.uuid(command.execution_id, "id")
    root_id = plan.world.ona_execution_root(execution_id)
    if root_id is None:
        raise RunNotFoundError(f'task execution "{execution_id}"')
    stop(plan, root_id)
    return c.Reply()


def stop(plan: Plan, root_id: str) -> None:
    """Cancel an execution that has not ended."""
    state = plan.task(root_id)
    if state is None:
        return
    plan.check_reach(state.task.workspace_id, f'task "{root_id}"')
    if state.open_run is not None:
        cancel_task(c.CancelTask(task_id=root_id, reason=_STOPPED), plan)

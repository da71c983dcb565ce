"""The model's operations on tasks."""

from typing import Any

from tests.machine.state import (
    ACTIVE,
    ENDED,
    LIMIT,
    SECOND,
    TRANSITION,
    VALIDATION,
    Outcome,
    RefusedError,
    Run,
    State,
    Task,
)

FORCE_LIMIT = 10
FORCE_WINDOW = 60 * SECOND


class Tasks(State):
    """What people do with tasks."""

    def create(self, body: dict[str, Any], parent_id: str | None = None) -> Outcome:
        """Create a task; `body` holds only usable values."""
        parent = self.task(parent_id) if parent_id is not None else None
        workspace = body.get("workspace", "")
        if workspace and workspace not in self.workspaces:
            raise RefusedError(404, "workspace not found")
        if parent:
            self._check_parent(parent, workspace)
        if body["id"] in self.used_ids:
            raise RefusedError(409, "task: conflict")
        task = _made(body, workspace, parent)
        self.tasks[task.id] = task
        self.used_ids.add(task.id)
        self.note("task.created", task)
        if parent:
            parent.children.append(task)
            self.note("task.child_created", parent)
        return Outcome(201, task)

    def _check_parent(self, parent: Task, workspace: str) -> None:
        if parent.workspace and parent.workspace != workspace:
            raise RefusedError(422, VALIDATION)
        if len(list(parent.lineage)) + 1 > 8:
            raise RefusedError(409, f"{LIMIT}: hierarchy depth exceeds 8: 9")

    def patch(self, task_id: str, body: dict[str, Any]) -> Outcome:
        """Change fields of a task."""
        if not body:
            raise RefusedError(422, VALIDATION)
        task = self.task(task_id)
        names = {"auto_enqueue_on_ready": "auto", "approval_policy": "policy"}
        wanted = {names.get(name, name): value for name, value in body.items()}
        if "owner" in wanted:
            wanted["owner"] = _owner(wanted["owner"])
        if wanted.pop("clear_owner", False):
            wanted["owner"] = None
        changed = {name: v for name, v in wanted.items() if getattr(task, name) != v}
        if not changed:
            return Outcome(200, task)
        for name, value in changed.items():
            setattr(task, name, value)
        if "policy" in changed:
            task.approval = "pending" if task.policy == "manual" else "not_required"
        self.note("task.updated", task)
        self.settle(task)
        if changed.get("auto"):
            self.queue_by_itself(task)
        return Outcome(200, task)

    def set_profile(self, task_id: str, worker: dict[str, Any]) -> Outcome:
        """Say which agent shall work on a task."""
        task = self.task(task_id)
        _refuse_active(task)
        if worker.get("mode") == "odd":
            raise RefusedError(400, f"{VALIDATION}: task_execution_profile.worker.mode")
        task.profile = worker
        self.note("task.execution_profile_updated", task)
        return Outcome(200)

    def delete_profile(self, task_id: str) -> Outcome:
        """Let any agent work on a task."""
        task = self.task(task_id)
        _refuse_active(task)
        if task.profile is None:
            raise RefusedError(404, "task: task execution profile not found")
        task.profile = None
        self.note("task.execution_profile_deleted", task)
        return Outcome(204)

    def enqueue(self, task_id: str, actor: str, key: str, request: str) -> Outcome:
        """Queue a run, also of a blocked task."""
        if actor != "human" and not key:
            raise RefusedError(422, f"{VALIDATION}: enqueue_run.idempotency_key")
        task = self.task(task_id)
        _refuse(task, "draft", "canceled")
        return self._replay(task, "enqueue", actor, key, request) or self._enqueue(
            task, "enqueue", actor, key, request
        )

    def start(self, task_id: str, actor: str, key: str, request: str) -> Outcome:
        """Queue a run of a task that is not held back."""
        task = self.task(task_id)
        if replay := self._replay(task, "start", actor, key, request):
            return replay
        _refuse(task, "blocked", "draft", "canceled")
        return self._enqueue(task, "start", actor, key, request)

    def publish(self, task_id: str, actor: str, key: str, request: str) -> Outcome:
        """Make a draft runnable and queue its run."""
        task = self.task(task_id)
        if replay := self._replay(task, "publish", actor, key, request):
            replay.status = 200
            return replay
        if task.status != "draft":
            raise RefusedError(409, f'{TRANSITION}: task "{task_id}" cannot publish from')
        if self.derived(task, "ready") == "blocked":
            raise RefusedError(409, f'{TRANSITION}: task "{task_id}" is blocked')
        self.note("task.published", task)
        self.settle(task, "ready")
        outcome = self._enqueue(task, "publish", actor, key, request)
        outcome.status = 200
        return outcome

    def approve(self, task_id: str, actor: str, key: str, request: str) -> Outcome:
        """Give the pending approval and queue a run, or do neither; a run that waits is kept."""
        task = self.task(task_id)
        if replay := self._replay(task, "approval", actor, key, request):
            return replay
        self._check_pending(task)
        if not task.open_run:
            self.check_room(task)
        task.approval = "approved"
        self.note("task.approved", task)
        self.settle(task)
        if task.open_run:
            return Outcome(201, task, task.open_run)
        return self._enqueue(task, "approval", actor, key, request)

    def reject(self, task_id: str) -> Outcome:
        """Refuse the pending approval."""
        task = self.task(task_id)
        self._check_pending(task)
        task.approval = "rejected"
        self.note("task.rejected", task)
        self.settle(task)
        return Outcome(200, task)

    def _check_pending(self, task: Task) -> None:
        if (task.policy, task.approval) != ("manual", "pending"):
            raise RefusedError(409, f'{TRANSITION}: task "{task.id}" cannot transition approval')

    def _replay(
        self, task: Task, action: str, actor: str, key: str, request: str
    ) -> Outcome | None:
        given, key = key, key or f"task.{action}.{task.id}" * (action != "enqueue")
        if (key, action, actor) not in self.slots:
            return None
        run, before = self.slots[key, action, actor]
        if run.task is not task:
            raise RefusedError(422, f'{VALIDATION}: idempotency key "{key}" is already bound')
        if not given and run.status in ENDED:
            return None
        if before != request:
            raise RefusedError(409, "task: conflict")
        return Outcome(201, task, run, replayed=True)

    def check_room(self, task: Task) -> None:
        """Refuse a further run where there may be none now."""
        _refuse(task, "draft", "canceled")
        if task.open_run:
            raise RefusedError(409, f'{TRANSITION}: task "{task.id}" has open run')
        if task.exhausted:
            raise RefusedError(409, f'{TRANSITION}: task "{task.id}" exhausted max_attempts')

    def _enqueue(self, task: Task, action: str, actor: str, key: str, request: str) -> Outcome:
        self.check_room(task)
        key = key or f"task.{action}.{task.id}" * (action != "enqueue")
        run = self.queue(task, key)
        if key:
            self.slots[key, action, actor] = (run, request)
        return Outcome(201, task, run)

    def cancel(self, task_id: str) -> Outcome:
        """Give up a task and all below it."""
        root = self.task(task_id)
        if root.status in {"completed", "failed"} and not root.open_run:
            raise RefusedError(409, f'{TRANSITION}: task "{task_id}" cannot transition from')
        for task in [root, *root.below()]:
            ended = {"canceled"} if task is root else ENDED
            if task.status not in ended:
                self._cancel_one(task)
        return Outcome(200, root)

    def _cancel_one(self, task: Task) -> None:
        run = task.open_run
        if run:
            self.give_up(run)
        self.note("task.canceled", task)
        self.settle(task, "canceled")

    def check_rate(self, task: Task, actor: str) -> None:
        """Refuse an agent that did too much by hand to a task."""
        lately = [
            at
            for who, task_id, at in self.forced
            if (who, task_id) == (actor, task.id) and self.now - at < FORCE_WINDOW
        ]
        if actor != "human" and len(lately) >= FORCE_LIMIT:
            raise RefusedError(429, "Force operation rate limited")

    def note_by_hand(self, kind: str, task: Task, actor: str, run: Run | None = None) -> None:
        """Note an event of what somebody did by hand."""
        self.note(kind, task, run)
        self.forced.append((actor, task.id, self.now))

    def pause(self, task_id: str, reason: str, actor: str) -> Outcome:
        """Stop claiming for a task and all below it."""
        if not reason.strip():
            raise RefusedError(422, "Reason required")
        task = self.task(task_id)
        self.check_rate(task, actor)
        if task.status in ENDED:
            raise RefusedError(409, "Task already terminal")
        task.paused = True
        self.note_by_hand("task.paused", task, actor)
        return Outcome(200, task)

    def resume(self, task_id: str, actor: str) -> Outcome:
        """End a task's own pause."""
        task = self.task(task_id)
        self.check_rate(task, actor)
        was, task.paused = task.paused, False
        self.note_by_hand("task.resumed", task, actor)
        if was:
            for each in [task, *task.below()]:
                self.queue_by_itself(each)
        return Outcome(200, task)

    def delete(self, task_id: str) -> Outcome:
        """Remove a task."""
        task = self.task(task_id)
        if task.children:
            count = len(task.children)
            raise RefusedError(400, f'{VALIDATION}: task "{task_id}" has {count} child tasks')
        if task.open_run:
            raise RefusedError(400, f'{VALIDATION}: task "{task_id}" has active or queued runs')
        del self.tasks[task_id]
        self.note("task.deleted", task)
        self.slots = {k: v for k, v in self.slots.items() if v[0].task is not task}
        for dependent in list(self.tasks.values()):
            if task in dependent.blockers:
                self._remove(dependent, task)
        if task.parent:
            task.parent.children.remove(task)
            self.note("task.child_deleted", task.parent)
        return Outcome(204)

    def add_dependency(self, task_id: str, blocker_id: str) -> Outcome:
        """Let a task wait for another."""
        task = self.task(task_id)
        if task_id == blocker_id:
            raise RefusedError(422, f"{VALIDATION}: task_dependency cannot depend on itself")
        blocker = self.task(blocker_id)
        if blocker in task.blockers:
            raise RefusedError(422, f"{VALIDATION}: dependency edge")
        if _waits_for(blocker, task):
            raise RefusedError(409, "task: dependency cycle detected")
        task.blockers.append(blocker)
        self.note("task.dependency_added", task)
        self.settle(task)
        return Outcome(200, task)

    def remove_dependency(self, task_id: str, blocker_id: str) -> Outcome:
        """Let a task no longer wait for another."""
        task = self.task(task_id)
        blocker = next((each for each in task.blockers if each.id == blocker_id), None)
        if blocker is None:
            raise RefusedError(404, "task: task dependency not found")
        self._remove(task, blocker)
        return Outcome(200, task)

    def _remove(self, task: Task, blocker: Task) -> None:
        was_held_back = task.status == "blocked"
        task.blockers.remove(blocker)
        self.note("task.dependency_removed", task)
        self.settle(task)
        if was_held_back:
            self.queue_by_itself(task)


def _made(body: dict[str, Any], workspace: str, parent: Task | None) -> Task:
    manual = body.get("approval_policy") == "manual"
    return Task(
        id=body["id"],
        title=body["title"],
        workspace=workspace,
        parent=parent,
        priority=body.get("priority", "medium"),
        max_attempts=body.get("max_attempts", 3),
        auto=body.get("auto_enqueue_on_ready", False),
        policy="manual" if manual else "none",
        approval="pending" if manual else "not_required",
        owner=_owner(body.get("owner")),
        status="draft" if body.get("draft") else "blocked" if manual else "ready",
    )


def _owner(owner: dict[str, str] | None) -> tuple[str, str] | None:
    return (owner["kind"], owner["ref"]) if owner else None


def _refuse_active(task: Task) -> None:
    run = task.open_run
    if run and run.status in ACTIVE:
        raise RefusedError(409, TRANSITION)


def _refuse(task: Task, *statuses: str) -> None:
    if task.status in statuses:
        raise RefusedError(409, f'{TRANSITION}: task "{task.id}" is {task.status}')


def _waits_for(task: Task, goal: Task) -> bool:
    return any(each is goal or _waits_for(each, goal) for each in task.blockers)

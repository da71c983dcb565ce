"""Random requests about tasks, mostly about those that are there and fit."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.machine.base import Comparison
from tests.machine.gates import DirectGate, HttpGate
from tests.machine.model import Model
from tests.machine.state import Outcome, Task

SESSIONS = ("coder.1", "coder.2", "tester.1")
IN_WORKSPACE = "coder.w"
UNKNOWN = "ghost.1"
MOST_TASKS = 9
UNKNOWN_NUMBER = 63

numbers = st.integers(0, UNKNOWN_NUMBER)
keys = st.sampled_from(("", "", "key-1", "key-2"))
actors = st.sampled_from(("", "", "", "", "", *SESSIONS, UNKNOWN))
requests = st.sampled_from((None, None, None, {"metadata": {"n": 1}}))
owners = st.sampled_from(
    (
        {"kind": "pool", "ref": "coder"},
        {"kind": "pool", "ref": "coder"},
        {"kind": "agent_session", "ref": "coder.1"},
        {"kind": "human", "ref": "somebody"},
    )
)
fields: dict[str, st.SearchStrategy[Any]] = {
    "priority": st.sampled_from(("low", "medium", "high", "urgent")),
    "max_attempts": st.integers(1, 4),
    "auto_enqueue_on_ready": st.booleans(),
    "approval_policy": st.sampled_from(("none", "none", "none", "manual")),
}
workers = st.sampled_from(
    ({}, {"agent_name": "coder"}, {"agent_name": "tester"}, {"agent_name": "ann"}, {"mode": "odd"})
)
titles = st.sampled_from(("One", "Two"))
creations = st.builds(
    lambda body, owner, rare: {**body, **({"owner": owner} if owner else {}), **rare},
    st.fixed_dictionaries({"title": titles}, optional=fields),
    st.one_of(st.none(), st.none(), owners),
    st.sampled_from(({}, {}, {}, {"draft": True}, {"workspace": "w1"})),
)
patches = st.one_of(
    st.fixed_dictionaries({}, optional={**fields, "title": titles, "owner": owners}),
    st.just({"clear_owner": True}),
)

Fits = Callable[[Task], bool]


def _anything(_: Task) -> bool:
    return True


def _scope(body: dict[str, Any]) -> str:
    return "workspace" if "workspace" in body else "global"


def _is_pending(task: Task) -> bool:
    return (task.policy, task.approval) == ("manual", "pending")


_FITTING: dict[str, Fits] = {
    "publish": lambda task: task.status == "draft",
    "start": lambda task: task.status == "ready" and not task.open_run,
    "approve": lambda task: _is_pending(task) and not task.open_run,
    "runs": lambda task: not task.open_run,
}


class TaskRules(RuleBasedStateMachine):
    """Requests to an API behind a gate; after each, everything is compared."""

    gate_class: type[HttpGate] | type[DirectGate]

    def __init__(self) -> None:
        super().__init__()
        self.gate: Any = self.gate_class()
        self.both = Comparison(self.gate)
        self.sound = True
        self.steps = 0

    @property
    def model(self) -> Model:
        """The model."""
        return self.both.model

    def teardown(self) -> None:
        """Stop the server; after a success the ledger is checked as well."""
        if self.sound:
            self.both.close()
        else:
            self.gate.close()
            self.gate.clean()

    def ask(self, session: str, expect: Any, *request: Any) -> None:
        """Send a request, of an agent when a session is named, and compare what there is to see."""
        self.sound = False
        self.both.ask_as(session, expect, *request)
        self.compare()

    def compare(self) -> None:
        """Compare what there is to see; only then is the machine sound."""
        self.steps += 1
        self.both.check_reads(self.steps)
        self.sound = True

    def task_id(self, number: int, fits: Fits = _anything) -> str:
        """Return the id of a task, mostly of one that fits."""
        tasks = list(self.model.tasks.values())
        fitting = [task for task in tasks if fits(task)] if number % 8 else []
        found = fitting or tasks
        known = found and number < UNKNOWN_NUMBER
        return found[number // 8 % len(found)].id if known else "task-unknown"

    def fresh_id(self, number: int) -> str:
        """Return the id for a new task, mostly one that was never used."""
        used = sorted(self.model.used_ids)
        return used[number % len(used)] if used and number % 8 == 7 else f"t{len(used)}"

    def register(self) -> None:
        def workspace() -> Outcome:
            self.model.workspaces.add("w1")
            self.model.note("workspace.registered")
            return Outcome(200)

        self.both.ask(workspace, "PUT", "/workspaces/w1", {"name": "one"})
        for session in (*SESSIONS, IN_WORKSPACE):
            place = "w1" if session == IN_WORKSPACE else ""
            agent = session.partition(".")[0]
            self.both.ask(
                lambda s=session, a=agent, p=place: self.model.register(s, a, p),  # type: ignore[misc]
                "PUT",
                f"/sessions/{session}",
                {"agent_name": agent, "workspace": place},
            )

    @initialize(
        bodies=st.lists(creations, min_size=2, max_size=5), numbers=st.tuples(numbers, numbers)
    )
    def begin(self, bodies: list[dict[str, Any]], numbers: tuple[int, int]) -> None:
        self.register()
        for body in bodies:
            self.create(0, body)
        for number in numbers:
            self.wait_for(8 * number, number)
            self.queue("runs", number, "", "", None)

    # Tasks.

    def create(self, number: int, body: dict[str, Any]) -> None:
        sent = {**body, "id": self.fresh_id(number), "scope": _scope(body)}
        self.ask("", lambda: self.model.create(sent), "POST", "/tasks", sent)

    @precondition(lambda self: len(self.model.tasks) < MOST_TASKS)
    @rule(number=numbers, body=creations)
    def create_another(self, number: int, body: dict[str, Any]) -> None:
        self.create(number, body)

    @precondition(lambda self: len(self.model.tasks) < MOST_TASKS)
    @rule(parent=numbers, number=numbers, body=creations, same=st.integers(0, 3))
    def create_child(self, parent: int, number: int, body: dict[str, Any], same: int) -> None:
        parent_id = self.task_id(parent)
        of_parent = self.model.tasks.get(parent_id)
        if of_parent and same:
            body = {name: value for name, value in body.items() if name != "workspace"}
            body |= {"workspace": of_parent.workspace} if of_parent.workspace else {}
        sent = {**body, "id": self.fresh_id(number), "scope": _scope(body)}
        path = f"/tasks/{parent_id}/children"
        self.ask("", lambda: self.model.create(sent, parent_id), "POST", path, sent)

    @rule(task=numbers, body=patches)
    def patch(self, task: int, body: dict[str, Any]) -> None:
        task_id = self.task_id(task)
        path = f"/tasks/{task_id}"
        self.ask("", lambda: self.model.patch(task_id, body), "PATCH", path, body)

    @rule(
        verb=st.sampled_from(("publish", "start", "start", "approve", "runs", "runs")),
        task=numbers,
        actor=actors,
        key=keys,
        request=requests,
    )
    def queue_run(self, verb: str, task: int, actor: str, key: str, request: Any) -> None:
        self.queue(verb, task, actor, key, request)

    def queue(self, verb: str, task: int, actor: str, key: str, request: Any) -> None:
        task_id = self.task_id(task, _FITTING[verb])
        body = {**(request or {}), **({"idempotency_key": key} if key else {})}
        model = self.model
        operations = {
            "publish": model.publish,
            "start": model.start,
            "approve": model.approve,
            "runs": model.enqueue,
        }
        who = actor or "human"

        def expect() -> Outcome:
            return operations[verb](task_id, who, key, json.dumps(request))

        self.ask(actor, expect, "POST", f"/tasks/{task_id}/{verb}", body or None)

    @precondition(lambda self: any(map(_is_pending, self.model.tasks.values())))
    @rule(task=numbers)
    def reject(self, task: int) -> None:
        task_id = self.task_id(task, _is_pending)
        self.ask("", lambda: self.model.reject(task_id), "POST", f"/tasks/{task_id}/reject")

    # Canceled tasks are of little use, so there are few of them.
    @precondition(lambda self: self.steps % 4 == 0)
    @rule(task=numbers)
    def cancel(self, task: int) -> None:
        task_id = self.task_id(task)
        path = f"/tasks/{task_id}/cancel"
        self.ask("", lambda: self.model.cancel(task_id), "POST", path, {"reason": "enough"})

    @rule(task=numbers, worker=workers)
    def set_profile(self, task: int, worker: dict[str, Any]) -> None:
        task_id = self.task_id(task, lambda each: each.open_run is not None)
        path = f"/tasks/{task_id}/execution-profile"
        body = {"worker": worker}
        self.ask("", lambda: self.model.set_profile(task_id, worker), "PUT", path, body)

    @rule(task=numbers)
    def delete_profile(self, task: int) -> None:
        task_id = self.task_id(task, lambda each: each.profile is not None)
        path = f"/tasks/{task_id}/execution-profile"
        self.ask("", lambda: self.model.delete_profile(task_id), "DELETE", path)

    @rule(task=numbers, reason=st.sampled_from(("wait", "wait", "wait", "")), actor=actors)
    def pause(self, task: int, reason: str, actor: str = "") -> None:
        task_id, who = self.task_id(task), actor or "human"
        path, body = f"/tasks/{task_id}/pause", {"reason": reason}
        self.ask(actor, lambda: self.model.pause(task_id, reason, who), "POST", path, body)

    @rule(task=numbers, actor=actors)
    def resume(self, task: int, actor: str = "") -> None:
        task_id, who = self.task_id(task, lambda each: each.paused), actor or "human"
        path = f"/tasks/{task_id}/resume"
        self.ask(actor, lambda: self.model.resume(task_id, who), "POST", path)

    @precondition(lambda self: self.steps % 3 == 0)
    @rule(task=numbers)
    def delete(self, task: int) -> None:
        task_id = self.task_id(task)
        self.ask("", lambda: self.model.delete(task_id), "DELETE", f"/tasks/{task_id}")

    @rule(task=numbers, blocker=numbers)
    def wait_for(self, task: int, blocker: int) -> None:
        task_id, blocker_id = self.task_id(task), self.task_id(blocker)
        path, body = f"/tasks/{task_id}/dependencies", {"depends_on_task_id": blocker_id}
        self.ask("", lambda: self.model.add_dependency(task_id, blocker_id), "POST", path, body)

    @rule(task=numbers, number=numbers)
    def no_longer_wait_for(self, task: int, number: int) -> None:
        task_id = self.task_id(task)
        waiting = self.model.tasks.get(task_id)
        blockers = waiting.blockers if waiting else []
        blocker_id = self.task_id(number)
        if blockers and number % 4:
            blocker_id = blockers[number % len(blockers)].id
        path = f"/tasks/{task_id}/dependencies/{blocker_id}"
        self.ask("", lambda: self.model.remove_dependency(task_id, blocker_id), "DELETE", path)

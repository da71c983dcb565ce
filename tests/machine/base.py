"""Sends a request to API and model, and compares everything there is to see."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from tests.machine.gates import Answer, Gate, agent_of
from tests.machine.model import Model, place_in_queue
from tests.machine.state import ACTIVE, ENDED, OPEN, Outcome, RefusedError, Run, Task
from tests.machine.views import (
    attempt,
    check,
    instant,
    judgement,
    reference,
    summary,
    whole,
    whole_run,
)

Ask = Callable[[], Outcome]


class Comparison:
    """A model, the API behind a gate, and what was asked of both."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.model = Model()
        self.head = 0
        self.log: list[str] = []

    def ask(
        self,
        expect: Ask,
        method: str,
        path: str,
        body: Any = None,
        session: str = "",
    ) -> Answer:
        """Send a request, and check its answer and what it recorded against the model."""
        answer = self.gate.send(method, f"/api{path}", body, session)
        self.log.append(f"{session or 'human'} {method} {path} {body} -> {answer.status}")
        self.model.now = self.gate.now
        self.model.events = []
        outcome = _outcome_of(expect)
        assert answer.status == outcome.status, (method, path, body, session, answer, outcome)
        self.learn()
        if isinstance(outcome, RefusedError):
            assert not self.model.events
            assert answer.json["error"].startswith(outcome.text), outcome
        else:
            assert answer.replayed == outcome.replayed
            self._check_answer(answer.json or {}, outcome)
        return answer

    def ask_as(self, session: str, expect: Ask, method: str, path: str, body: Any = None) -> Answer:
        """Send a request of an agent."""

        def identified() -> Outcome:
            if session:
                self.model.check_identity(session, agent_of(session))
            return expect()

        return self.ask(identified, method, path, body, session)

    def learn(self) -> None:
        """Check what was recorded since the last time, and take ids and times over from it."""
        page = self.gate.send("GET", f"/api/timeline?after_sequence={self.head}").json
        found: dict[str, list[Any]] = defaultdict(list)
        for item in page["timeline"]:
            assert item["sequence"] > self.head
            self.head = item["sequence"]
            found[item.get("task", {}).get("id", "")].append(item)
        assert page["head"] == self.head
        expected: dict[str, list[tuple[str, Run | None]]] = defaultdict(list)
        for kind, task_id, run in self.model.events:
            expected[task_id].append((kind, run))
        kinds = {task_id: [kind for kind, _ in events] for task_id, events in expected.items()}
        shown = {
            task_id: [item["event_type"] for item in items] for task_id, items in found.items()
        }
        assert shown == kinds
        for task_id, items in found.items():
            runs = [run for _, run in expected[task_id]]
            self._take(self.model.tasks.get(task_id), items, runs)

    def _take(self, task: Task | None, items: list[Any], runs: list[Run | None]) -> None:
        for item, run in zip(items, runs, strict=True):
            assert ("run" in item) == (run is not None)
            if run is not None:
                run.id = run.id or item["run"]["id"]
                run.queued_at = instant(item["run"]["queued_at"])
                if run.status not in {"queued", "needs_attention"}:
                    run.session = run.session or item["run"].get("session_id", "")
                assert item["run"]["id"] == run.id
            if task is not None:
                task.sequences.append(item["sequence"])
        if task is not None:
            check(items[-1]["task"], reference(task))
        if items[-1].get("run") and runs[-1] is not None:
            check(items[-1]["run"], attempt(runs[-1]))

    def _check_answer(self, body: Any, outcome: Outcome) -> None:
        claim = body.get("claim")
        if claim:
            assert outcome.run is not None
            check(claim["task"], reference(outcome.run.task))
            body = {"run": claim["run"], "lease": claim["lease"]}
        if outcome.review:
            outcome.review.id = outcome.review.id or body["review"]["review_id"]
            check(body["review"], judgement(outcome.review))
            body = {"run": body.get("continuation_run", body.get("run"))}
            assert (body["run"] is None) == (outcome.run is None)
        if "task" in body and outcome.task:
            shown = body["task"]
            check(shown.get("task", shown), whole(outcome.task))
        if body.get("run"):
            assert outcome.run is not None
            check(body["run"], whole_run(outcome.run))
        if "previous_run" in body:
            assert outcome.previous is not None
            check(body["previous_run"], whole_run(outcome.previous))
        if outcome.rows is not None:
            self._check_rows(body["results"], outcome.rows)
        if "lease" in body:
            assert outcome.run is not None
            names = {"status", "session_id", "claimed_by", "claim_token_hash", "lease_until"}
            wanted = {name: v for name, v in attempt(outcome.run).items() if name in names}
            check(body["lease"], {"run_id": outcome.run.id, **wanted})

    def _check_rows(self, shown: list[Any], rows: list[tuple[str, Run | RefusedError]]) -> None:
        for row, (run_id, expected) in zip(shown, rows, strict=True):
            assert (row["run_id"], row["ok"]) == (run_id, isinstance(expected, Run))
            if isinstance(expected, Run):
                check(row["run"], whole_run(expected))
            else:
                assert row["error"]["error"].startswith(expected.text)

    # Everything that can be read.

    def check_reads(self, task_number: int) -> None:
        """Compare the lists, the scheduler and one task with the model."""
        self._check_scheduler()
        self._check_backlog()
        self._check_explained(task_number)
        self._check_lists(task_number)
        tasks = list(self.model.tasks.values())
        if tasks:
            task = tasks[task_number % len(tasks)]
            self._check_detail(task)
            self._check_tree(task)
            self._check_timeline(task)

    def _get(self, path: str) -> Any:
        answer = self.gate.send("GET", f"/api{path}")
        assert answer.status == 200, answer
        return answer.json

    def _check_scheduler(self) -> None:
        runs = self.model.runs()
        shown = self._get("/scheduler")["scheduler"]
        expected = {
            "paused": self.model.scheduler_paused,
            "active_claim_count": sum(run.status in ACTIVE for run in runs),
            "queued_run_count": sum(run.status == "queued" for run in runs),
            "paused_task_count": sum(task.paused for task in self.model.tasks.values()),
            "needs_attention_run_count": sum(run.status == "needs_attention" for run in runs),
        }
        assert {name: shown[name] for name in expected} == expected

    def _check_backlog(self) -> None:
        queued = [run for run in self.model.runs() if run.status == "queued"]
        queued.sort(key=place_in_queue)
        for flag, runs in (
            ("false", [run for run in queued if not run.task.paused_by]),
            ("true", queued),
        ):
            backlog = self._get(f"/scheduler/backlog?include_paused={flag}")["backlog"]
            assert backlog["total"] == len(runs)
            for entry, run in zip(backlog["runs"], runs, strict=True):
                check(entry["run"], whole_run(run))
                check(entry["task"], summary(run.task))

        needy = [run for run in self.model.runs() if run.status == "needs_attention"]
        needy.sort(key=place_in_queue)
        for entry, run in zip(backlog.get("needs_attention", ()), needy, strict=True):
            check(entry["run"], whole_run(run))

    def _check_explained(self, number: int) -> None:
        """Compare who would be handed a run with who is said to be."""
        runs = sorted(self.model.runs(), key=lambda run: (run.status != "queued", run.id))
        if not runs:
            return
        run = runs[number % min(len(runs), 4)]
        told = self._get(f"/runs/{run.id}/explain")["explain"]["sessions"]
        shown = {each["session_id"]: each["eligible"] for each in told}
        assert shown == {each: self.model.would_get(each, run) for each in self.model.sessions}

    def _check_lists(self, number: int) -> None:
        tasks = self.model.tasks.values()
        everything = self._get("/tasks?include_drafts=true")["tasks"]
        self._check_list(everything, tasks)
        order = [[each[name] for name in _ORDER] for each in everything]
        assert order == sorted(order, reverse=True, key=_by_time)
        self._check_list(self._get("/tasks")["tasks"], (t for t in tasks if t.status != "draft"))
        status = _STATUSES[number % len(_STATUSES)]
        found = self._get(f"/tasks?status={status}")["tasks"]
        self._check_list(found, (task for task in tasks if task.status == status))

    def _check_list(self, found: list[Any], tasks: Iterable[Task]) -> None:
        shown = {each["id"]: each for each in found}
        wanted = {task.id: task for task in tasks}
        assert shown.keys() == wanted.keys()
        assert len(shown) == len(found)
        for task in wanted.values():
            self._check_summary(shown[task.id], task)

    def _check_summary(self, shown: Any, task: Task) -> None:
        check(shown, summary(task))
        blockers = [each["depends_on"]["id"] for each in shown.get("dependencies", ())]
        assert sorted(blockers) == sorted(blocker.id for blocker in task.blockers)
        open_run = next((run for run in task.runs if run.status in OPEN), None)
        assert ("active_run" in shown) == (open_run is not None)
        if open_run:
            check(shown["active_run"], attempt(open_run))

    def _check_detail(self, task: Task) -> None:
        detail = self._get(f"/tasks/{task.id}")["task"]
        check(detail["task"], whole(task))
        self._check_summary(detail["summary"], task)
        self._check_list(detail.get("children", []), task.children)
        edges = [each["depends_on_task_id"] for each in detail.get("dependencies", ())]
        assert sorted(edges) == sorted(blocker.id for blocker in task.blockers)
        runs = self._get(f"/tasks/{task.id}/runs")["runs"]
        assert detail.get("runs", []) == runs
        for shown, run in zip(runs, reversed(task.runs), strict=True):
            check(shown, whole_run(run))
        events = [each["event_type"] for each in detail["events"]]
        assert len(events) == len(task.sequences)
        reviews = {each.id: each for each in self.model.reviews() if each.run.task is task}
        listed = self._get(f"/tasks/{task.id}/reviews")["reviews"]
        assert {each["review_id"] for each in listed} == reviews.keys()
        for shown in listed:
            check(shown, judgement(reviews[shown["review_id"]]))
        if task.runs:
            shown = self._get(f"/task-runs/{task.runs[-1].id}")["run"]
            check(shown["run"], whole_run(task.runs[-1]))
            check(shown["task"], reference(task))

    def _check_tree(self, task: Task) -> None:
        tree = self._get(f"/tasks/{task.id}/tree")["tree"]
        nodes = [tree["root"], *tree.get("descendants", [])]
        assert {node["task"]["id"] for node in nodes} == {t.id for t in [task, *task.below()]}
        depth_of_root = len(list(task.lineage))
        for node in nodes:
            of_model = self.model.tasks[node["task"]["id"]]
            check(node["task"], reference(of_model))
            assert node["depth"] == len(list(of_model.lineage)) - depth_of_root
        assert [node["depth"] for node in nodes] == sorted(node["depth"] for node in nodes)

    def _check_timeline(self, task: Task) -> None:
        timeline = self._get(f"/tasks/{task.id}/timeline")["timeline"]
        assert [item["sequence"] for item in timeline] == task.sequences

    def close(self) -> None:
        """Stop the server, and check the ledger it leaves."""
        try:
            assert len(self.gate.history()) == self.head
        finally:
            self.gate.clean()


def _outcome_of(expect: Ask) -> Outcome | RefusedError:
    try:
        return expect()
    except RefusedError as refusal:
        return refusal


_ORDER = ("last_activity_at", "updated_at", "created_at", "id")
_STATUSES = ("draft", "blocked", "ready", "in_progress", *sorted(ENDED))


def _by_time(row: list[str]) -> tuple[int, int, int, str]:
    activity, updated, created, task_id = row
    return instant(activity), instant(updated), instant(created), task_id

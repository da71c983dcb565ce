"""All 62 operations of the task API answer as agreed: every success, and the main refusals."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.events import following
from tests.api.live import Client, Clock, LiveServer, serving
from tests.api.sockets import until
from tests.conformance.api import Api, path_of
from tests.conformance.judge import Served, complaints
from tests.conformance.operations import OPERATIONS, Agreed

UNKNOWN = "unknown"
VERDICT = {"outcome": "approved", "confidence": 1, "reason": "good", "delivery_id": "d-1"}
HOLDERS_ONLY = "/api/agent/tasks/{run_id}/"
OF_WHAT_IS_UNKNOWN_THERE_ARE_NONE = {"listTaskReviews", "listTaskRunReviews"}
BODILESS = {"rejectTask", "markTaskRead", "archiveTask", "dismissTask"}
WITH_BODY = [
    agreed
    for agreed in OPERATIONS
    if agreed.method in {"POST", "PUT", "PATCH"} and agreed.name not in BODILESS
]
NAMED = [
    agreed
    for agreed in OPERATIONS
    if "{" in agreed.path and agreed.name not in OF_WHAT_IS_UNKNOWN_THERE_ARE_NONE
]
BODIES: dict[str, Any] = {
    "addTaskDependency": {"depends_on_task_id": "other"},
    "attachTaskRunSession": {"session_id": "s"},
    "createChildTask": {"scope": "global", "title": "t"},
    "createTaskBridgeNotificationSubscription": {
        "bridge_instance_id": "b",
        "scope": "global",
        "peer_id": "ann",
        "delivery_mode": "reply",
    },
    "failAgentTaskRun": {"error": "e"},
    "updateTask": {"title": "t"},
    "failTaskRun": {"error": "e"},
    "forceFailTaskRun": {"reason": "r"},
    "pauseTask": {"reason": "r"},
    "submitTaskRunReviewVerdict": {"verdict": VERDICT},
}


@pytest.fixture(name="clock", scope="module")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[LiveServer]:
    never: Any = {"starved_after_cycles": 1_000_000, "attention_after_cycles": 1_000_000}
    folder = tmp_path_factory.mktemp("conformance")
    with serving(folder, clock=clock, sweep_seconds=0.02, max_lease_expiries=1, **never) as server:
        yield server


@pytest.fixture(name="answered", scope="module")
def _answered() -> set[tuple[str, int]]:
    return set()


@pytest.fixture(name="api")
def _api(client: Client, answered: set[tuple[str, int]]) -> Api:
    return Api(client, answered)


def test_creating_and_changing_tasks(api: Api) -> None:
    task = api.task(id="first", priority="high", metadata={"n": 1}, max_attempts=2)
    api.call("createTask", body={"scope": "global", "title": "t", "id": task}, status=409)
    api.call("createTask", body={"scope": "workspace", "title": "t"}, status=422)
    api.call(
        "createTask",
        body={"scope": "global", "title": "t", "metadata": "x" * 20_000},
        status=413,
    )
    api.call("updateTask", task, body={"title": "better", "owner": {"kind": "human", "ref": "a"}})
    child = api.call("createChildTask", task, body={"scope": "global", "title": "c"})["task"]["id"]
    api.call("addTaskDependency", task, body={"depends_on_task_id": child})
    api.call("addTaskDependency", child, body={"depends_on_task_id": task}, status=409)
    api.call("getTask", task)
    api.call("removeTaskDependency", task, child)
    api.call("removeTaskDependency", task, child, status=404)
    api.call("deleteTask", task, status=400)
    api.call("deleteTask", child)
    for name in ("getTask", "getTaskTree", "getTaskTimeline", "inspectTask", "listTaskRuns"):
        api.call(name, task)
    api.call("listTasks")


def test_decisions_about_tasks(api: Api) -> None:
    api.call("publishTask", api.task(draft=True), body={})
    ready = api.task()
    api.call("publishTask", ready, body={}, status=409)
    api.call("startTask", ready, body={})
    api.call("startTask", api.task(draft=True), body={}, status=409)
    manual = api.task(approval_policy="manual")
    api.call("approveTask", manual, body={})
    api.call("rejectTask", manual, status=409)
    rejected = api.task(approval_policy="manual")
    api.call("rejectTask", rejected)
    api.call("approveTask", rejected, body={}, status=409)
    api.call("pauseTask", ready, body={"reason": "r"})
    api.call("resumeTask", ready, body={})
    api.call("cancelTask", ready, body={"reason": "r"})
    done = api.ended()[1]
    api.call("cancelTask", done, body={}, status=409)
    api.call("pauseTask", ready, body={"reason": "r"}, status=409)
    for name in ("markTaskRead", "archiveTask", "dismissTask"):
        api.call(name, manual)


def test_runs_in_the_hands_of_operators(api: Api) -> None:
    run = api.run()
    task = api.call("getTaskRun", run)["run"]["task"]["id"]
    api.call("enqueueTaskRun", task, body={}, status=409)
    api.call("startTaskRun", run, body={}, status=409)
    api.call("claimTaskRun", run, body={})
    api.call("claimTaskRun", run, body={}, status=409)
    api.client.ok("PUT", "/api/sessions/bound", {"agent_name": "coder"})
    api.call("attachTaskRunSession", run, body={"session_id": "bound"})
    api.call("attachTaskRunSession", run, body={"session_id": "bound"}, status=409)
    api.call("startTaskRun", run, body={})
    api.call("completeTaskRun", run, body={"result": {"n": 1}})
    api.call("completeTaskRun", run, body={}, status=409)
    api.call("failTaskRun", run, body={"error": "e"}, status=409)
    api.call("cancelTaskRun", run, body={}, status=409)
    api.call("cancelTaskRun", api.run(), body={})
    api.ended("failTaskRun")
    api.call("getTaskRun", run)
    api.call("inspectRun", run)


def test_runs_under_leases(api: Api) -> None:
    agent = api.agent("holder")
    owner = {"kind": "agent_session", "ref": "holder"}
    agent.call("claimNextAgentTask", body={"priority_min": 1_000}, status=204)
    api.call("claimNextAgentTask", body={}, status=401)
    agent.call("claimNextAgentTask", body={"workspace_id": "elsewhere"}, status=403)
    agent.call("claimNextAgentTask", body={"lease_seconds": -1}, status=422)
    for end in ("completeAgentTaskRun", "failAgentTaskRun", "releaseAgentTaskRun"):
        run = api.run(owner=owner, priority="urgent")
        claim = agent.call("claimNextAgentTask", body={"lease_seconds": 60})["claim"]
        assert claim["run"]["id"] == run
        agent.call("claimNextAgentTask", body={}, status=409)
        agent.call("heartbeatAgentTaskRun", run, body={"lease_seconds": 60})
        agent.call("heartbeatAgentTaskRun", run, body={"lease_seconds": -1}, status=422)
        agent.call("completeAgentTaskRun", UNKNOWN, body={}, status=403)
        agent.call(end, run, body={"error": "e", "reason": "r"})
        for name in ("heartbeatAgentTaskRun", "releaseAgentTaskRun"):
            agent.call(name, run, body={}, status=409)
        if "release" in end:
            api.call("cancelTask", claim["task"]["id"], body={})


def test_runs_taken_in_hand(api: Api, clock: Clock) -> None:
    held = api.run()
    api.call("forceReleaseTaskRun", held, body={}, status=409)
    api.call("claimTaskRun", held, body={})
    api.call("forceReleaseTaskRun", held, body={"reason": "r"})
    api.call("forceFailTaskRun", held, body={}, status=422)
    api.call("forceFailTaskRun", held, body={"reason": "r"})
    api.call("forceFailTaskRun", held, body={"reason": "r"}, status=409)
    api.call("retryTaskRun", held, body={})
    api.call("retryTaskRun", held, body={}, status=409)
    api.call("recoverTaskRun", held, body={}, status=409)
    lost = _neglected(api, clock)
    api.call("recoverTaskRun", lost, body={"reason": "r"})
    both = [api.run(), UNKNOWN]
    for name in ("bulkForceReleaseTaskRuns", "bulkForceFailTaskRuns"):
        rows = api.call(name, body={"run_ids": both, "reason": "r"})["results"]
        assert [row["run_id"] for row in rows] == both
        api.call(name, body={"run_ids": ["r"] * 51, "reason": "r"}, status=422)


def _neglected(api: Api, clock: Clock) -> str:
    """Return a run whose holder was never heard of again."""
    agent = api.agent("lost")
    run = api.run(owner={"kind": "agent_session", "ref": "lost"}, priority="urgent")
    claim = agent.call("claimNextAgentTask", body={"lease_seconds": 1})["claim"]
    assert claim["run"]["id"] == run
    clock.advance(2)
    until(lambda: api.call("getTaskRun", run)["run"]["run"]["status"] == "needs_attention")
    return run


def test_agents_that_take_in_hand_too_often(api: Api) -> None:
    agent = api.agent("eager")
    api.client.ok("PUT", "/api/sessions/eager", {"agent_name": "coder"})
    run = api.run()
    for _ in range(10):
        api.call("claimTaskRun", run, body={})
        agent.call("forceReleaseTaskRun", run, body={})
    for name in ("forceReleaseTaskRun", "retryTaskRun", "recoverTaskRun"):
        agent.call(name, run, body={}, status=429)


def test_reviews(api: Api) -> None:
    run, task = api.ended()
    asked = api.call("requestTaskRunReview", run, body={"policy": "always"}, status=201)
    review = asked["review"]["review_id"]
    api.call("requestTaskRunReview", run, body={"policy": "always"}, status=200)
    api.call("requestTaskRunReview", api.run(), body={}, status=409)
    api.call("getTaskRunReview", review)
    api.call("listTaskRunReviews", run)
    api.call("listTaskReviews", task)
    body = {"run_id": run, "verdict": VERDICT}
    api.call("submitTaskRunReviewVerdict", review, body=body)
    api.call("submitTaskRunReviewVerdict", review, body=body)
    other = {**VERDICT, "outcome": "blocked"}
    api.call("submitTaskRunReviewVerdict", review, body={"verdict": other}, status=409)
    api.call("submitTaskRunReviewVerdict", review, body={"verdict": {}}, status=400)
    again, _ = api.ended()
    asked = api.call("requestTaskRunReview", again, body={"policy": "always"}, status=201)
    verdict = {**VERDICT, "outcome": "rejected", "missing_work": ["tests"]}
    told = api.call(
        "submitTaskRunReviewVerdict", asked["review"]["review_id"], body={"verdict": verdict}
    )
    assert told["continuation_run"]["status"] == "queued"


def test_execution_profiles(api: Api) -> None:
    task = api.task()
    profile = api.call("getTaskExecutionProfile", task)["profile"]
    api.call("setTaskExecutionProfile", task, body=profile)
    api.call("setTaskExecutionProfile", task, body={"worker": {"mode": "x"}}, status=400)
    api.call("deleteTaskExecutionProfile", task)
    api.call("startTask", task, body={})
    run = api.call("listTaskRuns", task)["runs"][0]["id"]
    api.call("claimTaskRun", run, body={})
    api.call("setTaskExecutionProfile", task, body=profile, status=409)
    api.call("deleteTaskExecutionProfile", task, status=409)


def test_notifications_over_bridges(api: Api) -> None:
    api.client.ok("PUT", "/api/bridges/b", {"url": "https://hooks.example/tasks"})
    task, body = api.task(), BODIES["createTaskBridgeNotificationSubscription"]
    made = api.call("createTaskBridgeNotificationSubscription", task, body=body)
    subscription = made["subscription"]["subscription_id"]
    api.call("createTaskBridgeNotificationSubscription", task, body={}, status=400)
    api.call("listTaskBridgeNotificationSubscriptions", task)
    api.call("getTaskBridgeNotificationSubscription", task, subscription)
    api.call("deleteTaskBridgeNotificationSubscription", task, subscription)
    for name in ("get", "delete"):
        api.call(f"{name}TaskBridgeNotificationSubscription", task, subscription, status=404)


def test_the_scheduler_and_the_whole(api: Api) -> None:
    api.call("getSchedulerBacklog")
    api.call("pauseScheduler", body={"reason": "r"})
    api.call("getScheduler")
    api.call("drainScheduler", body={"timeout_seconds": 0})
    api.call("drainScheduler", body={"timeout_seconds": -1}, status=422)
    api.call("resumeScheduler", body={})
    api.call("getTaskDashboard")
    api.call("getTaskInbox")


def test_the_stream_of_a_task(api: Api, answered: set[tuple[str, int]]) -> None:
    task = api.task()
    with following(api.client, f"/api/tasks/{task}/stream?after_sequence=0") as stream:
        assert complaints(stream.next().data, "TaskStreamEvent") == []
    answered.add(("streamTask", 200))


@pytest.mark.parametrize("agreed", NAMED, ids=lambda agreed: agreed.name)
def test_what_is_unknown_is_refused_as_agreed(api: Api, agreed: Agreed) -> None:
    holder = agreed.path.startswith(HOLDERS_ONLY)
    if holder:
        api.client.ok("PUT", "/api/sessions/s", {"agent_name": "coder"})
    body = BODIES.get(agreed.name, {} if agreed.method in {"POST", "PUT", "PATCH"} else None)
    ids = [UNKNOWN] * agreed.path.count("{")
    asker = api.agent("s") if holder else api
    refused = asker.call(agreed.name, *ids, body=body, status=409 if holder else 404)
    assert UNKNOWN in refused["error"]


@pytest.mark.parametrize("agreed", WITH_BODY, ids=lambda agreed: agreed.name)
def test_what_is_no_json_is_refused_as_agreed(api: Api, agreed: Agreed) -> None:
    agent = agreed.path.startswith("/api/agent")
    asker = api.client.agent("s") if agent else api.client
    if agent:
        api.client.ok("PUT", "/api/sessions/s", {"agent_name": "coder"})
    known = api.task() if agreed.path.startswith("/api/tasks/") else UNKNOWN
    ids = [known] * agreed.path.count("{")
    answer = asker.send(agreed.method, path_of(agreed.path, *ids), content=b"{")
    assert answer.status_code == (422 if 422 in agreed.refusals else 400)
    assert json.loads(answer.content)["error"].startswith("task: validation failed: httpapi: ")


@pytest.mark.parametrize("agreed", OPERATIONS, ids=lambda agreed: agreed.name)
def test_the_served_document_promises_as_much(client: Client, agreed: Agreed) -> None:
    document = client.http.get("/openapi.json").json()
    operation = document["paths"][agreed.path][agreed.method.lower()]
    assert operation["operationId"] == agreed.name
    assert {str(status) for status in (*agreed.successes, *agreed.refusals)} <= set(
        operation["responses"]
    )
    for status, shape in agreed.successes.items():
        content = operation["responses"][str(status)].get("content", {})
        assert bool(content) == bool(shape)
        for served in content.values():
            promise = Served(document).looseness(served["schema"], shape, agreed.name)
            assert list(promise) == []


def test_every_operation_was_answered(answered: set[tuple[str, int]]) -> None:
    assert len({agreed.name for agreed in OPERATIONS}) == len(OPERATIONS) == 62
    successes = {(agreed.name, status) for agreed in OPERATIONS for status in agreed.successes}
    assert successes - answered == set()

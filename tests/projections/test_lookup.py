"""What deciding looks up."""

from domain import events as e
from domain.instants import SECOND
from domain.recorded import workspace_stream
from domain.values import Actor, Origin
from domain.world import KeySlot
from projections.lookup import DEPENDENTS, IDEMPOTENCY_KEYS, RUN_TASKS, SESSION_RUNS
from tests.projections.support import HTTP, HUMAN, Ledger


def slot(key: str, origin: Origin = HTTP, actor: Actor = HUMAN) -> KeySlot:
    return KeySlot(key=key, origin=origin, actor=actor)


def test_a_run_leads_to_its_task_until_the_task_is_deleted(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1")

    assert ledger.task_of_run("run-1") == "task-1"
    assert ledger.task_of_run("run-2") is None

    ledger.delete("task-1")
    assert ledger.task_of_run("run-1") is None


def test_dependents_come_oldest_edge_first(ledger: Ledger) -> None:
    for task_id in ("blocker", "b", "a", "c"):
        ledger.create(task_id)
    for task_id in ("b", "a", "c"):
        ledger.depend(task_id, "blocker")

    assert ledger.dependents_of("blocker") == ["b", "a", "c"]

    ledger.undepend("a", "blocker")
    assert ledger.dependents_of("blocker") == ["b", "c"]


def test_the_edges_of_a_deleted_task_are_gone_in_both_directions(ledger: Ledger) -> None:
    for task_id in ("first", "second", "third"):
        ledger.create(task_id)
    ledger.depend("second", "first")
    ledger.depend("third", "second")

    ledger.delete("second")

    assert ledger.store.rows(DEPENDENTS) == []


def test_a_session_leads_to_its_active_runs(ledger: Ledger) -> None:
    for number in ("1", "2"):
        ledger.create(f"task-{number}")
        ledger.enqueue(f"task-{number}", f"run-{number}")
        ledger.claim(f"run-{number}", "session-1")

    assert ledger.runs_of_session("session-1") == [("task-1", "run-1"), ("task-2", "run-2")]

    ledger.run_fact("run-1", e.RunCompleted, "completed", "completed")
    ledger.release("run-2")
    assert ledger.runs_of_session("session-1") == []


def test_a_run_moves_to_the_session_that_is_bound(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1")
    ledger.claim("run-1", "session-1")

    ledger.run_fact("run-1", e.RunSessionBound, "starting", "in_progress", session_id="session-2")

    assert ledger.runs_of_session("session-1") == []
    assert ledger.runs_of_session("session-2") == [("task-1", "run-1")]


def test_a_run_claimed_by_an_operator_belongs_to_no_session(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1")
    ledger.claim("run-1")

    assert ledger.store.rows(SESSION_RUNS) == []


def test_expired_leases_come_by_deadline(ledger: Ledger) -> None:
    for number, lease in (("1", 100), ("2", 50), ("3", 5000)):
        ledger.create(f"task-{number}")
        ledger.enqueue(f"task-{number}", f"run-{number}")
        ledger.claim(f"run-{number}", f"session-{number}", lease=lease)
    first = ledger.run("run-2").lease_until

    assert ledger.expired_leases(first - 1, 0) == []
    assert ledger.expired_leases(first, 0) == [("task-2", "run-2")]
    late = first + 1000 * SECOND
    assert ledger.expired_leases(late, 0) == [("task-2", "run-2"), ("task-1", "run-1")]
    assert ledger.expired_leases(late, 1) == [("task-2", "run-2")]


def test_a_heartbeat_moves_the_deadline(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1")
    ledger.claim("run-1", "session-1", lease=10)
    old = ledger.run("run-1").lease_until

    ledger.run_fact(
        "run-1",
        e.RunLeaseExtended,
        "claimed",
        "ready",
        lease_until=old + SECOND,
        heartbeat_at=ledger.now,
        claim_token_hash="sha256:" + "0" * 64,
    )

    assert ledger.expired_leases(old, 0) == []
    assert ledger.expired_leases(old + SECOND, 0) == [("task-1", "run-1")]


def test_a_bound_session_without_a_lease_never_expires(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1")
    ledger.claim("run-1")
    ledger.run_fact("run-1", e.RunSessionBound, "starting", "in_progress", session_id="session-1")

    assert ledger.expired_leases(2**62, 0) == []


def test_expired_leases_are_read_from_their_index(ledger: Ledger) -> None:
    ledger.expired_leases(1, 1)

    assert "session_runs_lease_until" in ledger.store.plan_of(ledger.store.selects[-1], (1, 1))


def test_a_key_names_a_run_for_one_caller_and_one_operation(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1", idempotency_key="k")

    assert ledger.run_of_key(slot("k")) == ("task-1", "run-1")
    assert ledger.run_of_key(slot("other")) is None
    assert ledger.run_of_key(slot("k", origin=Origin("http", "tasks.start"))) is None
    assert ledger.run_of_key(slot("k", actor=Actor("human", "ann"))) is None


def test_a_key_that_is_used_again_names_the_later_run(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1", idempotency_key="k")
    ledger.run_fact("run-1", e.RunCanceled, "canceled", "ready")
    ledger.enqueue("task-1", "run-2", idempotency_key="k")

    assert ledger.run_of_key(slot("k")) == ("task-1", "run-2")


def test_keys_disappear_with_the_task(ledger: Ledger) -> None:
    ledger.create("task-1")
    for number in ("1", "2"):
        ledger.enqueue("task-1", f"run-{number}", idempotency_key="k")
        ledger.run_fact(f"run-{number}", e.RunCanceled, "canceled", "ready")
    ledger.enqueue("task-1", "run-3")
    ledger.run_fact("run-3", e.RunCanceled, "canceled", "ready")

    ledger.delete("task-1")

    assert ledger.store.rows(IDEMPOTENCY_KEYS) == []
    assert ledger.store.rows(RUN_TASKS) == []


def test_the_key_of_another_tasks_run_stays(ledger: Ledger) -> None:
    for task_id in ("task-1", "task-2"):
        ledger.create(task_id)
        ledger.enqueue(task_id, f"run-{task_id}", idempotency_key="k")
        ledger.run_fact(f"run-{task_id}", e.RunCanceled, "canceled", "ready")

    ledger.delete("task-1")

    assert ledger.run_of_key(slot("k")) == ("task-2", "run-task-2")


def test_a_coordination_channel_belongs_to_the_workspace_that_used_it_first(
    ledger: Ledger,
) -> None:
    for number in ("1", "2"):
        ledger.create(f"task-{number}", workspace=f"ws-{number}")
        ledger.enqueue(f"task-{number}", f"run-{number}", coordination_channel_id="room")

    assert ledger.channel_workspace("room") == "ws-1"
    assert ledger.channel_workspace("other") is None


def test_a_workspace_answers_to_id_name_and_path(ledger: Ledger) -> None:
    ledger.workspace("ws-1", name="main", path="/src/main")

    assert [ledger.workspace_of_ref(ref) for ref in ("ws-1", "main", "/src/main", "x")] == [
        "ws-1",
        "ws-1",
        "ws-1",
        None,
    ]


def test_an_id_goes_before_a_name(ledger: Ledger) -> None:
    ledger.workspace("a", name="b")
    ledger.workspace("b")

    assert ledger.workspace_of_ref("b") == "b"


def test_a_renamed_or_removed_workspace_no_longer_answers(ledger: Ledger) -> None:
    ledger.workspace("ws-1", name="old")
    ledger.workspace("ws-1", name="new")

    assert ledger.workspace_of_ref("old") is None
    assert ledger.workspace_of_ref("new") == "ws-1"

    removed = e.WorkspaceRemoved(workspace_id="ws-1")
    ledger.step(lambda plan: plan.emit(workspace_stream("ws-1"), removed))
    assert ledger.workspace_of_ref("new") is None
    assert ledger.workspace_of_ref("ws-1") is None

"""The rows of Ona tasks and executions."""

import pytest

from domain import commands as c
from domain.decide import decide
from domain.ona.commands import DeleteOnaTask, StartOnaTask, StopOnaExecution, UpdateOnaTask
from domain.ona.progress import Phase
from domain.ona.state import OnaTask
from domain.uuids import uuid_of
from domain.values import Json
from projections.catalog import PROJECTORS
from projections.ona.projector import OnaProjector
from projections.ona.queries import (
    BEGINNING,
    WholeExecution,
    ona_execution,
    ona_executions,
    ona_task,
    ona_tasks,
)
from projections.ona.tables import ONA_DEPENDENTS, ONA_EXECUTIONS, ONA_REFERENCES, TABLES
from projections.queries.scheduler import active_claims
from tests.projections.support import Ledger, Store
from tests.support.ona import ENVIRONMENT, define

OTHER = "0190c2b5-5d6e-7e1a-8c6b-000000000000"


def do(ledger: Ledger, command: c.Command) -> None:
    """Decide a command and apply what comes of it."""
    ledger.step(lambda plan: decide(command, plan))


def defined(ledger: Ledger, reference: str, *depends_on: str, **more: object) -> str:
    do(ledger, define(reference, *depends_on, **more))
    state = ledger.changes[-1].after
    assert isinstance(state, OnaTask)
    return state.id


def started(ledger: Ledger, ona_task_id: str) -> tuple[str, list[str]]:
    """Start a task; return the ids of the execution's root and of its steps."""
    before = len(ledger.changes)
    do(ledger, StartOnaTask(ona_task_id=ona_task_id))
    created = [
        change.recorded.task_id
        for change in ledger.changes[before:]
        if change.recorded.type == "task.created"
    ]
    return created[0], created[1:]


def read(ledger: Ledger, root_id: str) -> WholeExecution:
    found = ona_execution(ledger.store, uuid_of(root_id))
    assert found is not None
    return found


def work(ledger: Ledger, step_id: str, session: str) -> str:
    """Let a session claim the step's run and start it."""
    (run,) = ledger.task(step_id).runs.values()
    ledger.session(session, workspace_id=ENVIRONMENT)
    ledger.claim(run.id, session)
    do(ledger, c.StartRun(run_id=run.id))
    return run.id


def complete(ledger: Ledger, run_id: str, session: str, result: bytes = b'{"n":1}') -> None:
    do(ledger, c.CompleteLease(run_id=run_id, session_id=session, result=Json(result)))


def phases(whole: WholeExecution) -> tuple[Phase, list[tuple[Phase, bool]]]:
    return whole.execution.phase, [(each.phase, each.begun) for each in whole.steps]


def test_a_definition_is_found_by_id_until_it_is_deleted(ledger: Ledger) -> None:
    first = defined(ledger, "a")
    second = defined(ledger, "b", first)
    do(ledger, UpdateOnaTask(ona_task_id=first, description="new"))

    found = ona_task(ledger.store, first)
    assert found is not None
    assert found.description == "new"
    assert ledger.store.rows(ONA_DEPENDENTS) == [(first, second)]

    do(ledger, DeleteOnaTask(ona_task_id=second))
    assert ona_task(ledger.store, second) is None
    assert ledger.store.rows(ONA_DEPENDENTS) == []
    assert ledger.store.rows(ONA_REFERENCES) == [(ENVIRONMENT, "a", first)]


def test_dependencies_that_are_replaced_hold_nothing_any_more(ledger: Ledger) -> None:
    first, second = defined(ledger, "a"), defined(ledger, "b")
    third = defined(ledger, "c", first)
    do(ledger, UpdateOnaTask(ona_task_id=third, depends_on=(second,)))
    assert ledger.store.rows(ONA_DEPENDENTS) == [(second, third)]


def test_a_reference_that_names_a_later_task_stays(ledger: Ledger) -> None:
    first = defined(ledger, "a")
    ledger.store.put(ONA_REFERENCES, (ENVIRONMENT, "a", "later"))
    do(ledger, DeleteOnaTask(ona_task_id=first))
    assert ledger.store.rows(ONA_REFERENCES) == [(ENVIRONMENT, "a", "later")]


def test_a_task_without_a_reference_holds_none(ledger: Ledger) -> None:
    defined(ledger, "", named=False, name="")
    assert ledger.store.rows(ONA_REFERENCES) == []


def test_lists_come_oldest_first_in_pages_and_are_narrowed_down(ledger: Ledger) -> None:
    ids = [
        defined(ledger, reference, environment_id=environment)
        for reference in ("a", "b", "c")
        for environment in (ENVIRONMENT, OTHER)
    ]

    def listed(*filters: tuple[str, list[str]]) -> list[str]:
        found: list[str] = []
        after = BEGINNING
        while page := ona_tasks(ledger.store, filters, after, 2):
            found += [each.id for each in page]
            after = (page[-1].created_at, page[-1].id)
        return found

    assert listed() == ids
    assert listed(("workspace_id", [OTHER])) == ids[1::2]
    assert listed(("workspace_id", [OTHER, ENVIRONMENT, OTHER])) == ids
    assert listed(("workspace_id", [OTHER]), ("reference", ["b", "c"])) == ids[3::2]
    assert listed(("task_id", [ids[4], ids[0]]), ("reference", [])) == [ids[0], ids[4]]
    assert listed(("reference", ["x"])) == []


def test_an_execution_tells_how_its_steps_stand(ledger: Ledger) -> None:
    first = defined(ledger, "a")
    root, (a, b) = started(ledger, defined(ledger, "b", first))
    whole = read(ledger, root)
    assert phases(whole) == ("PENDING", [("PENDING", True), ("PENDING", False)])
    assert [each.planned.id for each in whole.steps] == [uuid_of(a), uuid_of(b)]
    assert [each.planned.depends_on for each in whole.steps] == [(), (uuid_of(a),)]
    assert [each.planned.group for each in whole.steps] == [0, 1]
    assert whole.execution.sequence == len(ledger.history)
    assert (whole.execution.started_at, whole.execution.completed_at) == (0, 0)

    run_id = work(ledger, a, "s1")
    whole = read(ledger, root)
    assert phases(whole) == ("RUNNING", [("RUNNING", True), ("PENDING", False)])
    assert whole.execution.started_at == ledger.now

    complete(ledger, run_id, "s1")
    assert phases(read(ledger, root)) == ("RUNNING", [("SUCCEEDED", True), ("PENDING", True)])
    complete(ledger, work(ledger, b, "s2"), "s2")
    whole = read(ledger, root)
    assert phases(whole) == ("SUCCEEDED", [("SUCCEEDED", True)] * 2)
    assert whole.steps[0].output == {"n": "1"}
    assert whole.execution.completed_at == ledger.now
    assert whole.execution.sequence == len(ledger.history)
    assert not whole.execution.stopped


def test_every_event_of_a_step_raises_the_version(ledger: Ledger) -> None:
    root, (step,) = started(ledger, defined(ledger, "a"))
    run_id = work(ledger, step, "s1")
    before = read(ledger, root).execution
    do(ledger, c.Heartbeat(run_id=run_id, session_id="s1"))
    after = read(ledger, root).execution
    assert after.sequence == len(ledger.history) > before.sequence
    assert after.phase == before.phase == "RUNNING"


def test_a_failed_step_is_told_with_what_it_said(ledger: Ledger) -> None:
    first = defined(ledger, "a")
    root, (a, _) = started(ledger, defined(ledger, "b", first))
    run_id = work(ledger, a, "s1")
    do(ledger, c.FailLease(run_id=run_id, session_id="s1", error="broken"))

    whole = read(ledger, root)
    assert phases(whole) == ("FAILED", [("FAILED", True), ("STOPPED", False)])
    assert whole.execution.failure == 'step "A" failed: broken'
    assert whole.steps[0].message == "broken"


def test_a_failure_is_told_while_others_still_run(ledger: Ledger) -> None:
    first, second = defined(ledger, "a"), defined(ledger, "b")
    root, (a, b, _) = started(ledger, defined(ledger, "c", first, second))
    work(ledger, b, "s2")
    do(ledger, c.FailLease(run_id=work(ledger, a, "s1"), session_id="s1", error="broken"))

    whole = read(ledger, root)
    assert (whole.execution.phase, whole.execution.failure) == ("FAILED", "broken")
    assert whole.execution.completed_at == 0


def test_executions_are_found_by_all_that_they_are(ledger: Ledger) -> None:
    first = defined(ledger, "a")
    second = defined(ledger, "b", environment_id=OTHER)
    roots = [started(ledger, each)[0] for each in (first, second, first)]
    do(ledger, StopOnaExecution(execution_id=uuid_of(roots[2])))

    def listed(*filters: tuple[str, list[str]]) -> list[str]:
        return [
            each.execution.root_id for each in ona_executions(ledger.store, filters, BEGINNING, 9)
        ]

    assert listed() == roots
    assert listed(("task_id", [first])) == roots[::2]
    assert listed(("workspace_id", [OTHER])) == [roots[1]]
    assert listed(("reference", ["a"]), ("phase", ["STOPPED"])) == [roots[2]]
    assert listed(("phase", ["PENDING", "STOPPED"])) == roots
    assert listed(("phase", ["FAILED"])) == []
    assert read(ledger, roots[2]).execution.stopped


def test_lookups_know_roots_and_what_is_open(ledger: Ledger) -> None:
    task_id = defined(ledger, "a")
    roots = [started(ledger, task_id)[0] for _ in range(2)]
    assert ledger.ona_open_executions(task_id) == roots
    do(ledger, StopOnaExecution(execution_id=uuid_of(roots[0])))
    assert ledger.ona_open_executions(task_id) == roots[1:]
    assert ledger.ona_execution_root(uuid_of(roots[0])) == roots[0]
    assert ledger.ona_execution_root("unknown") is None


def test_an_execution_is_known_also_when_its_core_tasks_are_gone(ledger: Ledger) -> None:
    root, (step,) = started(ledger, defined(ledger, "a"))
    complete(ledger, work(ledger, step, "s1"), "s1")
    before = read(ledger, root)
    ledger.delete(step)
    ledger.delete(root)
    after = read(ledger, root)
    assert after.steps == before.steps
    assert after.execution.phase == "SUCCEEDED"


def test_no_drain_waits_for_the_run_of_a_root(ledger: Ledger) -> None:
    _, (step,) = started(ledger, defined(ledger, "a"))
    assert active_claims(ledger.store) == 0
    work(ledger, step, "s1")
    assert active_claims(ledger.store) == 1


@pytest.fixture(name="told")
def _told(ledger: Ledger) -> Ledger:
    first = defined(ledger, "a")
    _, (a, b) = started(ledger, defined(ledger, "b", first))
    complete(ledger, work(ledger, a, "s1"), "s1")
    do(ledger, c.FailLease(run_id=work(ledger, b, "s2"), session_id="s2", error="broken"))
    return ledger


def test_it_does_not_matter_which_stream_moved_first(told: Ledger) -> None:
    streams = dict.fromkeys(change.recorded.originator_id for change in told.changes)
    for order in (list(streams), list(reversed(streams))):
        store = Store([OnaProjector()])
        for stream in order:
            for change in told.changes:
                if change.recorded.originator_id == stream:
                    store.apply(change)
        for table in TABLES:
            assert store.rows(table) == told.store.rows(table), table.name
        store.close()


def test_an_execution_whose_beginning_was_passed_over_has_no_row(told: Ledger) -> None:
    store = Store(PROJECTORS)
    for change in told.changes:
        if not (
            change.recorded.type == "task.created"
            and change.task
            and not change.task.task.parent_task_id
        ):
            OnaProjector().apply(change, store)
    assert store.rows(ONA_EXECUTIONS) == []
    store.close()

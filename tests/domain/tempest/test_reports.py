"""What app versions report, once and again, in time and too late."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain import events as core
from domain.commands import CancelTask, ClaimRun, DeleteTask, EnqueueRun
from domain.errors import PermissionDeniedError, RunNotFoundError, ValidationError
from domain.instants import SECOND
from domain.tempest import commands as c
from domain.tempest import events as e
from domain.tempest.state import OperationState, evolve_operation, operation_stream
from domain.tempest.values import ACT, LIST, MAX_PAGES, Response
from domain.values import Blob, Json
from tests.domain.tempest.steps import (
    NEXT,
    SELF,
    act,
    ask,
    by_app,
    connect,
    created,
    execute,
    listing,
    page,
    report,
    take,
)
from tests.support.spec import HUMAN, NOW, Past, Spec, Step, given, on
from tests.support.steps import expire, task, workspace

BLOB = Blob("b" * 64, 100_000)
DEADLINE = NOW + 600 * SECOND
RESULT = (
    b'{"response_type":"execute_resource_operation",'
    b'"resource":{"type":"bucket","external_id":"b-1","display_name":""}}'
)


def taken(request: Any = None, **more: Any) -> Spec:
    return given(workspace("w1"), connect(), ask(request, run_id="r1", **more), take())


def failure(run_id: str = "r1", message: str = "no room", at: int = NOW) -> Step:
    return by_app(c.ReportOperation(run_id=run_id, status="error", message=message), at)


def test_what_went_well_is_the_result_of_the_run() -> None:
    spec = taken().when(report("r1"))
    (fact,) = spec.facts
    assert isinstance(fact, core.RunCompleted)
    completed = core.RunCompleted(
        status="completed",
        task_status="completed",
        result=Json(RESULT),
        claim_token_hash=f"sha256:{('store', 'v1')}@{NOW}",
        request_hash=fact.request_hash,
    )
    spec.then(on("task-1", completed, "r1")).then_reply(task_id="task-1", run_id="r1")
    assert (spec.recorded[0].actor, spec.recorded[0].origin) == (SELF, NEXT)


def test_what_went_badly_fails_the_task() -> None:
    spec = taken().when(failure()).then_run("r1", status="failed", error="no room")
    spec.then_task("task-1", status="failed")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("", "the app reported an error without a message"),
        (" \x00 ", "the app reported an error without a message"),
        ("a\x00b", "ab"),
        ("é" * 20_000, "é" * 16_000),
    ],
)
def test_every_message_is_taken(message: str, error: str) -> None:
    taken().when(failure(message=message)).then_run("r1", error=error)


def test_a_response_beside_an_error_counts_for_nothing() -> None:
    taken().when(report("r1", status="error", message="no")).then_run("r1", status="failed")


def test_the_same_report_again_changes_nothing() -> None:
    spec = taken().given(report("r1")).when(report("r1", at=DEADLINE))
    spec.then_nothing().then_reply(task_id="task-1", run_id="r1", replayed=True)
    spec = taken().given(failure()).when(failure())
    spec.then_nothing().then_reply(task_id="task-1", run_id="r1", replayed=True)


@pytest.mark.parametrize("second", [report("r1", created("b-2")), failure()])
def test_another_report_afterwards_is_about_nothing(second: Step) -> None:
    taken().given(report("r1")).when(second).then_refused(RunNotFoundError, "is completed")


def test_only_what_an_app_holds_is_reported_on() -> None:
    spec = given(connect(), ask(run_id="r1"))
    spec.when(report("r1")).then_refused(RunNotFoundError, "is queued")
    spec.when(report("r9")).then_refused(RunNotFoundError)
    other = by_app(c.ReportOperation(run_id="r1", status="error"), app=("other", "v1"))
    taken().when(other).then_refused(RunNotFoundError, "is claimed")


def test_a_report_after_the_lease_is_too_late() -> None:
    taken().when(report("r1", at=DEADLINE)).then_refused(RunNotFoundError, "is claimed")
    spec = taken().given(expire(DEADLINE)).when(report("r1", at=DEADLINE))
    spec.then_refused(RunNotFoundError, "is queued")
    spec.given(ClaimRun(run_id="r1")).when(report("r1")).then_refused(RunNotFoundError)


def test_a_report_in_time_for_the_next_lease_counts() -> None:
    spec = taken().given(expire(DEADLINE), take(DEADLINE))
    spec.when(report("r1", at=DEADLINE + 1)).then_run("r1", status="completed")


def test_what_was_canceled_or_deleted_meanwhile_is_not_reported_on() -> None:
    spec = taken().given(CancelTask(task_id="task-1"))
    spec.when(report("r1")).then_refused(RunNotFoundError, "is canceled")
    spec.given(DeleteTask(task_id="task-1")).when(report("r1")).then_refused(RunNotFoundError)


def test_a_run_of_another_task_is_no_operation() -> None:
    spec = given(task("t1"), Step(command=EnqueueRun(task_id="t1"), run_id="r1"))
    spec.when(report("r1")).then_refused(RunNotFoundError, '"r1" is no operation of an app')


def test_a_token_of_another_workspace_reports_nothing() -> None:
    spec = given(workspace("w1")).when(connect(), workspace_limit="w1")
    spec.given(ask(run_id="r1"), take())
    spec.when(report("r1"), workspace_limit="w2").then_refused(PermissionDeniedError)


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ({"response": page()}, 'response_type must be "execute_resource_operation"'),
        (
            {"response": Response(response_type="execute_resource_operation")},
            "response.resource is required",
        ),
        ({"status": ""}, "status is required"),
        ({"status": "fine"}, 'status must be "ok" or "error": "fine"'),
    ],
)
def test_a_report_has_to_fit(given_: dict[str, Any], text: str) -> None:
    taken().when(report("r1", **given_)).then_refused(ValidationError, text)


def test_a_good_report_has_a_response() -> None:
    command = c.ReportOperation(run_id="r1", status="ok")
    taken().when(by_app(command)).then_refused(ValidationError, "response is required")


def test_an_action_has_an_output() -> None:
    response = Response(response_type=ACT, output=Json(b'{"gone":3}'))
    spec = taken(act()).when(report("r1", response))
    result = b'{"response_type":"execute_resource_action","output":{"gone":3}}'
    spec.then_run("r1", status="completed", result=Json(result))


def test_a_long_response_is_kept_apart() -> None:
    spec = taken().when(report("r1", response_blob=BLOB))
    kept = e.TempestResponseKept(response=BLOB)
    spec.then(Past(operation_stream("task-1"), kept, "r1"), spec.facts[1])
    state = spec.world.states[operation_stream("task-1")]
    assert isinstance(state, OperationState)
    assert state.responses == {"r1": BLOB}
    stub = (
        b'{"response_type":"execute_resource_operation","response_blob":{"sha256":"%s",'
        b'"size":100000}}' % (b"b" * 64)
    )
    spec.then_run("r1", result=Json(stub))
    spec.when(report("r1", response_blob=BLOB)).then_nothing()
    assert evolve_operation(None, spec.world.history[-2]) is None


def test_the_next_page_is_queued_with_the_report() -> None:
    spec = taken(listing(), workspace="w1", priority="high").when(report("r1", page("p2")))
    asked = e.TempestOperationQueued(
        app_id="store",
        version="v1",
        workspace_id="w1",
        request_type=LIST,
        operation="list",
        resource_type="bucket",
        requested_by=HUMAN,
        page=2,
        previous_task_id="task-1",
        request=Json(
            b'{"request_type":"list_resources","resource":{"type":"bucket","external_id":"",'
            b'"display_name":""},"next":"p2"}'
        ),
    )
    completed, _, queued, _ = spec.facts
    assert isinstance(completed, core.RunCompleted)
    assert queued == asked
    spec.then_task("task-2", workspace_id="w1", priority="high", facade="tempest")
    spec.when(report("r1", page("p2"))).then_nothing()
    spec.when(take(NOW + 1)).then_reply(task_id="task-2", run_id="run-1")
    spec.when(report("run-1", page(), at=NOW + 1)).then(spec.facts[0])


@pytest.mark.parametrize("token", ["", "p1", "p" * 4001])
def test_a_token_that_leads_nowhere_ends_the_list(token: str) -> None:
    spec = taken(listing("p1")).when(report("r1", page(token)))
    spec.then(spec.facts[0]).then_run("r1", status="completed")


def test_a_list_ends_some_time() -> None:
    spec = given(connect())
    last = e.TempestOperationQueued(
        app_id="store",
        version="v1",
        request_type=LIST,
        operation="list",
        resource_type="bucket",
        requested_by=HUMAN,
        page=MAX_PAGES,
        request=Json(b'{"request_type":"list_resources"}'),
    )
    spec.given(ask(listing(), run_id="r1"), take())
    operation = spec.world.states[operation_stream("task-1")]
    assert isinstance(operation, OperationState)
    spec.world.states[operation_stream("task-1")] = replace(operation, page=last.page)
    spec.when(report("r1", page("p2")), checked=False).then(spec.facts[0])


def test_other_operations_have_no_pages() -> None:
    spec = taken(execute("read", "b-1")).when(report("r1", replace(created(), next="p2")))
    spec.then(spec.facts[0])

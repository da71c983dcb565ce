"""Asking something of an app version."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain import events as core
from domain.errors import (
    ConflictError,
    PayloadTooLargeError,
    PermissionDeniedError,
    TempestAppNotFoundError,
    ValidationError,
    WorkspaceNotFoundError,
)
from domain.tempest import commands as c
from domain.tempest import events as e
from domain.tempest.state import operation_stream
from domain.tempest.values import HealthReport, Request, ResourceDefinition, Variable
from domain.values import Blob, Json, Owner
from tests.domain.tempest.steps import (
    BUCKET,
    OWNER,
    act,
    ask,
    connect,
    execute,
    listing,
    resource,
)
from tests.support.spec import HUMAN, Past, Spec, given, on
from tests.support.steps import workspace

BLOB = Blob("a" * 64, 70_000)
TOKEN = Variable(name="TOKEN", type="secret")


def connected() -> Spec:
    return given(workspace("w1", name="main"), connect())


def test_an_operation_is_a_task_of_the_app_with_one_run() -> None:
    spec = connected().when(ask(execute("update", "b-1"), run_id="r1"))

    metadata = (
        b'{"tempest":{"app_id":"store","version":"v1","operation":"update",'
        b'"resource_type":"bucket","external_id":"b-1"}}'
    )
    created = core.TaskCreated(
        scope="global",
        status="ready",
        owner=Owner("extension", OWNER),
        title="update bucket b-1",
        max_attempts=1,
        metadata=Json(metadata),
        facade="tempest",
    )
    request = (
        b'{"request_type":"execute_resource_operation","resource":{"type":"bucket",'
        b'"external_id":"b-1","display_name":""},"operation":"update","input":{}}'
    )
    asked = e.TempestOperationQueued(
        app_id="store",
        version="v1",
        request_type="execute_resource_operation",
        operation="update",
        resource_type="bucket",
        external_id="b-1",
        requested_by=HUMAN,
        page=1,
        request=Json(request),
    )
    queued = spec.facts[2]
    spec.then(on("task-1", created), Past(operation_stream("task-1"), asked), queued)
    assert isinstance(queued, core.RunEnqueued)
    assert {past.task_id for past in spec.recorded} == {"task-1"}
    spec.then_reply(task_id="task-1", run_id="r1").then_run("r1", status="queued", attempt=1)


def test_the_title_tells_the_name_where_there_is_one() -> None:
    named = replace(execute(), resource=resource(display_name="Invoices"))
    connected().when(ask(named)).then_task("task-1", title="create bucket Invoices")
    connected().when(ask()).then_task("task-1", title="create bucket")
    connected().when(ask(act())).then_task("task-1", title="empty bucket b-1")
    connected().when(ask(listing())).then_task("task-1", title="list bucket")


def test_long_requests_and_values_are_kept_apart() -> None:
    environment = (TOKEN,)
    spec = connected().when(ask(request_blob=BLOB, environment=environment, secret_id="sec-1"))
    asked = spec.facts[1]
    assert isinstance(asked, e.TempestOperationQueued)
    assert (bytes(asked.request), asked.request_blob) == (b"", BLOB)
    assert (asked.environment, asked.secret_id) == (environment, "sec-1")


def test_an_operation_belongs_to_the_workspace_that_is_named() -> None:
    spec = connected().when(ask(workspace="main", priority="high"))
    spec.then_task("task-1", scope="workspace", workspace_id="w1", priority="high")
    connected().when(ask(workspace="w9")).then_refused(WorkspaceNotFoundError, '"w9"')


def test_an_operation_belongs_to_the_workspace_of_the_caller() -> None:
    connected().when(ask(), workspace_limit="w1").then_task("task-1", workspace_id="w1")
    spec = given(workspace("w1"), workspace("w2"), connect())
    refused = spec.when(ask(workspace="w2"), workspace_limit="w1")
    refused.then_refused(PermissionDeniedError)


def test_the_app_of_a_workspace_works_there_alone() -> None:
    spec = given(workspace("w1"), workspace("w2")).when(connect(), workspace_limit="w1")
    spec.when(ask()).then_task("task-1", workspace_id="w1")
    spec.when(ask(workspace="w1")).then_task("task-2", workspace_id="w1")
    spec.when(ask(workspace="w2")).then_refused(ConflictError, 'belongs to workspace "w1"')
    spec.when(ask(), workspace_limit="w2").then_refused(PermissionDeniedError)


def test_with_a_key_an_operation_is_queued_once() -> None:
    spec = connected().given(ask(idempotency_key="k", run_id="r1", secret_id="sec-1"))
    spec.when(ask(idempotency_key="k", secret_id="sec-2")).then_nothing()
    spec.then_reply(task_id="task-1", run_id="r1", replayed=True)
    other = spec.when(ask(execute("update", "b-1"), idempotency_key="k"))
    other.then_refused(ConflictError, 'idempotency key "k" stands for another request')
    spec.when(ask(idempotency_key="k2")).then_reply(task_id="task-2", run_id="run-1")


def test_only_a_connected_version_is_asked() -> None:
    given().when(ask()).then_refused(TempestAppNotFoundError, 'app "store" v1 was never connected')
    ill = HealthReport(type="bucket", status="disrupted")
    spec = given(c.ReportHealth(app_id="store", version="v1", reports=(ill,)))
    spec.when(ask()).then_refused(TempestAppNotFoundError)


NARROW = ResourceDefinition(
    type="bucket", display_name="", description="", lifecycle_stage="other", read_supported=True
)


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (replace(execute(), resource=resource(type="queue")), '("bucket"): "queue"'),
        (execute(), 'does not support create of "bucket"'),
        (listing(), "does not support list"),
        (execute("read"), "resource.external_id is required to read"),
        (execute("read", "b" * 1025), "resource.external_id exceeds 1024 bytes"),
        (act(), '"bucket" (none): "empty"'),
        (execute("read", "b", input=Json(b"[]")), "input must be an object"),
        (execute("read", "b", metadata=Json(b"1")), "metadata must be an object"),
    ],
)
def test_only_what_the_version_can_do_is_asked(request_: Request, text: str) -> None:
    given(connect(NARROW)).when(ask(request_)).then_refused(ValidationError, text)


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("synced_at", "yesterday", "resource.synced_at must be an RFC 3339 time"),
        ("properties", Json(b'"x"'), "resource.properties must be an object"),
    ],
)
def test_what_the_client_could_not_read_is_refused(member: str, value: Any, text: str) -> None:
    request = replace(execute(), resource=resource(**{member: value}))
    connected().when(ask(request)).then_refused(ValidationError, text)


def test_actions_have_to_be_declared() -> None:
    spec = connected().when(ask(act("burn")))
    spec.then_refused(ValidationError, '"bucket" ("empty"): "burn"')


def test_an_app_without_types_can_do_nothing() -> None:
    spec = given(c.ConnectVersion(app_id="store", version="v1"))
    spec.when(ask()).then_refused(ValidationError, '(none): "bucket"')


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ((Variable(name=" ", type="secret"),), "environment_variables[0].name is required"),
        ((TOKEN, TOKEN), 'must not name "TOKEN" twice'),
        (tuple(Variable(name=f"V{n}", type="secret") for n in range(257)), "at most 256 items"),
    ],
)
def test_variables_have_names_of_their_own(environment: tuple[Variable, ...], text: str) -> None:
    spec = connected().when(ask(environment=environment, secret_id="s"))
    spec.then_refused(ValidationError, text)


def test_lists_have_no_variables_and_short_requests() -> None:
    spec = connected().when(ask(listing(), environment=(TOKEN,), secret_id="s"))
    spec.then_refused(ValidationError, "must be empty to list")
    connected().when(ask(listing(), request_blob=BLOB)).then_refused(PayloadTooLargeError)


def test_the_definition_that_counts_is_the_last() -> None:
    spec = connected().given(connect(NARROW)).when(ask())
    spec.then_refused(ValidationError)
    spec.given(connect(BUCKET)).when(ask()).then_reply(task_id="task-1", run_id="run-1")

"""App versions: what they tell, and to whom they belong."""

import pytest

from domain.errors import PermissionDeniedError, ValidationError
from domain.tempest import commands as c
from domain.tempest import events as e
from domain.tempest.state import AppState
from domain.tempest.values import Health, HealthReport, actor_of, may_speak_for
from domain.values import Actor
from tests.domain.tempest.steps import BUCKET, connect
from tests.support.spec import NOW, Past, Spec, given
from tests.support.steps import workspace

STREAM = "tempest-app:store:v1"
SLOW = HealthReport(type="bucket", status="degraded", message="slow")
FINE = HealthReport(type="bucket", status="healthy")


def health(*reports: HealthReport) -> c.ReportHealth:
    return c.ReportHealth(app_id="store", version="v1", reports=reports)


def app(spec: Spec) -> AppState:
    state = spec.world.states[STREAM]
    assert isinstance(state, AppState)
    return state


def test_a_version_tells_what_it_looks_after() -> None:
    fact = e.TempestVersionConnected(app_id="store", version="v1", resources=(BUCKET,))
    spec = given().when(connect()).then(Past(STREAM, fact))
    assert (app(spec).connected_at, app(spec).definition("bucket")) == (NOW, BUCKET)
    assert app(spec).definition("queue") is None


def test_the_same_again_changes_nothing() -> None:
    given(connect()).when(connect()).then_nothing()


def test_what_it_tells_replaces_what_it_told_before() -> None:
    spec = given(connect())
    spec.when(c.ConnectVersion(app_id="store", version="v1"), at=NOW + 1)
    spec.then(e.TempestVersionConnected(app_id="store", version="v1"))
    assert (app(spec).resources, app(spec).connected_at) == ((), NOW + 1)


def test_a_version_without_types_is_connected_all_the_same() -> None:
    spec = given().when(c.ConnectVersion(app_id=" store ", version="v1"))
    spec.then(e.TempestVersionConnected(app_id="store", version="v1"))


def test_a_version_may_tell_how_it_is_before_it_is_connected() -> None:
    spec = given().when(health(SLOW))
    spec.then(Past(STREAM, e.TempestHealthReported(app_id="store", version="v1", reports=(SLOW,))))
    assert app(spec).connected_at == 0
    spec.given(connect())
    assert app(spec).health == {"bucket": Health(report=SLOW, reported_at=NOW)}


def test_the_last_report_about_a_type_counts() -> None:
    other = HealthReport(type="queue", status="disrupted")
    spec = given(connect(), health(SLOW, other)).when(health(FINE), at=NOW + 1)
    assert app(spec).health == {
        "bucket": Health(report=FINE, reported_at=NOW + 1),
        "queue": Health(report=other, reported_at=NOW),
    }
    assert app(spec).resources == (BUCKET,)


def test_nothing_to_report_is_no_event() -> None:
    given().when(health()).then_nothing()


@pytest.mark.parametrize("command", [connect(), health(FINE)])
def test_a_version_belongs_to_the_workspace_it_first_came_with(
    command: c.ConnectVersion | c.ReportHealth,
) -> None:
    spec = given(workspace("w1")).when(command, workspace_limit="w1")
    assert app(spec).workspace_id == "w1"
    spec.when(connect(), workspace_limit="w2").then_refused(PermissionDeniedError, "w2")
    spec.when(health(SLOW), workspace_limit="w2").then_refused(PermissionDeniedError)
    spec.when(health(SLOW)).then(
        e.TempestHealthReported(app_id="store", version="v1", workspace_id="w1", reports=(SLOW,))
    )


def test_a_version_of_no_workspace_is_not_for_a_token_of_one() -> None:
    given(connect()).when(health(FINE), workspace_limit="w1").then_refused(PermissionDeniedError)


@pytest.mark.parametrize(
    ("app_id", "version", "text"),
    [
        ("", "v1", "app_id is required"),
        ("store", " ", "version is required"),
        ("a:b", "v1", 'app_id must not contain ":"'),
        ("a" * 257, "v1", "app_id exceeds 256 bytes"),
        ("a\x00", "v1", "app_id must not contain the NUL character"),
    ],
)
def test_apps_have_proper_names(app_id: str, version: str, text: str) -> None:
    command = c.ConnectVersion(app_id=app_id, version=version)
    given().when(command).then_refused(ValidationError, text)


def test_types_are_named_once() -> None:
    given().when(connect(BUCKET, BUCKET)).then_refused(ValidationError, "twice: bucket, bucket")


def test_the_token_of_an_app_speaks_for_that_app() -> None:
    assert may_speak_for(Actor("human", "ann"), "store", "v1")
    assert may_speak_for(Actor("extension", "ci"), "store", "v1")
    assert may_speak_for(Actor("extension", "tempest/store"), "store", "v2")
    assert may_speak_for(actor_of("store", "v1"), "store", "v1")
    assert not may_speak_for(actor_of("store", "v1"), "store", "v2")
    assert not may_speak_for(Actor("extension", "tempest/other"), "store", "v1")

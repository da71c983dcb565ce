"""Short names for what happens to app versions and operations."""

from typing import Any

from domain.commands import Command
from domain.tempest import commands as c
from domain.tempest.values import (
    ACT,
    EXECUTE,
    LIST,
    NO_OBJECT,
    ActionDefinition,
    Request,
    Resource,
    ResourceDefinition,
    Response,
    actor_of,
)
from domain.values import Actor, Origin
from tests.support.spec import NOW, Step

APP = ("store", "v1")
OWNER = "tempest/store:v1"
SELF = Actor("extension", OWNER)
NEXT = Origin("extension", "apps.operations.next")

BUCKET = ResourceDefinition(
    type="bucket",
    display_name="Bucket",
    description="Where files are",
    lifecycle_stage="operate",
    list_supported=True,
    read_supported=True,
    create_supported=True,
    update_supported=True,
    actions=(ActionDefinition(name="empty"),),
)


def connect(*resources: ResourceDefinition, app: tuple[str, str] = APP) -> c.ConnectVersion:
    """Connect an app version."""
    return c.ConnectVersion(app_id=app[0], version=app[1], resources=resources or (BUCKET,))


def resource(external_id: str = "", **more: Any) -> Resource:
    """Return a bucket."""
    return Resource(**{"type": "bucket", "external_id": external_id, "display_name": "", **more})


def execute(verb: Any = "create", external_id: str = "", **more: Any) -> Request:
    """Ask for an operation on a bucket."""
    return Request(
        request_type=EXECUTE,
        resource=resource(external_id),
        **{"operation": verb, "input": NO_OBJECT, **more},
    )


def act(action: str = "empty", **more: Any) -> Request:
    """Ask for an action on a bucket."""
    return Request(
        request_type=ACT, resource=resource("b-1"), action=action, input=NO_OBJECT, **more
    )


def listing(token: str = "") -> Request:
    """Ask for a page of buckets."""
    return Request(request_type=LIST, resource=resource(), next=token)


def ask(request: Request | None = None, run_id: str = "", at: int = NOW, **more: Any) -> Step:
    """Queue an operation."""
    usual = {"app_id": APP[0], "version": APP[1], "request": request or execute()}
    return Step(command=c.QueueOperation(**{**usual, **more}), run_id=run_id, at=at)


def by_app(command: Command, at: int = NOW, app: tuple[str, str] = APP, **more: Any) -> Step:
    """Let an app version send a command."""
    return Step(command=command, actor=actor_of(*app), origin=NEXT, at=at, **more)


def take(at: int = NOW, app: tuple[str, str] = APP) -> Step:
    """Let an app version ask for work; the token hash names the time."""
    command = c.TakeOperation(
        app_id=app[0], version=app[1], lease_seconds=600, claim_token_hash=f"sha256:{app}@{at}"
    )
    return by_app(command, at, app)


def created(external_id: str = "b-1") -> Response:
    """Return what comes of an operation that goes well."""
    return Response(response_type=EXECUTE, resource=resource(external_id))


def page(token: str = "") -> Response:
    """Return a page of buckets."""
    return Response(response_type=LIST, resources=(resource("b-1"),), next=token)


def report(run_id: str, response: Response | None = None, at: int = NOW, **more: Any) -> Step:
    """Let an app version report that all went well."""
    given = {"run_id": run_id, "status": "ok", "response": response or created(), **more}
    return by_app(c.ReportOperation(**given), at)

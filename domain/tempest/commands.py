"""Commands about app versions and their operations; values are as they were sent."""

from domain.commands import Command
from domain.tempest.values import HealthReport, Request, ResourceDefinition, Response, Variable
from domain.values import Blob


class AppCommand(Command, frozen=True, kw_only=True):
    """What these commands have in common: the version of an app they are about."""

    app_id: str
    version: str


class ConnectVersion(AppCommand, frozen=True, kw_only=True):
    """Tell what an app version looks after."""

    resources: tuple[ResourceDefinition, ...] = ()


class ReportHealth(AppCommand, frozen=True, kw_only=True):
    """Tell how the resources of an app version are."""

    reports: tuple[HealthReport, ...] = ()


class QueueOperation(AppCommand, frozen=True, kw_only=True):
    """Ask something of an app version. `workspace` is an id, a name or a path.

    A long request is kept as `request_blob` before; so are the values of the environment under the
    `secret_id`. A fresh `task_id` that they were named by becomes that of the operation.
    """

    task_id: str = ""
    request: Request
    request_blob: Blob | None = None
    environment: tuple[Variable, ...] = ()
    secret_id: str = ""
    workspace: str = ""
    priority: str = ""
    idempotency_key: str = ""


class TakeOperation(AppCommand, frozen=True, kw_only=True):
    """Hand the next operation to an app version, under a lease."""

    lease_seconds: int
    claim_token_hash: str


class GiveBackOperation(Command, frozen=True, kw_only=True):
    """Give an operation back that could not be handed over."""

    run_id: str
    reason: str


class SetAsideOperation(GiveBackOperation, frozen=True, kw_only=True):
    """Give an operation back that cannot be handed out whole, until somebody looks at it."""


class ReportOperation(Command, frozen=True, kw_only=True):
    """Tell what came of an operation. A long response is kept as `response_blob` before."""

    run_id: str
    status: str
    message: str = ""
    response: Response | None = None
    response_blob: Blob | None = None

"""Facts about app versions and their operations.

Names and fields are the storage format: change them through an upcaster.
"""

from typing import Final

from domain.fact import Fact
from domain.tempest.values import HealthReport, RequestType, ResourceDefinition, Variable
from domain.values import NO_JSON, Actor, Blob, Json


class TempestVersionConnected(Fact, frozen=True, kw_only=True):
    """An app version told what it looks after; it replaces what it told before."""

    TYPE = "tempest.version_connected"
    PRIVATE = frozenset({"resources"})
    app_id: str
    version: str
    workspace_id: str = ""
    resources: tuple[ResourceDefinition, ...] = ()


class TempestHealthReported(Fact, frozen=True, kw_only=True):
    """An app version told how the resources of some types are."""

    TYPE = "tempest.health_reported"
    app_id: str
    version: str
    workspace_id: str = ""
    reports: tuple[HealthReport, ...]


class TempestOperationQueued(Fact, frozen=True, kw_only=True):
    """A task asks something of an app version.

    A long request is kept as `request_blob`. The values of the variables are kept apart, under the
    `secret_id`. The next page of a list names the task of the page before.
    """

    TYPE = "tempest.operation_queued"
    PRIVATE = frozenset({"request", "secret_id"})
    app_id: str
    version: str
    workspace_id: str = ""
    request_type: RequestType
    operation: str
    resource_type: str
    external_id: str = ""
    requested_by: Actor
    page: int
    previous_task_id: str = ""
    request: Json = NO_JSON
    request_blob: Blob | None = None
    environment: tuple[Variable, ...] = ()
    secret_id: str = ""


class TempestResponseKept(Fact, frozen=True, kw_only=True):
    """What a run came to is too long for its result, and is kept beside the ledger."""

    TYPE = "tempest.response_kept"
    response: Blob


FACTS: Final[tuple[type[Fact], ...]] = (
    TempestVersionConnected,
    TempestHealthReported,
    TempestOperationQueued,
    TempestResponseKept,
)

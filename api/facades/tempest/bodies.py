"""What the Tempest CLI sends: a member that is null is absent, unknown ones are ignored.

The CLI sends null for what is empty in several places (observed).
"""

from typing import Annotated, ClassVar, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from api.parsing import Body, no_json, one_of
from domain.tempest.values import HealthStatus, ReportStatus, RequestType
from domain.values import Json

Text: TypeAlias = str | None
Raw: TypeAlias = Json


class TempestLink(Struct, frozen=True, kw_only=True):
    """Where to read more; the type is a word, in reports also like LINK_TYPE_EXTERNAL."""

    title: str
    url: str
    type: str


class TempestLinks(Struct, frozen=True, kw_only=True):
    """Links."""

    links: tuple[TempestLink, ...] | None = None


class TempestReportedResource(Struct, frozen=True, kw_only=True):
    """A resource, as an app tells of it."""

    type: str
    external_id: str
    display_name: str
    id: Text = None
    name: Text = None
    status: Text = None
    external_url: Text = None
    organization_id: Text = None
    created_at: Text = None
    created_by: Text = None
    updated_at: Text = None
    deleted_at: Text = None
    synced_at: Text = None
    properties: Raw = msgspec.field(default_factory=no_json)
    links: TempestLinks | None = None


class TempestActionDefinition(Struct, frozen=True, kw_only=True):
    """Something more that can be done to resources of a type."""

    name: str
    display_name: Text = None
    description: Text = None
    input_json_schema: Raw = msgspec.field(default_factory=no_json)
    output_json_schema: Raw = msgspec.field(default_factory=no_json)


class TempestResourceDefinition(Struct, frozen=True, kw_only=True):
    """A type of resources, and what the app version can do to them."""

    type: str
    display_name: str
    description: str
    list_supported: bool
    read_supported: bool
    create_supported: bool
    update_supported: bool
    delete_supported: bool
    healthcheck_supported: bool
    lifecycle_stage: str
    property_json_schema: Raw = msgspec.field(default_factory=no_json)
    create_input_schema: Raw = msgspec.field(default_factory=no_json)
    update_input_schema: Raw = msgspec.field(default_factory=no_json)
    links: TempestLinks | None = None
    instructions_markdown: Text = None
    actions: tuple[TempestActionDefinition, ...] | None = None


class TempestAppRequest(Body, frozen=True, kw_only=True):
    """Which version of an app asks."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("app_id", "version")
    app_id: Text = None
    version: Text = None


class TempestConnectRequest(TempestAppRequest, frozen=True, kw_only=True):
    """What a version of an app looks after; null for one that looks after nothing."""

    REQUIRED = ("app_id", "resources", "version")
    NULLABLE = ("resources",)
    resources: tuple[TempestResourceDefinition, ...] | UnsetType | None = UNSET


class TempestHealthReport(Struct, frozen=True, kw_only=True):
    """How the resources of a type are."""

    type: str
    status: HealthStatus
    message: Text = None


class TempestHealthRequest(TempestAppRequest, frozen=True, kw_only=True):
    """How the resources of a version of an app are; null when nothing is known yet."""

    REQUIRED = ("app_id", "health_reports", "version")
    NULLABLE = ("health_reports",)
    health_reports: tuple[TempestHealthReport, ...] | UnsetType | None = UNSET


class TempestReportResponse(Struct, frozen=True, kw_only=True):
    """What came of an operation; which members count depends on the type."""

    response_type: RequestType
    resource: TempestReportedResource | None = None
    output: Raw = msgspec.field(default_factory=no_json)
    resources: tuple[TempestReportedResource, ...] | None = None
    next: Text = None


class TempestReportRequest(Body, frozen=True, kw_only=True):
    """How an operation went; the response is null when it went badly."""

    REQUIRED = ("status", "task_id")
    NULLABLE = ("message", "response")
    task_id: Text = None
    status: Annotated[str, one_of(ReportStatus)] | None = None
    message: Text = None
    response: TempestReportResponse | None = None

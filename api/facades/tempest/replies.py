"""The answers of the Tempest API."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from domain.tempest.values import RequestType, VariableType, Verb
from projections.wire.json import OptionalJson


class TempestMetadata(Struct, frozen=True):
    """Where a person can look at the app version."""

    tempest_app_url: str


class TempestStandardResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An acknowledgement."""

    status: Literal["ok"]
    message: str = ""
    metadata: TempestMetadata | UnsetType = UNSET


class TempestOwner(Struct, frozen=True, kw_only=True):
    """A person or a team; the ledger knows no e-mail addresses."""

    email: str
    name: str
    type: Literal["user", "team"]


class TempestTaskMetadata(Struct, frozen=True, kw_only=True):
    """For whom an operation is; the project is the workspace, empty when there is none."""

    owners: tuple[TempestOwner, ...]
    author: TempestOwner
    project_id: str
    project_name: str


class TempestVariable(Struct, frozen=True, kw_only=True):
    """An environment variable."""

    name: str
    value: str
    type: VariableType


class TempestLinkItem(Struct, frozen=True, kw_only=True):
    """Where to read more."""

    title: str
    url: str
    type: str


class TempestLinkItems(Struct, frozen=True, kw_only=True):
    """Links."""

    links: tuple[TempestLinkItem, ...]


class TempestResource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource."""

    type: str
    external_id: str
    display_name: str
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    external_url: str | UnsetType = UNSET
    organization_id: str | UnsetType = UNSET
    created_at: str | UnsetType = UNSET
    created_by: str | UnsetType = UNSET
    updated_at: str | UnsetType = UNSET
    deleted_at: str | UnsetType = UNSET
    synced_at: str | UnsetType = UNSET
    properties: OptionalJson = UNSET
    links: TempestLinkItems | UnsetType = UNSET


class TempestTask(Struct, frozen=True, kw_only=True):
    """What an app is asked to do; which members there are depends on the type."""

    request_type: RequestType
    resource: TempestResource
    operation: Verb | UnsetType = UNSET
    action: str | UnsetType = UNSET
    next: str | UnsetType = UNSET
    input: OptionalJson = UNSET
    environment_variables: tuple[TempestVariable, ...] | UnsetType = UNSET
    metadata: OptionalJson = UNSET


class TempestNextResponse(Struct, frozen=True, kw_only=True):
    """An operation, handed out."""

    task: TempestTask
    task_id: str
    metadata: TempestTaskMetadata

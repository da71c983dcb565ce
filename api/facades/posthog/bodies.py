"""Request bodies of the PostHog Tasks API. The types say everything that is checked of a body.

A member that is `VERBATIM` is not trimmed.
"""

from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import UNSET, Meta, Raw, UnsetType

from api.parsing import INT64_MAX, Body
from domain.posthog.values import ArtifactType, Environment, OriginProduct, Status

Encoding = Literal["utf-8", "base64"]
_LONG: Final = Meta(max_length=255)


class PosthogBody(Body, frozen=True, kw_only=True):
    """A request body, of which only the members that were sent are looked at."""

    VERBATIM: ClassVar[tuple[str, ...]] = ()


class PosthogTaskWrite(PosthogBody, frozen=True, kw_only=True):
    """Members of a task; what is absent stays, or gets its default. Others are ignored."""

    NULLABLE = ("repository", "github_integration", "json_schema")
    title: Annotated[str, _LONG] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    origin_product: OriginProduct | UnsetType = UNSET
    repository: Annotated[str, _LONG] | UnsetType | None = UNSET
    github_integration: Annotated[int, Meta(ge=0, le=INT64_MAX)] | UnsetType | None = UNSET
    json_schema: Raw | UnsetType = UNSET


class PosthogRunOptions(PosthogBody, frozen=True, kw_only=True):
    """How to run a task; whatever is sent is kept in the state of the run."""

    NULLABLE = ("branch",)
    branch: Annotated[str, _LONG] | UnsetType | None = UNSET


class PosthogRunCreate(PosthogBody, frozen=True, kw_only=True):
    """Members of a run; all of them have a default."""

    NULLABLE = ("stage", "branch", "error_message", "output")
    status: Status | UnsetType = UNSET
    environment: Environment | UnsetType = UNSET
    stage: Annotated[str, Meta(max_length=100)] | UnsetType | None = UNSET
    branch: Annotated[str, _LONG] | UnsetType | None = UNSET
    error_message: str | UnsetType | None = UNSET
    output: Raw | UnsetType = UNSET
    state: dict[str, Any] | UnsetType = UNSET


class PosthogRunUpdate(PosthogBody, frozen=True, kw_only=True):
    """Members of a run; objects in `output` and `state` add to what is there."""

    NULLABLE = ("stage", "branch", "error_message", "output")
    status: Status | UnsetType = UNSET
    stage: Annotated[str, Meta(min_length=1, max_length=100)] | UnsetType | None = UNSET
    branch: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType | None = UNSET
    error_message: str | UnsetType | None = UNSET
    output: Raw | UnsetType = UNSET
    state: dict[str, Any] | UnsetType = UNSET
    state_remove_keys: Annotated[list[str], Meta(min_length=1)] | UnsetType = UNSET


class PosthogOutput(PosthogBody, frozen=True, kw_only=True):
    """What came out of a run; nothing is an empty object."""

    output: dict[str, Any] | UnsetType = UNSET


class PosthogLogEntries(PosthogBody, frozen=True, kw_only=True):
    """What to add to the log of a run."""

    REQUIRED = ("entries",)
    entries: Annotated[list[dict[str, Any]], Meta(min_length=1)] | UnsetType = UNSET


class PosthogMessage(PosthogBody, frozen=True, kw_only=True):
    """What a run says to people."""

    REQUIRED = ("text",)
    text: Annotated[str, Meta(min_length=1, max_length=10_000)] | UnsetType = UNSET


_Name = Annotated[str, Meta(min_length=1, max_length=255)]
_ContentType = Annotated[str, _LONG]
_Source = Annotated[str, Meta(max_length=64)]
_Path = Annotated[str, Meta(min_length=1, max_length=500)]


class PosthogArtifactUpload(PosthogBody, frozen=True, kw_only=True):
    """An artifact with its content."""

    REQUIRED = ("name", "type", "content")
    VERBATIM = ("content",)
    name: _Name | UnsetType = UNSET
    type: ArtifactType | UnsetType = UNSET
    content: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    content_encoding: Encoding | UnsetType = UNSET
    content_type: _ContentType | UnsetType = UNSET
    source: _Source | UnsetType = UNSET


class PosthogArtifactUploads(PosthogBody, frozen=True, kw_only=True):
    """Artifacts with their content."""

    REQUIRED = ("artifacts",)
    artifacts: Annotated[list[PosthogArtifactUpload], Meta(min_length=1)] | UnsetType = UNSET


class PosthogStoragePath(PosthogBody, frozen=True, kw_only=True):
    """Which artifact."""

    REQUIRED = ("storage_path",)
    storage_path: _Path | UnsetType = UNSET


class PosthogUploadWish(PosthogBody, frozen=True, kw_only=True):
    """An artifact whose content is to be sent apart."""

    REQUIRED = ("name", "type", "size")
    name: _Name | UnsetType = UNSET
    type: ArtifactType | UnsetType = UNSET
    size: Annotated[int, Meta(ge=1, le=INT64_MAX)] | UnsetType = UNSET
    content_type: _ContentType | UnsetType = UNSET
    source: _Source | UnsetType = UNSET


class PosthogUploadWishes(PosthogBody, frozen=True, kw_only=True):
    """Artifacts whose content is to be sent apart."""

    REQUIRED = ("artifacts",)
    artifacts: Annotated[list[PosthogUploadWish], Meta(min_length=1)] | UnsetType = UNSET


class PosthogUploadEnd(PosthogBody, frozen=True, kw_only=True):
    """An artifact whose content was sent apart."""

    REQUIRED = ("id", "name", "type", "storage_path")
    id: _Name | UnsetType = UNSET
    name: _Name | UnsetType = UNSET
    type: ArtifactType | UnsetType = UNSET
    storage_path: _Path | UnsetType = UNSET
    content_type: _ContentType | UnsetType = UNSET
    source: _Source | UnsetType = UNSET


class PosthogUploadEnds(PosthogBody, frozen=True, kw_only=True):
    """Artifacts whose content was sent apart."""

    REQUIRED = ("artifacts",)
    artifacts: Annotated[list[PosthogUploadEnd], Meta(min_length=1)] | UnsetType = UNSET

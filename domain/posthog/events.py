"""Facts that only the PostHog Tasks API knows about (added streams).

Names and fields are the storage format: change them through an upcaster.
"""

from typing import Final

from domain.fact import Fact
from domain.posthog.values import ArtifactType, Environment, OriginProduct
from domain.values import NO_JSON, Blob, Json


class PosthogTaskCreated(Fact, frozen=True, kw_only=True):
    """A task was defined, of which there may be any number of runs (added stream)."""

    TYPE = "posthog.task_created"
    PRIVATE = frozenset({"description", "json_schema"})
    posthog_task_id: str
    workspace_id: str
    task_number: int
    slug: str
    title: str
    description: str = ""
    origin_product: OriginProduct
    repository: str | None = None
    github_integration: int | None = None
    json_schema: Json = NO_JSON


class PosthogTaskUpdated(Fact, frozen=True, kw_only=True):
    """A definition changed; only the members in `changed_fields` carry a meaning (added stream)."""

    TYPE = "posthog.task_updated"
    PRIVATE = PosthogTaskCreated.PRIVATE
    posthog_task_id: str
    workspace_id: str
    changed_fields: tuple[str, ...]
    title: str = ""
    description: str = ""
    origin_product: OriginProduct | None = None
    repository: str | None = None
    github_integration: int | None = None
    json_schema: Json = NO_JSON


class PosthogTaskDeleted(Fact, frozen=True, kw_only=True):
    """A definition was removed; its open runs were canceled before (added stream)."""

    TYPE = "posthog.task_deleted"
    posthog_task_id: str
    workspace_id: str


class PosthogRunCreated(Fact, frozen=True, kw_only=True):
    """The task that the event belongs to is a run of a definition (added stream)."""

    TYPE = "posthog.run_created"
    PRIVATE = frozenset({"error_message", "output", "state"})
    posthog_run_id: str
    posthog_task_id: str
    environment: Environment
    stage: str | None = None
    branch: str | None = None
    error_message: str | None = None
    output: Json = NO_JSON
    state: Json = NO_JSON


class PosthogRunUpdated(Fact, frozen=True, kw_only=True):
    """Members of a run changed; only those in `changed_fields` carry a meaning (added stream).

    Objects in `output` and `state` add to what was there, after `state_remove_keys` were removed.
    """

    TYPE = "posthog.run_updated"
    PRIVATE = PosthogRunCreated.PRIVATE
    posthog_run_id: str
    changed_fields: tuple[str, ...]
    stage: str | None = None
    branch: str | None = None
    error_message: str | None = None
    output: Json = NO_JSON
    state: Json = NO_JSON
    state_remove_keys: tuple[str, ...] = ()


class PosthogOutputSet(Fact, frozen=True, kw_only=True):
    """The output of a run was replaced (added stream)."""

    TYPE = "posthog.output_set"
    PRIVATE = frozenset({"output"})
    posthog_run_id: str
    output: Json = NO_JSON


class PosthogLogAppended(Fact, frozen=True, kw_only=True):
    """Entries were added to the log of a run; `total_` counts all there are now (added stream).

    The entries are in the event, each a JSON text of one line, or the blob has the lines.
    """

    TYPE = "posthog.log_appended"
    PRIVATE = frozenset({"entries", "blob"})
    posthog_run_id: str
    count: int
    size: int
    total_count: int
    total_size: int
    entries: tuple[Json, ...] = ()
    blob: Blob | None = None


class PosthogMessageRelayed(Fact, frozen=True, kw_only=True):
    """A run said something to people (added stream)."""

    TYPE = "posthog.message_relayed"
    posthog_run_id: str
    relay_id: str
    text: str


class PosthogUploadReceived(Fact, frozen=True, kw_only=True):
    """The bytes of a prepared artifact came in (added stream)."""

    TYPE = "posthog.upload_received"
    posthog_run_id: str
    storage_path: str
    content: Blob


class PosthogArtifactStored(Fact, frozen=True, kw_only=True):
    """A run got an artifact (added stream)."""

    TYPE = "posthog.artifact_stored"
    posthog_run_id: str
    artifact_id: str
    name: str
    type: ArtifactType
    content_type: str = ""
    source: str = ""
    storage_path: str
    content: Blob


FACTS: Final = (
    PosthogTaskCreated,
    PosthogTaskUpdated,
    PosthogTaskDeleted,
    PosthogRunCreated,
    PosthogRunUpdated,
    PosthogOutputSet,
    PosthogLogAppended,
    PosthogMessageRelayed,
    PosthogUploadReceived,
    PosthogArtifactStored,
)

"""Commands of the PostHog Tasks API; the edge has checked the form of their members.

A member that is UNSET was not sent, one that is None was sent as null.
"""

from msgspec import UNSET, Struct, UnsetType

from domain.commands import Command
from domain.posthog.values import ArtifactType, Environment, OriginProduct, Status
from domain.values import NO_JSON, Blob, Json


class CreatePosthogTask(Command, frozen=True, kw_only=True):
    """Define a task. A blank title is made from the description."""

    posthog_task_id: str
    workspace_id: str
    title: str = ""
    description: str = ""
    origin_product: OriginProduct = "user_created"
    repository: str | None = None
    github_integration: int | None = None
    json_schema: Json = NO_JSON


class PosthogTaskCommand(Command, frozen=True, kw_only=True):
    """What commands about one definition have in common."""

    workspace_id: str
    posthog_task_id: str


class UpdatePosthogTask(PosthogTaskCommand, frozen=True, kw_only=True):
    """Change members of a definition."""

    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    origin_product: OriginProduct | UnsetType = UNSET
    repository: str | UnsetType | None = UNSET
    github_integration: int | UnsetType | None = UNSET
    json_schema: Json | UnsetType = UNSET


class DeletePosthogTask(PosthogTaskCommand, frozen=True, kw_only=True):
    """Remove a definition and give up its open runs."""


class CreatePosthogRun(PosthogTaskCommand, frozen=True, kw_only=True):
    """Make a run of a definition, in whatever status."""

    status: Status = "not_started"
    environment: Environment = "cloud"
    stage: str | None = None
    branch: str | None = None
    error_message: str | None = None
    output: Json = NO_JSON
    state: Json = NO_JSON


class PosthogRunCommand(PosthogTaskCommand, frozen=True, kw_only=True):
    """What commands about one run have in common."""

    posthog_run_id: str


class UpdatePosthogRun(PosthogRunCommand, frozen=True, kw_only=True):
    """Change members of a run and bring it into a status."""

    status: Status | UnsetType = UNSET
    stage: str | UnsetType | None = UNSET
    branch: str | UnsetType | None = UNSET
    error_message: str | UnsetType | None = UNSET
    output: Json | UnsetType = UNSET
    state: Json | UnsetType = UNSET
    state_remove_keys: tuple[str, ...] | UnsetType = UNSET


class StartPosthogRun(PosthogRunCommand, frozen=True, kw_only=True):
    """Let a run be worked on, unless it is already."""


class SetPosthogOutput(PosthogRunCommand, frozen=True, kw_only=True):
    """Replace the output of a run, which it `completes` when it is what was asked for."""

    output: Json
    completes: bool = False


class AppendPosthogLog(PosthogRunCommand, frozen=True, kw_only=True):
    """Add entries to the log of a run, as texts or as the lines of a blob; `size` is in bytes."""

    count: int
    size: int
    entries: tuple[Json, ...] = ()
    blob: Blob | None = None


class RelayPosthogMessage(PosthogRunCommand, frozen=True, kw_only=True):
    """Say something to people."""

    relay_id: str
    text: str


class NewArtifact(Struct, frozen=True, kw_only=True):
    """An artifact whose bytes are kept already."""

    id: str
    name: str
    type: ArtifactType
    storage_path: str
    content_type: str = ""
    source: str = ""
    content: Blob | None = None


class StorePosthogArtifacts(PosthogRunCommand, frozen=True, kw_only=True):
    """Give a run artifacts; one without content is one whose upload came in before."""

    artifacts: tuple[NewArtifact, ...]


class ReceivePosthogUpload(PosthogRunCommand, frozen=True, kw_only=True):
    """Note that the bytes of a prepared artifact are kept."""

    storage_path: str
    content: Blob

"""What deciding has to know of definitions, runs and logs, as folded from their streams.

Whatever no rule depends on is left to the read models.
"""

from msgspec import Struct
from msgspec.structs import replace

from domain.posthog import events as e
from domain.recorded import Recorded
from domain.values import Blob


class PosthogTask(Struct, frozen=True, kw_only=True):
    """A definition."""

    id: str
    workspace_id: str
    slug: str
    title: str
    origin_product: str
    description: str = ""
    deleted: bool = False
    version: int = 0


class Upload(Struct, frozen=True, kw_only=True):
    """Content that was sent apart, and the id of the artifact that it became."""

    artifact_id: str
    content: Blob


class PosthogRun(Struct, frozen=True, kw_only=True):
    """A run and the task that stands for it.

    `uploads` came in and wait to be its artifacts; `attached` are those that are, by their paths.
    """

    id: str
    posthog_task_id: str
    task_id: str
    uploads: dict[str, Blob] = {}
    attached: dict[str, Upload] = {}
    version: int = 0


class PosthogLog(Struct, frozen=True, kw_only=True):
    """How long a log is."""

    count: int = 0
    size: int = 0
    version: int = 0


def task_stream(posthog_task_id: str) -> str:
    """Return the stream of a definition."""
    return f"posthog-task:{posthog_task_id}"


def run_stream(posthog_run_id: str) -> str:
    """Return the stream of a run."""
    return f"posthog-run:{posthog_run_id}"


def log_stream(posthog_run_id: str) -> str:
    """Return the stream of a run's log."""
    return f"posthog-log:{posthog_run_id}"


def evolve_task(state: PosthogTask | None, recorded: Recorded) -> PosthogTask | None:
    """Return the definition after one more event."""
    fact, version = recorded.fact, recorded.originator_version
    if isinstance(fact, e.PosthogTaskCreated):
        return PosthogTask(
            id=fact.posthog_task_id,
            workspace_id=fact.workspace_id,
            slug=fact.slug,
            title=fact.title,
            origin_product=fact.origin_product,
            description=fact.description,
            version=version,
        )
    if state is None:
        return None
    if isinstance(fact, e.PosthogTaskUpdated):
        kept = {"title", "description", "origin_product"}.intersection(fact.changed_fields)
        return replace(state, version=version, **{name: getattr(fact, name) for name in kept})
    return replace(state, deleted=True, version=version)


def evolve_run(state: PosthogRun | None, recorded: Recorded) -> PosthogRun | None:
    """Return the run after one more event."""
    fact, version = recorded.fact, recorded.originator_version
    if isinstance(fact, e.PosthogRunCreated):
        return PosthogRun(
            id=fact.posthog_run_id,
            posthog_task_id=fact.posthog_task_id,
            task_id=recorded.task_id,
            version=version,
        )
    if state is None:
        return None
    uploads, attached = state.uploads, state.attached
    if isinstance(fact, e.PosthogUploadReceived):
        uploads = {**uploads, fact.storage_path: fact.content}
    if isinstance(fact, e.PosthogArtifactStored) and fact.storage_path in uploads:
        uploads = {path: blob for path, blob in uploads.items() if path != fact.storage_path}
        upload = Upload(artifact_id=fact.artifact_id, content=fact.content)
        attached = {**attached, fact.storage_path: upload}
    return replace(state, uploads=uploads, attached=attached, version=version)


def evolve_log(_: PosthogLog | None, recorded: Recorded) -> PosthogLog:
    """Return the log after one more event, whatever it was before."""
    fact = recorded.fact
    assert isinstance(fact, e.PosthogLogAppended)
    return PosthogLog(
        count=fact.total_count, size=fact.total_size, version=recorded.originator_version
    )

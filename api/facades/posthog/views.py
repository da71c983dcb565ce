"""What PostHog's clients read."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct

from domain.posthog.values import ArtifactType, Environment, OriginProduct, Status
from domain.uuids import uuid_of
from domain.values import Actor, Json
from projections.posthog import queries
from projections.posthog.rows import ArtifactRecord, RunRecord, TaskRecord, number_of
from projections.rows import Reader

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Url = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
JsonObject = Annotated[Json, Meta(extra_json_schema={"type": "object"})]
LogUrl: TypeAlias = Callable[[RunRecord], str | None]

_NULL: Final = Json(b"null")
_NOTHING: Final = Json(b"{}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PosthogUser(Struct, frozen=True, kw_only=True):
    """Who made something."""

    id: int
    uuid: Uuid
    distinct_id: str
    first_name: str
    last_name: str
    email: str
    is_email_verified: bool | None = None
    hedgehog_config: dict[str, Any] | None = None
    role_at_organization: str | None = None


class PosthogArtifactView(Struct, frozen=True, kw_only=True):
    """An artifact in a manifest."""

    id: str
    name: str
    type: ArtifactType
    source: str
    size: int
    content_type: str
    storage_path: str
    uploaded_at: Time


class PosthogRunView(Struct, frozen=True, kw_only=True):
    """A run. `log_url` needs no header."""

    id: Uuid
    task: Uuid
    stage: str | None
    branch: str | None
    status: Status
    environment: Environment
    log_url: Url | None
    error_message: str | None
    output: Json
    state: JsonObject
    artifacts: tuple[PosthogArtifactView, ...]
    created_at: Time
    updated_at: Time
    completed_at: Time | None


class PosthogTaskView(Struct, frozen=True, kw_only=True):
    """A task with its newest run."""

    id: Uuid
    task_number: int
    slug: str
    title: str
    description: str
    origin_product: OriginProduct
    repository: str | None
    github_integration: int | None
    json_schema: Json
    latest_run: PosthogRunView | None
    created_at: Time
    updated_at: Time
    created_by: PosthogUser


class PosthogTaskPage(Struct, frozen=True, kw_only=True):
    """A page of tasks, the newest first."""

    count: int
    next: Url | None
    previous: Url | None
    results: tuple[PosthogTaskView, ...]


class PosthogRunPage(Struct, frozen=True, kw_only=True):
    """A page of runs, the newest first."""

    count: int
    next: Url | None
    previous: Url | None
    results: tuple[PosthogRunView, ...]


class PosthogArtifacts(Struct, frozen=True, kw_only=True):
    """A manifest, or a part of it."""

    artifacts: tuple[PosthogArtifactView, ...]


def _utc(instant: int) -> str:
    return (_EPOCH + timedelta(microseconds=instant)).isoformat(timespec="microseconds")


def time_of(instant: int) -> str:
    """Return an instant with microseconds, `Z` at its end."""
    return _utc(instant).replace("+00:00", "Z")


def user_view(actor: Actor) -> PosthogUser:
    """Return an actor as the user of an account."""
    return PosthogUser(
        id=number_of(actor),
        uuid=uuid_of(actor.label),
        distinct_id=actor.label,
        first_name=actor.ref,
        last_name="",
        email=actor.ref if "@" in actor.ref else "",
    )


def artifact_view(artifact: ArtifactRecord) -> PosthogArtifactView:
    """Return an entry of a manifest; its time alone has `+00:00` at its end."""
    return PosthogArtifactView(
        id=artifact.id,
        name=artifact.name,
        type=artifact.type,
        source=artifact.source,
        size=artifact.content.size,
        content_type=artifact.content_type,
        storage_path=artifact.storage_path,
        uploaded_at=_utc(artifact.stored_at),
    )


def run_views(
    reader: Reader, runs: Iterable[RunRecord], log_url: LogUrl
) -> tuple[PosthogRunView, ...]:
    """Return runs with their manifests."""
    runs = list(runs)
    manifests = queries.artifacts(reader, (run.id for run in runs))
    return tuple(_run_view(run, manifests[run.id], log_url(run)) for run in runs)


def _run_view(
    run: RunRecord, manifest: Iterable[ArtifactRecord], log_url: str | None
) -> PosthogRunView:
    said = run.error_message is not None
    return PosthogRunView(
        id=run.id,
        task=run.posthog_task_id,
        stage=run.stage,
        branch=run.branch,
        status=run.status,
        environment=run.environment,
        log_url=log_url,
        error_message=run.error_message if said else run.error or None,
        output=next((each for each in (run.output, run.result) if bytes(each)), _NULL),
        state=run.state if bytes(run.state) else _NOTHING,
        artifacts=tuple(map(artifact_view, manifest)),
        created_at=time_of(run.created_at),
        updated_at=time_of(run.updated_at),
        completed_at=time_of(run.ended_at) if run.ended_at else None,
    )


def task_views(
    reader: Reader, tasks: Iterable[TaskRecord], log_url: LogUrl
) -> tuple[PosthogTaskView, ...]:
    """Return definitions with their newest runs."""
    tasks = list(tasks)
    latest = queries.latest_runs(reader, (task.id for task in tasks))
    shown = dict(zip(latest, run_views(reader, latest.values(), log_url), strict=True))
    return tuple(_task_view(task, shown.get(task.id)) for task in tasks)


def _task_view(task: TaskRecord, latest: PosthogRunView | None) -> PosthogTaskView:
    return PosthogTaskView(
        id=task.id,
        task_number=task.number,
        slug=task.slug,
        title=task.title,
        description=task.description,
        origin_product=task.origin_product,
        repository=task.repository,
        github_integration=task.github_integration,
        json_schema=task.json_schema if bytes(task.json_schema) else _NULL,
        latest_run=latest,
        created_at=time_of(task.created_at),
        updated_at=time_of(task.updated_at),
        created_by=user_view(task.created_by),
    )

"""What is kept of definitions, runs and artifacts, and in which tables."""

from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from domain.instants import Instant
from domain.posthog.values import ArtifactType, Environment, OriginProduct, Status
from domain.values import NO_JSON, Actor, Blob, Json
from projections.rows import Row
from projections.schema import define

POSTHOG_TASKS: Final = define(
    "posthog_tasks",
    key={"posthog_task_id": "TEXT"},
    values={
        "workspace_id": "TEXT",
        "created_at": "INTEGER",
        "origin_product": "TEXT",
        "organization": "TEXT",
        "name": "TEXT",
        "creator": "INTEGER",
        "doc": "BLOB",
    },
    indexes={"created": "(workspace_id, created_at, posthog_task_id)"},
    clustered=False,
)
"""`organization` and `name` are those of the repository, `creator` is the number of who made it."""

POSTHOG_RUNS: Final = define(
    "posthog_runs",
    key={"posthog_run_id": "TEXT"},
    values={
        "posthog_task_id": "TEXT",
        "stage": "TEXT",
        "created_at": "INTEGER",
        "doc": "BLOB",
    },
    indexes={
        "created": "(posthog_task_id, created_at, posthog_run_id)",
        "stage": "(posthog_task_id, stage) WHERE stage <> ''",
    },
    clustered=False,
)

POSTHOG_ARTIFACTS: Final = define(
    "posthog_artifacts",
    key={"posthog_run_id": "TEXT", "sequence": "INTEGER"},
    values={"storage_path": "TEXT", "doc": "BLOB"},
    indexes={"path": "(posthog_run_id, storage_path)"},
    clustered=False,
)
"""The manifests, in the order in which the artifacts came."""


class TaskRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A definition."""

    id: str
    workspace_id: str
    number: int
    slug: str
    title: str
    description: str = ""
    origin_product: OriginProduct
    repository: str | None = None
    github_integration: int | None = None
    json_schema: Json = NO_JSON
    created_by: Actor
    created_at: Instant
    updated_at: Instant


class RunRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run. What the task that stands for it says counts where PostHog's clients said nothing.

    `ended_at` is when it first ended.
    """

    id: str
    posthog_task_id: str
    task_id: str
    status: Status
    environment: Environment
    stage: str | None = None
    branch: str | None = None
    error_message: str | None = None
    error: str = ""
    output: Json = NO_JSON
    result: Json = NO_JSON
    state: Json = NO_JSON
    created_at: Instant
    updated_at: Instant
    ended_at: Instant = 0


class ArtifactRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An artifact in the manifest of a run."""

    id: str
    name: str
    type: ArtifactType
    storage_path: str
    content: Blob
    content_type: str = ""
    source: str = ""
    stored_at: Instant


_ENCODE: Final = msgspec.json.Encoder().encode
_NUMBER_BYTES: Final = 4


def number_of(actor: Actor) -> int:
    """Return the number by which PostHog's clients know somebody, always the same one."""
    return int.from_bytes(sha256(actor.label.encode()).digest()[:_NUMBER_BYTES]) >> 1


def task_row(task: TaskRecord) -> Row:
    """Return the row of a definition."""
    organization, _, name = (task.repository or "").partition("/")
    return (
        task.id,
        task.workspace_id,
        task.created_at,
        task.origin_product,
        organization,
        name,
        number_of(task.created_by),
        _ENCODE(task),
    )


def run_row(run: RunRecord) -> Row:
    """Return the row of a run."""
    return (run.id, run.posthog_task_id, run.stage or "", run.created_at, _ENCODE(run))


def artifact_row(run_id: str, sequence: int, artifact: ArtifactRecord) -> Row:
    """Return the row of an artifact."""
    return (run_id, sequence, artifact.storage_path, _ENCODE(artifact))

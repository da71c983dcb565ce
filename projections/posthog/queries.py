"""Pages of definitions and runs, one of each, and manifests."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from projections.posthog.rows import ArtifactRecord, RunRecord, TaskRecord
from projections.rows import Reader, Row

_task: Final = msgspec.json.Decoder(TaskRecord).decode
_run: Final = msgspec.json.Decoder(RunRecord).decode
_artifact: Final = msgspec.json.Decoder(ArtifactRecord).decode
_NEWEST: Final = "created_at DESC, posthog_task_id DESC"
_NEWEST_RUN: Final = "created_at DESC, posthog_run_id DESC"


class PosthogFilters(Struct, frozen=True, kw_only=True):
    """Which definitions to list; an empty value admits all."""

    workspace_id: str
    origin_product: str = ""
    stage: str = ""
    repository: str = ""
    organization: str = ""
    creator: int | None = None


def posthog_task(reader: Reader, task_id: str) -> TaskRecord | None:
    """Return a definition, None when there is none."""
    statement = "SELECT doc FROM posthog_tasks WHERE posthog_task_id = ?"
    found = reader.select(statement, (task_id,))
    return _task(found[0][0]) if found else None


def posthog_tasks(
    reader: Reader, filters: PosthogFilters, limit: int, offset: int
) -> tuple[int, list[TaskRecord]]:
    """Return how many definitions pass, and a page of them, the newest first."""
    conditions, values = _conditions(filters)
    source = f"FROM posthog_tasks t WHERE {' AND '.join(conditions)}"
    count = reader.select(f"SELECT count(*) {source}", values)[0][0]
    page = f"SELECT doc {source} ORDER BY {_NEWEST} LIMIT ? OFFSET ?"
    return count, [_task(row[0]) for row in reader.select(page, (*values, limit, offset))]


def _conditions(filters: PosthogFilters) -> tuple[list[str], Row]:
    conditions, values = ["workspace_id = ?"], [filters.workspace_id]
    wanted: list[tuple[str, Any]] = []
    if filters.origin_product:
        wanted.append(("origin_product = ?", filters.origin_product))
    if filters.creator is not None:
        wanted.append(("creator = ?", filters.creator))
    if filters.stage:
        runs = "SELECT 1 FROM posthog_runs r WHERE r.posthog_task_id = t.posthog_task_id"
        wanted.append((f"EXISTS ({runs} AND r.stage <> '' AND r.stage = ?)", filters.stage))
    owner, slash, name = filters.repository.lower().rpartition("/")
    if name or slash:
        wanted.append(("name = ?", name))
    if slash:
        wanted.append(("organization = ?", owner))
    if filters.organization:
        wanted.append(("organization = ?", filters.organization.lower()))
    return [*conditions, *(each for each, _ in wanted)], (*values, *(each for _, each in wanted))


def latest_runs(reader: Reader, task_ids: Iterable[str]) -> dict[str, RunRecord]:
    """Return the newest run of each definition that has one."""
    statement = f"SELECT doc FROM posthog_runs WHERE posthog_task_id = ? ORDER BY {_NEWEST_RUN}"
    found = {each: reader.select(f"{statement} LIMIT 1", (each,)) for each in task_ids}
    return {each: _run(rows[0][0]) for each, rows in found.items() if rows}


def posthog_runs(
    reader: Reader, task_id: str, limit: int, offset: int
) -> tuple[int, list[RunRecord]]:
    """Return how many runs a definition has, and a page of them, the newest first."""
    source = "FROM posthog_runs WHERE posthog_task_id = ?"
    count = reader.select(f"SELECT count(*) {source}", (task_id,))[0][0]
    page = f"SELECT doc {source} ORDER BY {_NEWEST_RUN} LIMIT ? OFFSET ?"
    return count, [_run(row[0]) for row in reader.select(page, (task_id, limit, offset))]


def posthog_run(reader: Reader, task_id: str, run_id: str) -> RunRecord | None:
    """Return a run of a definition, None when it has no such run."""
    statement = "SELECT doc FROM posthog_runs WHERE posthog_run_id = ? AND posthog_task_id = ?"
    found = reader.select(statement, (run_id, task_id))
    return _run(found[0][0]) if found else None


def artifacts(reader: Reader, run_ids: Iterable[str]) -> dict[str, list[ArtifactRecord]]:
    """Return the manifest of each run, the oldest artifact first."""
    statement = "SELECT doc FROM posthog_artifacts WHERE posthog_run_id = ? ORDER BY sequence"
    return {
        each: [_artifact(row[0]) for row in reader.select(statement, (each,))] for each in run_ids
    }


def artifact_at(reader: Reader, run_id: str, storage_path: str) -> ArtifactRecord | None:
    """Return an artifact of a run by its path, None when there is none."""
    statement = (
        "SELECT doc FROM posthog_artifacts WHERE posthog_run_id = ? AND storage_path = ?"
        " ORDER BY sequence DESC LIMIT 1"
    )
    found = reader.select(statement, (run_id, storage_path))
    return _artifact(found[0][0]) if found else None

"""Keeps the definitions, runs and manifests as PostHog's clients see them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from domain.posthog import events as e
from domain.posthog.status import shown_status
from domain.posthog.values import ENDED
from domain.recorded import Recorded
from domain.task.evolve import TASK_FACTS
from domain.task.state import TaskState, latest_run
from domain.uuids import uuid_of
from domain.values import NO_JSON, Json
from domain.world import Change
from projections.posthog.rows import (
    POSTHOG_ARTIFACTS,
    POSTHOG_RUNS,
    POSTHOG_TASKS,
    ArtifactRecord,
    RunRecord,
    TaskRecord,
    artifact_row,
    run_row,
    task_row,
)
from projections.rows import Rows

_task: Final = msgspec.json.Decoder(TaskRecord).decode
_run: Final = msgspec.json.Decoder(RunRecord).decode
_members: Final = msgspec.json.Decoder(dict[str, Json]).decode
_ENCODE: Final = msgspec.json.Encoder().encode
_DOC: Final = -1
_OWN_FACTS: Final = frozenset(
    {
        e.PosthogTaskCreated,
        e.PosthogTaskUpdated,
        e.PosthogTaskDeleted,
        e.PosthogRunCreated,
        e.PosthogRunUpdated,
        e.PosthogOutputSet,
        e.PosthogArtifactStored,
    }
)


class PosthogProjector:
    """Keeps the rows. They mix streams, so they stand still as a whole."""

    name = "posthog"
    version = 1
    tables = (POSTHOG_TASKS, POSTHOG_RUNS, POSTHOG_ARTIFACTS)
    facts = TASK_FACTS | _OWN_FACTS

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        state = change.task
        if state is not None:
            if state.task.facade == "posthog":
                _follow(state, change.recorded, rows)
            return
        apply = _APPLY.get(type(change.recorded.fact))
        if apply is not None:
            apply(change, rows, change.recorded.fact)


def _follow(state: TaskState, recorded: Recorded, rows: Rows) -> None:
    """Take over what the task that stands for a run says about it."""
    run_id = uuid_of(state.id)
    row = rows.get(POSTHOG_RUNS, (run_id,))
    if row is None:
        return
    if state.task.deleted:
        rows.delete(POSTHOG_RUNS, (run_id,))
        for artifact in rows.select_keys(POSTHOG_ARTIFACTS, (run_id,)):
            rows.delete(POSTHOG_ARTIFACTS, artifact[: POSTHOG_ARTIFACTS.key_columns])
        return
    before = _run(row[_DOC])
    after = _moved(before, state, recorded.occurred_at)
    if after != before:
        rows.put(POSTHOG_RUNS, run_row(replace(after, updated_at=recorded.occurred_at)))


def _moved(record: RunRecord, state: TaskState, now: int) -> RunRecord:
    status = shown_status(state)
    run = latest_run(state.runs.values())
    return replace(
        record,
        status=status,
        error=run.error if run else "",
        result=run.result if run and bytes(run.result) else NO_JSON,
        ended_at=record.ended_at or (now if status in ENDED else 0),
    )


def _task_created(change: Change, rows: Rows, fact: e.PosthogTaskCreated) -> None:
    recorded = change.recorded
    record = TaskRecord(
        id=fact.posthog_task_id,
        workspace_id=fact.workspace_id,
        number=fact.task_number,
        slug=fact.slug,
        title=fact.title,
        description=fact.description,
        origin_product=fact.origin_product,
        repository=fact.repository,
        github_integration=fact.github_integration,
        json_schema=fact.json_schema,
        created_by=recorded.actor,
        created_at=recorded.occurred_at,
        updated_at=recorded.occurred_at,
    )
    rows.put(POSTHOG_TASKS, task_row(record))


def _task_updated(change: Change, rows: Rows, fact: e.PosthogTaskUpdated) -> None:
    row = rows.get(POSTHOG_TASKS, (fact.posthog_task_id,))
    assert row is not None
    changes = {name: getattr(fact, name) for name in fact.changed_fields}
    record = replace(_task(row[_DOC]), updated_at=change.recorded.occurred_at, **changes)
    rows.put(POSTHOG_TASKS, task_row(record))


def _task_deleted(_: Change, rows: Rows, fact: e.PosthogTaskDeleted) -> None:
    rows.delete(POSTHOG_TASKS, (fact.posthog_task_id,))


def _run_created(change: Change, rows: Rows, fact: e.PosthogRunCreated) -> None:
    state, now = change.about, change.recorded.occurred_at
    assert state is not None
    record = RunRecord(
        id=fact.posthog_run_id,
        posthog_task_id=fact.posthog_task_id,
        task_id=state.id,
        status=shown_status(state),
        environment=fact.environment,
        stage=fact.stage,
        branch=fact.branch,
        error_message=fact.error_message,
        output=fact.output,
        state=fact.state,
        created_at=now,
        updated_at=now,
    )
    rows.put(POSTHOG_RUNS, run_row(record))


def _change_run(
    change: Change, rows: Rows, run_id: str, revise: Callable[[RunRecord], dict[str, Any]]
) -> None:
    """Change members of a run, which is there as long as the task that stands for it."""
    row = rows.get(POSTHOG_RUNS, (run_id,))
    assert row is not None
    record = _run(row[_DOC])
    changed = replace(record, updated_at=change.recorded.occurred_at, **revise(record))
    rows.put(POSTHOG_RUNS, run_row(changed))


def _run_updated(change: Change, rows: Rows, fact: e.PosthogRunUpdated) -> None:
    def revise(record: RunRecord) -> dict[str, Any]:
        changes = {name: getattr(fact, name) for name in fact.changed_fields}
        kept = without(record.state, changes.pop("state_remove_keys", ()))
        changes["state"] = merged(kept, changes.get("state", NO_JSON))
        if "output" in changes:
            changes["output"] = merged(record.output, changes["output"])
        return changes

    _change_run(change, rows, fact.posthog_run_id, revise)


def _output_set(change: Change, rows: Rows, fact: e.PosthogOutputSet) -> None:
    _change_run(change, rows, fact.posthog_run_id, lambda _: {"output": fact.output})


def _artifact_stored(change: Change, rows: Rows, fact: e.PosthogArtifactStored) -> None:
    recorded = change.recorded
    artifact = ArtifactRecord(
        id=fact.artifact_id,
        name=fact.name,
        type=fact.type,
        storage_path=fact.storage_path,
        content=fact.content,
        content_type=fact.content_type,
        source=fact.source,
        stored_at=recorded.occurred_at,
    )
    rows.put(POSTHOG_ARTIFACTS, artifact_row(fact.posthog_run_id, recorded.sequence, artifact))
    _change_run(change, rows, fact.posthog_run_id, lambda _: {})


_APPLY: Final[Mapping[type[Any], Callable[[Change, Rows, Any], None]]] = {
    e.PosthogTaskCreated: _task_created,
    e.PosthogTaskUpdated: _task_updated,
    e.PosthogTaskDeleted: _task_deleted,
    e.PosthogRunCreated: _run_created,
    e.PosthogRunUpdated: _run_updated,
    e.PosthogOutputSet: _output_set,
    e.PosthogArtifactStored: _artifact_stored,
}


def _object(value: Json) -> dict[str, Json] | None:
    """Return the members of a JSON object, None for anything else."""
    return _members(value) if bytes(value)[:1] == b"{" else None


def merged(before: Json, after: Json) -> Json:
    """Return the members of two objects, the later ones last; else what is later, if anything."""
    old, new = _object(before), _object(after)
    if old is None or new is None:
        return after if bytes(after) else before
    return Json(_ENCODE({**old, **new}))


def without(value: Json, names: tuple[str, ...]) -> Json:
    """Return an object without some of its members; anything else as it is."""
    members = _object(value)
    if members is None or not names:
        return value
    return Json(_ENCODE({name: member for name, member in members.items() if name not in names}))

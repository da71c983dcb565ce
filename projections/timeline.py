"""Every event as the frame that all readers get, and where each task finds its events.

Nothing here ever changes or goes away, not even with the task.
"""

from typing import Final

import msgspec

from domain.world import Change
from projections.rows import Rows
from projections.schema import define
from projections.wire.events import frame

TIMELINE: Final = define(
    "timeline",
    key={"sequence": "INTEGER"},
    values={
        "task_id": "TEXT",
        "run_id": "TEXT",
        "type": "TEXT",
        "workspace_id": "TEXT",
        "actor_kind": "TEXT",
        "actor_ref": "TEXT",
        "lineage": "TEXT",
        "frame": "BLOB",
    },
    indexes={"task": "(task_id, sequence)"},
    clustered=False,
)
"""`lineage` is a JSON array without spaces: the task itself, then its ancestors."""

TIMELINE_BELOW: Final = define("timeline_below", key={"ancestor_id": "TEXT", "sequence": "INTEGER"})
"""The events of everything below a task. Its own events are kept apart from them, so that reading
those costs nothing for what happened below."""

_ENCODE: Final = msgspec.json.Encoder().encode


class TimelineProjector:
    """Keeps the frames."""

    name = "timeline"
    version = 1
    separable = True
    tables = (TIMELINE, TIMELINE_BELOW)

    def apply(self, change: Change, rows: Rows) -> None:
        """Note one event."""
        recorded = change.recorded
        state = change.about
        if state is None:
            lineage: tuple[str, ...] = ()
            workspace_id = getattr(recorded.fact, "workspace_id", "")
        else:
            lineage = state.task.lineage
            workspace_id = state.task.workspace_id
        row = (
            recorded.sequence,
            recorded.task_id,
            recorded.run_id,
            recorded.type,
            workspace_id,
            recorded.actor.kind,
            recorded.actor.ref,
            _ENCODE(lineage).decode(),
            frame(change),
        )
        rows.put(TIMELINE, row)
        for ancestor_id in lineage[1:]:
            rows.put(TIMELINE_BELOW, (ancestor_id, recorded.sequence))

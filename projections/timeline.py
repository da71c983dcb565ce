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
    clustered=False,
)
"""`lineage` is a JSON array without spaces: the task itself, then its ancestors."""

TIMELINE_LINEAGE: Final = define(
    "timeline_lineage", key={"ancestor_id": "TEXT", "kin": "INTEGER", "sequence": "INTEGER"}
)
OWN: Final = 0
DESCENDANT: Final = 1
"""What `kin` tells: an event of the task itself or of one below it. The two are kept apart, so that
reading a task's own events costs nothing for what happened below."""

_ENCODE: Final = msgspec.json.Encoder().encode


class TimelineProjector:
    """Keeps the frames."""

    name = "timeline"
    version = 1
    tables = (TIMELINE, TIMELINE_LINEAGE)

    def apply(self, change: Change, rows: Rows) -> None:
        """Note one event."""
        recorded = change.recorded
        state = change.task
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
        for distance, task_id in enumerate(lineage):
            kin = DESCENDANT if distance else OWN
            rows.put(TIMELINE_LINEAGE, (task_id, kin, recorded.sequence))

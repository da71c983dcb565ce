"""Facts about read models: what operators did to them and what happened to them (added stream).

Names and fields are the storage format: change them through an upcaster.
"""

from domain.fact import Fact


class ProjectionDetached(Fact, frozen=True, kw_only=True):
    """A read model could not take an event and stands still since (added stream).

    With `held_stream` it does so for that stream alone.
    """

    TYPE = "ops.projection_detached"
    projection: str
    failed_sequence: int
    failed_type: str = ""
    error: str = ""
    held_stream: str = ""


class ProjectionCaughtUp(Fact, frozen=True, kw_only=True):
    """A detached read model is written with each event again (added stream)."""

    TYPE = "ops.projection_caught_up"
    projection: str
    position: int


class ProjectionRebuildStarted(Fact, frozen=True, kw_only=True):
    """Somebody had a read model rebuilt (added stream)."""

    TYPE = "ops.projection_rebuild_started"
    projection: str
    version: int
    repair: bool = False


class ProjectionRebuildFinished(Fact, frozen=True, kw_only=True):
    """The rebuilt tables took the place of the ones before (added stream)."""

    TYPE = "ops.projection_rebuild_finished"
    projection: str
    version: int
    position: int
    digest: str = ""


class ProjectionRebuildFailed(Fact, frozen=True, kw_only=True):
    """A rebuild stopped; the live tables are as they were (added stream)."""

    TYPE = "ops.projection_rebuild_failed"
    projection: str
    failed_sequence: int = 0
    error: str


class ProjectionRebuildCanceled(Fact, frozen=True, kw_only=True):
    """Somebody gave a rebuild up (added stream)."""

    TYPE = "ops.projection_rebuild_canceled"
    projection: str


class ProjectionCompared(Fact, frozen=True, kw_only=True):
    """Somebody had a read model compared with its rebuild (added stream).

    `differing_rows` is how many rows a rebuild would change.
    """

    TYPE = "ops.projection_compared"
    projection: str
    position: int = 0
    differing_rows: int = 0
    error: str = ""


class ProjectionRolledBack(Fact, frozen=True, kw_only=True):
    """Somebody put the tables before the last rebuild back in place (added stream)."""

    TYPE = "ops.projection_rolled_back"
    projection: str
    version: int
    position: int


class ProjectionEventSkipped(Fact, frozen=True, kw_only=True):
    """Somebody had a read model pass over an event that it cannot take (added stream)."""

    TYPE = "ops.projection_event_skipped"
    projection: str
    skipped_sequence: int
    reason: str

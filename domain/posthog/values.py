"""Words and limits of the PostHog Tasks API.

Source: the published reference page of that API and its generated schemas.
"""

from typing import Final, Literal

Status = Literal["not_started", "queued", "in_progress", "completed", "failed", "cancelled"]
Environment = Literal["local", "cloud"]
OriginProduct = Literal[
    "error_tracking",
    "eval_clusters",
    "user_created",
    "slack",
    "support_queue",
    "session_summaries",
    "signal_report",
]
ArtifactType = Literal["plan", "context", "reference", "output", "artifact", "tree_snapshot"]

ENDED: Final[frozenset[Status]] = frozenset({"completed", "failed", "cancelled"})
TITLE_LENGTH: Final = 255
INLINE_BYTES: Final = 65_536
"""Log entries of one call that weigh as much, or more, are kept as a blob."""
HEARTBEAT: Final = 60_000_000
"""Microseconds that pass at least between two heartbeats for the sake of the log."""

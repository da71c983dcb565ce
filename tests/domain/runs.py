"""A run in each of its statuses, and the commands on it that several tests send."""

from typing import Any

from domain.commands import (
    AttachSession,
    CancelRun,
    ClaimRun,
    CompleteRun,
    FailRun,
    StartRun,
)
from domain.events import (
    RunNeedsAttention,
)
from tests.support.spec import Spec, given, on
from tests.support.steps import (
    canceled,
    completed,
    failed,
    queued,
    running,
    session,
    task,
)

ATTENTION = RunNeedsAttention(
    previous_status="queued", status="needs_attention", task_status="ready"
)
CLAIM, START = ClaimRun(run_id="r1"), StartRun(run_id="r1")
ATTACH = AttachSession(run_id="r1", session_id="s1")
COMPLETE, CANCEL = CompleteRun(run_id="r1"), CancelRun(run_id="r1")
FAIL = FailRun(run_id="r1", error="broken")

PASTS: dict[str, tuple[Any, ...]] = {
    "queued": (queued("t1", "r1"),),
    "claimed": (queued("t1", "r1"), CLAIM),
    "starting": (queued("t1", "r1"), CLAIM, ATTACH),
    "running": running("t1", "r1"),
    "completed": completed("t1", "r1"),
    "failed": failed("t1", "r1"),
    "canceled": canceled("t1", "r1"),
    "needs_attention": (queued("t1", "r1"), on("t1", ATTENTION, "r1")),
}


def in_status(status: str) -> Spec:
    """Return a scenario whose run is in a status."""
    return given(task("t1"), session("s1"), *PASTS[status])

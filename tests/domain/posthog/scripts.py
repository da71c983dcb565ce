"""What scripts of any commands may ask of PostHog tasks and runs, sensible or not."""

from typing import Any, Final

from hypothesis import strategies as st
from msgspec import UNSET

from domain.commands import Command
from domain.posthog import commands as c
from domain.uuids import uuid_of
from domain.values import Blob
from tests.support.steps import json

_TASK: Final[dict[str, Any]] = {
    "workspace_id": st.sampled_from(["w1", "w1", "w2"]),
    "posthog_task_id": st.sampled_from(["p1", "p1", "p2"]),
}
_RUN: Final[dict[str, Any]] = {
    **_TASK,
    "posthog_run_id": st.sampled_from([uuid_of(f"task-{number}") for number in (1, 2, 3)]),
}
_STATUSES: Final = ("not_started", "queued", "in_progress", "completed", "failed", "cancelled")
_BLOB: Final = Blob("b" * 64, 10)
_ARTIFACT: Final = c.NewArtifact(
    id="a1", name="plan.md", type="plan", storage_path="runs/plan.md", content=_BLOB
)

BUILDERS: Final[dict[type[Command], dict[str, Any]]] = {
    c.CreatePosthogTask: {**_TASK, "title": st.sampled_from(["", "a task"])},
    c.UpdatePosthogTask: {**_TASK, "title": st.sampled_from([UNSET, "another"])},
    c.DeletePosthogTask: _TASK,
    c.CreatePosthogRun: {**_TASK, "status": st.sampled_from(_STATUSES)},
    c.UpdatePosthogRun: {
        **_RUN,
        "status": st.sampled_from([UNSET, *_STATUSES]),
        "stage": st.sampled_from([UNSET, None, "build"]),
    },
    c.StartPosthogRun: _RUN,
    c.SetPosthogOutput: {
        **_RUN,
        "output": st.just(json('{"pr_url":"https://a.example/1"}')),
        "completes": st.booleans(),
    },
    c.AppendPosthogLog: {
        **_RUN,
        "count": st.just(1),
        "size": st.just(10),
        "entries": st.just((json('{"n":1}'),)),
    },
    c.RelayPosthogMessage: {**_RUN, "relay_id": st.just("m1"), "text": st.just("hello")},
    c.StorePosthogArtifacts: {**_RUN, "artifacts": st.just((_ARTIFACT,))},
    c.ReceivePosthogUpload: {
        **_RUN,
        "storage_path": st.sampled_from(["runs/plan.md", "runs/none"]),
        "content": st.just(_BLOB),
    },
}

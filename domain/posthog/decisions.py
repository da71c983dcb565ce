"""Which function decides which command of the PostHog Tasks API."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from domain.commands import Command, Reply
from domain.posthog import commands as c
from domain.posthog import runs, tasks
from domain.world import Plan

DECIDE: Final[Mapping[type[Command], Callable[[Any, Plan], Reply]]] = {
    c.CreatePosthogTask: tasks.create_task,
    c.UpdatePosthogTask: tasks.update_task,
    c.DeletePosthogTask: tasks.delete_task,
    c.CreatePosthogRun: runs.create_run,
    c.UpdatePosthogRun: runs.update_run,
    c.StartPosthogRun: runs.start_run,
    c.SetPosthogOutput: runs.set_output,
    c.AppendPosthogLog: runs.append_log,
    c.RelayPosthogMessage: runs.relay_message,
    c.ReceivePosthogUpload: runs.receive_upload,
    c.StorePosthogArtifacts: runs.store_artifacts,
}

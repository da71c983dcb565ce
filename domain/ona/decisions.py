"""Which function decides which command about Ona tasks and their executions."""

from collections.abc import Callable
from typing import Any, Final

from domain.commands import Command, Reply
from domain.ona import commands as c
from domain.ona import definitions, executions
from domain.world import Plan

DECIDE: Final[dict[type[Command], Callable[[Any, Plan], Reply]]] = {
    c.CreateOnaTask: definitions.create_ona_task,
    c.UpdateOnaTask: definitions.update_ona_task,
    c.DeleteOnaTask: definitions.delete_ona_task,
    c.StartOnaTask: executions.start_ona_task,
    c.StopOnaExecution: executions.stop_ona_execution,
}

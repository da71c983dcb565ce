"""Which function decides which command about app versions and their operations."""

from collections.abc import Callable
from typing import Any, Final

from domain.commands import Command, Reply
from domain.tempest import apps, operations, reports
from domain.tempest import commands as c
from domain.world import Plan

DECIDE: Final[dict[type[Command], Callable[[Any, Plan], Reply]]] = {
    c.ConnectVersion: apps.connect_version,
    c.ReportHealth: apps.report_health,
    c.QueueOperation: operations.queue_operation,
    c.TakeOperation: operations.take_operation,
    c.GiveBackOperation: operations.give_back_operation,
    c.SetAsideOperation: operations.set_aside_operation,
    c.ReportOperation: reports.report_operation,
}

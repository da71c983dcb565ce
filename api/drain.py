"""The drain: stop claiming, then wait until what is claimed has ended."""

import asyncio
from typing import Final

from api.call import Call
from api.replies import DrainSchedulerResponse
from domain.commands import EndDrain, StartDrain
from domain.errors import ValidationError
from domain.values import MAX_DRAIN_SECONDS
from projections.queries.scheduler import active_claims
from projections.wire import date_time

DEFAULT_TIMEOUT: Final = 60


async def drain(call: Call, reason: str, timeout_seconds: int | None) -> DrainSchedulerResponse:
    """Return how a drain ended; it goes on when the caller leaves.

    No timeout means 60 seconds, 0 one look. Raises ValidationError for an unusable timeout.
    """
    timeout = DEFAULT_TIMEOUT if timeout_seconds is None else timeout_seconds
    if timeout > MAX_DRAIN_SECONDS:
        raise ValidationError(
            f"scheduler.timeout_seconds must be <= {MAX_DRAIN_SECONDS}: {timeout}"
        )
    task = asyncio.create_task(_drain(call, reason, timeout))
    call.services.keep(task)
    return await asyncio.shield(task)


async def _drain(call: Call, reason: str, timeout: int) -> DrainSchedulerResponse:
    services = call.services
    started_at = services.clock()
    await call.submit(
        StartDrain(
            reason=reason,
            timeout_seconds=timeout,
            active_claims=active_claims(services.ledger.reader),
        )
    )
    remaining, timed_out = await _wait_for_claims(call, timeout)
    await call.submit(
        EndDrain(completed=not remaining, timed_out=timed_out, remaining_claims=remaining)
    )
    return DrainSchedulerResponse(
        scheduler=services.scheduler_status(),
        completed=not remaining,
        timed_out=timed_out,
        remaining_claims=remaining,
        started_at=date_time(started_at),
        completed_at=date_time(services.clock()),
    )


async def _wait_for_claims(call: Call, timeout: int) -> tuple[int, bool]:
    """Return how many claims are left in the end, and whether that is for want of time."""
    services = call.services
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        remaining = active_claims(services.ledger.reader)
        left = deadline - loop.time()
        if not remaining or left <= 0 or services.stopping.is_set():
            return remaining, remaining > 0 and left <= 0
        await services.signal.wait(min(left, services.settings.drain_poll_seconds))

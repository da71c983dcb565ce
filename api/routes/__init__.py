"""Every operation of the API, in the order of the document."""

from typing import Final

from api.facades.ona import routes as ona
from api.facades.posthog import routes as posthog
from api.facades.tempest import asking, serving
from api.operations import Operation
from api.routes import (
    agent,
    bridges,
    claims,
    console,
    feed,
    force,
    inspect,
    metrics,
    observe,
    pages,
    profile,
    projections,
    registry,
    reviews,
    runs,
    scheduler,
    task_reads,
    tasks,
    triage,
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *tasks.OPERATIONS,
    *task_reads.OPERATIONS,
    *profile.OPERATIONS,
    *runs.OPERATIONS,
    *force.OPERATIONS,
    *claims.OPERATIONS,
    *reviews.OPERATIONS,
    *agent.OPERATIONS,
    *triage.OPERATIONS,
    *observe.OPERATIONS,
    *inspect.OPERATIONS,
    *scheduler.OPERATIONS,
    *feed.OPERATIONS,
    *registry.OPERATIONS,
    *bridges.OPERATIONS,
    *projections.OPERATIONS,
    *serving.OPERATIONS,
    *asking.OPERATIONS,
    *posthog.OPERATIONS,
    *pages.OPERATIONS,
    *metrics.OPERATIONS,
    *console.OPERATIONS,
    *ona.OPERATIONS,
)

"""Every read model there is."""

from typing import Final

from projections.backlog import BacklogProjector
from projections.bridges import BridgesProjector
from projections.dashboard import DashboardProjector
from projections.inbox import InboxProjector
from projections.lookup import LookupProjector
from projections.ona.projector import OnaProjector
from projections.posthog.lookup import PosthogLookupProjector
from projections.posthog.projector import PosthogProjector
from projections.registry import RegistryProjector
from projections.reviews import ReviewsProjector
from projections.rows import Projector
from projections.runs import RunsProjector
from projections.tasks import TasksProjector
from projections.tempest import TempestProjector
from projections.timeline import TimelineProjector

PROJECTORS: Final[tuple[Projector, ...]] = (
    LookupProjector(),
    BacklogProjector(),
    ReviewsProjector(),
    TasksProjector(),
    RunsProjector(),
    DashboardProjector(),
    InboxProjector(),
    RegistryProjector(),
    BridgesProjector(),
    TempestProjector(),
    PosthogLookupProjector(),
    PosthogProjector(),
    OnaProjector(),
    TimelineProjector(),
)
"""In the order in which a change is applied."""

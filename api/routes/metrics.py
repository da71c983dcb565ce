"""Numbers for those who watch over servers."""

from typing import Final

from api.answers import Answer
from api.call import Call
from api.exposition import CONTENT_TYPE, MEDIA_TYPE, Standing, exposition
from api.operations import Operation
from api.routes.common import operation
from api.routes.observe import thresholds_of
from api.services import Services
from projections.queries.dashboard import dashboard
from replay.errors import StoreUnavailableError

_CONTENT_TYPE: Final = (b"content-type", CONTENT_TYPE.encode())


async def get_metrics(call: Call) -> Answer:
    """Return the numbers of the server in the text format of Prometheus."""
    services = call.services
    told = exposition(services.siblings.all(), _standing(services))
    return Answer(200, told, content_type=_CONTENT_TYPE)


def _standing(services: Services) -> Standing | None:
    """Return how the ledger stands; None when the store cannot be read, which is a number too."""
    thresholds = thresholds_of(services.settings)
    try:
        with services.ledger.snapshot() as reader:
            found = dashboard(
                reader,
                services.clock(),
                thresholds=thresholds,
                started_at=services.started_at,
            )
        return Standing(
            head=services.ledger.head,
            dashboard=found,
            scheduler=services.scheduler_status(),
            projections=services.projections.statuses(),
        )
    except StoreUnavailableError:
        return None


OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "GET",
        "/metrics",
        "metrics",
        get_metrics,
        tag="server",
        scope="admin",
        reply={"type": "string"},
        media_type=MEDIA_TYPE,
        statuses=(),
    ),
)

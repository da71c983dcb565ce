"""Query parameters of the PostHog Tasks API."""

from typing import Annotated

from msgspec import Meta

from api.parsing import Query

_Number = Annotated[str, Meta(extra_json_schema={"type": "integer"})]


class PosthogPageQuery(Query, frozen=True, kw_only=True):
    """Which page; what is no number counts as absent."""

    limit: _Number = ""
    offset: _Number = ""


class PosthogTasksQuery(PosthogPageQuery, frozen=True, kw_only=True):
    """Which tasks; an empty value admits all."""

    created_by: _Number = ""
    organization: str = ""
    origin_product: str = ""
    repository: str = ""
    stage: str = ""


class PosthogSessionLogsQuery(Query, frozen=True, kw_only=True):
    """Which entries of a log: those behind a time, of some types and of no others."""

    after: str = ""
    event_types: tuple[str, ...] = ()
    exclude_types: tuple[str, ...] = ()
    limit: _Number = ""

"""What an operation of the API is: the one description behind handlers and OpenAPI document."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct

from api.dialects import Dialect
from api.errors import ErrorBody
from api.parsing import MAX_BODY, Body, Query

if TYPE_CHECKING:
    from api.answers import Answer, Stream
    from api.call import Call

TokenScope = Literal["task:read", "task:write", "admin"]
Handler: TypeAlias = Callable[["Call"], Awaitable["Answer | Stream"]]

READ: Final = (404, 422)
WRITE: Final = (404, 409, 422)

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path.

    `statuses` are the refusals that belong to the operation; those of the transport (401, 403, 413,
    500, 503) are added where the document is made. A repeated request is answered with
    `repeated_success`, if there is one, instead of `success`. An empty body is refused when it is
    `body_required`; the document asks for one when it is `body_expected`. `labels` name the path's
    values in refusals. An `agent` operation needs the agent headers, a `public` one no token.
    An operation of another API refuses in its `dialect`. A body may have `max_body` bytes.
    Body and reply may come in the media types `also` as well as in JSON. The refusals `bare` have
    no body.
    """

    method: str
    path: str
    operation_id: str
    summary: str
    tag: str
    handle: Handler
    action: str = ""
    scope: TokenScope = "task:read"
    body: type[Body] | None = None
    body_required: bool = False
    body_expected: bool = True
    what: str = ""
    query: type[Query] | None = None
    success: int = 200
    repeated_success: int = 0
    empty_success: int = 0
    reply: Any = None
    media_type: str = JSON
    statuses: tuple[int, ...] = READ
    refusal: Any = ErrorBody
    labels: tuple[str, ...] = ()
    agent: bool = False
    registers_session: bool = False
    public: bool = False
    dialect: Dialect | None = None
    max_body: int = MAX_BODY
    also: tuple[str, ...] = ()
    bare: tuple[int, ...] = ()

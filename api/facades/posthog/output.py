"""The output of a run, and what it says to people."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from api.answers import Answer
from api.call import Call
from api.facades.posthog.bodies import PosthogMessage, PosthogOutput
from api.facades.posthog.errors import plain
from api.facades.posthog.operations import RUN, posthog, posthog_plain
from api.facades.posthog.reading import read, read_object
from api.facades.posthog.runs import changed
from api.facades.posthog.schema_check import fault_of
from api.facades.posthog.subjects import run_in
from api.facades.posthog.views import PosthogRunView
from api.operations import Operation
from domain.errors import InvalidTransitionError
from domain.posthog.commands import RelayPosthogMessage, SetPosthogOutput
from domain.uuids import uuid_of

_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_NOTHING: Final = Raw(b"{}")
_BAD_REQUEST: Final = 400


class PosthogRelayed(Struct, frozen=True):
    """What became of a message."""

    status: str
    relay_id: str


async def set_output(call: Call) -> Answer:
    """Replace the output of a run; one that is as its task asked completes the run."""
    subject = run_in(call)
    output = _members(await read_object(call)).get("output", _NOTHING)
    if bytes(output)[:1] != b"{":
        raise plain(_BAD_REQUEST, "output must be an object")
    schema = bytes(subject.task.json_schema)
    asked = schema not in {b"", b"null"}
    if asked and (fault := await fault_of(schema, bytes(output))):
        raise plain(_BAD_REQUEST, fault)
    try:
        await call.submit(SetPosthogOutput(**subject.ids, output=output, completes=asked))
    except InvalidTransitionError as error:
        raise plain(_BAD_REQUEST, error.detail) from error
    return await changed(call, subject)


async def relay_message(call: Call) -> Answer:
    """Put on record what a run says to people, who read it in the timeline of its task."""
    subject = run_in(call)
    sent = await read(call, PosthogMessage)
    relay_id = uuid_of(call.services.new_id("relay"))
    await call.submit(RelayPosthogMessage(**subject.ids, relay_id=relay_id, text=sent["text"]))
    return call.reply(PosthogRelayed("accepted", relay_id))


OPERATIONS: Final[tuple[Operation, ...]] = (
    posthog_plain(
        "PATCH",
        f"{RUN}/set_output",
        "tasks_runs_set_output_partial_update",
        set_output,
        body=PosthogOutput,
        reply=PosthogRunView,
    ),
    posthog(
        "POST",
        f"{RUN}/relay_message",
        "tasks_runs_relay_message_create",
        relay_message,
        body=PosthogMessage,
        reply=PosthogRelayed,
    ),
)

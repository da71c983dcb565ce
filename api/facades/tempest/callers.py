"""For which apps a caller may speak, and as whom it then acts."""

from msgspec.structs import replace

from api.call import Call
from domain.errors import PermissionDeniedError
from domain.tempest.values import actor_of, may_speak_for
from domain.values import Origin
from domain.world import Context


def check_app(call: Call, app_id: str, version: str) -> None:
    """Let a caller pass that may speak for an app version; raises PermissionDeniedError.

    The token of an app, whose actor is `extension:tempest/<app_id>` with or without `:<version>`,
    is good for that app alone.
    """
    actor = call.caller.actor
    if not may_speak_for(actor, app_id, version):
        raise PermissionDeniedError(f'the token of {actor.ref} is not for app "{app_id}" {version}')


def as_app(call: Call, app_id: str, version: str) -> Context:
    """Return the context in which an app version acts itself; raises PermissionDeniedError."""
    check_app(call, app_id, version)
    context = call.context()
    origin = Origin("extension", context.origin.ref)
    return replace(context, actor=actor_of(app_id, version), origin=origin)

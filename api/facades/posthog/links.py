"""Addresses on the host that the client used, also those that need no header."""

from typing import Final
from urllib.parse import quote

from api.call import Call
from api.facades.addresses import base_url
from api.facades.posthog.errors import PREFIX, PosthogError, RefusalError
from projections.posthog.rows import RunRecord

LINK_SECONDS: Final = 3_600
"""How long a signed address is good."""


class Links:
    """Makes addresses below the runs of a project."""

    def __init__(self, call: Call, workspace_id: str) -> None:
        """Use the host of the request."""
        self._base = base_url(call)
        self._project = f"{PREFIX}{quote(workspace_id, safe='')}/tasks/"
        self._sign = call.services.signer.sign

    def log(self, run: RunRecord) -> str | None:
        """Return the address of a run's log, None when nothing can be signed."""
        return self.below(run, "log")

    def below(self, run: RunRecord, path: str) -> str | None:
        """Return the signed address of something below a run, None when nothing can be signed."""
        whole = f"{self._project}{run.posthog_task_id}/runs/{run.id}/{path}"
        query = self._sign(whole, LINK_SECONDS)
        return None if query is None else f"{self._base}{whole}?{query}"


async def links_of(call: Call, workspace_id: str) -> Links:
    """Return what makes addresses in a project."""
    await call.services.signer.prepare()
    return Links(call, workspace_id)


async def check_link(call: Call) -> None:
    """Let a request pass that came by a signed address; raises RefusalError."""
    signer = call.services.signer
    await signer.prepare()
    path = call.scope["raw_path"].decode("latin-1").removesuffix("/")
    if not signer.check(path, call.scope["query_string"].decode("latin-1")):
        detail = "This link is not valid, or no longer."
        error = PosthogError("authentication_error", "permission_denied", detail)
        raise RefusalError(403, error)

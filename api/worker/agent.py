"""The agent's side of the task API: claim, then heartbeat, complete, fail or release."""

import asyncio
import time
from contextlib import suppress
from urllib.parse import quote

from msgspec import Struct

from api.client.documents import JsonObject, JsonValue, at, text_at, without_nothing
from api.client.errors import ApiError, ClientError, UnreachableError
from api.client.http import ANSWER_SECONDS, Connection, LedgerClient

CLAIM_NEXT = "/api/agent/tasks/claim-next"
CLAIM_SEVERAL = "/api/agent/tasks/claim"
# Longer than the server holds a waiting claim, so that only a dead connection is given up.
WAITING_CLAIM_SECONDS = 120.0
HEARTBEATS_PER_LEASE = 3
# How long to leave a server alone that failed to handle a report.
FAILING_SERVER_SECONDS = 0.5
# These statuses blame what was sent, not who sent it: the lease itself still stands.
REFUSED_BODY = frozenset({400, 413, 422})


class LeaseLostError(Exception):
    """The run is no longer this session's; whatever the command does is of no use."""


class Identity(Struct, frozen=True, kw_only=True):
    """Who claims: one session of a named agent, in a workspace or (empty) in none."""

    session_id: str
    agent_name: str
    workspace_id: str = ""
    capabilities: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """The request headers that carry the identity."""
        headers = {"X-AGH-Session-ID": self.session_id, "X-AGH-Agent": self.agent_name}
        return headers | ({"X-AGH-Workspace-ID": self.workspace_id} if self.workspace_id else {})

    def connection(self, connection: Connection) -> Connection:
        """Return the connection with the identity on every request."""
        return Connection(
            server=connection.server,
            token=connection.token,
            retry_seconds=connection.retry_seconds,
            headers=connection.headers | self.headers,
        )


class Agent:
    """A session that claims, over a connection of its own."""

    def __init__(self, identity: Identity, client: LedgerClient) -> None:
        self.identity = identity
        self._client = client

    @property
    def session_id(self) -> str:
        """The id of the session."""
        return self.identity.session_id

    async def claim(self, *, wait: bool, lease_seconds: int, priority_min: int) -> "list[Lease]":
        """Return the lease on the best waiting run, nothing when there is none.

        With `wait` the server looks for up to its own limit first. Raises ClientError; an
        ApiError with status 409 says that the session still holds a run from before.
        """
        answer = await self._claim(CLAIM_NEXT, wait, lease_seconds, priority_min=priority_min)
        claim = at(answer, "claim")
        return [Lease(self._client, claim, lease_seconds)] if isinstance(claim, dict) else []

    async def claim_several(
        self, most: int, *, wait: bool, lease_seconds: int, priority_min: int
    ) -> "list[Lease]":
        """Return the leases on the best waiting runs, at most so many; otherwise as `claim`.

        A session that nobody has registered declares by this how many leases it may hold.
        """
        answer = await self._claim(
            CLAIM_SEVERAL, wait, lease_seconds, priority_min=priority_min, max_claims=most
        )
        return [Lease(self._client, claim, lease_seconds) for claim in at(answer, "claims") or ()]

    async def _claim(
        self, path: str, wait: bool, lease_seconds: int, **more: JsonValue
    ) -> JsonValue:
        body = without_nothing(
            required_capabilities=list(self.identity.capabilities),
            workspace_id=self.identity.workspace_id,
            lease_seconds=lease_seconds,
            wait=wait,
            **more,
        )
        return await self._client.request(
            "POST",
            path,
            body=body,
            repeatable=False,
            patience=0.0 if wait else None,
            answer_seconds=WAITING_CLAIM_SECONDS if wait else ANSWER_SECONDS,
        )

    async def sign_off(self) -> None:
        """End the session in the registry, if the server can be told now."""
        path = f"/api/sessions/{quote(self.identity.session_id, safe='')}"
        with suppress(ClientError):
            await self._client.request("DELETE", path, repeatable=True, patience=0.0)


class Lease:
    """One claimed run, held until `deadline` (monotonic seconds) unless it is renewed before."""

    def __init__(self, client: LedgerClient, claim: JsonObject, seconds: int) -> None:
        self.task_id = text_at(claim, "task", "id")
        self.run: JsonObject = at(claim, "run")
        self.run_id = text_at(self.run, "id")
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self._client = client

    @property
    def remaining(self) -> float:
        """Seconds until the lease runs out, as far as is known here."""
        return self.deadline - time.monotonic()

    @property
    def interval(self) -> float:
        """Seconds between two heartbeats."""
        return self.seconds / HEARTBEATS_PER_LEASE

    async def renew(self) -> None:
        """Extend the lease; raise LeaseLostError when that is not possible any more."""
        asked_at = time.monotonic()
        await self._send("heartbeat", {"lease_seconds": self.seconds})
        self.deadline = asked_at + self.seconds

    async def start(self) -> None:
        """Tell that the work has begun; what is refused shows at the next renewal."""
        path = f"/api/task-runs/{self.run_id}/start"
        with suppress(ApiError):
            await self._persist("POST", path, {"idempotency_key": self.run_id})

    async def complete(self, result: JsonValue) -> None:
        """End the run well."""
        await self._send("complete", {"result": result})

    async def fail(self, error: str, metadata: JsonObject | None = None) -> None:
        """End the run badly."""
        await self._send("fail", without_nothing(error=error, metadata=metadata))

    async def release(self, reason: str) -> None:
        """Give the run back to the queue."""
        await self._send("release", {"reason": reason})

    async def task(self) -> JsonObject:
        """Return the claimed task in full."""
        detail = await self._persist("GET", f"/api/tasks/{self.task_id}", None)
        task: JsonObject = at(detail, "task", "task")
        return task

    async def _send(self, action: str, body: JsonObject) -> None:
        """Report while the lease lasts; the server may be away for a part of that time."""
        try:
            await self._persist("POST", f"/api/agent/tasks/{self.run_id}/{action}", body)
        except ApiError as error:
            if error.status in REFUSED_BODY:
                raise
            raise LeaseLostError(str(error)) from error

    async def _persist(self, method: str, path: str, body: JsonObject | None) -> JsonValue:
        """Return the answer, trying as long as the lease lasts.

        Each of these calls may be repeated: the same holder saying the same again changes nothing.
        """
        while True:
            left = self.remaining
            try:
                return await self._client.request(
                    method,
                    path,
                    body=body,
                    repeatable=True,
                    patience=left,
                    answer_seconds=max(1.0, min(ANSWER_SECONDS, self.interval)),
                )
            except UnreachableError as error:
                raise LeaseLostError(f"{error}, until the lease ran out") from error
            except ApiError as error:
                if error.refused or left <= 0:
                    raise
                await asyncio.sleep(min(FAILING_SERVER_SECONDS, left))

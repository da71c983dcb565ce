"""Bridges as the server keeps them: events, secrets beside them, and the deliveries."""

import asyncio
from typing import TYPE_CHECKING

from api.bodies import PutBridgeRequest
from api.bridges.deliveries import Deliveries
from api.bridges.secrets import key_of, new_secret
from api.bridges.sender import Sender
from api.bridges.targets import Targets
from api.call import Call
from api.guard import is_loopback
from domain.bridge_commands import PutBridge, RemoveBridge
from domain.bridge_state import BridgeState
from domain.errors import DomainError
from domain.recorded import bridge_stream

if TYPE_CHECKING:
    from api.services import Services


class Bridges:
    """What operations on bridges and the background work share."""

    def __init__(self, services: "Services") -> None:
        """Take the targets from the settings; nothing is sent before `deliveries` run."""
        settings = services.settings
        self._services = services
        self._vault = services.vault
        self._targets = Targets(
            loopback=is_loopback(settings.host), private=settings.bridge_private_targets
        )
        self._sender = Sender(self._targets, settings.bridge_timeout_seconds)
        self._one_at_a_time = asyncio.Lock()
        self.deliveries = Deliveries(services, self._vault, self._sender)

    async def put(self, call: Call, body: PutBridgeRequest) -> str:
        """Make or change a bridge; return its secret if that is new, the only time it is shown.

        The secret is stored before the event that names it, so no bridge is without one.
        """
        bridge_id = call.id
        if body.url is not None:
            self._targets.check(body.url.strip())
        secret = (body.secret or "").strip()
        if secret:
            key_of(secret)
        async with self._one_at_a_time:
            known = self._known(bridge_id)
            if not secret and (body.rotate_secret or not self.has_secret(known)):
                secret = new_secret()
            command = PutBridge(
                bridge_id=bridge_id,
                url=body.url,
                scope=body.scope,
                workspace=body.workspace,
                name=body.name,
                enabled=body.enabled,
                secret_id=self._services.new_id("sec") if secret else "",
            )
            await self._commit(call, command, secret, known.secret_id if known else "")
        return secret

    async def _commit(self, call: Call, command: PutBridge, secret: str, before: str) -> None:
        if not secret:
            await call.submit(command)
            return
        await asyncio.to_thread(self._vault.keep, command.secret_id, secret)
        try:
            await call.submit(command)
        except DomainError:
            await asyncio.to_thread(self._vault.forget, command.secret_id)
            raise
        if before:
            await asyncio.to_thread(self._vault.forget, before)

    async def remove(self, call: Call) -> None:
        """Forget a bridge with its secret."""
        async with self._one_at_a_time:
            bridge_id = call.values[0]
            known = self._known(bridge_id)
            await call.submit(RemoveBridge(bridge_id=bridge_id))
            if known is not None:
                await asyncio.to_thread(self._vault.forget, known.secret_id)

    def has_secret(self, bridge: BridgeState | None) -> bool:
        """Whether the secret of a bridge is at hand, which it is not after an import."""
        return bridge is not None and self._vault.secret(bridge.secret_id) is not None

    def _known(self, bridge_id: str) -> BridgeState | None:
        state = self._services.ledger.state(bridge_stream(bridge_id))
        return state if isinstance(state, BridgeState) and not state.removed else None

    async def close(self) -> None:
        """Close what is open."""
        await self._sender.close()

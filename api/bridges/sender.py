"""One try to send a webhook: bounded in time, never redirected, the answer's body not read."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from api.bridges.targets import TargetError, Targets

if TYPE_CHECKING:
    import httpx2

_ACCEPTED: Final = range(200, 300)


class Sent(Struct, frozen=True, kw_only=True):
    """How a try ended; without an error the receiver has taken it."""

    status_code: int = 0
    error: str = ""


def _open() -> "httpx2.AsyncClient":
    """Return a client; the first one takes a while, also for the certificates."""
    import httpx2  # noqa: PLC0415 - servers without bridges start without it

    # The system's certificates, or those of SSL_CERT_FILE.
    context = ssl.create_default_context()
    # Another name may lead to the same address, and needs a certificate of its own.
    no_reuse = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.AsyncClient(verify=context, trust_env=False, timeout=None, limits=no_reuse)


class Sender:
    """Posts to permitted targets."""

    def __init__(self, targets: Targets, timeout_seconds: float) -> None:
        """Give each try so much time in all."""
        self._targets = targets
        self._timeout = timeout_seconds
        self._client: httpx2.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def _opened(self) -> "httpx2.AsyncClient":
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(_open)
            return self._client

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """Return how it went; whatever goes wrong on the way is an answer, too."""
        try:
            async with asyncio.timeout(self._timeout):
                status = await self._post(url, headers, body)
        except TimeoutError:
            return Sent(error=f"no answer within {self._timeout:g} s")
        except TargetError as error:
            return Sent(error=str(error))
        except Exception as error:
            # Its text may repeat what was sent or answered.
            return Sent(error=f"the request failed: {type(error).__name__}")
        if status in _ACCEPTED:
            return Sent(status_code=status)
        return Sent(status_code=status, error=f"the receiver answered {status}")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        target = await self._targets.find(url)
        client = await self._opened()
        sent = {
            "content-type": "application/json",
            "user-agent": "taskledger",
            "host": target.authority,
            **headers,
        }
        async with client.stream(
            "POST",
            target.url,
            headers=sent,
            content=body,
            follow_redirects=False,
            extensions={"sni_hostname": target.host},
        ) as response:
            return int(response.status_code)

    async def close(self) -> None:
        """Close what is open."""
        if self._client is not None:
            await self._client.aclose()

"""One try to send a webhook: bounded in time, never redirected, the answer's body not read."""

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx2
from msgspec import Struct

from api.bridges.targets import TargetError, Targets

_ACCEPTED: Final = range(200, 300)
_NO_REUSE: Final = httpx2.Limits(max_keepalive_connections=0)


class Sent(Struct, frozen=True, kw_only=True):
    """How a try ended; without an error the receiver has taken it."""

    status_code: int = 0
    error: str = ""


class Sender:
    """Posts to permitted targets."""

    def __init__(self, targets: Targets, timeout_seconds: float) -> None:
        """Give each try so much time in all."""
        self._targets = targets
        self._timeout = timeout_seconds
        self._client: httpx2.AsyncClient | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """Return how it went; whatever goes wrong on the way is an answer, too."""
        try:
            async with asyncio.timeout(self._timeout):
                status = await self._post(url, headers, body)
        except TimeoutError:
            return Sent(error=f"no answer within {self._timeout:g} s")
        except TargetError as error:
            return Sent(error=str(error))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            # Its text may repeat what was sent or answered.
            return Sent(error=f"the request failed: {type(error).__name__}")
        if status in _ACCEPTED:
            return Sent(status_code=status)
        return Sent(status_code=status, error=f"the receiver answered {status}")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        target = await self._targets.find(url)
        if self._client is None:
            self._client = httpx2.AsyncClient(trust_env=False, timeout=None, limits=_NO_REUSE)
        sent = {
            "content-type": "application/json",
            "user-agent": "taskledger",
            "host": target.authority,
            **headers,
        }
        async with self._client.stream(
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

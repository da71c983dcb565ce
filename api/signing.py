"""Paths that carry their own permission: signed, and good until a time."""

import asyncio
import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl, urlencode

from api.vault import Vault
from domain.instants import SECOND, Instant

_SECRET_ID: Final = "url-signing-key"
_KEY_BYTES: Final = 32


class Signer:
    """Signs paths with a key that all processes on a store share, made when it is first needed.

    The signature is an HMAC (RFC 2104) with SHA-256 over the path and the time.
    """

    def __init__(self, vault: Vault, clock: Callable[[], Instant]) -> None:
        """Keep the key in the vault."""
        self._vault = vault
        self._clock = clock
        self._key = b""

    async def prepare(self) -> None:
        """Have the key at hand without keeping an event loop waiting.

        Raises StoreUnavailableError.
        """
        if not self._key and self._vault.usable:
            await asyncio.to_thread(self._signature, "", "")

    def sign(self, path: str, seconds: int) -> str | None:
        """Return the query that makes a path good for so long; None when no key can be had.

        Raises StoreUnavailableError.
        """
        if not self._vault.usable:
            return None
        expires = str(self._clock() // SECOND + seconds)
        return urlencode({"expires": expires, "signature": self._signature(path, expires)})

    def check(self, path: str, query: str) -> bool:
        """Whether a query, which must have nothing else in it, makes this path good now.

        Raises StoreUnavailableError.
        """
        given = parse_qsl(query)
        if not self._vault.usable or [name for name, _ in given] != ["expires", "signature"]:
            return False
        (_, expires), (_, signature) = given
        expected = self._signature(path, expires)
        return hmac.compare_digest(signature.encode(), expected.encode()) and self._ahead(expires)

    def _ahead(self, expires: str) -> bool:
        return int(expires) * SECOND > self._clock()

    def _signature(self, path: str, expires: str) -> str:
        if not self._key:
            key = self._vault.keep_first(_SECRET_ID, secrets.token_hex(_KEY_BYTES))
            self._key = bytes.fromhex(key)
        return hmac.digest(self._key, f"{expires}\n{path}".encode(), sha256).hex()

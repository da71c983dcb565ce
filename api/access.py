"""Access tokens: who may come in as soon as one token exists, and what each may do."""

import asyncio
import hmac
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final, Protocol

from api.operations import TokenScope
from domain.recorded import OPS_STREAM
from domain.registry import OpsState, TokenState
from domain.world import State
from replay.errors import StoreUnavailableError

_BEARER: Final = re.compile(rb"[Bb]earer +(tl_([0-9a-f]{16})_[A-Za-z0-9_-]{43}) *")
_NO_HASH: Final = f"sha256:{'0' * 64}"


class UnauthorizedError(Exception):
    """No usable access token came with the request; `missing` when none did."""

    def __init__(self, text: str, *, missing: bool) -> None:
        """Keep whether there was none."""
        self.missing = missing
        super().__init__(text)


class ForbiddenError(Exception):
    """The access token does not have the `scope` that this needs."""

    def __init__(self, text: str, scope: str) -> None:
        """Keep the scope."""
        self.scope = scope
        super().__init__(text)


class States(Protocol):
    """The part of the ledger that is asked here."""

    def state(self, stream: str) -> State | None:
        """Return the folded state of a stream."""


def secret_hash(token: str) -> str:
    """Return what is stored of a token: the hash of its whole text."""
    return f"sha256:{sha256(token.encode()).hexdigest()}"


class Access:
    """Knows the tokens in force. Call `forget` after a commit that may have changed them.

    `poll` notices commits of other processes; it leads to a call of `forget` in its turn.
    """

    def __init__(self, states: States, poll: Callable[[], None]) -> None:
        """Read the tokens of the ledger."""
        self._states = states
        self._poll = poll
        self._read: dict[str, TokenState] | None = None
        self._bells: set[asyncio.Event] = set()

    @property
    def required(self) -> bool:
        """Whether requests need a token: one exists that is not revoked.

        Raises StoreUnavailableError when nobody knows.
        """
        return bool(self._usable)

    def forget(self) -> None:
        """Have the tokens read again when they are needed next."""
        self._read = None
        for bell in self._bells:
            bell.set()

    async def until_refused(self, token: TokenState | None) -> None:
        """Return when whoever was let in with this token, or without any, would not be any more."""
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            while self._admits(token):
                await bell.wait()
                bell.clear()
        finally:
            self._bells.discard(bell)

    def _admits(self, token: TokenState | None) -> bool:
        """Whether the token is in force, or none is needed; also when nobody knows."""
        try:
            return token.id in self._usable if token else not self.required
        except StoreUnavailableError:
            return True

    @property
    def _usable(self) -> dict[str, TokenState]:
        if self._read is None:
            state = self._states.state(OPS_STREAM)
            tokens = state.tokens if isinstance(state, OpsState) else {}
            self._read = {token.id: token for token in tokens.values() if not token.revoked_at}
        return self._read

    def authenticate(self, authorization: bytes | None) -> TokenState:
        """Return the token a request carries; raises UnauthorizedError without a usable one.

        Raises StoreUnavailableError when nobody knows.
        """
        # Another process on the same file may have revoked it a moment ago.
        self._poll()
        found = _BEARER.fullmatch(authorization or b"")
        if found is None:
            wanted = "Authorization: Bearer tl_…"
            if authorization:
                text = f"that is no access token; what is required is {wanted}"
                raise UnauthorizedError(text, missing=False)
            raise UnauthorizedError(f"an access token is required: {wanted}", missing=True)
        token = self._usable.get(found[2].decode())
        expected = token.secret_hash if token else _NO_HASH
        if not hmac.compare_digest(expected, secret_hash(found[1].decode())) or token is None:
            raise UnauthorizedError("the access token is unknown or revoked", missing=False)
        return token


def allow(token: TokenState, scope: TokenScope, *, write_is_read: bool = False) -> None:
    """Let a token with this scope pass; raises ForbiddenError."""
    if write_is_read and scope == "task:read" and "task:write" in token.scopes:
        return
    if scope not in token.scopes and "admin" not in token.scopes:
        granted = ", ".join(token.scopes)
        raise ForbiddenError(f"the access token needs scope {scope}; it has {granted}", scope)

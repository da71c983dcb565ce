"""Access tokens: made, listed and revoked, by the server or beside it."""

import base64
import os
from typing import Final

from msgspec import Struct

from api.access import secret_hash
from api.services import Services
from domain import fields
from domain.commands import CreateToken, RevokeToken
from domain.errors import ValidationError
from domain.operations import SCOPES
from domain.registry import TokenState
from domain.values import LOCAL_USER, Actor, ActorKind, Origin
from projections import registry

_SECRET_BYTES: Final = 32
_ORIGIN: Final = Origin("cli", "token")
_NAME_BYTES: Final = 256


class IssuedToken(Struct, frozen=True):
    """A new token. `text` is shown once and kept nowhere."""

    id: str
    text: str


def actor_of(label: str, name: str) -> Actor:
    """Return the actor `kind:ref` names, a human called `name` without one.

    Raises ValidationError for an unknown kind or a missing ref.
    """
    kind, _, ref = label.partition(":")
    if not label.strip():
        kind, ref = "human", name
    actor_kind: ActorKind = fields.choice(kind, "token.actor.kind", ActorKind)
    if actor_kind == "daemon":
        raise ValidationError('token.actor.kind must not be the server itself: "daemon"')
    return Actor(actor_kind, fields.required(ref, "token.actor.ref", limit=_NAME_BYTES))


def create_token(
    services: Services,
    *,
    name: str,
    scopes: tuple[str, ...] = ("task:read", "task:write"),
    actor: str = "",
    workspace: str = "",
) -> IssuedToken:
    """Make an access token and return it, the only time that its text is known.

    `actor` is `kind:ref`, by default a human of the token's name. Raises ValidationError or
    WorkspaceNotFoundError.
    """
    label = fields.required(name, "token.name", limit=_NAME_BYTES)
    wanted = tuple(dict.fromkeys(scope.strip() for scope in scopes if scope.strip()))
    if not wanted:
        raise ValidationError(f"token.scopes must be among {', '.join(SCOPES)}")
    token_id = services.new_id("token").removeprefix("token-")
    secret = base64.urlsafe_b64encode(os.urandom(_SECRET_BYTES)).rstrip(b"=").decode()
    text = f"tl_{token_id}_{secret}"
    command = CreateToken(
        token_id=token_id,
        name=label,
        scopes=wanted,
        token_actor=actor_of(actor, label),
        workspace=workspace,
        secret_hash=secret_hash(text),
    )
    services.committer.execute(command, services.context(LOCAL_USER, _ORIGIN))
    return IssuedToken(token_id, text)


def list_tokens(services: Services) -> list[TokenState]:
    """Return every access token, also revoked ones, oldest first."""
    return registry.tokens(services.ledger.reader)


def revoke_token(services: Services, token_id: str) -> None:
    """Accept a token no longer; `token_id` may be the id or the token itself.

    Raises TokenNotFoundError.
    """
    known = token_id.strip().removeprefix("tl_").partition("_")[0]
    command = RevokeToken(token_id=known)
    services.committer.execute(command, services.context(LOCAL_USER, _ORIGIN))

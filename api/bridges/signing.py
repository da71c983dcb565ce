"""The signature of a webhook (Standard Webhooks 1.0, symmetric signatures)."""

import base64
import hmac
from hashlib import sha256

from api.bridges.secrets import key_of
from domain.instants import SECOND, Instant


def signed_headers(secret: str, delivery_id: str, now: Instant, body: bytes) -> dict[str, str]:
    """Return the headers that let a receiver check who sent what, and when."""
    timestamp = str(now // SECOND)
    content = b".".join((delivery_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.digest(key_of(secret), content, sha256)).decode()
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }

"""The secret that a bridge and its server sign with (Standard Webhooks 1.0)."""

import base64
import binascii
import os
import re
from typing import Final

from domain.errors import ValidationError

PREFIX: Final = "whsec_"
_SECRET: Final = re.compile(r"whsec_([A-Za-z0-9+/]+={0,2})")
_NEW_BYTES: Final = 32
_SIZES: Final = range(24, 65)


def new_secret() -> str:
    """Return a fresh secret (Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes)."""
    return PREFIX + base64.b64encode(os.urandom(_NEW_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the bytes to sign with; raises ValidationError, which does not repeat the secret."""
    found = _SECRET.fullmatch(secret)
    try:
        key = base64.b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        key = b""
    if len(key) not in _SIZES:
        least, most = _SIZES[0], _SIZES[-1]
        message = f"bridge.secret must be whsec_ and {least} to {most} bytes in base64"
        raise ValidationError(message)
    return key

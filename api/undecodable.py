"""What is wrong with JSON that cannot be decoded, in words that people can act on."""

import json
from typing import Final

import msgspec

_LOOKED_INTO: Final = 1 << 20
"""A longer text is not decoded once more, which would keep others waiting."""


def explained(error: Exception, sent: bytes) -> str:
    """Return what is wrong with JSON, given what decoding it raised."""
    if isinstance(error, RecursionError):
        return "JSON is nested too deeply"
    try:
        sent.decode()
    except UnicodeDecodeError as invalid:
        return f"JSON is not valid UTF-8 (byte {invalid.start})"
    malformed = not isinstance(error, msgspec.ValidationError)
    if malformed and len(sent) <= _LOOKED_INTO and _has_lone_surrogate(sent):
        return "JSON is malformed: lone surrogate in a string"
    return str(error).replace(" | null`", "`")


def _has_lone_surrogate(sent: bytes) -> bool:
    """Whether only half of an escaped pair is wrong, which the library calls all kinds of things.

    The standard library decodes it, but then the text cannot be encoded.
    """
    try:
        json.dumps(json.loads(sent), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False

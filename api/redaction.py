"""Keeps secrets out of everything that leaves the process as text."""

import logging
import re
import traceback
from typing import Final

_LOG: Final = logging.getLogger("taskledger")
_CLAIM: Final = re.compile(rb"agh_claim_[A-Za-z0-9_-]+")
_ACCESS: Final = re.compile(rb"tl_([0-9a-f]{16})_[A-Za-z0-9_-]+")


_WEBHOOK: Final = re.compile(rb"whsec_[A-Za-z0-9+/=]+")


def redact(text: bytes) -> bytes:
    """Return the text with claim tokens, access tokens and webhook secrets masked."""
    if b"agh_claim_" in text:
        text = _CLAIM.sub(b"agh_claim_[REDACTED]", text)
    if b"tl_" in text:
        text = _ACCESS.sub(rb"tl_\1_[REDACTED]", text)
    if b"whsec_" in text:
        text = _WEBHOOK.sub(b"whsec_[REDACTED]", text)
    return text


def redact_text(text: str) -> str:
    """Return the text with claim tokens, access tokens and webhook secrets masked."""
    return redact(text.encode("utf-8", "replace")).decode()


def log_failure(error: BaseException) -> None:
    """Log an unexpected error with its traceback, without secrets."""
    _LOG.error("unexpected error\n%s", redact_text("".join(traceback.format_exception(error))))

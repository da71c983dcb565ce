"""Requests to an address as somebody sends them who was given nothing else."""

from typing import Any

import httpx2

from tests.api.live import HANG_SECONDS


def fetched(url: str) -> httpx2.Response:
    """Return the answer to a GET."""
    return httpx2.get(url, timeout=HANG_SECONDS, trust_env=False, verify=False)


def posted(url: str, **options: Any) -> httpx2.Response:
    """Return the answer to a POST."""
    return httpx2.post(url, timeout=HANG_SECONDS, trust_env=False, verify=False, **options)

"""Steps from an older stored shape of a fact to the next one.

A step gets the payload as JSON texts by member name, so that what it does not touch stays as it
was written, and returns the payload of the following version. A released step is never changed.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Raw

Payload: TypeAlias = dict[str, Raw]
Upcaster: TypeAlias = Callable[[Payload], Payload]
Upcasters: TypeAlias = Mapping[tuple[str, int], Upcaster]

UPCASTERS: Upcasters = {}
"""(type, version) -> step to version + 1. Every fact still has its first shape."""


def upcast(
    type_: str, payload: Payload, version: int, current: int, steps: Upcasters = UPCASTERS
) -> Payload:
    """Return the payload in its current shape; raises KeyError where a step is missing."""
    while version < current:
        payload = steps[type_, version](payload)
        version += 1
    return payload

"""The base of every fact: what happened, without the envelope.

A field without a default is always shown in the payload a client reads; one with a default is left
out when it is empty; one named in `PRIVATE` is state that the payload never shows.
"""

from typing import ClassVar

from msgspec import Struct

from domain.values import ReviewOutcome


class Fact(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What happened, without the envelope."""

    TYPE: ClassVar[str]
    SCHEMA_VERSION: ClassVar[int] = 1
    PRIVATE: ClassVar[frozenset[str]] = frozenset()


class VerdictFact(Fact, frozen=True, kw_only=True):
    """What the two events of one verdict have in common."""

    review_id: str
    run_id: str
    outcome: ReviewOutcome
    confidence: float
    delivery_id: str
    review_round: int
    continuation_run_id: str = ""

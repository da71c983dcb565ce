"""What a measurement is, and how two things are measured side by side."""

import gc
import os
import statistics
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from msgspec import Struct

Compare = Literal["at least", "at most"]


class Goal(Struct, frozen=True, kw_only=True):
    """What a result has to reach: a bound on the ratio, on the measured value, or on either.

    It can only be judged where there are as many processor `cores`.
    """

    compare: Compare
    ratio: float | None = None
    value: float | None = None
    cores: int = 1

    @property
    def judged(self) -> bool:
        """Whether this machine has the cores."""
        return (os.cpu_count() or 1) >= self.cores

    def met_by(self, measured: float, ratio: float | None) -> bool:
        """Whether one of the bounds holds."""
        pairs = ((self.ratio, ratio), (self.value, measured))
        return any(
            found >= bound if self.compare == "at least" else found <= bound
            for bound, found in pairs
            if bound is not None and found is not None
        )


class Result(Struct, frozen=True, kw_only=True):
    """One line of the report. `rounds` holds the ratio (or the value) of each round.

    `reference` and `ratio` are None for an absolute goal; `beside` then tells what else was seen.
    """

    case: str
    what: str
    unit: str
    measured: float
    reference: float | None = None
    reference_what: str = ""
    ratio: float | None = None
    goal: Goal
    met: bool
    rounds: tuple[float, ...] = ()
    beside: dict[str, float | str] = {}


class Pairs(Struct):
    """What A and B came to, round by round."""

    a: list[float]
    b: list[float]

    @property
    def ratios(self) -> list[float]:
        """A divided by B in each round."""
        return [a / b for a, b in zip(self.a, self.b, strict=True)]


def in_turn(rounds: int, sides: Sequence[Callable[[], float]]) -> list[list[float]]:
    """Measure all sides in turn, round by round; a first round warms up and does not count."""
    found: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        gc.collect()
        values = [side() for side in sides]
        if number:
            for side, value in zip(found, values, strict=True):
                side.append(value)
    return found


def side_by_side(rounds: int, a: Callable[[], float], b: Callable[[], float]) -> Pairs:
    """Measure A and B in turn; a first round of both warms up and does not count."""
    return Pairs(*in_turn(rounds, [a, b]))


async def side_by_side_async(
    rounds: int, a: Callable[[], Awaitable[float]], b: Callable[[], Awaitable[float]]
) -> Pairs:
    """Measure A and B in turn, as `side_by_side` does."""
    pairs = Pairs([], [])
    for number in range(rounds + 1):
        gc.collect()
        found = await a(), await b()
        if number:
            pairs.a.append(found[0])
            pairs.b.append(found[1])
    return pairs


def compared(
    pairs: Pairs,
    *,
    case: str,
    what: str,
    unit: str,
    reference_what: str,
    goal: Goal,
    beside: dict[str, float | str] | None = None,
) -> Result:
    """Return the result of paired rounds: medians, and the median of the rounds' ratios."""
    measured, ratio = statistics.median(pairs.a), statistics.median(pairs.ratios)
    return Result(
        case=case,
        what=what,
        unit=unit,
        measured=measured,
        reference=statistics.median(pairs.b),
        reference_what=reference_what,
        ratio=ratio,
        goal=goal,
        met=goal.met_by(measured, ratio),
        rounds=tuple(pairs.ratios),
        beside=beside or {},
    )


def absolute(
    values: Sequence[float],
    *,
    case: str,
    what: str,
    unit: str,
    goal: Goal,
    beside: dict[str, float | str] | None = None,
) -> Result:
    """Return the result of a value that is held against a fixed bound."""
    measured = statistics.median(values)
    return Result(
        case=case,
        what=what,
        unit=unit,
        measured=measured,
        goal=goal,
        met=goal.met_by(measured, None),
        rounds=tuple(values),
        beside=beside or {},
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of all values lie; 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

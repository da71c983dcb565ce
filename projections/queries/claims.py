"""Which queued runs a session may be handed, in claim order, and which wait too long.

Runs that ask for nothing are read from an index of their own. The others are grouped in theirs by
what they ask for, so that a claim looks at each demand once, however many runs have it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from heapq import merge
from itertools import islice
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from domain.eligibility import Demand, meets, owner_keys
from domain.world import ClaimQuery
from projections.backlog import RANKS
from projections.rows import Reader, Row

Select: TypeAlias = Callable[[str, Row], list[Row]]
"""Returns the rows of a SELECT."""

NOTHING: Final[Mapping[Row, Row | None]] = MappingProxyType({})
_FOR_ANYBODY: Final = "claimable = 1 AND workspace_id = ?"
_DEMANDING: Final = "claimable = 2 AND workspace_id = ? AND agent = ?"
_OF_ONE_CHANNEL: Final = " AND channel = ? AND channel <> ''"
_BEHIND: Final = " AND (rank, queued_at, run_id) > (?, ?, ?)"
_IN_ORDER: Final = " ORDER BY rank, queued_at, run_id LIMIT "
_OWNERS: Final = 3
_FIRST_PAGE: Final = 4
_LARGEST_PAGE: Final = 256
_LARGEST_RANK: Final = 1_000
_RUN_ID: Final = 2
_WITH_DEMAND: Final = 2


class _Queue:
    """The statements that read one kind of queue."""

    def __init__(self, condition: str, channel: str, end: str = "") -> None:
        """Read the rows that fulfil a condition, in one channel or in any."""
        rows = (
            "SELECT rank, queued_at, run_id, task_id FROM backlog"
            f" WHERE {condition} AND owner = ? AND rank <= ?{channel}"
        )
        one = f"{rows}{_IN_ORDER}1"
        firsts = (f"SELECT * FROM ({one}) AS o{number}" for number in range(_OWNERS))
        self.first = " UNION ALL ".join(firsts) + end
        self.page = f"{rows}{_BEHIND}{_IN_ORDER}?"


# One row behind all others tells that there are runs that ask for something.
_ANY_DEMAND: Final = (
    f" UNION ALL SELECT * FROM (SELECT {_LARGEST_RANK}, 0, '', '' FROM backlog"
    " WHERE claimable = 2 AND workspace_id = ? LIMIT 1) AS demands"
)
_PLAIN: Final = {
    False: _Queue(_FOR_ANYBODY, "", _ANY_DEMAND),
    True: _Queue(_FOR_ANYBODY, _OF_ONE_CHANNEL, _ANY_DEMAND),
}
_OF_DEMAND: Final = {
    False: _Queue(f"{_DEMANDING} AND demand = ?", ""),
    True: _Queue(f"{_DEMANDING} AND demand = ?", _OF_ONE_CHANNEL),
}
"""By whether the session is bound to a channel."""

# Read by priority, since there is an index for that; no other table needs to know the oldest.
_WAITING: Final = " UNION ALL ".join(
    "SELECT * FROM (SELECT queued_at, run_id, task_id FROM backlog WHERE paused = 0"
    f" AND rank = {rank} AND queued_at <= ? AND claimable > 0"
    f" ORDER BY queued_at, run_id LIMIT ?) AS of_rank{-rank}"
    for rank in RANKS
)

_DEMANDS: Final = (
    "WITH RECURSIVE demands(demand) AS ("
    f"SELECT MIN(demand) FROM backlog WHERE {_DEMANDING} UNION ALL"
    f" SELECT (SELECT MIN(b.demand) FROM backlog AS b WHERE {_DEMANDING}"
    " AND b.demand > demands.demand) FROM demands WHERE demands.demand IS NOT NULL)"
    f" SELECT demand, (SELECT wants FROM backlog AS b WHERE {_DEMANDING}"
    " AND b.demand = demands.demand LIMIT 1) FROM demands WHERE demand IS NOT NULL"
)


def claimable_runs(
    select: Select, claim: ClaimQuery, unstored: Mapping[Row, Row | None] = NOTHING
) -> Iterator[tuple[str, str]]:
    """Yield (task id, run id) of the runs a session may be handed, in claim order.

    `select` reads a few rows at a time, so that the cost is bounded by what is taken and by how
    many different demands there are, whatever waits. It does not see the rows in `unstored` yet.
    """
    stored = (row for row in _stored(select, claim) if (row[_RUN_ID],) not in unstored)
    own = sorted(_claimable(unstored.values(), claim)) if unstored else ()
    for _, _, run_id, task_id in merge(stored, own) if own else stored:
        yield task_id, run_id


def _claimable(rows: Iterable[Row | None], claim: ClaimQuery) -> Iterator[Row]:
    """Yield what the statements give of those rows that a session may be handed."""
    owners = owner_keys(claim)
    for row in rows:
        if row is None:
            continue
        run_id, task_id, workspace_id, owner, rank, queued_at, channel = row[:7]
        if (
            workspace_id == claim.workspace_id
            and owner in owners
            and rank <= -claim.priority_min
            and channel == (claim.channel or channel)
            and _may_have(row, claim)
        ):
            yield rank, queued_at, run_id, task_id


def _may_have(row: Row, claim: ClaimQuery) -> bool:
    agent, wants, claimable = row[7], row[9], row[11]
    if claimable == _WITH_DEMAND:
        return agent in ("", claim.agent_name) and meets(_demand(wants), claim)
    return bool(claimable)


def _stored(select: Select, claim: ClaimQuery) -> Iterator[Row]:
    queue = _PLAIN[bool(claim.channel)]
    owned = _owned(claim, (claim.workspace_id,))
    found = sorted(select(queue.first, (*sum(owned, ()), claim.workspace_id)))
    demanding = bool(found) and found[-1][0] == _LARGEST_RANK
    rows = _in_order(select, queue, owned, found[:-1] if demanding else found)
    return merge(rows, *_demanding(select, claim)) if demanding else rows


def waiting_runs(reader: Reader, queued_before: int, limit: int) -> list[Row]:
    """Return (task id, run id) of claimable runs queued by then, oldest first."""
    found = sorted(reader.select(_WAITING, (queued_before, limit) * len(RANKS)))
    return [(task_id, run_id) for _, run_id, task_id in found[:limit]]


def _owned(claim: ClaimQuery, of_queue: Row) -> list[Row]:
    """Return the parameters that read the rows of each owner."""
    channel = (claim.channel,) if claim.channel else ()
    return [(*of_queue, owner, -claim.priority_min, *channel) for owner in owner_keys(claim)]


def _demanding(select: Select, claim: ClaimQuery) -> Iterator[Iterator[Row]]:
    """Yield the rows of each demand that the session meets."""
    queue = _OF_DEMAND[bool(claim.channel)]
    for agent in {"", claim.agent_name}:
        group = (claim.workspace_id, agent)
        for demand, wants in select(_DEMANDS, group * 3):
            if meets(_demand(wants), claim):
                owned = _owned(claim, (*group, demand))
                firsts = sorted(select(queue.first, sum(owned, ())))
                yield _in_order(select, queue, owned, firsts)


@lru_cache(maxsize=4096)
def _demand(wants: str) -> Demand:
    return msgspec.json.decode(wants, type=Demand)


def _in_order(select: Select, queue: _Queue, owned: list[Row], firsts: list[Row]) -> Iterator[Row]:
    """Yield the rows of all owners; the first of each are known already."""
    if not firsts:
        return
    yield firsts[0]
    # Hardly anybody asks for a second one, so only now it is read on.
    following = merge(*(_owned_by(select, queue.page, wanted) for wanted in owned))
    yield from islice(following, 1, None)


def _owned_by(select: Select, statement: str, wanted: Row) -> Iterator[Row]:
    last: Row = (-_LARGEST_RANK, 0, "")
    size = _FIRST_PAGE
    while True:
        page = select(statement, (*wanted, *last, size))
        yield from page
        if len(page) < size:
            return
        last = page[-1][:3]
        size = min(4 * size, _LARGEST_PAGE)

"""The read models as of moments of the past, for answers about many tasks.

A moment is a snapshot with what came after it on top, in memory. Short ways from one to the other
are folded here, in slices; long ones, and snapshots, by a process of its own.
"""

import asyncio
import logging
import sqlite3
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from api.rewinding import Work
from api.settings import child_environment
from domain.errors import StreamHeldError
from domain.refusals import held_back
from projections.rows import Projector
from projections.timeline import TimelineProjector
from replay.delta import take_in
from replay.errors import StoreUnavailableError
from replay.past import PastFold, Stuck, fingerprint
from replay.rows import RowBuffer
from replay.snapshots import MOST, Shelf, Snapshot, opened, points_between, thinned
from replay.store import SqlReader

if TYPE_CHECKING:
    from api.services import Services

_LOG: Final = logging.getLogger("taskledger")
_KEPT: Final = 4
_AT_ONCE: Final = 400
_SLICE: Final = 25
_CHILDREN: Final = 2
_MEGABYTE: Final = 1 << 20
_FAILED_SECONDS: Final = 300.0
_REST: Final = 9
"""So many times as long as making snapshots took, none are made in the background."""


class Moments:
    """The moments that were asked for last, and the snapshots they are built on."""

    def __init__(self, services: "Services") -> None:
        """Look at the snapshots beside the store of these services."""
        self._services = services
        self._projectors: tuple[Projector, ...] = tuple(
            each for each in services.projectors if each.name != TimelineProjector.name
        )
        self._tables = [table for each in self._projectors for table in each.tables]
        folder = Path(f"{services.ledger.access.beside}.snapshots")
        self._shelf = Shelf(folder, services.ledger, self._projectors)
        self._interval = services.settings.snapshot_interval
        self._sound: set[Path] = set()
        self._fingerprint = ""
        self._open: OrderedDict[int, _Rewound] = OrderedDict()
        self._opening: dict[int, asyncio.Task[_Rewound]] = {}
        self._maker = asyncio.Lock()
        self._turns = asyncio.Semaphore(_CHILDREN)
        self._not_before = 0.0

    async def reader_at(self, sequence: int, needed: str = "") -> SqlReader:
        """Return the rows as they were.

        Raises StoreUnavailableError when they cannot be had, and StreamHeldError when the read
        model that is needed stands still as a whole before that.
        """
        self._check_fingerprint()
        found = self._open.get(sequence)
        if found is None:
            if sequence not in self._opening:
                task = asyncio.create_task(self._opened(sequence))
                self._services.keep(task)
                task.add_done_callback(lambda _: self._opening.pop(sequence, None))
                self._opening[sequence] = task
            # Others may wait for the same moment, so it is opened also when this caller goes away.
            found = await asyncio.shield(self._opening[sequence])
        if needed in found.stuck:
            raise _held_back(needed, sequence, found.stuck[needed])
        return SqlReader(found.connection)

    def _check_fingerprint(self) -> None:
        """Forget moments when other events are passed over than when they were folded."""
        found = fingerprint(self._services.ledger, self._projectors)
        if found != self._fingerprint:
            self._fingerprint = found
            self._open.clear()

    async def _opened(self, sequence: int) -> "_Rewound":
        mark = self._fingerprint
        try:
            found = await self._folded(sequence)
        except (OSError, sqlite3.Error, StoreUnavailableError):
            # A snapshot may have been removed, or damaged after it was looked at.
            self._sound.clear()
            try:
                found = await self._folded(sequence)
            except (OSError, sqlite3.Error) as error:
                raise _unavailable(sequence, repr(error)) from error
        found.connection.execute("PRAGMA query_only=ON")
        if mark == self._fingerprint:
            self._open[sequence] = found
            while len(self._open) > _KEPT:
                # Whoever still reads it keeps it open.
                self._open.popitem(last=False)
        return found

    async def _folded(self, sequence: int) -> "_Rewound":
        base = await self._base_of(sequence)
        connection = opened(base, self._projectors)
        if sequence - (base.sequence if base else 0) > _AT_ONCE:
            return await self._fold_aside(connection, base, sequence)
        rows = RowBuffer(self._tables)
        connection.execute("BEGIN")
        rows.start(connection)
        fold = PastFold(self._services.ledger, self._projectors, rows)
        for _ in fold.pages(self._services.ledger.reader, sequence, _SLICE):
            await asyncio.sleep(0)
        return _Rewound(connection, fold.stuck)

    async def _fold_aside(
        self, connection: sqlite3.Connection, base: Snapshot | None, sequence: int
    ) -> "_Rewound":
        """Let a child process fold, and take its rows in without keeping the loop busy."""
        with tempfile.TemporaryDirectory(prefix="taskledger-as-of-") as folder:
            target = Path(folder) / "delta.db"
            async with self._turns:
                told = await self._child(base, target, sequence=sequence)
            await asyncio.to_thread(take_in, connection, target, self._tables)
        return _Rewound(connection, msgspec.json.decode(told, type=dict[str, Stuck]))

    # Snapshots.

    async def _base_of(self, sequence: int) -> Snapshot | None:
        """Return a sound snapshot at most an interval before a sequence, None for the beginning."""
        base = await self._nearest(sequence)
        if sequence - (base.sequence if base else 0) <= self._interval:
            return base
        async with self._maker:
            base = await self._nearest(sequence)
            if sequence - (base.sequence if base else 0) > self._interval:
                base = await self._made((sequence // self._interval * self._interval,), base)
        return base

    async def _nearest(self, sequence: int) -> Snapshot | None:
        for snapshot in reversed(self._shelf.snapshots()):
            if snapshot.sequence <= sequence and await self._is_sound(snapshot):
                return snapshot
        return None

    async def _is_sound(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot may be used; a damaged one is removed. One look is enough."""
        if snapshot.path in self._sound:
            return True
        if await asyncio.to_thread(snapshot.is_sound):
            self._sound.add(snapshot.path)
            return True
        _LOG.warning("the snapshot %s is damaged, and is made again", snapshot.path.name)
        snapshot.path.unlink(missing_ok=True)
        return False

    async def keep_up(self) -> None:
        """Make the snapshots that are due; raises StoreUnavailableError when that fails."""
        ledger, loop = self._services.ledger, asyncio.get_running_loop()
        due = ledger.head // self._interval * self._interval
        if not due or self._maker.locked() or loop.time() < self._not_before:
            return
        if not ledger.access.leads():
            return
        async with self._maker:
            began = loop.time()
            base = await self._nearest(due)
            if base is not None and base.sequence == due:
                return
            known = [each.sequence for each in self._shelf.snapshots()]
            after = base.sequence if base else 0
            fresh = set(points_between(after, due, self._interval))
            points = fresh.intersection(thinned({*known, *fresh}, self._most()))
            self._not_before = loop.time() + _FAILED_SECONDS
            await self._made(sorted(points), base)
            self._not_before = loop.time() + _REST * (loop.time() - began)

    async def _made(self, points: Sequence[int], base: Snapshot | None) -> Snapshot:
        """Return the last of the snapshots that a child process makes."""
        await self._child(base, self._shelf.folder, points=tuple(points))
        made = {each.sequence: each for each in self._shelf.snapshots()}
        if points[-1] not in made:
            raise _unavailable(points[-1], "other events are passed over by now")
        # Nobody else has had them in hand.
        self._sound.update(made[each].path for each in points if each in made)
        self._thin(made[points[-1]])
        return made[points[-1]]

    def _most(self) -> int:
        """Return how many snapshots there may be, as far as their size is known."""
        known = self._shelf.snapshots()
        store = Path(self._services.ledger.access.beside)
        whole = store.stat().st_size if store.exists() else _MEGABYTE
        size = max((each.size for each in known), default=0) or whole
        return min(max(self._bytes // max(size, 1), 1), MOST)

    @property
    def _bytes(self) -> int:
        return self._services.settings.snapshot_megabytes * _MEGABYTE

    def _thin(self, wanted: Snapshot) -> None:
        """Remove what there is too much of, but not the snapshot that was just asked for."""
        known = {each.sequence: each for each in self._shelf.snapshots()}
        kept = thinned(known, MOST)
        while sum(known[each].size for each in kept) > self._bytes and len(kept) > 1:
            kept = thinned(kept, len(kept) - 1)
        for sequence in known.keys() - {*kept, wanted.sequence}:
            known[sequence].path.unlink(missing_ok=True)
            self._sound.discard(known[sequence].path)

    async def _child(
        self,
        base: Snapshot | None,
        target: Path,
        *,
        points: tuple[int, ...] = (),
        sequence: int = 0,
    ) -> bytes:
        """Let a child process fold, and return what it told.

        Raises StoreUnavailableError when it fails.
        """
        work = Work(
            base=base.sequence if base else 0,
            base_path=str(base.path) if base else "",
            points=points,
            sequence=sequence,
            target=str(target),
        )
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "api.rewinding", msgspec.json.encode(work).decode()),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment(self._services.settings),
        )
        try:
            told, complaints = await child.communicate()
        except BaseException:
            child.kill()
            await child.wait()
            raise
        if child.returncode:
            lines = complaints.decode(errors="replace").strip().splitlines()
            raise _unavailable(
                max((*points, sequence)), lines[-1] if lines else f"exit code {child.returncode}"
            )
        return told


class _Rewound(NamedTuple):
    """The rows as of a moment, and which read models stand still as a whole before it."""

    connection: sqlite3.Connection
    stuck: Mapping[str, Stuck]


def _held_back(name: str, sequence: int, stuck: Stuck) -> StreamHeldError:
    message = f"{name} cannot be told as of sequence {sequence}: {stuck.text}"
    skip = f"taskledger projections skip {name} --sequence {stuck.sequence} --reason WHY"
    return held_back(stuck.stream, f"{message}; to pass over the event: {skip}", skip)


def _unavailable(sequence: int, reason: str) -> StoreUnavailableError:
    message = f"the read models up to sequence {sequence} cannot be folded: {reason}"
    return StoreUnavailableError(message)

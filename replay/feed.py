"""The feed: hands the frames of each commit to whoever follows the ledger.

Live frames wait in a bounded buffer for each subscriber. One that overflows is not dropped: its
subscriber reads the store up to where the hub stands and then continues live, without a seam.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from msgspec import Struct

FEED_TABLE: Final = "timeline"
"""The table whose rows are the frames."""

FEED_COLUMNS: Final = (
    "sequence",
    "task_id",
    "run_id",
    "type",
    "workspace_id",
    "actor_kind",
    "actor_ref",
    "lineage",
    "frame",
)

MAX_BYTES: Final = 1 << 20
MAX_FRAMES: Final = 4096

Row: TypeAlias = tuple[Any, ...]
Accepts: TypeAlias = Callable[[Row], bool]

_SEQUENCE, _TYPE, _LINEAGE, _FRAME = 0, 3, 7, 8
_task_ids = msgspec.json.Decoder(list[str]).decode


class Published(Protocol):
    """What the hub needs of a commit: see `replay.batch.Commit`."""

    @property
    def previous(self) -> int:
        """The last sequence before the commit."""

    @property
    def head(self) -> int:
        """The last sequence of the commit."""

    @property
    def rows(self) -> Mapping[str, list[Row]]:
        """The rows written, by table."""


def sse_frame(sequence: int, type_: str, frame: bytes) -> bytes:
    """Return a frame as one server-sent event."""
    return b'id: %d\nevent: %b\ndata: {"sequence":%d,"type":"%b","timeline":%b}\n\n' % (
        sequence,
        name := type_.encode(),
        sequence,
        name,
        frame,
    )


class Frame:
    """One row of the feed; its encoding is made once, whoever sends it."""

    def __init__(self, row: Row) -> None:
        """Take a row with the columns of the feed."""
        self.row = row
        self.sequence: int = row[_SEQUENCE]
        self.size = len(row[_FRAME])

    @property
    def type(self) -> str:
        """The type of the event."""
        return str(self.row[_TYPE])

    @cached_property
    def sse(self) -> bytes:
        """The frame as a server-sent event."""
        return sse_frame(self.sequence, self.row[_TYPE], self.row[_FRAME])


class Match(Struct, frozen=True, kw_only=True):
    """What a subscriber wants: a task with all below it or, without one, the whole ledger.

    `accepts` sees the row of each frame in question.
    """

    task_id: str = ""
    accepts: Accepts | None = None


class Live(Struct, frozen=True):
    """The next frames, in order; none when there is nothing new."""

    frames: list[Frame]


class Behind(Struct, frozen=True):
    """The store has to be read: matching frames with `after` < sequence <= `upto`."""

    after: int
    upto: int


class Subscription:
    """One subscriber's cursor. `take` and `advance` belong to its reader."""

    def __init__(
        self, hub: "Hub", match: Match, after: int, wake: Callable[[], None], head: int
    ) -> None:
        """Start at `after`; what lies between it and `head` has to be read from the store."""
        self.match = match
        self.position = after
        self._hub = hub
        self._wake = wake
        self._behind_upto = head
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def take(self) -> Live | Behind:
        """Return what comes next. An empty `Live` means: wait for the wake-up."""
        if self.position < self._behind_upto:
            return Behind(self.position, self._behind_upto)
        frames = [frame for frame in self._frames if frame.sequence > self.position]
        self._frames.clear()
        self._bytes = 0
        if frames:
            self.position = frames[-1].sequence
        return Live(frames)

    def advance(self, position: int) -> None:
        """Take note that the store has been read up to `position`."""
        self.position = max(self.position, position)

    def offer(self, frames: Sequence[Frame], size: int, head: int) -> None:
        """Buffer frames of a commit, or fall back to the store when they are too many."""
        if (
            self._bytes + size > self._hub.max_bytes
            or len(self._frames) + len(frames) > self._hub.max_frames
        ):
            self.fall_behind(head)
            return
        was_empty = not self._frames
        self._frames.extend(frames)
        self._bytes += size
        if was_empty:
            self._wake()

    def fall_behind(self, head: int) -> None:
        """Leave everything up to `head` to the store."""
        self._frames.clear()
        self._bytes = 0
        self._behind_upto = head
        self._wake()

    def close(self) -> None:
        """Stop; closing twice is no error."""
        self._hub.unsubscribe(self)


class Hub:
    """Fans the frames of commits out; the work for a frame is bounded by those who want it."""

    def __init__(
        self, head: int, *, max_bytes: int = MAX_BYTES, max_frames: int = MAX_FRAMES
    ) -> None:
        """Start behind `head`; a subscriber's buffer holds at most so many bytes and frames."""
        self.head = head
        self.max_bytes = max_bytes
        self.max_frames = max_frames
        self._everything: set[Subscription] = set()
        self._by_task: dict[str, set[Subscription]] = {}

    def __len__(self) -> int:
        return len(self._everything) + sum(map(len, self._by_task.values()))

    def subscribe(self, match: Match, after: int, wake: Callable[[], None]) -> Subscription:
        """Return a subscription to matching frames with a sequence above `after`.

        It is registered at once, so nothing is lost while the store is read. `wake` is called
        when there is something to take.
        """
        subscription = Subscription(self, match, after, wake, self.head)
        group = self._by_task.setdefault(match.task_id, set()) if match.task_id else None
        (self._everything if group is None else group).add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscription; an unknown one is no error."""
        self._everything.discard(subscription)
        task_id = subscription.match.task_id
        if group := self._by_task.get(task_id):
            group.discard(subscription)
            if not group:
                del self._by_task[task_id]

    def publish(self, commit: Published) -> None:
        """Offer the frames of a commit; a commit seen before is ignored.

        When commits before this one were not published, everybody reads the store first. A commit
        without rows of the feed, because that is detached, has everybody wait.
        """
        if commit.head > commit.previous and FEED_TABLE not in commit.rows:
            return
        if commit.previous > self.head:
            self._skip_to(commit.previous)
        if commit.head <= self.head:
            return
        self.head = commit.head
        if self._everything or self._by_task:
            self._fan_out([Frame(row) for row in commit.rows.get(FEED_TABLE, ())])

    def _skip_to(self, head: int) -> None:
        self.head = head
        for group in (self._everything, *self._by_task.values()):
            for subscription in tuple(group):
                subscription.fall_behind(head)

    def _fan_out(self, frames: list[Frame]) -> None:
        _offer(self._everything, frames, self.head)
        if not self._by_task:
            return
        by_task: dict[str, list[Frame]] = {}
        for frame in frames:
            for task_id in _task_ids(frame.row[_LINEAGE]):
                if task_id in self._by_task:
                    by_task.setdefault(task_id, []).append(frame)
        for task_id, wanted in by_task.items():
            _offer(self._by_task.get(task_id, ()), wanted, self.head)


def _offer(subscriptions: Iterable[Subscription], frames: list[Frame], head: int) -> None:
    size = sum(frame.size for frame in frames)
    # A copy, because whoever is woken may leave.
    for subscription in tuple(subscriptions):
        accepts = subscription.match.accepts
        if accepts is None:
            wanted, weight = frames, size
        else:
            wanted = [frame for frame in frames if accepts(frame.row)]
            weight = sum(frame.size for frame in wanted)
        if wanted:
            subscription.offer(wanted, weight, head)

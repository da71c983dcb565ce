"""The hub, read by the loop that a server runs for each subscriber."""

import json
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from replay.batch import Commit
from replay.feed import FEED_TABLE, Behind, Frame, Hub, Live, Match, Row, Subscription, sse_frame

TASKS = ("root", "child", "other")
LINEAGES = {"root": '["root"]', "child": '["child","root"]', "other": '["other"]', "": "[]"}


class Script(Struct):
    """A store and a hub fed from it, as a committer would."""

    hub: Hub
    rows: list[Row]

    def commit(self, *task_ids: str, size: int = 10) -> None:
        """Commit one event for each task."""
        previous = len(self.rows)
        for task_id in task_ids:
            sequence = len(self.rows) + 1
            frame = b'{"sequence":%d,"pad":"%b"}' % (sequence, b"x" * size)
            lineage = LINEAGES[task_id]
            self.rows.append((sequence, task_id, "", "task.updated", "", "", "", lineage, frame))
        self.hub.publish(
            Commit(
                previous=previous,
                head=len(self.rows),
                rows={FEED_TABLE: self.rows[previous:]},
            )
        )

    def page(self, wanted: str, after: int, limit: int, upto: int) -> list[Row]:
        """Read the store as a stream of a task, or of everything, would."""
        return [
            row
            for row in self.rows
            if after < row[0] <= upto and (not wanted or wanted in json.loads(row[7]))
        ][:limit]

    def expected(self, wanted: str, after: int = 0) -> list[bytes]:
        return [
            sse_frame(row[0], row[3], row[8])
            for row in self.page(wanted, after, len(self.rows), len(self.rows))
        ]


def script(**limits: int) -> Script:
    return Script(Hub(0, **limits), [])


class Client:
    """A subscriber that reads a step at a time."""

    def __init__(self, source: Script, wanted: str = "", after: int = 0, page: int = 2) -> None:
        self.source = source
        self.wanted = wanted
        self.page = page
        self.received: list[bytes] = []
        self.wakes = 0
        self.subscription = source.hub.subscribe(Match(task_id=wanted), after, self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    def step(self) -> bool:
        """Read once; return whether there was anything to do."""
        match self.subscription.take():
            case Behind(after, upto):
                rows = self.source.page(self.wanted, after, self.page, upto)
                self.received.extend(sse_frame(row[0], row[3], row[8]) for row in rows)
                full = len(rows) == self.page
                self.subscription.advance(rows[-1][0] if full else upto)
                return True
            case Live(frames):
                self.received.extend(frame.sse for frame in frames)
                return bool(frames)

    def drain(self) -> None:
        while self.step():
            pass


def test_a_frame_is_one_event_of_one_line() -> None:
    assert sse_frame(7, "task.created", b'{"a":1}') == (
        b"id: 7\nevent: task.created\n"
        b'data: {"sequence":7,"type":"task.created","timeline":{"a":1}}\n\n'
    )


def test_a_new_subscriber_reads_the_store_and_then_lives_on_frames() -> None:
    source = script()
    source.commit("root", "other")
    client = Client(source)
    source.commit("child")

    assert client.subscription.take() == Behind(0, 2)
    client.drain()
    assert client.received == source.expected("")
    source.commit("root")
    assert isinstance(client.subscription.take(), Live)


def test_a_subscriber_at_the_head_needs_no_store() -> None:
    source = script()
    source.commit("root")
    client = Client(source, after=1)

    assert client.subscription.take() == Live([])


def test_a_subscriber_ahead_of_the_ledger_gets_what_lies_behind_its_cursor() -> None:
    source = script()
    client = Client(source, after=3)
    for _ in range(5):
        source.commit("root")
    client.drain()

    assert client.received == source.expected("", after=3)


def test_a_task_is_followed_with_all_below_it_and_nothing_else() -> None:
    source = script()
    clients = {task_id: Client(source, task_id) for task_id in TASKS}
    source.commit("root", "child", "other", "", "child")
    for client in clients.values():
        client.drain()

    sequences = {
        task_id: [int(frame.split()[1]) for frame in client.received]
        for task_id, client in clients.items()
    }
    assert sequences == {"root": [1, 2, 5], "child": [2, 5], "other": [3]}


def test_a_wake_up_comes_once_until_the_frames_are_taken() -> None:
    source = script()
    client = Client(source)
    for _ in range(3):
        source.commit("root")
    assert client.wakes == 1
    client.drain()
    source.commit("root")

    assert client.wakes == 2


def test_others_are_not_woken() -> None:
    source = script()
    client = Client(source, "other")
    source.commit("root", "child", "")

    assert client.wakes == 0


def test_a_filter_sees_each_row() -> None:
    source = script()
    match = Match(accepts=lambda row: row[1] == "child")
    subscription = source.hub.subscribe(match, 0, lambda: None)
    source.commit("root", "child", "other", "child")

    taken = subscription.take()
    assert isinstance(taken, Live)
    assert [frame.sequence for frame in taken.frames] == [2, 4]


@pytest.mark.parametrize("limits", [{"max_frames": 3}, {"max_bytes": 200}])
def test_a_buffer_that_overflows_sends_its_reader_back_to_the_store(limits: dict[str, int]) -> None:
    source = script(**limits)
    client = Client(source)
    for _ in range(10):
        source.commit("root", size=40)

    assert isinstance(client.subscription.take(), Behind)
    client.drain()
    assert client.received == source.expected("")


def test_a_commit_larger_than_any_buffer_is_read_from_the_store() -> None:
    source = script(max_frames=3)
    client = Client(source)
    source.commit(*["root"] * 10)
    client.drain()

    assert client.received == source.expected("")


def test_commits_that_were_not_published_are_read_from_the_store() -> None:
    source = script()
    client = Client(source)
    source.commit("root")
    source.rows.append((2, "root", "", "task.updated", "", "", "", '["root"]', b"{}"))
    source.commit("root")
    client.drain()

    assert client.received == source.expected("")


def test_a_commit_without_rows_sends_everybody_to_the_store() -> None:
    source = script()
    clients = [Client(source), Client(source, "root"), Client(source, "other")]
    source.rows.extend(
        (number, "root", "", "task.updated", "", "", "", '["root"]', b"{}") for number in (1, 2)
    )
    source.hub.publish(Commit(previous=2, head=2, rows={}))
    for client in clients:
        client.drain()

    assert [client.received for client in clients] == [
        source.expected(""),
        source.expected("root"),
        [],
    ]


def test_a_commit_published_twice_is_sent_once() -> None:
    source = script()
    client = Client(source)
    source.commit("root")
    source.hub.publish(Commit(previous=0, head=1, rows={FEED_TABLE: source.rows[:1]}))
    client.drain()

    assert client.received == source.expected("")


@pytest.mark.parametrize("wanted", ["", "root"])
def test_unsubscribing_twice_is_no_error_and_leaves_nothing_behind(wanted: str) -> None:
    source = script()
    clients = [Client(source, wanted) for _ in range(2)]
    for client in (*clients, *clients):
        client.subscription.close()
    source.commit("root")

    assert len(source.hub) == 0
    assert [client.received for client in clients] == [[], []]


def test_a_subscriber_may_leave_while_frames_are_handed_out() -> None:
    hub = Hub(0)
    source = Script(hub, [])
    subscriptions: list[Subscription] = []
    subscriptions.extend(
        hub.subscribe(Match(), 0, lambda: subscriptions.pop().close()) for _ in range(4)
    )
    source.commit("root")

    assert len(hub) == 0


def test_the_encoding_of_a_frame_is_made_once_for_all_subscribers() -> None:
    source = script()
    clients = [Client(source) for _ in range(200)] + [Client(source, "root") for _ in range(200)]
    source.commit("root")
    taken = [client.subscription.take() for client in clients]
    frames: list[Frame] = [
        frame for live in taken if isinstance(live, Live) for frame in live.frames
    ]

    assert len(frames) == 400
    assert len({id(frame.sse) for frame in frames}) == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("commit"), st.lists(st.sampled_from([*TASKS, ""]), min_size=1, max_size=6)
        ),
        st.tuples(st.just("read"), st.integers(0, 5)),
        st.tuples(st.just("join"), st.sampled_from([*TASKS, ""])),
        st.tuples(st.just("gap"), st.sampled_from(TASKS)),
    ),
    max_size=60,
)


@given(steps=STEPS, max_frames=st.integers(1, 8), seed=st.integers())
def test_slow_readers_lose_nothing_and_get_nothing_twice(
    steps: Sequence[tuple[str, object]], max_frames: int, seed: int
) -> None:
    source = script(max_frames=max_frames)
    chance = random.Random(seed)
    clients: list[tuple[Client, int]] = []

    def join(wanted: str) -> None:
        after = chance.randint(0, len(source.rows))
        clients.append((Client(source, wanted, after, page=chance.randint(1, 4)), after))

    actions: dict[str, Callable[..., object]] = {
        "commit": lambda task_ids: source.commit(*task_ids),
        "read": lambda number: [client.step() for client, _ in clients[number::3]],
        "join": join,
        "gap": lambda task_id: source.rows.append(
            (len(source.rows) + 1, task_id, "", "t", "", "", "", LINEAGES[task_id], b"{}")
        ),
    }
    for action, argument in steps:
        actions[action](argument)
    source.commit("")
    for client, after in clients:
        client.drain()
        assert client.received == source.expected(client.wanted, after)

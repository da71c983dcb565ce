"""What every store does alike."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import IntegrityError, Tracking

from tests.replay.stores import STORES, Open, Store, stored

PAGES = [1, 2, 7, 1000]


@pytest.fixture(params=sorted(STORES))
def open_store(request: pytest.FixtureRequest) -> Open:
    return STORES[request.param]


@pytest.fixture
def store(open_store: Open, tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as store:
        yield store


def test_an_empty_store_has_no_head(store: Store) -> None:
    assert store.recorder.max_notification_id() is None
    assert store.sequences(0, 10) == []


def test_sequences_count_from_one_without_gaps(store: Store) -> None:
    found = [store.record("task:a", 1, 2), store.record("task:b", 1), store.record("task:a", 3)]

    assert found == [[1, 2], [3], [4]]
    assert store.recorder.max_notification_id() == 4


def test_a_taken_version_is_a_conflict_and_nothing_of_it_is_written(store: Store) -> None:
    store.record("task:a", 1)

    with pytest.raises(IntegrityError):
        store.recorder.insert_events([stored("task:b", 1), stored("task:a", 1)])
    assert store.sequences(0, 10) == [1]


def test_a_conflict_uses_no_sequence(store: Store) -> None:
    store.record("task:a", 1)
    with pytest.raises(IntegrityError):
        store.record("task:a", 1)

    assert store.record("task:a", 2) == [2]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("after", [0, 1, 8, 19, 20, 99])
def test_pages_of_any_size_give_everything_once_and_in_order(
    store: Store, page: int, after: int
) -> None:
    for stream in range(4):
        store.record(f"task:{stream}", *range(1, 6))

    assert store.sequences(after, page) == list(range(after + 1, 21))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_ends_at_the_stop(store: Store, page: int) -> None:
    store.record("task:a", *range(1, 11))
    found = store.recorder.select_notifications(4, page, stop=6)

    assert [notification.id for notification in found] == [4, 5, 6][:page]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_of_certain_types(store: Store, page: int) -> None:
    store.record("task:a", *range(1, 11))
    found = store.recorder.select_notifications(1, page, topics=["test.1", "test.2"])

    assert [n.id for n in found] == [1, 2, 4, 5, 7, 8, 10][:page]


@pytest.mark.parametrize(
    ("bounds", "versions"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"gt": 2}, [3, 4, 5]),
        ({"lte": 2}, [1, 2]),
        ({"gt": 1, "lte": 3}, [2, 3]),
        ({"limit": 2}, [1, 2]),
        ({"desc": True, "limit": 1}, [5]),
        ({"gt": 5}, []),
    ],
)
def test_a_stream_is_read_by_version(
    store: Store, bounds: dict[str, int], versions: list[int]
) -> None:
    store.record("task:b", 1)
    store.record("task:a", *range(1, 6))
    found = store.recorder.select_events("task:a", **bounds)  # type: ignore[arg-type]

    assert [event.originator_version for event in found] == versions


def test_names_of_streams_are_text_of_any_kind(store: Store) -> None:
    for stream in ("task:a", "task:a ", "TASK:A", "scheduler", "session:é/%_'\""):
        store.record(stream, 1)

    assert len(store.sequences(0, 100)) == 5
    assert [e.originator_id for e in store.recorder.select_events("task:a ")] == ["task:a "]


def test_tracking_commits_with_its_events_or_not_at_all(store: Store) -> None:
    store.recorder.insert_events([stored("task:a", 1)], tracking=Tracking("tasks", 5))
    with pytest.raises(IntegrityError):
        store.recorder.insert_events([stored("task:a", 2)], tracking=Tracking("tasks", 5))
    with pytest.raises(IntegrityError):
        store.recorder.insert_events([stored("task:a", 1)], tracking=Tracking("tasks", 6))

    assert store.recorder.max_tracking_id("tasks") == 5
    assert store.sequences(0, 10) == [1]


def test_what_was_recorded_is_there_after_opening_again(open_store: Open, tmp_path: Path) -> None:
    with open_store(tmp_path) as first:
        first.record("task:a", 1, 2)
    with open_store(tmp_path) as second:
        assert second.sequences(0, 10) == [1, 2]
        assert second.record("task:a", 3) == [3]


def test_a_follower_beside_writers_misses_nothing(store: Store) -> None:
    done = threading.Event()
    seen: list[int] = []

    def write(writer: int) -> None:
        for number in range(25):
            store.record(f"task:{writer}-{number}", 1, 2)

    def follow() -> None:
        while not done.is_set():
            seen.extend(store.sequences(seen[-1] if seen else 0, 7))
        seen.extend(store.sequences(seen[-1] if seen else 0, 7))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    follower = threading.Thread(target=follow)
    for thread in (*writers, follower):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    follower.join()

    assert seen == list(range(1, 401))

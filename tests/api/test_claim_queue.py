"""Who is woken for which run, without a server."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from api.waiting import ClaimQueue, Waiter

ENQUEUED = "task.run_enqueued"


class Place:
    """A queue of one workspace, whose waiters suit the tasks they are named with."""

    def __init__(self, stack: ExitStack) -> None:
        self.queue = ClaimQueue()
        self._stack = stack

    def wait(self, *tasks: str) -> Waiter:
        """Add a waiter that has tried once in vain."""
        waiter = self._stack.enter_context(self.queue.waiter("w", tasks.__contains__))
        waiter.begin()
        self.queue.missed("w", waiter)
        return waiter

    def notice(self, *tasks: str, kind: str = ENQUEUED, workspace: str = "w") -> None:
        self.queue.notice((kind, workspace, task) for task in tasks)


@pytest.fixture(name="place")
def _place() -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack)


def woken(*waiters: Waiter) -> list[bool]:
    return [waiter.woken.is_set() for waiter in waiters]


def test_a_run_wakes_the_first_waiter_it_suits(place: Place) -> None:
    waiters = place.wait("a"), place.wait("b"), place.wait("b")
    place.notice("b", workspace="elsewhere")
    place.notice("c")
    place.notice("b", kind="task.created")
    assert woken(*waiters) == [False, False, False]
    place.notice("b")
    assert woken(*waiters) == [False, True, False]


def test_runs_of_one_commit_wake_one_waiter_each(place: Place) -> None:
    waiters = place.wait("a", "b"), place.wait("a", "b"), place.wait("a", "b")
    place.notice("a", "b")
    assert woken(*waiters) == [True, True, False]


def test_who_gets_nothing_lets_the_next_one_try_that_it_suits(place: Place) -> None:
    first, second, third = place.wait("a"), place.wait("b"), place.wait("a")
    place.notice("a")
    first.begin()
    place.queue.missed("w", first)
    assert woken(first, second, third) == [False, False, True]
    third.begin()
    place.queue.missed("w", third)
    assert woken(first, second, third) == [False, False, False]


def test_who_gets_another_run_lets_the_next_one_have_its_own(place: Place) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(place.queue.waiter("w", {"a", "b"}.__contains__))
        second = place.wait("a")
        # The second run suits but one, which is awake already.
        place.notice("a", "b")
        assert woken(first, second) == [True, False]
        first.begin()
        place.queue.settled(first, ["b"])
    assert woken(second) == [True]


def test_who_leaves_while_there_is_something_lets_the_next_one_try(place: Place) -> None:
    with place.queue.waiter("w", {"a"}.__contains__) as first:
        second = place.wait("a")
        first.begin()
        # It comes up while the first one tries.
        place.notice("a")
        place.queue.settled(first, ["b"])
    assert woken(second) == [True]


def test_where_many_runs_may_be_free_everybody_tries_in_turn(place: Place) -> None:
    with place.queue.waiter("w", {"a"}.__contains__) as first:
        second, third = place.wait("b"), place.wait("c")
        place.notice("x", kind="task.updated")
        assert woken(first, second, third) == [True, False, False]
        first.begin()
        place.queue.settled(first, ["a"])
    assert woken(second, third) == [True, False]
    place.queue.wake_all()
    assert woken(second, third) == [True, True]

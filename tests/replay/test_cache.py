from msgspec import Raw

from domain.registry import SchedulerState
from domain.task.state import Run, Task, TaskState
from domain.values import LOCAL_USER, Origin
from replay.cache import StateCache, runs_bytes

ORIGIN = Origin("cli", "test")


def task(*results: bytes, description: str = "") -> TaskState:
    runs = {
        f"run-{number}": Run(
            id=f"run-{number}",
            task_id="t",
            status="completed",
            attempt=number,
            origin=ORIGIN,
            queued_at=1,
            result=Raw(result),
        )
        for number, result in enumerate(results)
    }
    plain = Task(
        id="t",
        scope="global",
        title="t",
        status="ready",
        created_by=LOCAL_USER,
        origin=ORIGIN,
        created_at=1,
        updated_at=1,
        description=description,
    )
    return TaskState(task=plain, runs=runs, version=1)


def test_the_least_recently_used_state_goes_first() -> None:
    cache = StateCache(max_states=2)
    states = {name: SchedulerState(version=number) for number, name in enumerate("abc")}
    cache.put("a", states["a"])
    cache.put("b", states["b"])
    assert cache.get("a") is states["a"]
    cache.put("c", states["c"])

    assert [cache.get(name) for name in "abc"] == [states["a"], None, states["c"]]


def test_a_state_with_heavy_runs_is_never_kept() -> None:
    cache = StateCache(max_runs_bytes=10_000)
    cache.put("task", task(b"1" * 9_000))
    assert len(cache) == 1
    cache.put("task", task(b"1" * 5_000, b"1" * 5_000))

    assert cache.get("task") is None


def test_all_states_together_stay_below_a_weight() -> None:
    cache = StateCache(max_bytes=100_000)
    for number in range(50):
        cache.put(str(number), task(description="x" * 9_000))

    assert len(cache) == 9
    assert cache.get("49") is not None


def test_a_state_that_replaces_another_takes_its_weight() -> None:
    cache = StateCache(max_bytes=25_000)
    for _ in range(50):
        cache.put("a", task(description="x" * 9_000))
        cache.put("b", task(description="x" * 9_000))

    assert len(cache) == 2


def test_nothing_is_left_after_clearing_or_forgetting() -> None:
    cache = StateCache()
    cache.put("a", task())
    cache.put("a", None)
    cache.put("b", task())
    cache.clear()

    assert (len(cache), cache.get("a"), cache.get("b")) == (0, None, None)


def test_only_runs_count_as_runs() -> None:
    assert runs_bytes(SchedulerState()) == 0
    assert runs_bytes(task(description="x" * 9_000)) == 0
    assert runs_bytes(task(b"1" * 100)) > 100

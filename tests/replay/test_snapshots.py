"""Which snapshots are kept: few, the newest always, ever fewer towards the past."""

from hypothesis import given
from hypothesis import strategies as st

from replay.snapshots import MOST, points_between, thinned

sequences = st.sets(st.integers(1, 10**7), min_size=1, max_size=60)


@given(sequences, st.integers(0, 40))
def test_no_more_are_kept_than_there_may_be_and_the_newest_always(
    found: set[int], most: int
) -> None:
    kept = thinned(found, most)

    assert set(kept) <= found
    assert kept == sorted(kept)
    assert kept[-1] == max(found)
    assert len(kept) == min(max(most, 1), len(found))


def test_gaps_grow_with_age_and_no_faster() -> None:
    kept: list[int] = []
    for sequence in range(1, 2_000):
        kept = thinned([*kept, sequence], MOST)
        around = zip([0, *kept], kept, strict=False)
        gaps = [(after - before, sequence - before) for before, after in around]
        assert all(gap <= max(1, age * 0.8) for gap, age in gaps), kept
    assert kept[-3:] == [1_997, 1_998, 1_999] or kept[-2:] == [1_998, 1_999]


def test_points_lie_at_whole_intervals() -> None:
    assert list(points_between(0, 35, 10)) == [10, 20, 30]
    assert list(points_between(10, 30, 10)) == [20, 30]
    assert list(points_between(11, 19, 10)) == []


def test_of_a_long_history_only_some_points_are_looked_at() -> None:
    points = list(points_between(0, 10**9 + 5, 10))

    assert points == sorted(set(points))
    assert points[-MOST:] == list(range(10**9 - 10 * (MOST - 1), 10**9 + 1, 10))
    assert len(points) < 3 * MOST
    assert all(point % 10 == 0 for point in points)
    assert points[0] < 10**9 / 2

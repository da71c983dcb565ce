import re

from hypothesis import given
from hypothesis import strategies as st

from api.services import Ids


def test_an_id_is_its_prefix_and_sixteen_hexadecimal_digits() -> None:
    assert re.fullmatch(r"run-[0-9a-f]{16}", Ids()("run"))


def test_processes_with_different_numbers_never_make_the_same_id() -> None:
    numbers = range(1_000)
    makers = [Ids(lambda: 1_700_000_000_000_000, number) for number in numbers]

    made = {maker("task") for maker in makers for _ in range(50)}

    assert len(made) == 50 * len(numbers)


@given(st.lists(st.integers(1_700_000_000_000_000, 1_700_000_000_000_009), max_size=200))
def test_ids_grow_and_never_repeat_whatever_the_clock_does(readings: list[int]) -> None:
    clock = iter(readings)
    ids = Ids(lambda: next(clock))

    made = [ids("run") for _ in readings]

    assert made == sorted(set(made))

"""Whatever was answered at a moment is answered as of that moment for ever."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.extent import EXPLORING, examples
from tests.machine.moves import spend_day
from tests.machine.rewinding import RewindMachine


def test_answers_of_random_histories_are_given_again() -> None:
    run_state_machine_as_test(RewindMachine, settings=examples(12, 20))


@pytest.mark.parametrize("seed", range(EXPLORING * 1_000, EXPLORING * 1_000 + (EXPLORING or 1)))
def test_answers_of_a_busy_day_are_given_again(seed: int) -> None:
    day = RewindMachine()
    try:
        spend_day(day, seed, 60)
    finally:
        day.teardown()

"""Random sequences of requests in this process, and nothing to see but what the model says."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.extent import DAYS, examples
from tests.machine.machines import DirectMachine
from tests.machine.moves import spend_day


def test_the_api_in_process_does_what_the_model_does() -> None:
    run_state_machine_as_test(DirectMachine, settings=examples(40, 30))


@pytest.mark.parametrize("seed", DAYS)
def test_a_busy_day_in_process_goes_as_the_model_says(seed: int) -> None:
    day = DirectMachine()
    try:
        spend_day(day, seed, 150)
    finally:
        day.teardown()

"""Random sequences of requests over HTTP, and nothing to see but what the model says."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.extent import DAYS, examples
from tests.machine.machines import HttpMachine
from tests.machine.moves import spend_day


def test_the_api_over_http_does_what_the_model_does() -> None:
    run_state_machine_as_test(HttpMachine, settings=examples(15, 30))


# In this process all days are spent, as that is faster.
@pytest.mark.parametrize("seed", DAYS[::2])
def test_a_busy_day_over_http_goes_as_the_model_says(seed: int) -> None:
    day = HttpMachine()
    try:
        spend_day(day, seed, 150)
    finally:
        day.teardown()

"""Random sequences of requests, and nothing to see but what the model says."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machines import DirectMachine, HttpMachine, Machine
from tests.machine.moves import spend_day

EXPLORING = int(os.environ.get("TASKLEDGER_EXPLORE", "0"))
"""Set it to a factor to look further than usual, with other sequences every time."""

USUAL = settings(
    deadline=None,
    derandomize=not EXPLORING,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


DAYS = range(EXPLORING * 1_000, EXPLORING * 1_000 + 8 * (EXPLORING or 1))


def examples(count: int, steps: int) -> settings:
    """Return the settings of a machine."""
    return settings(USUAL, max_examples=count * (EXPLORING or 1), stateful_step_count=steps)


def test_the_api_over_http_does_what_the_model_does() -> None:
    run_state_machine_as_test(HttpMachine, settings=examples(15, 30))


def test_the_api_in_process_does_what_the_model_does() -> None:
    run_state_machine_as_test(DirectMachine, settings=examples(80, 30))


@pytest.mark.parametrize("machine", [HttpMachine, DirectMachine])
@pytest.mark.parametrize("seed", DAYS)
def test_a_busy_day_goes_as_the_model_says(machine: type[Machine], seed: int) -> None:
    day = machine()
    try:
        spend_day(day, seed, 150)
    finally:
        day.teardown()

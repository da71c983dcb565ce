"""Phases, and the output of steps."""

from typing import Any

import pytest

from domain.ona.progress import execution_phase, output_of, step_phase
from domain.task.state import TaskState
from domain.values import NO_JSON
from tests.domain.runs import in_status
from tests.support.steps import json


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("queued", "PENDING"),
        ("claimed", "PENDING"),
        ("starting", "PENDING"),
        ("running", "RUNNING"),
        ("needs_attention", "RUNNING"),
        ("completed", "SUCCEEDED"),
        ("canceled", "STOPPED"),
    ],
)
def test_the_phase_of_a_step_is_that_of_its_run(status: str, phase: str) -> None:
    state = in_status(status).world.states["task:t1"]
    assert isinstance(state, TaskState)
    assert step_phase(state) == phase


def test_a_step_fails_when_it_has_no_attempt_left() -> None:
    state = in_status("failed").world.states["task:t1"]
    assert isinstance(state, TaskState)
    assert step_phase(state) == "PENDING"
    assert step_phase(state.with_task(status="failed")) == "FAILED"


@pytest.mark.parametrize(
    ("root", "steps", "phase"),
    [
        ("ready", {"PENDING"}, "PENDING"),
        ("in_progress", {"PENDING", "RUNNING"}, "RUNNING"),
        ("in_progress", {"PENDING", "SUCCEEDED"}, "RUNNING"),
        ("completed", {"SUCCEEDED"}, "SUCCEEDED"),
        ("in_progress", {"RUNNING", "FAILED", "STOPPED"}, "FAILED"),
        ("failed", {"STOPPED"}, "FAILED"),
        ("in_progress", {"RUNNING", "STOPPED"}, "STOPPED"),
        ("canceled", {"SUCCEEDED"}, "STOPPED"),
        ("canceled", {"FAILED"}, "FAILED"),
    ],
)
def test_the_phase_of_an_execution_is_that_of_its_steps(
    root: str, steps: set[str], phase: str
) -> None:
    assert execution_phase(root, steps) == phase


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ("{}", {}),
        ('{"a":"x","b":1.5,"c":true,"d":null,"e":""}', {"a": "x", "b": "1.5", "c": "true"}),
        ('{"a":{"b":{"c":1},"d":[1,"x"]},"":2}', {"a.b.c": "1", "a.d": '[1,"x"]'}),
        ('"done"', {"result": "done"}),
        ("[1]", {"result": "[1]"}),
    ],
)
def test_the_output_is_the_result_as_texts(result: str, output: dict[str, Any]) -> None:
    assert output_of(json(result)) == output


def test_a_run_without_a_result_has_no_output() -> None:
    assert output_of(NO_JSON) == {}


def test_names_and_texts_of_the_output_have_limits() -> None:
    name, text = "n" * 200, "ü" * 5_000
    found = output_of(json(f'{{"{name}":"{text}"}}'))
    assert found == {"n" * 128: "ü" * 4_096}


def test_a_deeply_nested_result_is_flattened_as_well() -> None:
    found = output_of(json('{"a":' * 500 + "1" + "}" * 500))
    assert list(found.values()) == ["1"]
    assert output_of(json('{"a":' * 10_000 + "1" + "}" * 10_000)) == {}

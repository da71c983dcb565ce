"""Assertions in the shared helpers explain themselves like those in tests."""

import pytest

pytest.register_assert_rewrite("tests.faults.crew", "tests.faults.client")

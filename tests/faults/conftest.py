"""Assertions in the shared helpers explain themselves like those in tests."""

import pytest

pytest.register_assert_rewrite(
    "tests.support.verify", "tests.support.leases", "tests.faults.crew", "tests.faults.client"
)

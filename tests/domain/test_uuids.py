"""Ids of other APIs."""

from uuid import UUID

import pytest

from domain.uuids import as_uuid, uuid_of


def test_a_name_has_one_uuid_and_another_name_another() -> None:
    assert uuid_of("task-1") == uuid_of("task-1") != uuid_of("task-2")
    assert UUID(uuid_of("task-1")).version == 5


@pytest.mark.parametrize("text", ["5B7D6F0E-4A54-5D0C-9F0A-7A5C4C1D7E11", uuid_of("a")])
def test_a_uuid_is_known_in_its_usual_form(text: str) -> None:
    assert as_uuid(text) == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "5b7d6f0e4a545d0c9f0a7a5c4c1d7e11",
        "{5b7d6f0e-4a54-5d0c-9f0a-7a5c4c1d7e1}",
        "5b7d6f0e-4a54-5d0c-9f0a-7a5c4c1d7e1z",
    ],
)
def test_other_texts_are_no_uuids(text: str) -> None:
    assert as_uuid(text) is None

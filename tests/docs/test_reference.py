import pytest

from tests.docs.pages import GENERATED, REFERENCE


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_says_what_the_code_says(name: str) -> None:
    written = (REFERENCE / name).read_text("utf-8")

    is_current = written == GENERATED[name]()
    assert is_current, f"docs/reference/{name} is not what the code says: run `make docs`"


def test_nothing_else_stands_among_the_generated_pages() -> None:
    assert {page.name for page in REFERENCE.iterdir()} == set(GENERATED)


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_has_each_heading_once(name: str) -> None:
    headings = [line for line in GENERATED[name]().splitlines() if line.startswith("#")]

    assert sorted(headings) == sorted(set(headings))

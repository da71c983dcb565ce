"""The judge of pages: it tells of what is wrong."""

from playwright.sync_api import Page

from tests.support.axe import axe


def test_it_tells_what_is_wrong_and_where(page: Page) -> None:
    page.set_content("<html lang='en'><title>a page</title><img></html>")

    (violation,) = axe(page)
    assert violation.startswith("image-alt (Images must have alternative text) at <img>: Fix")

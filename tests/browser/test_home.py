"""The page at `/`, in a browser."""

from typing import Final, Literal

import pytest
from playwright.sync_api import Page

from tests.api.live import LiveServer
from tests.support.axe import axe

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


def test_it_has_a_title(page: Page) -> None:
    page.goto("/")

    assert page.title() == "taskledger"


def test_each_of_its_links_leads_somewhere(page: Page, server: LiveServer) -> None:
    page.goto("/")
    links = page.locator("a").evaluate_all("links => links.map(link => link.href)")

    assert len(links) >= 9
    for link in links:
        assert link.startswith(f"{server.url}/")
        # Not with its body: the stream of the ledger does not end.
        with server.client.http.stream("GET", link) as answer:
            assert answer.status_code == 200, link


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everybody_can_use_it(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto("/")

    assert axe(page) == []


def test_it_is_dark_where_that_is_wished(page: Page) -> None:
    page.goto("/")
    seen = set()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        seen.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    assert len(seen) == len(SCHEMES)


def test_it_is_no_wider_than_a_small_telephone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto("/")

    assert page.evaluate("document.documentElement.scrollWidth") == 360

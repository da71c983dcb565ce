"""The page at `/` where scripts may not run: it tells where to look instead."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.api.live import LiveServer


@pytest.fixture(name="still")
def _still(browser: Browser, server: LiveServer) -> Iterator[Page]:
    """A page without scripts."""
    with browser.new_context(base_url=server.url, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("/")
        yield page


def test_each_of_its_links_leads_somewhere(still: Page, server: LiveServer) -> None:
    links = [link.get_attribute("href") or "" for link in still.locator("main a").all()]

    assert len(links) >= 8
    for link in links:
        # Not with its body: the stream of the ledger does not end.
        with server.client.http.stream("GET", link) as answer:
            assert answer.status_code == 200, link

"""A browser for all of these tests, a server for each file, and a page for each test."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.api.live import LiveServer, serving
from tests.browser.watch import Watch, watched
from tests.support.browser import chromium


# Not for the session: other tests of the same process run event loops of their own.
@pytest.fixture(name="browser", scope="package")
def _browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serving(tmp_path_factory.mktemp("ledger")) as server:
        yield server


@pytest.fixture(name="watched_page")
def _watched_page(browser: Browser, server: LiveServer) -> Iterator[tuple[Page, Watch]]:
    with watched(browser, server.url) as both:
        yield both


@pytest.fixture(name="page")
def _page(watched_page: tuple[Page, Watch]) -> Page:
    """A page, whose test fails at its end when the page did what its watch does not expect."""
    return watched_page[0]


@pytest.fixture(name="watch")
def _watch(watched_page: tuple[Page, Watch]) -> Watch:
    """The watch over `page`, which can be told what to expect."""
    return watched_page[1]

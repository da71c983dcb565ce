"""Pages that are watched: what they may not do without being told is what a test fails for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    WebError,
    WebSocket,
)

_COMPLAINTS: Final = ("error", "warning", "assert")
_WITHIN_THE_PAGE: Final = ("about", "blob", "data")


class Watch:
    """Notes what the pages of a context complain of, and which other places they ask.

    The browser writes what a content security policy forbids, and what the network refuses, to the
    console as well.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self._context = context
        self._place = urlsplit(url).netloc
        self._seen: list[str] = []
        self._expected: list[str] = []
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)
        context.on("page", self._page)

    def expect(self, pattern: str) -> None:
        """Expect messages in which a pattern is found; without any the test fails."""
        self._expected.append(pattern)

    def check(self) -> None:
        """Fail for all that was not expected, and for all expected that did not come."""
        for page in self._context.pages:
            # What the page wrote before it answers this has come here when the answer comes.
            page.evaluate("null")
        unexpected = [
            text for text in self._seen if not any(re.search(each, text) for each in self._expected)
        ]
        assert not unexpected, "\n".join(unexpected)
        missing = [
            each for each in self._expected if not any(re.search(each, text) for text in self._seen)
        ]
        assert not missing, f"did not come: {missing}"

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in _COMPLAINTS:
            place = message.location["url"]
            self._seen.append(f"console {message.type}: {message.text} ({place})")

    def _error(self, error: WebError) -> None:
        self._seen.append(f"exception: {error.error.stack or error.error}")

    def _request(self, request: Request) -> None:
        self._asked(request.method, request.url)

    def _page(self, page: Page) -> None:
        page.on("websocket", self._socket)

    def _socket(self, socket: WebSocket) -> None:
        self._asked("WebSocket", socket.url)

    def _asked(self, how: str, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _WITHIN_THE_PAGE and parts.netloc != self._place:
            self._seen.append(f"request to elsewhere: {how} {url}")


@contextmanager
def watched(browser: Browser, url: str) -> Iterator[tuple[Page, Watch]]:
    """Give a page of its own context, in which paths mean those of a server, and its watch.

    Fails at the end for what the page was not expected to do.
    """
    context = browser.new_context(base_url=url, locale="en-GB", timezone_id="UTC")
    try:
        watch = Watch(context, url)
        yield context.new_page(), watch
        watch.check()
    finally:
        context.close()

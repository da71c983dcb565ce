"""The watch over a page: what it fails for, and what it can be told to expect."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.api.live import LiveServer, serving
from tests.browser.watch import Watch, watched
from tests.support.ports import free_port

QUIET, WITHOUT_POLICY = "/quiet", "/healthz"
POLICY = {"content-security-policy": "default-src 'none'"}
COMPLAINTS = {
    "an error": (QUIET, "console.error('not so')", "console error: not so"),
    "a warning": (QUIET, "console.warn('not so')", "console warning: not so"),
    "a failed assertion": (QUIET, "console.assert(false, 'not so')", "console assert: not so"),
    "an exception": (
        QUIET,
        "new Promise(done => setTimeout(() => { setTimeout(done); throw Error('not so') }))",
        "exception: Error: not so",
    ),
    "a rejection": (
        QUIET,
        "new Promise(done => { addEventListener('unhandledrejection', () => setTimeout(done));"
        " Promise.reject(Error('not so')) })",
        "exception: Error: not so",
    ),
    "what the policy forbids": (
        QUIET,
        "document.body.setAttribute('style', 'color: red')",
        "console error: .*Content Security Policy",
    ),
    "an answer of no use": (WITHOUT_POLICY, "fetch('/none').then(() => null)", "404 .*/none"),
}
ELSEWHERE = {
    "GET": ("http", "url => fetch(url).catch(() => null)"),
    "WebSocket": (
        "ws",
        "url => new Promise(done => { new WebSocket(url).onerror = () => done() })",
    ),
}


async def quiet(_: Request) -> HTMLResponse:
    return HTMLResponse("<title>quiet</title>", headers=POLICY)


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a page of nothing, whatever the others may do."""
    with serving(tmp_path_factory.mktemp("ledger"), routes=[Route(QUIET, quiet)]) as server:
        yield server


@pytest.fixture(name="other")
def _other(browser: Browser, server: LiveServer) -> Iterator[tuple[Page, Watch]]:
    """A page whose watch is not asked at the end."""
    with browser.new_context(base_url=server.url) as context:
        watch = Watch(context, server.url)
        yield context.new_page(), watch


@pytest.mark.parametrize("what", COMPLAINTS)
def test_it_fails_for(other: tuple[Page, Watch], what: str) -> None:
    page, watch = other
    where, script, message = COMPLAINTS[what]
    page.goto(where)
    page.evaluate(script)

    with pytest.raises(AssertionError, match=message):
        watch.check()


@pytest.mark.parametrize("how", ELSEWHERE)
def test_it_fails_for_a_request_to_elsewhere(other: tuple[Page, Watch], how: str) -> None:
    page, watch = other
    scheme, script = ELSEWHERE[how]
    url = f"{scheme}://127.0.0.1:{free_port()}/"
    watch.expect("console error: .*ERR_CONNECTION_REFUSED")
    page.goto(WITHOUT_POLICY)
    page.evaluate(script, url)

    with pytest.raises(AssertionError, match=f"request to elsewhere: {how} {url}"):
        watch.check()


def test_it_leaves_alone_what_is_expected(page: Page, watch: Watch) -> None:
    watch.expect("console warning: known")

    page.goto(QUIET)
    page.evaluate("console.warn('known')")


def test_it_leaves_alone_what_stays_within_the_page(page: Page) -> None:
    page.goto(WITHOUT_POLICY)
    page.evaluate("console.info('well')")
    page.evaluate("async () => { await fetch('data:,1') }")
    page.evaluate("async () => { await fetch(URL.createObjectURL(new Blob(['1']))) }")


def test_it_fails_for_what_is_expected_and_does_not_come(other: tuple[Page, Watch]) -> None:
    page, watch = other
    watch.expect("known")
    page.goto(QUIET)

    with pytest.raises(AssertionError, match="did not come:"):
        watch.check()


def test_a_page_is_watched_to_its_end(browser: Browser, server: LiveServer) -> None:
    pages = watched(browser, server.url)
    page, _ = pages.__enter__()
    page.goto(QUIET)
    page.evaluate("console.error('not so')")

    with pytest.raises(AssertionError, match="console error: not so"):
        pages.__exit__(None, None, None)

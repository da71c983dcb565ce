"""Tokens in the console: who has one comes in, and nobody sees anything after losing it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from api.services import build
from api.settings import Settings
from api.tokens import create_token, revoke_token
from tests.api.live import LiveServer, serving
from tests.browser.steps import command, row
from tests.browser.watch import watched
from tests.support.axe import axe


@pytest.fixture(name="locked", scope="module")
def _locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, str, str]]:
    """A server that wants tokens, with one that may only read and one that may write."""
    with serving(tmp_path_factory.mktemp("locked")) as server:
        server.client.create(title="Behind the door")
        reader = create_token(server.services, name="reader", scopes=("task:read",))
        writer = create_token(server.services, name="writer", scopes=("task:read", "task:write"))
        yield server, reader.text, writer.text


def test_whoever_has_a_token_comes_in(
    browser: Browser, locked: tuple[LiveServer, str, str]
) -> None:
    server, reader, writer = locked
    with watched(browser, server.url) as (page, watch):
        watch.expect("console error: .*401")
        watch.expect("console error: .*403")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto("/#/tasks")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Access token")
        assert axe(page) == []
        _come_in(page, "tl_0000000000000000_wrong")
        expect(dialog.get_by_role("alert")).to_be_visible()
        _come_in(page, reader)
        expect(row(page, "Behind the door")).to_be_visible()

        page.get_by_role("button", name="New task").click()
        dialog.get_by_label("Title").fill("Not allowed")
        dialog.get_by_role("button", name="New task").click()
        expect(dialog.get_by_role("alert")).to_contain_text("task:write")
        page.keyboard.press("Escape")

        page.get_by_role("button", name="Forget token").click()
        expect(dialog).to_contain_text("Access token")
        _come_in(page, writer)
        command(page, "New task", title="Allowed")
        expect(page.locator("h1")).to_have_text("Allowed")
        expect(row(page, "task.created")).to_contain_text("human:writer")
        assert not any(reader in url or writer in url for url in asked)
        assert reader not in page.content()


def test_whoever_loses_the_token_sees_nothing_any_more(
    browser: Browser, locked: tuple[LiveServer, str, str]
) -> None:
    server, reader, _ = locked
    beside = build(Settings(store=server.settings.store))
    lost = create_token(beside, name="lost", scopes=("task:read",))
    with watched(browser, server.url) as (page, watch):
        watch.expect("console error: .*401")
        page.goto("/#/tasks")
        _come_in(page, lost.text)
        expect(row(page, "Behind the door")).to_be_visible()
        expect(page.locator("#live")).to_have_text("live")
        revoke_token(beside, lost.id)

        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("alert")).to_contain_text("revoked")
        expect(page.get_by_text("Behind the door")).to_have_count(0)
        expect(page.locator("#live")).to_have_text("not following")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        assert axe(page) == []
        page.get_by_role("button", name="Give a token").click()
        _come_in(page, reader)
        expect(row(page, "Behind the door")).to_be_visible()
        expect(page.locator("#live")).to_have_text("live")

        page.get_by_role("button", name="Forget token").click()
        expect(page.get_by_text("Behind the door")).to_have_count(0)
        assert page.evaluate("sessionStorage.length") == 0
    beside.close()


def test_what_cannot_be_a_token_is_not_sent(
    browser: Browser, locked: tuple[LiveServer, str, str]
) -> None:
    server, reader, _ = locked
    with watched(browser, server.url) as (page, watch):
        watch.expect("console error: .*401")
        page.goto("/#/tasks")
        _come_in(page, "tl_0123456789abcdef_…")
        field = page.get_by_role("dialog").get_by_label("Token")
        assert not field.evaluate("field => field.validity.valid")
        expect(field).to_be_visible()
        _come_in(page, f" {reader} ")
        expect(row(page, "Behind the door")).to_be_visible()


def _come_in(page: Page, text: str) -> None:
    page.get_by_role("dialog").get_by_label("Token").fill(text)
    page.get_by_role("button", name="Come in").click()

"""The console follows the ledger: what happens is shown, once, whatever the connection does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.api.live import Client, LiveServer
from tests.browser.steps import row, show
from tests.browser.watch import Watch, watched
from tests.cli.processes import Server


def test_what_happens_is_shown_as_it_happens(page: Page, server: LiveServer) -> None:
    show(page, "tasks", "Tasks")
    task = server.client.create(title="Just made")
    expect(row(page, "Just made")).to_contain_text("ready")
    server.client.enqueue(task["id"])
    expect(row(page, "Just made")).to_contain_text("queued")
    server.client.ok("POST", f"/api/tasks/{task['id']}/cancel", {})
    expect(row(page, "Just made")).to_contain_text("canceled")


def test_what_is_open_or_typed_stays_while_events_come(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="Opened")
    show(page, "timeline", "Timeline")
    row(page, "Opened").locator("summary").click()
    row(page, "Opened").get_by_role("button", name="What it changed").click()
    expect(row(page, "Opened").locator(".changes")).to_contain_text('"Opened"')
    field = page.get_by_label("Event type")
    field.fill("task.")
    server.client.ok("PATCH", f"/api/tasks/{task['id']}", {"title": "Renamed"})
    expect(row(page, "Renamed")).to_be_visible()

    expect(row(page, "Opened").locator(".changes")).to_be_visible()
    expect(field).to_have_value("task.")
    expect(field).to_be_focused()


def test_the_past_does_not_move(page: Page, server: LiveServer) -> None:
    server.client.create(title="Of then")
    head = server.client.ok("GET", "/api/timeline?limit=1")["head"]
    show(page, f"tasks?as_of={head}", "Tasks")
    server.client.create(title="Of now")

    # The slider grows with the ledger.
    expect(page.get_by_label("Sequence", exact=True)).to_have_attribute("max", str(head + 1))
    expect(row(page, "Of then")).to_have_count(1)
    expect(row(page, "Of now")).to_have_count(0)


def test_it_goes_on_after_the_server_was_killed(browser: Browser, tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    client = Client(server.url)
    with watched(browser, server.url) as (page, watch):
        watch.expect("console error: .*(ERR_CONNECTION|ERR_INCOMPLETE_CHUNKED)")
        client.create(title="Before")
        show(page, "timeline", "Timeline")
        expect(row(page, "Before")).to_have_count(1)
        server.stop(SIGKILL)
        expect(page.locator("#live")).to_have_text("reconnecting")
        server.start()
        client.create(title="While it was away")
        expect(page.locator("#live")).to_have_text("live")
        client.create(title="After")

        for title in ("Before", "While it was away", "After"):
            expect(row(page, title)).to_have_count(1)
        sequences = page.locator(".events tbody tr td:first-child").all_inner_texts()
        assert sequences == ["3", "2", "1"]
    client.close()
    server.stop()


def test_a_connection_that_went_dead_is_made_again(browser: Browser, tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    client = Client(server.url)
    with watched(browser, server.url) as (page, _):
        page.clock.install()
        client.create(title="Before")
        show(page, "timeline", "Timeline")
        server.send(SIGSTOP)
        page.clock.fast_forward("02:00")
        expect(page.locator("#live")).to_have_text("reconnecting")
        server.send(SIGCONT)
        expect(page.locator("#live")).to_have_text("live")
        client.create(title="After")
        expect(row(page, "After")).to_have_count(1)
    client.close()
    server.stop()


def test_a_task_is_not_loaded_again_for_what_happens_to_others(
    page: Page, server: LiveServer
) -> None:
    client = server.client
    mine, other = (client.create(title=title) for title in ("Mine", "Not mine"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install()
    show(page, f"task/{mine['id']}", "Mine")
    # Ends the pause after it was shown; from then on no timer runs out.
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=30))
    for number in range(5):
        client.ok("PATCH", f"/api/tasks/{other['id']}", {"title": f"Not mine {number}"})
        client.ok("PATCH", f"/api/tasks/{mine['id']}", {"title": f"Mine {number}"})
        expect(page.locator("h1")).to_have_text(f"Mine {number}")
        page.clock.run_for(1_000)

    assert sum(url.endswith(f"/api/tasks/{mine['id']}") for url in asked) == 1 + 5


def test_what_is_shown_stays_while_the_server_cannot_answer(
    page: Page, server: LiveServer, watch: Watch
) -> None:
    watch.expect("console error: .*503")
    client = server.client
    client.create(title="Shown before")
    show(page, "tasks", "Tasks")
    page.route("**/api/tasks?*", lambda route: route.fulfill(status=503, body="away"))
    client.create(title="Shown after")
    expect(page.get_by_text("What is shown is not current: away")).to_be_visible()
    expect(row(page, "Shown before")).to_have_count(1)
    page.unroute("**/api/tasks?*")
    expect(row(page, "Shown after")).to_have_count(1)


def test_what_stands_in_the_address_is_asked_of_the_server_alone(
    page: Page, server: LiveServer
) -> None:
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.url))
    show(page, "tasks?status=ready", "Tasks")

    assert any("status=ready" in url for url in asked)
    assert all(url.startswith(server.url) for url in asked)

"""What stands in the address is shown, and nothing that may stand there breaks the page."""

import pytest
from playwright.sync_api import Page, expect

from tests.api.live import LiveServer
from tests.browser.steps import look_at, row, show
from tests.browser.watch import Watch


@pytest.mark.parametrize("odd", ["constructor", "toString", "__proto__", "nowhere", "%E0%A4%A"])
def test_a_view_that_is_none_is_the_overview(page: Page, server: LiveServer, odd: str) -> None:
    show(page, odd, "Overview")

    show(page, "tasks", "Tasks")


def test_an_id_that_cannot_be_read_is_refused_as_an_unknown_one(
    page: Page, server: LiveServer, watch: Watch
) -> None:
    watch.expect("404")
    page.goto("/#/task/%E0%A4%A")
    expect(page.get_by_role("alert")).to_contain_text("task not found")

    show(page, "tasks", "Tasks")


def test_what_the_page_shows_can_be_skipped_to(page: Page, server: LiveServer) -> None:
    show(page, "tasks?status=ready", "Tasks")
    page.get_by_role("link", name="Skip to what is shown").press("Enter")

    expect(page.locator("main")).to_be_focused()
    expect(page.locator("h1")).to_have_text("Tasks")
    assert page.url.endswith("#/tasks?status=ready")


def test_links_lead_to_the_moment_that_is_looked_at(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="Of some moment")
    sequence = task["latest_event_seq"]
    link = row(page, "Of some moment").get_by_role("link", name="Of some moment")
    show(page, "timeline", "Timeline")
    expect(link).to_have_attribute("href", f"#/task/{task['id']}")
    look_at(page, str(sequence))
    expect(link).to_have_attribute("href", f"#/task/{task['id']}?as_of={sequence}")
    page.get_by_role("button", name="Back to now").click()
    expect(link).to_have_attribute("href", f"#/task/{task['id']}")


def test_a_filter_that_cannot_be_chosen_is_told_nevertheless(
    page: Page, server: LiveServer
) -> None:
    server.client.ok("PUT", "/api/workspaces/there", {}, 200)
    show(page, "timeline?workspace=gone", "Timeline")

    expect(page.get_by_label("Workspace")).to_have_value("gone")
    page.get_by_label("Workspace").select_option("there")
    expect(page.get_by_label("Workspace")).to_have_value("there")

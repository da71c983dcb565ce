"""What stands in the address is shown, and nothing that may stand there breaks the page."""

import pytest
from playwright.sync_api import Page, expect

from tests.api.live import LiveServer
from tests.browser.steps import command, look_at, row, show
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
    server.client.ok("DELETE", "/api/workspaces/there", status=204)
    show(page, "overview", "Overview")
    show(page, "timeline?workspace=there", "Timeline")
    expect(page.get_by_label("Workspace").locator("option")).to_have_text(["any", "there"])
    expect(page.get_by_label("Workspace")).to_have_value("there")


def test_many_workspaces_are_typed_instead_of_chosen(page: Page, server: LiveServer) -> None:
    client = server.client
    for number in range(201):
        client.ok("PUT", f"/api/workspaces/w{number}", {}, 200)
    client.create(title="Within", scope="workspace", workspace="w200")
    client.create(title="Without")
    show(page, "tasks", "Tasks")
    field = page.get_by_label("Workspace")
    field.fill("w200")
    field.press("Enter")
    expect(row(page, "Without")).to_have_count(0)
    expect(row(page, "Within")).to_have_count(1)
    command(page, "New task", title="Also within", workspace="w200")
    expect(page.locator("h1")).to_have_text("Also within")
    expect(page.locator(".card").first).to_contain_text("w200")

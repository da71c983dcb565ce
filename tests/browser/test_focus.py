"""Whoever uses the keyboard or hears the page keeps the place, and is told what was done."""

import pytest
from playwright.sync_api import Page, expect

from tests.api.live import LiveServer
from tests.browser.steps import command, look_at, row, show


def test_each_thing_that_is_done_is_told(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="Told")
    said = page.locator("#said")
    show(page, f"task/{task['id']}", "Told")
    command(page, "Pause", reason="first")
    expect(said).to_have_text("Pause: done")
    # As if a while had passed.
    said.evaluate("said => said.getAnimations({subtree: true}).forEach(each => each.finish())")
    command(page, "Resume")
    expect(said).to_have_text("Resume: done")
    expect(said.get_by_text("Resume: done")).to_be_visible()


def test_a_dialog_names_what_it_is_about(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="The subject")
    show(page, f"task/{task['id']}", "The subject")
    page.get_by_role("button", name="Cancel", exact=True).click()

    expect(page.get_by_role("dialog", name="Cancel: The subject")).to_be_visible()


def test_the_focus_goes_to_the_heading_when_what_had_it_is_gone(
    page: Page, server: LiveServer
) -> None:
    task = server.client.create(title="To be run")
    show(page, f"task/{task['id']}", "To be run")
    command(page, "Enqueue")
    expect(page.get_by_role("button", name="Enqueue")).to_have_count(0)
    expect(page.locator("h1")).to_be_focused()

    look_at(page, str(task["latest_event_seq"]))
    page.get_by_role("button", name="Back to now").press("Enter")
    expect(page.get_by_role("button", name="Back to now")).to_have_count(0)
    expect(page.locator("h1")).to_be_focused()


@pytest.mark.parametrize("leave", ["Escape", "Enter"])
def test_the_focus_goes_to_the_heading_when_what_opened_a_dialog_is_gone(
    page: Page, server: LiveServer, leave: str
) -> None:
    task = server.client.create(title=f"Run by others {leave}")
    show(page, f"task/{task['id']}", task["title"])
    page.get_by_role("button", name="Enqueue").press("Enter")
    dialog = page.get_by_role("dialog")
    server.client.enqueue(task["id"])
    # What is behind a dialog is hidden from roles.
    expect(page.locator("#main button", has_text="Enqueue")).to_have_count(0)
    dialog.get_by_role("button", name="Leave it").press(leave)

    expect(dialog).to_be_hidden()
    expect(page.locator("h1")).to_be_focused()


def test_the_focus_stays_in_its_row_while_others_come_and_go(
    page: Page, server: LiveServer
) -> None:
    client = server.client
    tasks = [client.create(title=f"In row {number}") for number in range(3)]
    for task in tasks:
        client.enqueue(task["id"])
    show(page, "queue", "Queue")
    link = page.get_by_role("link", name="In row 1")
    link.focus()
    client.ok("POST", f"/api/tasks/{tasks[0]['id']}/cancel", {})
    expect(row(page, "In row 0")).to_have_count(0)
    expect(link).to_be_focused()

    show(page, "tasks", "Tasks")
    link.focus()
    client.ok("PATCH", f"/api/tasks/{tasks[1]['id']}", {"description": "moves it to the top"})
    expect(page.locator("tbody tr").first).to_contain_text("In row 1")
    expect(link).to_be_focused()

"""Commands of the console: what is sent, what is refused, and the shell line that does the same."""

import subprocess

from playwright.sync_api import Page, expect

from tests.api.live import LiveServer
from tests.browser.steps import command, row, show
from tests.browser.watch import Watch
from tests.support.axe import axe


def test_a_task_is_made_run_and_canceled(page: Page, server: LiveServer) -> None:
    show(page, "tasks", "Tasks")
    command(page, "New task", title="From the page", description="two\nlines", command="true")
    expect(page.locator("h1")).to_have_text("From the page")
    task_id = page.locator("main code").first.inner_text()
    command(page, "Enqueue")
    expect(row(page, "queued").first).to_be_visible()
    command(page, "Cancel", reason="not needed")
    expect(row(page, "task.canceled")).to_contain_text("not needed")

    task = server.client.ok("GET", f"/api/tasks/{task_id}")["task"]["task"]
    assert task["status"] == "canceled"
    assert task["description"] == "two\nlines"
    assert task["metadata"] == {"command": "true"}
    expect(page.get_by_role("button", name="Enqueue")).to_have_count(0)


def test_a_dialog_can_be_used_by_everybody_and_left(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="Untouched")
    show(page, f"task/{task['id']}", "Untouched")
    page.get_by_role("button", name="Pause").click()
    assert axe(page) == []
    # Its reason is required, which the browser itself tells.
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)

    assert not server.client.ok("GET", f"/api/tasks/{task['id']}")["task"]["task"].get("paused")


def test_the_shell_line_of_a_command_does_the_same(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="By hand")
    show(page, f"task/{task['id']}", "By hand")
    page.get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("it's $HOME's turn")
    dialog.get_by_text("As a shell command").click()
    line = dialog.locator("pre").inner_text()
    subprocess.run(["sh", "-c", f"{line} --fail --silent"], check=True, capture_output=True)

    expect(row(page, "task.paused")).to_contain_text("it's $HOME's turn")


def test_what_the_server_refuses_is_told_in_its_words(
    page: Page, server: LiveServer, watch: Watch
) -> None:
    watch.expect("console error: .*409")
    task = server.client.create(title="Taken")
    show(page, f"task/{task['id']}", "Taken")
    page.get_by_role("button", name="Enqueue").click()
    run = server.client.enqueue(task["id"])
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Enqueue").click()

    expect(dialog.get_by_role("alert")).to_contain_text(run["id"])


def test_the_inbox_is_put_in_order(page: Page, server: LiveServer) -> None:
    server.client.create(title="To approve", approval_policy="manual")
    show(page, "inbox", "Inbox")
    expect(row(page, "To approve")).to_contain_text("unread")
    command(page, "Read")
    expect(row(page, "To approve")).not_to_contain_text("unread")
    command(page, "Archive")
    expect(page.locator("section").filter(has_text="archived (1)")).to_contain_text("To approve")


def test_the_queue_is_paused_and_resumed(page: Page, server: LiveServer) -> None:
    show(page, "queue", "Queue")
    command(page, "Pause", reason="maintenance")
    expect(page.locator(".card")).to_contain_text("maintenance")
    assert server.client.ok("GET", "/api/scheduler")["scheduler"]["paused"]
    show(page, "overview", "Overview")
    expect(page.locator(".banner")).to_contain_text("maintenance")
    show(page, "queue", "Queue")
    command(page, "Resume")
    expect(page.locator(".card")).to_contain_text("Handing out")


def test_a_read_model_is_compared_and_rebuilt(page: Page, server: LiveServer) -> None:
    server.client.create()
    show(page, "projections", "Read models")
    model = row(page, "registry")
    for name, told in (("Compare", "check"), ("Rebuild", "rebuild")):
        model.get_by_role("button", name=name).click()
        page.get_by_role("dialog").get_by_role("button", name=name).click()
        expect(model).to_contain_text(f"{told} done")
    expect(model.get_by_role("button", name="Roll back")).to_be_visible()

"""Runs in the console: why nobody has one, what was set aside, and what reviewers said."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.api.live import Clock, LiveServer, serving
from tests.api.reviews import ask, ended, judge, rejection
from tests.browser.steps import command, row, show
from tests.browser.watch import watched
from tests.support.axe import axe


def test_why_nobody_has_a_run_is_told(page: Page, server: LiveServer) -> None:
    client = server.client
    task = client.create(title="For those who know Go")
    profile = {"worker": {"required_capabilities": ["go"]}}
    client.ok("PUT", f"/api/tasks/{task['id']}/execution-profile", profile)
    for session in ("one", "other"):
        client.ok("PUT", f"/api/sessions/{session}", {"agent_name": "coder"}, 200)
    client.enqueue(task["id"])
    show(page, f"task/{task['id']}", "For those who know Go")
    page.get_by_text("Why nobody has it").click()
    reasons = row(page, "Why nobody has it")
    expect(reasons).to_contain_text("0 of 2 active sessions may take it.")
    expect(reasons.locator("li")).to_contain_text(["go, not met by 2"])
    assert axe(page) == []

    client.ok("PATCH", f"/api/tasks/{task['id']}", {"title": "Renamed"})
    expect(page.locator("h1")).to_have_text("Renamed")
    expect(reasons.locator("li")).to_contain_text(["go, not met by 2"])
    client.ok("POST", f"/api/tasks/{task['id']}/pause", {"reason": "r"})
    expect(page.locator("h1 + p")).to_contain_text("paused")
    page.get_by_text("Why nobody has it").click()
    page.get_by_text("Why nobody has it").click()
    expect(reasons.locator("li")).to_contain_text(["task not paused: expected not paused", "go"])


def test_what_reviewers_said_is_told(page: Page, server: LiveServer) -> None:
    client = server.client
    review = ask(client, ended(client, title="To be reviewed"))
    judge(client, review, rejection(reason="not yet"))
    show(page, f"task/{review['task_id']}", "To be reviewed")
    reviews = page.get_by_role("table", name="Reviews").locator("tbody tr")

    expect(reviews).to_have_count(1)
    expect(reviews).to_contain_text("rejected")
    expect(reviews).to_contain_text("not yet; tests")


@pytest.fixture(name="hasty", scope="module")
def _hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, Clock]]:
    """A server that sets runs aside as soon as they wait too long."""
    clock = Clock()
    with serving(
        tmp_path_factory.mktemp("hasty"),
        clock=clock,
        sweep_seconds=0.02,
        starved_after_cycles=1,
        attention_after_cycles=2,
    ) as server:
        yield server, clock


def test_a_run_that_was_set_aside_is_recovered(
    browser: Browser, hasty: tuple[LiveServer, Clock]
) -> None:
    server, clock = hasty
    client = server.client
    task = client.create(title="Set aside")
    run = client.enqueue(task["id"])
    with watched(browser, server.url) as (page, _):
        show(page, "inbox", "Inbox")
        clock.advance(300)
        attention = page.get_by_role("table", name="Need attention")
        expect(attention.locator("tbody tr")).to_contain_text("Set aside")
        assert axe(page) == []
        attention.get_by_role("button", name="Recover").click()
        dialog = page.get_by_role("dialog", name="Recover: Set aside")
        dialog.get_by_label("Reason").fill("looked")
        dialog.locator("[name=as]").select_option("the run itself, queued again")
        dialog.get_by_role("button", name="Recover").click()
        expect(attention).to_have_count(0)

        show(page, f"task/{task['id']}", "Set aside")
        expect(row(page, "task.run_requeued")).to_contain_text("looked")
        answer = client.ok("GET", f"/api/tasks/{task['id']}")["task"]
        assert [each["id"] for each in answer["runs"]] == [run["id"]]

        clock.advance(300)
        command(page, "Recover")
        expect(row(page, "task.run_recovered_from_attention")).to_have_count(1)

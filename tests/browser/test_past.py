"""What the console says of a moment of the past is true of that moment, or is said to be of now."""

from playwright.sync_api import Page, expect

from domain.instants import SECOND, parse_rfc3339, rfc3339
from tests.api.live import LiveServer
from tests.browser.steps import show


def test_what_has_no_past_says_so(page: Page, server: LiveServer) -> None:
    server.client.ok("PUT", "/api/sessions/now", {"agent_name": "coder"}, 200)
    show(page, "queue?as_of=0", "Queue")
    expect(page.get_by_text("Sessions are told of now alone.")).to_be_visible()
    expect(page.get_by_text("No session is active.")).to_have_count(0)
    show(page, "projections?as_of=0", "Read models")
    expect(page.get_by_text("told of now alone")).to_be_visible()
    page.get_by_role("button", name="Back to now").click()
    expect(page.get_by_text("told of now alone")).to_have_count(0)


def test_a_time_is_told_as_the_last_event_by_then(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="Of a time")
    sequence = task["latest_event_seq"]
    later = rfc3339(parse_rfc3339(task["created_at"]) + 3600 * SECOND)
    slider = page.get_by_label("Sequence", exact=True)
    moment = page.get_by_role("group", name="The moment that is looked at")
    show(page, "tasks?as_of=1", "Tasks")
    expect(slider).to_have_value("1")
    show(page, f"tasks?as_of={later}", "Tasks")

    expect(moment).to_contain_text(f"the past after event {sequence}")
    expect(slider).to_have_value(str(sequence))


def test_the_ledger_is_held_still(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="Before it was held")
    show(page, "tasks", "Tasks")
    expect(page.get_by_role("button", name="Hold still")).to_have_count(0)
    show(page, "timeline", "Timeline")
    page.get_by_role("button", name="Hold still").click()
    expect(page.get_by_text("the past after event")).to_be_visible()

    assert page.url.endswith(f"#/timeline?as_of={task['latest_event_seq']}")


def test_a_run_is_as_old_as_it_was_at_the_moment(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="With a run")
    run = server.client.enqueue(task["id"])
    hour_later = rfc3339(parse_rfc3339(run["queued_at"]) + 3600 * SECOND)
    show(page, f"task/{task['id']}?as_of={hour_later}", "With a run")

    expect(page.get_by_role("table", name="Runs").locator("tbody tr")).to_contain_text("1 h")


def test_a_page_of_events_before_all_of_them_is_empty(page: Page, server: LiveServer) -> None:
    task = server.client.create(title="With one event")
    sequence = task["latest_event_seq"]
    show(page, f"task/{task['id']}?as_of={sequence}&before={sequence}", "With one event")

    expect(page.get_by_text("There are no events here.")).to_be_visible()


def test_one_event_on_is_the_next_after_the_moment(page: Page, server: LiveServer) -> None:
    client = server.client
    task, other = client.create(title="Stepped through"), client.create()
    client.ok("PATCH", f"/api/tasks/{task['id']}", {"title": "Stepped on"})
    show(page, f"task/{task['id']}?as_of={other['latest_event_seq']}", "Stepped through")
    page.get_by_role("link", name="One event on").click()
    expect(page.locator("h1")).to_have_text("Stepped on")
    page.get_by_role("link", name="One event back").click()
    expect(page.locator("h1")).to_have_text("Stepped through")

    assert page.url.endswith(f"as_of={task['latest_event_seq']}")

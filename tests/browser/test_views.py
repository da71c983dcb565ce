"""Every view of the console: it opens, everybody can use it, and it tells the truth."""

from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.api.live import Client, LiveServer
from tests.browser.steps import look_at, row, show
from tests.support.axe import axe

VIEWS: Final = {
    "overview": "Overview",
    "inbox": "Inbox",
    "tasks": "Tasks",
    "queue": "Queue",
    "timeline": "Timeline",
    "projections": "Read models",
    "task/first": "The first",
    "task/first?as_of=3": "The first",
}
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
MARKUP: Final = "<img src=x onerror=alert(1)><b>bold</b>"
BIG: Final = 123456789012345678901234567890


@pytest.fixture(name="client", scope="module")
def _client(server: LiveServer) -> Client:
    """A client of a ledger in which each view has something to show."""
    client = server.client
    client.create(id="first", title="The first", metadata={"big": BIG}, description="as\nwritten")
    client.enqueue("first")
    client.create(id="second", title="The second", priority="urgent")
    client.ok("POST", "/api/tasks/second/dependencies", {"depends_on_task_id": "first"})
    client.create(id="third", title=MARKUP, approval_policy="manual")
    claim = client.agent().ok("POST", "/api/agent/tasks/claim-next", {}, 200)["claim"]
    path = f"/api/agent/tasks/{claim['run']['id']}/fail"
    client.agent().ok("POST", path, {"error": "it broke"})
    client.enqueue("first")
    return client


@pytest.mark.parametrize("route", VIEWS)
def test_everybody_can_use_it(page: Page, client: Client, route: str) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    show(page, route, VIEWS[route])
    if page.locator("summary").count():
        page.locator("summary").first.click()

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert axe(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    assert axe(page) == []


def test_an_empty_ledger_is_shown_as_well(page: Page, client: Client) -> None:
    for route, heading in VIEWS.items():
        if not route.startswith("task/"):
            view, _, _ = route.partition("?")
            show(page, f"{view}?as_of=0" if view != "projections" else view, heading)


def test_it_is_dark_where_that_is_wished(page: Page, client: Client) -> None:
    show(page, "overview", "Overview")
    seen = set()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        seen.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    assert len(seen) == len(SCHEMES)


def test_the_overview_counts(page: Page, client: Client) -> None:
    show(page, "overview", "Overview")
    totals = client.ok("GET", "/api/observe/tasks/dashboard")["dashboard"]["totals"]

    expect(page.locator(".card").first).to_contain_text(f"{totals['tasks_total']} tasks")
    expect(page.locator(".card").nth(1)).to_contain_text(f"{totals['runs_total']} runs")
    expect(row(page, "The first")).to_contain_text("queued")


def test_text_never_becomes_markup(page: Page, client: Client) -> None:
    show(page, "task/third", MARKUP)
    assert page.locator("main img, main b").count() == 0

    show(page, "timeline", "Timeline")
    expect(row(page, MARKUP).first).to_be_visible()
    assert page.locator("main img, main b").count() == 0


def test_a_task_shows_its_runs_events_and_what_it_waits_for(page: Page, client: Client) -> None:
    show(page, "task/first", "The first")
    expect(row(page, "it broke").first).to_be_visible()
    expect(page.get_by_text("as\nwritten")).to_be_visible()
    page.get_by_text("Metadata").click()
    expect(page.locator(".json").first).to_contain_text(f'"big": {BIG}')
    types = [item["event_type"] for item in _timeline(client, "first")]
    expect(page.locator(".events tbody tr code")).to_have_text(types)

    show(page, "task/second", "The second")
    expect(page.locator(".card").filter(has_text="Waits for")).to_contain_text("The first")


def test_of_many_tasks_below_one_the_first_are_listed(page: Page, client: Client) -> None:
    client.create(id="parent", title="Parent")
    child = {"scope": "global", "title": "Child"}
    for name in ("a", "b"):
        client.ok("POST", "/api/tasks/parent/children", {"id": name, **child}, 201)
        for _ in range(50):
            client.ok("POST", f"/api/tasks/{name}/children", child, 201)
    show(page, "task/parent", "Parent")
    below = page.locator(".card").filter(has_text="Below it")

    expect(below.get_by_role("link")).to_have_count(100)
    expect(below).to_contain_text("and 2 more")


def test_an_event_tells_what_it_changed(page: Page, client: Client) -> None:
    failed = next(
        item for item in _timeline(client, "first") if item["event_type"] == "task.run_failed"
    )
    show(page, "task/first", "The first")
    event = row(page, "task.run_failed")
    event.locator("summary").click()
    event.get_by_role("button", name="What it changed").click()
    changes = event.locator(".changes")

    expect(changes).to_contain_text(f'runs.{failed["run"]["id"]}.status"claimed" → "failed"')
    expect(changes).to_contain_text('.errornothing → "it broke"')


def test_members_of_any_name_and_numbers_of_any_size_are_compared(
    page: Page, client: Client
) -> None:
    client.create(id="odd", title="Odd", metadata={"big": BIG})
    metadata = {"big": BIG + 1, "constructor": "made", "__proto__": "typed"}
    client.ok("PATCH", "/api/tasks/odd", {"metadata": metadata})
    show(page, "task/odd", "Odd")
    event = row(page, "task.updated")
    event.locator("summary").click()
    event.get_by_role("button", name="What it changed").click()
    changes = event.locator(".changes")

    expect(changes).to_contain_text(f"metadata.big{BIG} → {BIG + 1}")
    expect(changes).to_contain_text('metadata.constructornothing → "made"')
    expect(changes).to_contain_text('metadata.__proto__nothing → "typed"')


def test_filters_stand_in_the_address(page: Page, client: Client) -> None:
    show(page, "tasks", "Tasks")
    page.get_by_label("Priority").select_option("urgent")
    expect(row(page, "The first")).to_have_count(0)
    expect(row(page, "The second")).to_have_count(1)
    assert page.url.endswith("#/tasks?priority=urgent")

    show(page, "tasks?query=first", "Tasks")
    expect(row(page, "The second")).to_have_count(0)
    expect(page.get_by_label("Search")).to_have_value("first")

    show(page, "timeline?type=task.run_failed", "Timeline")
    expect(page.locator(".events tbody tr")).to_have_count(1)


def test_a_long_history_is_shown_from_its_end(page: Page, client: Client) -> None:
    client.create(id="long", title="Long")
    for number in range(1, 250):
        client.ok("PATCH", "/api/tasks/long", {"description": f"{number}"})
    of_task = [f"{item['sequence']}" for item in _timeline(client, "long")]
    whole = [item["sequence"] for item in client.ok("GET", "/api/timeline")["timeline"]]
    shown = page.locator(".events tbody tr td:first-child")

    show(page, "task/long", "Long")
    expect(shown).to_have_text(of_task[-200:])
    page.get_by_role("link", name="Earlier events").click()
    expect(shown).to_have_text(of_task[:-200])

    show(page, "timeline", "Timeline")
    expect(shown).to_have_text([f"{each}" for each in whole[:-101:-1]])
    page.get_by_role("link", name="Before").click()
    expect(shown).to_have_text([f"{each}" for each in whole[-101:-201:-1]])
    page.get_by_role("link", name="The newest").click()
    expect(shown.first).to_have_text(f"{whole[-1]}")


def test_the_past_is_shown_as_it_was(page: Page, client: Client) -> None:
    timeline = _timeline(client, "first")
    claimed, failed = (
        next(item for item in timeline if item["event_type"] == kind)
        for kind in ("task.run_claimed", "task.run_failed")
    )
    show(page, "task/first", "The first")
    look_at(page, str(claimed["sequence"]))
    expect(page.get_by_role("button", name="Back to now")).to_be_visible()
    runs = page.locator("table").first.locator("tbody tr")
    expect(runs).to_have_count(1)
    expect(runs).to_contain_text("claimed")
    assert page.get_by_role("button", name="Cancel", exact=True).is_disabled()

    page.get_by_role("link", name="One event on").click()
    expect(runs).to_contain_text("failed")
    # It was recorded a moment after it happened.
    look_at(page, failed["timestamp"])
    expect(runs).to_contain_text("claimed")
    page.get_by_role("link", name="Timeline").click()
    expect(page.locator("h1")).to_have_text("Timeline")
    field = page.get_by_label("Event type")
    field.fill("task.run_failed")
    field.press("Enter")
    expect(page.get_by_text("No event is like that.")).to_be_visible()
    page.get_by_role("button", name="Back to now").click()
    expect(row(page, "task.run_failed")).to_have_count(1)


def test_a_deleted_task_is_still_there_in_the_past(page: Page, watch: Any, client: Client) -> None:
    watch.expect("404")
    client.create(id="gone", title="Gone by now")
    then = client.ok("GET", "/api/timeline?limit=1")["head"]
    client.ok("DELETE", "/api/tasks/gone", status=204)
    show(page, f"task/gone?as_of={then}", "Gone by now")

    expect(page.locator(".events tbody tr code")).to_have_text(["task.created"])


def test_what_is_refused_is_told(page: Page, watch: Any, client: Client) -> None:
    watch.expect("422")
    watch.expect("404")
    page.goto("/#/tasks?as_of=yesterday")
    expect(page.get_by_role("alert")).to_contain_text("as_of")
    page.goto("/#/task/none")
    expect(page.get_by_role("alert")).to_contain_text("task not found")


def test_a_slash_leads_to_the_search(page: Page, client: Client) -> None:
    show(page, "overview", "Overview")
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("a/b")
    expect(page.get_by_label("Search")).to_have_value("a/b")


def _timeline(client: Client, task_id: str) -> list[dict[str, Any]]:
    return list(client.ok("GET", f"/api/tasks/{task_id}/timeline")["timeline"])

"""Tasks of PostHog: defining, listing, changing and deleting them."""

import re

import pytest

from tests.api.live import Client, Clock, JsonObject
from tests.api.posthog.project import Project, unsigned

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
MEMBERS = {
    *("id", "task_number", "slug", "title", "description", "origin_product", "repository"),
    *("github_integration", "json_schema", "latest_run", "created_at", "updated_at", "created_by"),
}


def test_a_task_has_all_its_members(project: Project) -> None:
    task = project.task(
        title=" Fix it ",
        description=" Now. ",
        origin_product="error_tracking",
        repository="PostHog/PostHog",
        github_integration=7,
        json_schema={"type": "object"},
        assignee="ann",
    )

    assert task.keys() == MEMBERS
    assert (task["task_number"], task["slug"]) == (0, "MBS-0")
    assert (task["title"], task["description"]) == ("Fix it", "Now.")
    assert (task["repository"], task["github_integration"]) == ("posthog/posthog", 7)
    assert task["json_schema"] == {"type": "object"}
    assert task["latest_run"] is None
    assert TIME.fullmatch(task["created_at"])
    assert task["created_by"]["first_name"] == "local-user"
    assert project.ok("GET", f"/{task['id']}") == task


def test_nothing_is_required_and_defaults_are_filled_in(project: Project) -> None:
    task = project.ok("POST", "", status=201)

    assert (task["title"], task["description"]) == ("Untitled task", "")
    assert (task["origin_product"], task["repository"]) == ("user_created", None)
    assert (task["github_integration"], task["json_schema"]) == (None, None)


def test_a_missing_title_is_the_first_line_of_the_description(project: Project) -> None:
    task = project.task(title="", description=f"\n  {'x' * 300}\nmore")

    assert task["title"] == "x" * 255
    changed = project.ok("PATCH", f"/{task['id']}", {"title": "", "description": "other\nmore"})
    assert changed["title"] == "other"


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_members_that_are_not_sent_stay(project: Project, method: str) -> None:
    task = project.task(description="text", repository="a/b")
    changed = project.ok(method, f"/{task['id']}", {"repository": None})

    assert changed == {**task, "repository": None, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > task["updated_at"]
    assert project.ok(method, f"/{task['id']}", {}) == changed


def test_every_path_may_end_with_a_slash(project: Project) -> None:
    task = project.ok("POST", "/", {"title": "a"}, 201)

    assert project.ok("GET", f"/{task['id']}/") == project.ok("GET", f"/{task['id']}")
    assert project.ok("GET", "/")["count"] == 1


def test_a_deleted_task_is_gone_and_its_number_is_not_given_again(project: Project) -> None:
    first, second = project.task(), project.task()
    open_run = project.run(first, status="queued")
    ended = project.run(first, status="completed")
    draft = project.run(first)
    response = project.send("DELETE", f"/{second['id']}")

    assert (response.status_code, response.content) == (204, b"")
    project.ok("DELETE", f"/{first['id']}", status=204)
    assert project.refused(404, "GET", f"/{first['id']}") == ("invalid_request", "not_found", None)
    assert project.refused(404, "GET", project.of(open_run))[1] == "not_found"
    assert project.refused(404, "DELETE", f"/{first['id']}")[1] == "not_found"
    assert project.ok("GET")["count"] == 0
    assert project.task()["task_number"] == 2
    statuses = sorted(task["status"] for task in core_tasks(project))
    assert statuses == ["canceled", "canceled", "completed"]
    assert ended["status"] == "completed"
    assert draft["status"] == "not_started"


def core_tasks(project: Project) -> list[JsonObject]:
    """Return the tasks that stand for runs, as the task API lists them."""
    query = f"/api/tasks?scope=workspace&workspace={project.ref}&include_drafts=true"
    return list(project.client.ok("GET", query)["tasks"])


def test_tasks_are_listed_newest_first_and_filtered(project: Project, clock: Clock) -> None:
    ids = []
    for repository, product in (
        ("PostHog/posthog", "user_created"),
        ("posthog/other", "error_tracking"),
        ("ann/posthog", "user_created"),
        (None, "user_created"),
    ):
        clock.advance(1)
        ids.append(project.task(repository=repository, origin_product=product)["id"])
    for _ in range(2):
        project.run({"id": ids[0]}, stage="build")
    creator = project.ok("GET", f"/{ids[0]}")["created_by"]["id"]

    def listed(query: str) -> list[int]:
        found = project.ok("GET", f"?{query}")
        assert found["count"] == len(found["results"])
        return [ids.index(task["id"]) for task in found["results"]]

    assert listed("") == [3, 2, 1, 0]
    assert listed("origin_product=error_tracking") == [1]
    assert listed("repository=PostHog") == [2, 0]
    assert listed("repository=ann/PostHog") == [2]
    assert listed("organization=POSTHOG") == [1, 0]
    assert listed("stage=build") == [0]
    assert listed("stage=deploy") == []
    assert listed(f"created_by={creator}&repository=posthog") == [2, 0]
    assert listed("created_by=-1") == []
    refused = project.refused(400, "GET", "?created_by=ann")
    assert refused == ("validation_error", "invalid_input", "created_by")


def test_pages_name_their_neighbours(project: Project) -> None:
    for _ in range(3):
        project.task()
    base = f"{project.client.url}{project.path}"
    first = project.ok("GET", "?limit=1&origin_product=user_created&foo=a")
    second = project.ok("GET", "/?offset=1&limit=1")
    last = project.ok("GET", "?offset=2&limit=1")

    assert (first["count"], len(first["results"]), first["previous"]) == (3, 1, None)
    assert first["next"] == f"{base}?foo=a&limit=1&offset=1&origin_product=user_created"
    assert second["previous"] == f"{base}/?limit=1"
    assert second["next"] == f"{base}/?limit=1&offset=2"
    assert (last["previous"], last["next"]) == (f"{base}?limit=1&offset=1", None)
    assert project.ok("GET", "?offset=9")["results"] == []
    for junk in ("limit=0", "limit=-1", "limit=x", "offset=-3", "limit=&offset=", "limit=1000"):
        assert len(project.ok("GET", f"?{junk}")["results"]) == 3


def test_posting_run_queues_a_run_and_keeps_what_was_sent(project: Project) -> None:
    task = project.task(description="Do it")
    again = project.ok("POST", f"/{task['id']}/run")
    shown = project.ok("POST", f"/{task['id']}/run/", {"mode": "background", "branch": "main"})
    run = shown["latest_run"]

    assert again["latest_run"]["state"] == {}
    assert (run["status"], run["environment"], run["branch"]) == ("queued", "cloud", "main")
    assert run["state"] == {"mode": "background", "branch": "main"}
    assert project.ok("GET", f"/{task['id']}/runs")["count"] == 2
    assert unsigned(project.ok("GET", f"/{task['id']}")) == unsigned(shown)
    (core, _) = core_tasks(project)
    assert (core["identifier"], core["title"], core["status"]) == ("MBS-0", "a task", "ready")


def test_the_past_can_be_asked_for(project: Project) -> None:
    task = project.task()
    head = project.client.ok("GET", "/api/timeline?limit=1")["head"]
    project.ok("PATCH", f"/{task['id']}", {"title": "other"})
    project.run(task)

    assert project.ok("GET", f"/{task['id']}?as_of={head}")["title"] == "a task"
    assert project.ok("GET", f"?as_of={head}")["results"][0]["latest_run"] is None
    assert project.ok("GET", f"/{task['id']}/runs?as_of={head}")["count"] == 0
    assert project.refused(400, "GET", f"/{task['id']}?as_of=x")[0] == "validation_error"


def test_a_project_answers_to_id_and_name(project: Project, client: Client) -> None:
    task = project.task()
    by_name = Project(client, f"My Big Shop {project.ref}")

    assert by_name.ok("GET", f"/{task['id']}")["id"] == task["id"]
    other = Project(client, "nowhere")
    assert other.refused(404, "GET") == ("invalid_request", "not_found", None)
    assert other.refused(404, "POST", "", {})[1] == "not_found"
    # Several projects, and a caller who is bound to none.
    client.ok("PUT", "/api/workspaces/other", {})
    assert Project(client, "@current").refused(404, "GET")[1] == "not_found"


BAD: list[tuple[JsonObject, str, str]] = [
    ({"title": None}, "null", "title"),
    ({"title": 5}, "invalid_input", "title"),
    ({"title": "x" * 256}, "max_length", "title"),
    ({"title": "a\0b"}, "null_characters_not_allowed", "title"),
    ({"description": []}, "invalid_input", "description"),
    ({"origin_product": "x"}, "invalid_choice", "origin_product"),
    ({"origin_product": 1}, "invalid_choice", "origin_product"),
    ({"repository": "x"}, "invalid_input", "repository"),
    ({"repository": "/x"}, "invalid_input", "repository"),
    ({"repository": "a/b/c"}, "invalid_input", "repository"),
    ({"github_integration": "7"}, "invalid_input", "github_integration"),
    ({"github_integration": True}, "invalid_input", "github_integration"),
    ({"github_integration": -1}, "min_value", "github_integration"),
    ({"github_integration": 2**70}, "max_value", "github_integration"),
    ({"repository": 1, "description": 2, "title": 3}, "invalid_input", "title"),
]


@pytest.mark.parametrize(("body", "code", "attr"), BAD)
def test_bad_members_are_named_and_nothing_is_written(
    project: Project, body: JsonObject, code: str, attr: str
) -> None:
    assert project.refused(400, "POST", "", body) == ("validation_error", code, attr)
    assert project.ok("GET")["count"] == 0


def test_the_repository_may_be_empty(project: Project) -> None:
    assert project.task(repository="")["repository"] == ""

"""An app version at work, through every call that the Tempest CLI makes."""

from domain.tempest.values import actor_of
from tests.api.live import Client, Clock, LiveServer
from tests.api.tempest.asking import ask, named, operation, until_taken_back
from tests.api.tempest.client import BUCKET, Store, TempestCli, changed, resource

LEASE = 600


def test_a_version_without_types_connects(client: Client, cli: TempestCli) -> None:
    answer = cli.connect()
    assert answer["status"] == "ok"
    path = answer["metadata"]["tempest_app_url"].removeprefix(client.url)
    app = client.ok("GET", path)["app"]
    assert (app["resource_types"], app["health"]) == ([], [])


def test_a_version_tells_what_it_looks_after(client: Client, cli: TempestCli) -> None:
    cli.connect()
    cli.connect(BUCKET)
    name = cli.app["app_id"]
    (app,) = (a for a in client.ok("GET", "/api/tempest/apps")["apps"] if a["app_id"] == name)
    (kind,) = app["resource_types"]
    assert kind["operations"] == ["list", "read", "create", "update", "delete"]
    assert (kind["type"], kind["lifecycle_stage"]) == ("bucket", "LifecycleStage(0)")


def test_a_version_that_was_never_connected_gets_nothing(cli: TempestCli) -> None:
    assert cli.next() is None


def test_health_is_kept_by_type(client: Client, cli: TempestCli) -> None:
    cli.health()
    cli.health({"type": "bucket", "status": "degraded", "message": ""})
    cli.health(
        {"type": "bucket", "status": "healthy", "message": ""},
        {"type": "queue", "status": "disrupted", "message": "no route"},
    )
    path = f"/api/tempest/apps/{cli.app['app_id']}/v1"
    health = client.ok("GET", path)["app"]["health"]
    assert [(each["type"], each["status"], each.get("message")) for each in health] == [
        ("bucket", "healthy", None),
        ("queue", "disrupted", "no route"),
    ]


def test_operations_are_taken_executed_and_reported(client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    asked = [
        ask(client, cli, "create", input={"size": 1}),
        ask(client, cli, "update", resource=named("b-1"), input={"size": 2}),
        ask(client, cli, "read", resource=named("b-1")),
        ask(client, cli, "read", resource=named("b-9")),
        ask(client, cli, "delete", resource=named("b-1"), metadata={"why": "old"}),
        ask(client, cli, "list"),
    ]
    store = Store()
    assert cli.serve(store) == [each["run_id"] for each in asked]
    assert [task.get("input") for task in store.seen] == [
        {"size": 1},
        {"size": 2},
        {},
        {},
        {},
        None,
    ]
    assert store.seen[4]["metadata"] == {"why": "old"}
    done = [operation(client, each["task_id"]) for each in asked]
    statuses = [each["status"] for each in done]
    assert statuses == ["completed", "completed", "completed", "failed", "completed", "completed"]
    assert done[3]["error"] == "no bucket b-9"
    read = done[2]["response"]["resource"]
    assert (read["properties"], read["external_id"]) == ({"size": 2}, "b-1")
    assert not {"created_by", "deleted_at", "name"} & set(read)
    assert read["links"]["links"][0]["type"] == "external"
    assert done[5]["response"] == {
        "response_type": "list_resources",
        "resources": [],
        "next": "",
    }


def test_what_an_operation_asks_is_shown(client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    asked = operation(client, ask(client, cli, input={"a": [1]})["task_id"])
    assert asked["request"]["input"] == {"a": [1]}
    assert "response" not in asked


def test_the_metadata_tells_for_whom_it_is(client: Client, cli: TempestCli) -> None:
    client.ok("PUT", "/api/workspaces/tempest-w", {"name": "Shop"})
    cli.connect(BUCKET)
    ask(client, cli, workspace="Shop")
    found = cli.next()
    assert found is not None
    author = {"email": "", "name": "local-user", "type": "user"}
    assert found["metadata"] == {
        "owners": [author],
        "author": author,
        "project_id": "tempest-w",
        "project_name": "Shop",
    }


def test_an_action_is_handed_out_when_it_was_declared(client: Client, cli: TempestCli) -> None:
    cli.connect({**BUCKET, "actions": [{"name": "empty"}]})
    asked = ask(client, cli, "action", action="empty", resource=named("b-1"))
    found = cli.next()
    assert found is not None
    assert (found["task"]["action"], found["task"]["input"]) == ("empty", {})
    response = {"response_type": "execute_resource_action", "output": {"gone": 3}}
    assert cli.report(found["task_id"], response).status_code == 200
    assert operation(client, asked["task_id"])["response"]["output"] == {"gone": 3}


def test_a_list_goes_on_page_by_page(client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    store = Store()
    for _ in range(3):
        ask(client, cli)
    cli.serve(store)
    first = ask(client, cli, "list")
    assert len(cli.serve(store)) == 3
    assert [task["next"] for task in store.seen[3:]] == ["", "1", "2"]
    query = f"?app_id={cli.app['app_id']}&limit=3"
    pages = client.ok("GET", f"/api/tempest/operations{query}")["operations"][::-1]
    assert [each["page"] for each in pages] == [1, 2, 3]
    assert [each.get("previous_task_id", "") for each in pages] == [
        "",
        first["task_id"],
        pages[1]["task_id"],
    ]


def test_agents_never_see_an_operation(client: Client, cli: TempestCli) -> None:
    client.ok("PUT", "/api/workspaces/tempest-agents", {})
    cli.connect(BUCKET)
    ask(client, cli, workspace="tempest-agents")
    agent = client.agent(f"agent of {cli.app['app_id']}").like(X_AGH_Workspace_ID="tempest-agents")
    assert agent.post("/api/agent/tasks/claim-next", {}).status_code == 204
    assert cli.next() is not None


def test_the_timeline_tells_who_did_what(client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli, resource={"type": "bucket", "display_name": "Invoices"})
    cli.serve(Store())
    items = client.ok("GET", f"/api/tasks/{asked['task_id']}/timeline")["timeline"]
    assert [item["event_type"] for item in items] == [
        "task.created",
        "tempest.operation_queued",
        "task.run_enqueued",
        "task.run_claimed",
        "task.run_completed",
    ]
    app = actor_of(cli.app["app_id"], "v1")
    assert items[3]["actor"] == {"kind": "extension", "ref": app.ref}
    origins = [item["origin"]["ref"] for item in items]
    assert origins == 3 * ["tempest.queue_operation"] + [
        "apps.operations.next",
        "apps.operations.report",
    ]
    assert items[0]["task"]["title"] == "create bucket Invoices"


def test_the_same_report_twice_is_fine_and_another_is_not(client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli)
    found = cli.next()
    assert found is not None
    before = cli.report(found["task_id"], changed(resource("b-1")))
    again = cli.report(found["task_id"], changed(resource("b-1")))
    assert (before.status_code, again.status_code) == (200, 200)
    assert before.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    assert cli.report(found["task_id"], changed(resource("b-2"))).status_code == 404
    assert cli.report_error(found["task_id"], "no").status_code == 404
    task_id = asked["task_id"]
    items = client.ok("GET", f"/api/tasks/{task_id}/timeline")["timeline"]
    assert sum(item["event_type"] == "task.run_completed" for item in items) == 1


def test_an_operation_whose_app_died_is_handed_out_again(
    client: Client, cli: TempestCli, clock: Clock
) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli)
    found = cli.next()
    assert found is not None
    assert cli.next() is None
    clock.advance(LEASE + 1)
    until_taken_back(client, asked["task_id"])
    late = cli.report(found["task_id"], changed(resource("b-1")))
    assert late.status_code == 404
    again = cli.next()
    assert again is not None
    assert again["task_id"] == found["task_id"]
    assert cli.report(found["task_id"], changed(resource("b-1"))).status_code == 200


def test_the_third_time_it_fails(client: Client, cli: TempestCli, clock: Clock) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli)
    for _ in range(3):
        assert cli.next() is not None
        clock.advance(LEASE + 1)
        until_taken_back(client, asked["task_id"])
    done = operation(client, asked["task_id"])
    assert (done["status"], done["failure_kind"]) == ("failed", "lease_expired")
    assert done["error"] == "lease expired 3 times"
    assert cli.next() is None


def test_reads_go_back_in_time(server: LiveServer, client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli)
    head = server.services.ledger.head
    cli.serve(Store())
    cli.health({"type": "bucket", "status": "healthy"})
    path = f"/api/tempest/operations/{asked['task_id']}"
    assert client.ok("GET", f"{path}?as_of={head}")["operation"]["status"] == "queued"
    assert client.ok("GET", path)["operation"]["status"] == "completed"
    app = f"/api/tempest/apps/{cli.app['app_id']}/v1"
    assert client.ok("GET", f"{app}?as_of={head}")["app"]["health"] == []
    (listed_then,) = client.ok(
        "GET", f"/api/tempest/operations?app_id={cli.app['app_id']}&as_of={head}"
    )["operations"]
    assert listed_then["status"] == "queued"

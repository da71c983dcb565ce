"""What no event holds: the values of variables, long requests and long responses."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from replay.export import export_lines
from tests.api.live import Client, Clock, LiveServer, error_of, serving
from tests.api.tempest.asking import (
    SECONDS,
    JsonObject,
    ask,
    named,
    operation,
    path_of,
    until_taken_back,
)
from tests.api.tempest.client import BUCKET, Store, TempestCli, changed, listed, resource
from tests.support.obstacles import lose_blobs, lose_the_key

SECRET = "s3cret-value-nobody-may-read"
VARIABLES = [
    {"name": "TOKEN", "value": SECRET, "type": "secret"},
    {"name": "REGION", "value": "north"},
]


def exported(server: LiveServer) -> bytes:
    return b"\n".join(line for _, line in export_lines(server.services.ledger))


def test_values_reach_the_app_and_nobody_else(
    server: LiveServer, client: Client, cli: TempestCli, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cli.connect(BUCKET)
    asked = ask(client, cli, environment_variables=VARIABLES)
    task_id = asked["task_id"]
    found = cli.next()
    assert found is not None
    assert found["task"]["environment_variables"] == [
        {"name": "TOKEN", "value": SECRET, "type": "secret"},
        {"name": "REGION", "value": "north", "type": "variable"},
    ]
    told = [
        client.get(f"/api/tempest/operations/{task_id}").text,
        client.get(f"/api/tasks/{task_id}").text,
        client.get(f"/api/tasks/{task_id}/timeline").text,
        client.get(f"/api/task-runs/{asked['run_id']}").text,
        exported(server).decode(),
        caplog.text,
    ]
    assert all(SECRET not in text for text in told)
    names = operation(client, task_id)["environment_variables"]
    assert names == [
        {"name": "TOKEN", "type": "secret"},
        {"name": "REGION", "type": "variable"},
    ]


@pytest.mark.parametrize("text", ['k\u00e9y/"quoted"\n-of-the-vault', SECRET])
def test_values_that_an_app_repeats_in_its_report_are_blanked(
    server: LiveServer, client: Client, cli: TempestCli, text: str
) -> None:
    cli.connect(BUCKET)
    variables = [{"name": "TOKEN", "value": text, "type": "secret"}]
    well, badly = (ask(client, cli, environment_variables=variables) for _ in range(2))
    made = resource("b-1", properties={"url": f"https://{text}@host", "port": 5432})
    answer = {"response_type": "execute_resource_operation", "resource": made}
    first, second = cli.next(), cli.next()
    assert first is not None
    assert second is not None
    assert cli.report(first["task_id"], answer).status_code == 200
    assert cli.report_error(second["task_id"], f"cannot log in with {text}").status_code == 200

    kept = operation(client, well["task_id"])["response"]["resource"]["properties"]
    assert kept == {"url": "https://[redacted]@host", "port": 5432}
    assert "cannot log in with [redacted]" in client.get(f"/api/tasks/{badly['task_id']}").text
    assert text[-9:].encode() not in exported(server)


def secrets_of(server: LiveServer) -> set[str]:
    return set(server.services.vault.kept(""))


def until_forgotten(server: LiveServer, secret_id: str) -> None:
    give_up = time.monotonic() + SECONDS
    while secret_id in secrets_of(server):
        assert time.monotonic() < give_up, "the values are still there"
        time.sleep(0.02)


def complete(client: Client, cli: TempestCli, asked: JsonObject) -> None:
    assert cli.serve(Store()) == [asked["run_id"]]


def cancel_the_task(client: Client, _: TempestCli, asked: JsonObject) -> None:
    client.ok("POST", f"/api/tasks/{asked['task_id']}/cancel", {})


def cancel_the_run(client: Client, cli: TempestCli, asked: JsonObject) -> None:
    assert cli.next() is not None
    client.ok("POST", f"/api/task-runs/{asked['run_id']}/cancel", {})


@pytest.mark.parametrize("end", [complete, cancel_the_task, cancel_the_run])
def test_values_go_when_nobody_can_need_them(
    server: LiveServer, client: Client, cli: TempestCli, end: Any
) -> None:
    cli.connect(BUCKET)
    asked, other = (ask(client, cli, environment_variables=VARIABLES) for _ in range(2))
    client.ok("POST", f"/api/tasks/{other['task_id']}/pause", {"reason": "later"})
    end(client, cli, asked)
    until_forgotten(server, asked["task_id"])
    assert other["task_id"] in secrets_of(server)
    client.ok("POST", f"/api/tasks/{other['task_id']}/resume", {})
    assert cli.serve(Store())


def test_what_was_written_is_read_while_another_thread_looks_for_values_to_forget(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, sweep_seconds=0.001) as server:
        cli = TempestCli(f"{server.url}/api/v1", "", "store")
        cli.connect(BUCKET)
        asked = [ask(server.client, cli, environment_variables=VARIABLES) for _ in range(150)]
        cli.close()

    assert len({each["task_id"] for each in asked}) == 150


def fail(client: Client, cli: TempestCli, asked: JsonObject, clock: Clock) -> None:
    found = cli.next()
    assert found is not None
    cli.report_error(found["task_id"], "no room")


def expire(client: Client, cli: TempestCli, asked: JsonObject, clock: Clock) -> None:
    for _ in range(3):
        assert cli.next() is not None
        clock.advance(601)
        until_taken_back(client, asked["task_id"])


@pytest.mark.parametrize("end", [fail, expire])
def test_values_of_what_failed_go_a_day_later(
    server: LiveServer, client: Client, cli: TempestCli, clock: Clock, end: Any
) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli, environment_variables=VARIABLES)
    end(client, cli, asked, clock)
    assert operation(client, asked["task_id"])["status"] == "failed"
    asyncio.run(server.services.forgetting.look())
    assert asked["task_id"] in secrets_of(server)
    clock.advance(86_400)
    until_forgotten(server, asked["task_id"])


def test_values_without_an_operation_go_an_hour_later(
    server: LiveServer, client: Client, cli: TempestCli, clock: Clock
) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli, environment_variables=VARIABLES)
    found = cli.next()
    assert found is not None
    cli.report_error(found["task_id"], "no room")
    client.ok("DELETE", f"/api/tasks/{asked['task_id']}", status=204)
    # As by a server that was killed before it had queued the operation.
    server.services.vault.keep("task-never-queued", "{}")
    lone = {asked["task_id"], "task-never-queued"}
    asyncio.run(server.services.forgetting.look())
    assert lone <= secrets_of(server)
    give_up = time.monotonic() + SECONDS
    while lone & secrets_of(server):
        assert time.monotonic() < give_up, "the values are still there"
        # The hour begins with the server's own first look at them.
        clock.advance(3_600)
        time.sleep(0.1)


def test_values_stay_for_another_attempt(client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli, environment_variables=VARIABLES)
    found = cli.next()
    assert found is not None
    cli.report_error(found["task_id"], "no room")
    client.ok("PATCH", f"/api/tasks/{asked['task_id']}", {"max_attempts": 2})
    client.ok("POST", f"/api/runs/{asked['run_id']}/retry", {})
    again = cli.next()
    assert again is not None
    assert again["task_id"] != found["task_id"]
    assert again["task"] == found["task"]


def test_what_is_refused_or_known_leaves_no_values(
    server: LiveServer, client: Client, cli: TempestCli
) -> None:
    cli.connect(BUCKET)
    before = secrets_of(server)
    body = {"operation": "read", "resource": {"type": "bucket"}}
    error_of(client.post(path_of(cli), {**body, "environment_variables": VARIABLES}), 422)
    assert secrets_of(server) <= before
    key = f"key-{cli.app['app_id']}"
    first = ask(client, cli, environment_variables=VARIABLES, idempotency_key=key)
    again = ask(client, cli, environment_variables=VARIABLES, idempotency_key=key)
    assert first["run_id"] == again["run_id"]
    assert secrets_of(server) - before == {first["task_id"]}


def forget_all(server: LiveServer) -> None:
    """Lose every secret, as an import into a new store does."""
    services = server.services
    for (secret_id,) in services.ledger.reader.select("SELECT secret_id FROM bridge_secrets"):
        services.vault.forget(secret_id)


def test_an_operation_without_its_values_waits_for_somebody(
    server: LiveServer, client: Client, cli: TempestCli
) -> None:
    cli.connect(BUCKET)
    lame = ask(client, cli, environment_variables=VARIABLES, priority="high")
    forget_all(server)
    whole = ask(client, cli)
    found = cli.next()
    assert found is not None
    assert found["task_id"] == whole["run_id"]
    stands = operation(client, lame["task_id"])
    assert stands["status"] == "needs_attention"
    assert stands["error"] == "the values of TOKEN, REGION are not in this store"


def test_without_a_key_no_values_are_taken(tmp_path: Path) -> None:
    with serving(tmp_path, prepare=lose_the_key) as server:
        cli = TempestCli(f"{server.url}/api/v1", "")
        cli.connect(BUCKET)
        body = {"operation": "create", "resource": {"type": "bucket"}}
        answer = server.client.post(path_of(cli), {**body, "environment_variables": VARIABLES})
        assert "secret_key_file" in error_of(answer, 422)
        ask(server.client, cli)
        assert cli.serve(Store())
        cli.close()


LONG = {"text": "ü" * 100_000}


def test_long_requests_and_responses_are_kept_beside_the_ledger(
    server: LiveServer, client: Client, cli: TempestCli
) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli, input=LONG)
    store = Store()
    cli.serve(store)
    assert store.seen[0]["input"] == LONG
    done = operation(client, asked["task_id"])
    assert done["request"]["input"] == LONG
    assert done["response"]["resource"]["properties"] == LONG
    run = client.ok("GET", f"/api/task-runs/{asked['run_id']}")["run"]
    assert run["run"]["result"]["response_blob"]["size"] > 200_000
    head = server.services.ledger.head
    past = client.ok("GET", f"/api/tempest/operations/{asked['task_id']}?as_of={head}")
    assert past["operation"] == done
    assert all(len(line) < 20_000 for _, line in export_lines(server.services.ledger))


def test_a_long_list_goes_on_too(client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli, "list")
    found = cli.next()
    assert found is not None
    many = [resource(f"b-{number}") for number in range(2_000)]
    assert cli.report(found["task_id"], listed(*many, token="p2")).status_code == 200
    assert cli.report(found["task_id"], listed(*many, token="p2")).status_code == 200
    assert len(operation(client, asked["task_id"])["response"]["resources"]) == 2_000
    again = cli.next()
    assert again is not None
    assert again["task"]["next"] == "p2"


def test_what_is_not_there_any_more_is_told(
    server: LiveServer, client: Client, cli: TempestCli
) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli, input={"text": f"{cli.app['app_id']}" * 10_000})
    found = cli.next()
    assert found is not None
    cli.report(found["task_id"], changed(resource("b-1", properties=found["task"]["input"])))
    lame = ask(client, cli, "update", resource=named("b-1"), input=found["task"]["input"])
    lose_blobs(server.services)
    done = operation(client, asked["task_id"])
    assert (done["status"], "request" in done, "response" in done) == ("completed", False, False)
    assert cli.next() is None
    assert operation(client, lame["task_id"])["error"] == "the request is not in this store"

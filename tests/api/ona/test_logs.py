"""The log of an execution, at an address that needs no header."""

import threading
from typing import Any

from tests.api.live import Client
from tests.api.ona.support import (
    PATH,
    call,
    claim,
    create,
    execution,
    new_environment,
    report,
    start,
)


def address(client: Client, execution_id: str) -> str:
    return str(execution(client, execution_id)["status"]["logUrl"])


def test_the_log_has_what_the_steps_printed_or_what_came_of_them(client: Client) -> None:
    environment = new_environment()
    ids: list[str] = []
    for name in ("a", "b", "c", "d"):
        ids.append(create(client, environment, name, *ids))
    begun = start(client, ids[-1])
    assert begun["status"]["logUrl"].startswith(f"{client.url}/api/ona/executions/")
    results: tuple[Any, ...] = ({"output": "one\ntwo\n"}, "three", {"n": 4})
    for number, result in enumerate(results):
        run = claim(client, environment, f"s{number}-{environment}")
        assert run is not None
        report(client, run, "complete", result=result)
    run = claim(client, environment, f"last-{environment}")
    assert run is not None
    report(client, run, "fail", error="five")

    answer = client.get(address(client, begun["id"]))
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.splitlines() == ["one", "two", "three", '{"n":4}', "five"]


def test_the_log_follows_an_execution_to_its_end(client: Client) -> None:
    environment = new_environment()
    first = create(client, environment, "a")
    begun = start(client, create(client, environment, "b", first))
    read: list[str] = []

    def follow() -> None:
        with client.http.stream("GET", address(client, begun["id"])) as answer:
            read.extend(answer.iter_lines())

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(2):
        run = claim(client, environment, f"s{number}-{environment}")
        assert run is not None
        report(client, run, "complete", result={"output": f"line {number}"})
    thread.join(timeout=20)
    assert read == ["line 0", "line 1"]


def test_a_step_without_words_adds_nothing(client: Client) -> None:
    environment = new_environment()
    begun = start(client, create(client, environment, "a"))
    call(client, "StopTaskExecution", {"id": begun["id"]})
    assert client.get(address(client, begun["id"])).text == ""


def test_the_words_of_a_step_go_with_its_task(client: Client) -> None:
    environment = new_environment()
    begun = start(client, create(client, environment, "a"))
    run = claim(client, environment, f"s-{environment}")
    assert run is not None
    report(client, run, "complete", result={"output": "gone"})
    client.ok("DELETE", f"/api/tasks/{run['task_id']}")
    assert client.get(address(client, begun["id"])).text == ""


def test_an_address_is_good_for_its_own_log_alone(client: Client) -> None:
    environment = new_environment()
    task_id = create(client, environment, "a")
    one, other = (start(client, task_id) for _ in range(2))
    signed = address(client, one["id"])
    for wrong in (signed[:-1], signed.partition("?")[0], signed.replace(one["id"], other["id"])):
        assert client.get(wrong).status_code == 403


def test_clients_get_a_token_for_logs(client: Client) -> None:
    path = PATH.replace("EnvironmentAutomationService", "EnvironmentService")
    method = f"{path}CreateEnvironmentLogsToken"
    answer = client.post(method, {"environmentId": new_environment()})
    assert answer.json() == {"accessToken": "signed"}
    answer = client.post(method, {"environmentId": "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
    assert client.post(f"{path}StartEnvironment", {}).json()["code"] == "unimplemented"

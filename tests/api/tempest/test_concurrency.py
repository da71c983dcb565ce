"""Many loops of one app version at once: each operation goes to one of them, and ends once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from domain.events import RunClaimed, RunCompleted
from tests.api.live import Client, LiveServer
from tests.api.tempest.asking import ask
from tests.api.tempest.client import BUCKET, TempestCli, changed, resource

LOOPS = 12
OPERATIONS = 60


def loop(server: LiveServer, app: dict[str, str], taken: list[str]) -> None:
    """Take, report twice, and go on until nothing waits."""
    cli = TempestCli(f"{server.url}/api/v1", "", app["app_id"], app["version"])
    while (found := cli.next()) is not None:
        taken.append(found["task_id"])
        for _ in range(2):
            response = changed(resource(found["task"]["input"]["name"]))
            assert cli.report(found["task_id"], response).status_code == 200
    cli.close()


def facts_of(server: LiveServer, run_ids: set[str], kind: type[Any]) -> Counter[str]:
    ledger = server.services.ledger
    history = ledger.read(0, ledger.head)
    return Counter(
        recorded.run_id
        for recorded in history
        if isinstance(recorded.fact, kind) and recorded.run_id in run_ids
    )


def test_no_operation_is_handed_out_or_ended_twice(
    server: LiveServer, client: Client, cli: TempestCli
) -> None:
    cli.connect(BUCKET)
    asked = [ask(client, cli, input={"name": f"b-{n}"}) for n in range(OPERATIONS)]
    run_ids = {each["run_id"] for each in asked}
    taken: list[str] = []
    with ThreadPoolExecutor(LOOPS) as threads:
        work = [threads.submit(loop, server, cli.app, taken) for _ in range(LOOPS)]
        for each in work:
            each.result()

    assert Counter(taken) == Counter(run_ids)
    once = Counter(dict.fromkeys(run_ids, 1))
    assert facts_of(server, run_ids, RunClaimed) == once
    assert facts_of(server, run_ids, RunCompleted) == once

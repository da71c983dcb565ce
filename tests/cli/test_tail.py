import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.cli.tail import Wanted, print_events
from api.client.errors import ProtocolError
from api.client.http import LedgerClient
from tests.cli.processes import ROOT, SECONDS, TASKLEDGER, Server, environment, running, until
from tests.cli.scripted import response, scripted_server


def lines(server: Server, *words: str) -> list[Any]:
    return [json.loads(line) for line in server.cli("tail", *words, "--json").stdout.splitlines()]


@contextmanager
def following(server: Server, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*TASKLEDGER, "tail", "--follow", "--server", server.url, *words],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_whole_ledger_is_printed_in_order(server: Server) -> None:
    server.queue("Seen")
    sequences = [item["sequence"] for item in lines(server)]

    assert sequences == list(range(1, len(sequences) + 1))


def test_a_tail_goes_on_behind_a_sequence(server: Server) -> None:
    server.queue("More")
    everything = lines(server)
    middle = everything[len(everything) // 2]["sequence"]

    assert lines(server, "--after", str(middle)) == everything[middle:]


def test_events_are_chosen_by_task_type_and_number(server: Server) -> None:
    task_id, _ = server.queue("Chosen")
    server.queue("Other")

    assert [item["event_type"] for item in lines(server, "--task", task_id)] == [
        "task.created",
        "task.run_enqueued",
    ]
    assert {item["event_type"] for item in lines(server, "--type", "task.created")} == {
        "task.created"
    }
    enqueued = lines(server, "--task", task_id, "--type", "task.run_enqueued")
    assert len(enqueued) == 1
    assert len(lines(server, "--limit", "2")) == 2


def test_the_last_events_are_printed_in_order(server: Server) -> None:
    task_id, _ = server.queue("Last of all")
    everything, of_task = lines(server), lines(server, "--task", task_id)
    created = [item for item in everything if item["event_type"] == "task.created"]

    assert lines(server, "--last", "3") == everything[-3:]
    assert lines(server, "-n", "1", "--task", task_id) == of_task[-1:]
    assert lines(server, "-n", "9", "--task", task_id) == of_task
    assert lines(server, "--last", "2", "--type", "task.created") == created[-2:]
    assert lines(server, "-n", "1", "--type", "task.created", "--task", task_id) == of_task[:1]
    assert lines(server, "--last", "9999") == everything
    refused = server.cli("tail", "--last", "3", "--after", "4", exit_code=2)
    assert "give either --after or --last" in refused.stderr


def test_each_event_is_one_line_for_people(server: Server) -> None:
    task_id, run_id = server.queue("Readable")
    created, enqueued = server.cli("tail", "--task", task_id).stdout.splitlines()

    assert created.split()[2:6] == ["task.created", task_id, "-", "human:local-user"]
    assert enqueued.split()[2:5] == ["task.run_enqueued", task_id, run_id]
    assert enqueued.endswith("queued, attempt 1")


def test_an_unknown_task_is_refused_also_when_following(server: Server) -> None:
    server.cli("tail", "--task", "task-none", exit_code=1)
    server.cli("tail", "--task", "task-none", "--follow", exit_code=1)


def test_following_a_task_shows_what_is_below_it(server: Server) -> None:
    task_id, _ = server.queue("Above")
    with following(server, "--task", task_id, "--json", "--limit", "4") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["event_type"] == "task.created"
        child = server.json("task", "create", "Below", "--parent", task_id)["task"]["id"]
        items = [json.loads(line) for line in process.stdout]

    assert [item["event_type"] for item in items] == [
        "task.run_enqueued",
        "task.created",
        "task.child_created",
    ]
    assert items[1]["task"]["id"] == child


def test_a_follower_sees_every_event_once_across_restarts_of_the_server(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        with following(server, "--json") as process:
            assert process.stdout
            server.queue("First")
            seen = [json.loads(process.stdout.readline())]
            for round_, number in enumerate([signal.SIGTERM, signal.SIGKILL]):
                for position in range(5):
                    server.queue(f"Round {round_}, {position}")
                server.stop(number)
                server.start()
            server.queue("Last")
            left = len(lines(server)) - len(seen)
            seen += [json.loads(process.stdout.readline()) for _ in range(left)]

        assert seen == lines(server)


def test_a_filtered_follower_sees_only_the_wanted_events(server: Server) -> None:
    server.queue("Before")
    head = lines(server)[-1]["sequence"]
    words = ("--type", "task.canceled", "--after", str(head), "--limit", "1", "--json")
    with following(server, *words) as process:
        task_id, _ = server.queue("Canceled")
        server.cli("task", "cancel", task_id)
        told, _ = process.communicate(timeout=SECONDS)

    assert json.loads(told)["task"]["id"] == task_id


def test_an_interrupted_follower_ends_quietly(server: Server) -> None:
    server.queue("Something")
    with following(server) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=SECONDS)

    assert process.returncode == 130
    assert complaints == ""


def test_a_reader_that_goes_away_ends_the_tail_quietly(server: Server) -> None:
    server.queue("Something")
    with following(server) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        server.queue("Something more")
        until(lambda: process.poll() is not None)
        assert process.stderr.read() == ""


@pytest.mark.parametrize("body", ["null", "[]", "{}", '{"timeline": null}', '{"timeline": [1]}'])
@pytest.mark.parametrize("last", [0, 3])
def test_an_answer_of_another_program_is_no_timeline(body: str, last: int) -> None:
    wanted = Wanted(task_id="", after=0, last=last, types=(), limit=0, follow=False)

    async def tailed() -> None:
        async with (
            scripted_server(response("200 OK", body)) as (_, connection),
            LedgerClient(connection) as client,
        ):
            await print_events(client, wanted, as_json=False)

    with pytest.raises(ProtocolError, match=r"^/api/timeline is not a timeline: "):
        asyncio.run(tailed())

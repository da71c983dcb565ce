"""Several processes on one database: killed, cut off and left without it, and nothing is lost."""

import random
import time
from contextlib import ExitStack
from pathlib import Path

from tests.faults.client import Client, until
from tests.faults.crew import Crew, check_done
from tests.faults.follow import Follower, recorded
from tests.faults.serving import Site, history_of
from tests.support.postgres import PostgresServer

PROCESSES = 4
KILLS = 6
SEED = 31


def test_nothing_is_lost_or_repeated_by_four_processes_that_are_killed(
    tmp_path: Path, place: str, cluster: PostgresServer
) -> None:
    chance = random.Random(SEED)
    sites = [
        Site(tmp_path, place=place, sweep_seconds=0.1, max_lease_expiries=4, keep_alive_seconds=0.2)
        for _ in range(PROCESSES)
    ]
    with ExitStack() as resources:
        servers = [site.start() for site in sites]
        for site in sites:
            resources.callback(site.stop)
        crews = [
            resources.enter_context(
                Crew(site.port, size=2, seed=SEED, first=2 * number, doubtful=True)
            )
            for number, site in enumerate(sites)
        ]
        follower = Follower(sites[0].port, "/api/stream")
        follower.start()
        for kill in range(KILLS):
            time.sleep(chance.uniform(0.1, 0.4))
            if kill == KILLS // 2:
                cluster.stop()
                time.sleep(0.2)
                cluster.start()
            victim = chance.randrange(PROCESSES)
            servers[victim].kill()
            servers[victim] = sites[victim].start()
        for crew in crews:
            crew.finish()
        with Client(sites[0].port) as client:
            whole = recorded(client)
        seen = follower.reach(whole[-1][0].sequence)
    history = history_of(place)

    assert seen == [event for _, event in whole]
    assert [each.sequence for each in history] == list(range(1, len(history) + 1))
    check_done([done for crew in crews for done in crew.done], history)
    assert not [line for site in sites for line in site.complaints()]


def test_one_run_is_claimed_once_whichever_process_is_asked(tmp_path: Path, place: str) -> None:
    sites = [Site(tmp_path, place=place, keep_alive_seconds=0.2) for _ in range(2)]
    with ExitStack() as resources:
        for site in sites:
            resources.enter_context(site.serving())
        left, right = (resources.enter_context(Client(site.port)) for site in sites)
        agents = [
            resources.enter_context(Client(sites[number % 2].port, session=f"s{number}"))
            for number in range(6)
        ]
        task = left.post("/api/tasks", {"scope": "global", "title": "once"})["task"]
        right.post(f"/api/tasks/{task['id']}/runs")
        claims = [agent.call("POST", "/api/agent/tasks/claim-next", {}) for agent in agents]

        assert sorted(claim.status for claim in claims) == [200, 204, 204, 204, 204, 204]
        assert left.get(f"/api/tasks/{task['id']}") == right.get(f"/api/tasks/{task['id']}")


def test_a_waiting_claim_and_a_stream_hear_of_another_process(tmp_path: Path, place: str) -> None:
    # Without being told, neither process would look during the test.
    sites = [
        Site(tmp_path, place=place, keep_alive_seconds=0.2, poll_seconds=3_600) for _ in range(2)
    ]
    with ExitStack() as resources:
        for site in sites:
            resources.enter_context(site.serving())
        left, right = (resources.enter_context(Client(site.port)) for site in sites)
        follower = Follower(sites[1].port, "/api/stream")
        follower.start()
        until(lambda: follower.connections, "the stream is open")
        task = left.post("/api/tasks", {"scope": "global", "title": "heard"})["task"]
        until(lambda: follower.events, "the event of the other process")

        assert right.get(f"/api/tasks/{task['id']}")["task"]["task"]["title"] == "heard"
        follower.reach(task["latest_event_seq"])


def test_a_server_heals_when_its_sessions_are_ended(
    tmp_path: Path, place: str, cluster: PostgresServer
) -> None:
    site = Site(tmp_path, place=place)
    with site.serving(), Client(site.port) as client:
        client.post("/api/tasks", {"scope": "global", "title": "before"})
        cluster.end_sessions(place)
        made = client.insist("POST", "/api/tasks", {"scope": "global", "title": "after"})
        titles = client.get("/api/tasks")["tasks"]

    assert made is not None
    assert made.status == 201
    assert sorted(task["title"] for task in titles) == ["after", "before"]

"""The server is killed while notifications are on their way: none is lost, ids stay the same."""

import time
from pathlib import Path

from tests.api.bridged import complete, followed, served, when
from tests.api.live import Client
from tests.api.receiver import receiving
from tests.faults.serving import Site


def test_a_kill_in_the_middle_of_a_delivery_repeats_it_with_the_same_id(tmp_path: Path) -> None:
    site = Site(tmp_path, bridge_retry_seconds=0.05, bridge_timeout_seconds=20)
    with receiving() as receiver:
        server = site.start()
        client = Client(server.url)
        secret = client.ok("PUT", "/api/bridges/b", {"url": receiver.url})["secret"]
        told = followed(client, "told")
        complete(client, "told")
        before = when(client, told, served)
        receiver.behave = receiver.hang
        hanging = [followed(client, f"t{n}") for n in range(3)]
        for n in range(3):
            complete(client, f"t{n}")
        receiver.wait_for(4)
        server.kill()

        receiver.behave = lambda _: 204
        receiver.released.set()
        with site.serving():
            after = [when(client, path, served) for path in hanging]
            time.sleep(0.2)
            assert client.ok("GET", told)["subscription"] == before
        client.close()

        requests = receiver.requests
        assert all(request.signed_with(secret) for request in requests)
        ids = [request.delivery_id for request in requests]
        assert len(ids) == 7
        assert len(set(ids)) == 4
        assert ids.count(before["cursor"]["last_delivery_id"]) == 1
        for found in after:
            assert ids.count(found["cursor"]["last_delivery_id"]) == 2
    assert not site.complaints()

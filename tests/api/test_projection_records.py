"""How work on read models ended is put on record, in the end, although the store may be away."""

import gc
from pathlib import Path

import pytest

from tests.api.live import NEVER, serving
from tests.api.test_projections import finished, ops, until, work
from tests.support.obstacles import refuse_writes
from tests.support.processes import held_back


def test_what_ends_while_the_store_refuses_it_is_put_on_record_by_the_next_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    go = tmp_path / "go"
    with serving(tmp_path, sweep_seconds=NEVER) as server:
        work(server.client, 1)
        projections = server.services.projections
        projections.command = held_back(projections.command, go)
        server.client.ok("POST", "/api/projections/tasks/rebuild", status=202)
        refuse_writes(server.services)
        go.touch()
        assert finished(server.client, "tasks")["last"]["end"] == "done"
        store = server.settings.store
    gc.collect()

    assert [each for each in caplog.messages if "is not on record" in each]
    assert not [each for each in caplog.messages if "never retrieved" in each]
    with serving(tmp_path, store=store) as server:
        last = "ops.projection_rebuild_finished"
        until(lambda: ops(server.client)[-1]["event_type"] == last)

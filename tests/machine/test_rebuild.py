"""What a live server writes and what a rebuild writes are the same bytes."""

from tests.machine.gates import DirectGate
from tests.support.verify import verify


def test_a_default_that_is_sent_leaves_the_same_row_as_a_rebuild() -> None:
    gate = DirectGate()
    sent = {"priority": "medium", "approval_policy": "none", "max_attempts": 3}
    body = {"scope": "global", "title": "Title", **sent}
    assert gate.send("POST", "/api/tasks", {"id": "a", **body}).status == 201
    assert (
        gate.send("POST", "/api/tasks", {"id": "b", "scope": "global", "title": "b"}).status == 201
    )
    assert gate.send("PATCH", "/api/tasks/b", {**sent, "priority": "high"}).status == 200
    assert gate.send("PATCH", "/api/tasks/b", {"priority": " Medium "}).status == 200
    edge = {"depends_on_task_id": "b", "kind": "BLOCKS"}
    assert gate.send("POST", "/api/tasks/a/dependencies", edge).status == 200
    try:
        assert len(verify(gate.close())) == 5
    finally:
        gate.clean()

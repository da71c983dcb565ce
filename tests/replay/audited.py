"""Stores with a history, made through the API, for what looks at whole stores."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from tests.machine.gates import DirectGate

Request: TypeAlias = tuple[str, str, Any]

STORY: tuple[Request, ...] = (
    ("POST", "/api/tasks", {"scope": "global", "title": "First", "id": "a"}),
    ("POST", "/api/tasks", {"scope": "global", "title": "Ünïcode ☃", "id": "b"}),
    ("POST", "/api/tasks/b/dependencies", {"depends_on_task_id": "a", "kind": "blocks"}),
    ("POST", "/api/tasks/a/runs", {"idempotency_key": "k"}),
    ("POST", "/api/tasks/a/pause", {"reason": "lunch"}),
    ("PATCH", "/api/tasks/a", {"title": "Changed", "priority": "high"}),
    ("POST", "/api/tasks/a/resume", {}),
    ("POST", "/api/tasks/a/cancel", {"reason": "enough"}),
    ("POST", "/api/scheduler/pause", {"reason": "night"}),
    ("DELETE", "/api/tasks/b", None),
)


def store_of(folder: Path, requests: Iterable[Request] = STORY) -> Path:
    """Return a store in a folder after these requests, some of which may have been refused."""
    target = folder / "ledger.db"
    target.write_bytes(_story() if requests is STORY else _store_after(requests))
    return target


@cache
def _story() -> bytes:
    """Tell the story once for the many tests that begin with it."""
    return _store_after(STORY)


def _store_after(requests: Iterable[Request]) -> bytes:
    gate = DirectGate()
    try:
        for method, path, body in requests:
            gate.send(method, path, body)
        with closing(sqlite3.connect(gate.close())) as store:
            return store.serialize()
    finally:
        gate.clean()


def planted(path: Path, *statements: str) -> None:
    """Change a store behind its back."""
    with closing(sqlite3.connect(path)) as store:
        for statement in statements:
            assert store.execute(statement).rowcount > 0, statement
        store.commit()


def events_of(path: Path) -> list[tuple[Any, ...]]:
    """Return the stored events of a store."""
    with closing(sqlite3.connect(path)) as store:
        return store.execute("SELECT * FROM stored_events ORDER BY notification_id").fetchall()

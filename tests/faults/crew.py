"""Writers that go on through everything, and note what they were told to be done."""

import random
import threading
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from domain import events as e
from domain.recorded import Recorded
from tests.faults.client import Client, Reply


class Done(Struct, frozen=True, kw_only=True):
    """An acknowledged command: what it was about and what the answer said."""

    kind: str
    task_id: str
    sequence: int = 0
    value: str = ""


_ENDINGS: Final[dict[str, dict[str, Any]]] = {
    "complete": {"result": {"answer": 42}},
    "fail": {"error": "broken"},
    "release": {"reason": "enough"},
}


class Writer(threading.Thread):
    """Creates, patches, queues, claims and ends, one request after the other."""

    def __init__(self, crew: "Crew", number: int) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self._crew = crew
        self._name = f"w{number}"
        self._random = random.Random(f"{crew.seed}/{number}")
        self._user = Client(crew.port)
        self._agent = Client(crew.port, session=f"s{number}")

    def run(self) -> None:
        """Work until the crew stops."""
        try:
            with self._user, self._agent:
                rounds = 0
                while not self._crew.stopping.is_set():
                    rounds += 1
                    self._round(f"{self._name}-{rounds}")
        except BaseException:
            self._crew.broken.append(traceback.format_exc())

    def _ask(self, client: Client, method: str, path: str, body: Any) -> Reply | None:
        self._crew.stopping.wait(self._random.random() * self._crew.pause)
        return client.insist(
            method,
            path,
            body,
            while_=lambda: not self._crew.abandoned.is_set(),
            doubtful=self._crew.doubtful,
        )

    def _done(self, **members: Any) -> None:
        self._crew.done.append(Done(**members))

    def _round(self, task_id: str) -> None:
        body = {"id": task_id, "scope": "global", "title": task_id, "max_attempts": 10}
        made = self._ask(self._user, "POST", "/api/tasks", body)
        if made is None:
            return
        if made.status == 201:
            sequence = made.json["task"]["latest_event_seq"]
            self._done(kind="create", task_id=task_id, sequence=sequence)
        else:
            assert made.status == 409, made
            assert made.uncertain, f"refused at first: {made}"
        if self._random.random() < 0.3:
            self._patch(task_id)
        self._enqueue(task_id)
        self._work()

    def _patch(self, task_id: str) -> None:
        title = f"{task_id} patched"
        reply = self._ask(self._user, "PATCH", f"/api/tasks/{task_id}", {"title": title})
        if reply:
            assert reply.status == 200, reply
            self._done(kind="patch", task_id=task_id, value=title)

    def _enqueue(self, task_id: str) -> None:
        key = f"key-{task_id}"
        path = f"/api/tasks/{task_id}/runs"
        reply = self._ask(self._user, "POST", path, {"idempotency_key": key})
        if reply:
            assert reply.status == 201, reply
            run_id = reply.json["run"]["id"]
            self._done(kind="enqueue", task_id=task_id, value=f"{key} {run_id}")
            self._done(kind="key", task_id=task_id, value=key)

    def _work(self) -> None:
        path = "/api/agent/tasks/claim-next"
        reply = self._ask(self._agent, "POST", path, {"lease_seconds": 1})
        if reply is None or reply.status == 204:
            return
        if reply.status == 409:
            # The answer to an earlier claim was lost; its lease runs out soon.
            self._crew.stopping.wait(0.05)
            return
        assert reply.status == 200, reply
        run = reply.json["claim"]["run"]
        self._done(kind="claim", task_id=run["task_id"], value=run["claim_token_hash"])
        if self._random.random() < 0.3:
            self._on_lease("heartbeat", {"lease_seconds": 1}, run)
        how = self._random.choices(("complete", "fail", "release"), (6, 2, 1))[0]
        self._on_lease(how, _ENDINGS[how], run)

    def _on_lease(self, verb: str, body: dict[str, Any], run: dict[str, Any]) -> None:
        reply = self._ask(self._agent, "POST", f"/api/agent/tasks/{run['id']}/{verb}", body)
        if reply is None:
            return
        if reply.status == 200:
            self._done(kind=verb, task_id=run["task_id"], value=run["claim_token_hash"])
        else:
            # The lease ran out, or the first attempt of a release was carried out.
            assert reply.status in {403, 409}, reply


class Crew:
    """Several writers at once; use it as a context manager."""

    def __init__(
        self,
        port: int,
        *,
        size: int,
        seed: int,
        pause: float = 0.01,
        first: int = 0,
        doubtful: bool = False,
    ) -> None:
        """Let `size` writers work, each with up to `pause` seconds between two requests.

        `first` is the number of the first: no two writers of a store may share one. `doubtful` is
        for a store that may break down when it has committed and before it says so.
        """
        self.port = port
        self.seed = seed
        self.pause = pause
        self.doubtful = doubtful
        self.done: list[Done] = []
        self.broken: list[str] = []
        self.stopping = threading.Event()
        self.abandoned = threading.Event()
        self._writers = [Writer(self, first + number) for number in range(size)]

    def __enter__(self) -> "Crew":
        for writer in self._writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.abandoned.set()
        self._join()

    def finish(self) -> None:
        """Let every writer end its round, with an answer to each request."""
        self.stopping.set()
        self._join()
        self.check()

    def check(self) -> None:
        """Raise AssertionError when a writer met something unexpected."""
        assert not self.broken, "\n".join(self.broken)

    def _join(self) -> None:
        for writer in self._writers:
            writer.join(60)
            assert not writer.is_alive(), f"{writer.name} does not end"


def check_done(done: Iterable[Done], history: list[Recorded]) -> None:
    """Check that every acknowledged command is in the history exactly once, with what it said."""
    effects = Counter(_effects(history))
    created = {p.sequence: p.task_id for p in history if isinstance(p.fact, e.TaskCreated)}
    for each in done:
        times = effects[each.kind, each.task_id, each.value]
        # A heartbeat that was repeated after a lost answer extends the lease once more.
        assert times == 1 or (each.kind == "heartbeat" and times), f"{each} is there {times} times"
        if each.sequence:
            assert created[each.sequence] == each.task_id


def _effects(history: list[Recorded]) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, task, value) of what commands of writers came to."""
    tokens: dict[str, str] = {}
    for past in history:
        match past.fact:
            case e.TaskCreated():
                yield "create", past.task_id, ""
            case e.TaskUpdated(title=title):
                yield "patch", past.task_id, title
            case e.RunEnqueued(idempotency_key=key):
                yield "enqueue", past.task_id, f"{key} {past.run_id}"
                yield "key", past.task_id, key
            case e.RunClaimed(claim_token_hash=token):
                tokens[past.run_id] = token
                yield "claim", past.task_id, token
            case e.RunLeaseExtended():
                yield "heartbeat", past.task_id, tokens[past.run_id]
            case e.RunCompleted():
                yield "complete", past.task_id, tokens[past.run_id]
            case e.RunFailed():
                yield "fail", past.task_id, tokens[past.run_id]
            case e.RunReleased():
                yield "release", past.task_id, tokens[past.run_id]
            case _:
                pass

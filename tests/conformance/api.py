"""A client of the agreed operations by their names, which notes what was answered."""

import json
from typing import Any

from tests.api.live import Client
from tests.conformance.judge import JsonObject, complaints
from tests.conformance.operations import BY_NAME

BY_TRANSPORT = {401, 403, 413}


class Api:
    """Sends agreed requests; every answer is held against what was agreed and what is served."""

    def __init__(self, client: Client, answered: set[tuple[str, int]]) -> None:
        self.client = client
        self.answered = answered

    def agent(self, session: str) -> "Api":
        """Return the same for an agent session."""
        return Api(self.client.agent(session), self.answered)

    def call(self, name: str, *ids: str, body: Any = None, status: int = 0) -> JsonObject:
        """Return the answer, which has the given status or is the only success there is."""
        agreed = BY_NAME[name]
        options = {} if body is None else {"json": body}
        response = self.client.send(agreed.method, path_of(agreed.path, *ids), **options)
        found = response.status_code
        (expected, *_) = [status] if status else agreed.successes
        assert found == expected, (name, found, response.text)
        assert found in {*agreed.successes, *agreed.refusals, *BY_TRANSPORT}, (name, found)
        self.answered.add((name, found))
        if not response.content:
            assert agreed.successes.get(found) == "", name
            return {}
        shape = agreed.successes.get(found, "ErrorBody")
        value = json.loads(response.content)
        assert complaints(value, shape) == [], name
        return dict(value)

    def task(self, **members: Any) -> str:
        """Return the id of a new task."""
        body = {"scope": "global", "title": "a task", **members}
        return str(self.call("createTask", body=body)["task"]["id"])

    def run(self, **members: Any) -> str:
        """Return the id of a queued run of a new task."""
        return str(self.call("enqueueTaskRun", self.task(**members), body={})["run"]["id"])

    def ended(self, end: str = "completeTaskRun") -> tuple[str, str]:
        """Return the ids of a run that an operator took to its end, and of its task."""
        run = self.run()
        self.call("claimTaskRun", run, body={})
        self.call("startTaskRun", run, body={})
        found = self.call(end, run, body={"error": "broken"})["run"]
        return run, str(found["task_id"])


def path_of(path: str, *ids: str) -> str:
    """Return the path with its values."""
    for value in ids:
        before, _, after = path.partition("{")
        path = before + value + after.partition("}")[2]
    return path

"""A client with the shapes and the habits of the Tempest CLI, recorded from its source.

As a program it does what `connect` and then `serve` do, until nothing waits any more:
`TEMPEST_API_ENDPOINT=… TEMPEST_TOKEN=… python -m tests.api.tempest.client store v1`.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

import httpx2

from tests.conformance.judge import complaints

JsonObject = dict[str, Any]
Execute = Callable[[JsonObject], JsonObject]

SECONDS: Final = 60.0
"""How long to wait for an answer. The CLI waits 5 s for an operation and 10 s for the rest, which
says something of its own machine alone."""
_TASKS: Final = {
    "execute_resource_operation": "TempestOperation",
    "execute_resource_action": "TempestAction",
    "list_resources": "TempestList",
}
BUCKET: Final[JsonObject] = {
    "type": "bucket",
    "display_name": "Bucket",
    "description": "Where files are",
    "property_json_schema": {},
    "list_supported": True,
    "read_supported": True,
    "create_supported": True,
    "create_input_schema": {"type": "object"},
    "update_supported": True,
    "update_input_schema": {"type": "object"},
    "delete_supported": True,
    "healthcheck_supported": True,
    "links": {"links": [{"title": "Docs", "url": "https://docs.example", "type": "unspecified"}]},
    "instructions_markdown": "",
    "lifecycle_stage": "LifecycleStage(0)",
}


class TempestCli:
    """One app version. The endpoint and the path are joined as texts."""

    def __init__(self, endpoint: str, token: str, app_id: str = "store", version: str = "v1"):
        self.endpoint = endpoint.rstrip("/")
        self.app: JsonObject = {"app_id": app_id, "version": version}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Without the certificates of authorities, which are many to read for every client.
        self._http = httpx2.Client(headers=headers, trust_env=False, verify=False)
        self.answers: list[httpx2.Response] = []

    def close(self) -> None:
        self._http.close()

    def post(self, path: str, body: Any, **options: Any) -> httpx2.Response:
        """Send a request; what comes back must have a body of JSON or none."""
        given = {"content": body} if isinstance(body, bytes) else {"json": body}
        url = f"{self.endpoint}/{path}"
        answer = self._http.post(url, timeout=SECONDS, **given, **options)
        if answer.content:
            assert "json" in answer.headers["content-type"]
        if answer.status_code >= 400:
            assert complaints(answer.json(), "TempestError") == []
        self.answers.append(answer)
        return answer

    def connect(self, *resources: JsonObject) -> JsonObject:
        """Register the version; without types the CLI sends null."""
        answer = self.post("apps.version.connect", {**self.app, "resources": resources or None})
        assert answer.status_code == 200, answer.text
        assert complaints(answer.json(), "TempestStandard") == []
        return dict(answer.json())

    def health(self, *reports: JsonObject) -> JsonObject:
        """Send the health reports so far; while there are none the CLI sends null."""
        answer = self.post("apps.versions.health", {**self.app, "health_reports": reports or None})
        assert answer.status_code == 200, answer.text
        assert complaints(answer.json(), "TempestStandard") == []
        return dict(answer.json())

    def next(self) -> JsonObject | None:
        """Take the next operation; the CLI reads most of it without looking whether it is there."""
        answer = self.post("apps.operations.next", self.app)
        if answer.status_code == 204:
            assert not answer.content
            return None
        assert answer.status_code == 200, answer.text
        found: JsonObject = answer.json()
        assert complaints(found, "TempestNext") == []
        assert complaints(found["task"], _TASKS[found["task"]["request_type"]]) == []
        return found

    def report(self, task_id: str, response: JsonObject) -> httpx2.Response:
        """Tell that an operation went well."""
        body = {"task_id": task_id, "status": "ok", "response": response}
        return self.post("apps.operations.report", body)

    def report_error(self, task_id: str, message: str) -> httpx2.Response:
        """Tell that an operation went badly; the response is there, and null."""
        body = {"task_id": task_id, "status": "error", "message": message, "response": None}
        return self.post("apps.operations.report", body)

    def serve(self, execute: Execute) -> list[str]:
        """Take, execute and report until nothing waits; return the task ids."""
        done = []
        while (found := self.next()) is not None:
            # The CLI takes no notice of what a report is answered.
            try:
                self.report(found["task_id"], execute(found["task"]))
            except RuntimeError as error:
                self.report_error(found["task_id"], str(error))
            done.append(found["task_id"])
        return done


def resource(external_id: str, **more: Any) -> JsonObject:
    """Return a resource as the CLI reports it: members that are empty are null."""
    return {
        "type": "bucket",
        "external_id": external_id,
        "display_name": f"Bucket {external_id}",
        "name": None,
        "created_by": None,
        "deleted_at": None,
        "created_at": "2026-04-26T12:00:00.123456Z",
        "updated_at": "2026-04-26T12:00:00Z",
        "synced_at": "2026-04-26T12:00:00Z",
        "properties": None,
        "links": {
            "links": [
                {"title": "Console", "url": "https://store.example", "type": "LINK_TYPE_EXTERNAL"}
            ]
        },
        **more,
    }


def changed(*resources: JsonObject, kind: str = "execute_resource_operation") -> JsonObject:
    """Return the response to an operation."""
    return {"response_type": kind, "resource": resources[0]}


def listed(*resources: JsonObject, token: str = "") -> JsonObject:
    """Return the response to a list; the CLI sends null for no resources."""
    return {"response_type": "list_resources", "resources": resources or None, "next": token}


class Store:
    """An app that looks after buckets."""

    def __init__(self) -> None:
        self.buckets: dict[str, JsonObject] = {}
        self.seen: list[JsonObject] = []

    def __call__(self, task: JsonObject) -> JsonObject:
        """Do what a task asks."""
        self.seen.append(task)
        if task["request_type"] == "list_resources":
            names = sorted(self.buckets)
            start = int(task["next"] or 0)
            token = str(start + 1) if start + 1 < len(names) else ""
            return listed(*(self.buckets[name] for name in names[start : start + 1]), token=token)
        external_id = task["resource"]["external_id"]
        if task["operation"] == "create":
            external_id = f"b-{len(self.buckets) + 1}"
        if task["operation"] in {"create", "update"}:
            self.buckets[external_id] = resource(external_id, properties=task["input"])
        if task["operation"] == "delete":
            return changed(self.buckets.pop(external_id))
        if external_id not in self.buckets:
            raise RuntimeError(f"no bucket {external_id}")
        return changed(self.buckets[external_id])


def main() -> None:
    """Connect an app version and serve it until nothing waits."""
    app_id, version = sys.argv[1:]
    endpoint, token = os.environ["TEMPEST_API_ENDPOINT"], os.environ.get("TEMPEST_TOKEN", "")
    cli = TempestCli(endpoint, token, app_id, version)
    print(cli.connect(BUCKET)["metadata"]["tempest_app_url"])
    for task_id in cli.serve(Store()):
        print(task_id)
    cli.close()


if __name__ == "__main__":
    main()

"""Schemathesis against the live server: all of its checks, within a bounded time, always the same.

No 5xx, no status, header or content that is not announced, no answer that is not as its schema
says, 405 with `Allow` for other methods, nothing found that was deleted. Two checks are narrowed
where the task API itself goes another way; each operation of that kind is named here.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.api.live import serving

SECONDS: Final = 600
EXAMPLES: Final = 2

NEVER_ENDING: Final = ("streamTask", "streamLedger", "streamProjection", "posthogTasksRunsStream")
"""Streams go on until the client leaves; they have tests of their own."""

LENIENT: Final = (
    "addTaskDependency",
    "approveTask",
    "attachTaskRunSession",
    "bulkForceFailTaskRuns",
    "bulkForceReleaseTaskRuns",
    "cancelTask",
    "cancelTaskRun",
    "claimAgentTasks",
    "claimNextAgentTask",
    "claimTaskRun",
    "completeAgentTaskRun",
    "completeTaskRun",
    "createChildTask",
    "createTask",
    "createTaskBridgeNotificationSubscription",
    "drainScheduler",
    "enqueueTaskRun",
    "failAgentTaskRun",
    "failTaskRun",
    "forceFailTaskRun",
    "forceReleaseTaskRun",
    "heartbeatAgentTaskRun",
    "pauseScheduler",
    "pauseTask",
    "postAppsOperationsNext",
    "postAppsOperationsReport",
    "postAppsVersionConnect",
    "postAppsVersionsHealth",
    "publishTask",
    "putBridge",
    "putSession",
    "putWorkspace",
    "queueTempestOperation",
    "rebuildProjection",
    "recoverTaskRun",
    "releaseAgentTaskRun",
    "reportAgentTaskRuns",
    "requestTaskRunReview",
    "resumeScheduler",
    "resumeTask",
    "retryTaskRun",
    "setTaskExecutionProfile",
    "skipProjection",
    "startTask",
    "startTaskRun",
    "submitTaskRunReviewVerdict",
    "updateTask",
)
"""Bodies are read leniently: a member that is null is absent, so is a body that is null or (where
it is optional) empty, and words are compared trimmed and in lower case. What a schema calls
wrong is then accepted, and rightly."""

STRICT: Final = frozenset({"ona", "posthog"})
"""The tags of APIs that read bodies as their schemas say; Ona's reads parameters so as well."""

BLANK: Final = (
    "explainRun",
    "getLedgerTimeline",
    "getSchedulerBacklog",
    "getTaskDashboard",
    "getTaskInbox",
    "getTaskTimeline",
    "listBridgeSubscriptions",
    "listTaskBridgeNotificationSubscriptions",
    "listTaskReviews",
    "listTaskRunReviews",
    "listTaskRuns",
    "listTasks",
    "listTempestOperations",
    "posthogTasksList",
    "posthogTasksRunsList",
    "posthogTasksRunsSessionLogs",
)
"""A parameter that is blank is absent, and words are compared trimmed and in lower case."""

A_MOMENT: Final = (
    "getLedgerTimeline",
    "getScheduler",
    "getSchedulerBacklog",
    "getTask",
    "getTaskDashboard",
    "getTaskInbox",
    "getTaskRun",
    "getTaskRunReview",
    "getTaskTimeline",
    "getTaskTree",
    "getTempestApp",
    "getTempestOperation",
    "listTaskReviews",
    "listTaskRunReviews",
    "listTaskRuns",
    "listTasks",
    "listTempestApps",
    "listTempestOperations",
    "posthogTasksList",
    "posthogTasksRetrieve",
    "posthogTasksRunsList",
    "posthogTasksRunsRetrieve",
)
"""`as_of` beyond the head is refused, wherever the head is; `scope` may need a `workspace`."""

MEMBERS_GO_TOGETHER: Final = (
    "bulkForceFailTaskRuns",
    "createChildTask",
    "createTask",
    "createTaskBridgeNotificationSubscription",
    "deleteTask",
    "postAppsOperationsNext",
    "postAppsOperationsReport",
    "postAppsVersionConnect",
    "postAppsVersionsHealth",
    "putBridge",
    "queueTempestOperation",
    "requestTaskRunReview",
    "setTaskExecutionProfile",
    "skipProjection",
    "startTask",
    "submitTaskRunReviewVerdict",
    "updateTask",
)
"""What one member may be depends on another, on the path or on what the ledger holds."""

WHOLE_NUMBERS: Final = (
    "claimAgentTasks",
    "claimNextAgentTask",
    "drainScheduler",
    "heartbeatAgentTaskRun",
    "putSession",
)
"""To JSON Schema 65.0 is an integer; to the task API it is not."""

ONA: Final = (
    "onaCreateEnvironmentLogsToken",
    "onaCreateTask",
    "onaDeleteTask",
    "onaGetTask",
    "onaGetTaskByGet",
    "onaGetTaskExecution",
    "onaGetTaskExecutionByGet",
    "onaListTaskExecutions",
    "onaListTaskExecutionsByGet",
    "onaListTasks",
    "onaListTasksByGet",
    "onaStartTask",
    "onaStopTaskExecution",
    "onaUpdateTask",
)
"""The JSON of protocol buffers: null is absent, what is unknown is ignored, and the message of a
GET is a text in one of two encodings. The rules of the service go beyond the types."""

HEADERS: Final = """
[parameters]
"header.X-AGH-Session-ID" = "s1"
"header.X-AGH-Agent" = "coder"
"""
ANSWERS: Final = ["2xx", "400", "401", "403", "404", "409", "415", "422"]


def settings() -> str:
    """Return the configuration: which check is narrowed for which operation."""
    narrowed: dict[str, list[str]] = {}
    for name in (*LENIENT, *BLANK, *ONA):
        narrowed.setdefault(name, []).append("checks.negative_data_rejection.enabled = false")
    for name in {*A_MOMENT, *MEMBERS_GO_TOGETHER, *WHOLE_NUMBERS, *ONA}:
        expected = f"checks.positive_data_acceptance.expected-statuses = {json.dumps(ANSWERS)}"
        narrowed.setdefault(name, []).append(expected)
    for name in NEVER_ENDING:
        narrowed[name] = ["enabled = false"]
    return HEADERS + "\n".join(
        "\n".join(["[[operations]]", f'include-operation-id = "{name}"', *lines])
        for name, lines in sorted(narrowed.items())
    )


def test_whatever_is_sent_is_answered_as_announced(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(settings())
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file"),
        *("schemathesis.toml", "--no-color", "run", "--continue-on-failure"),
        *("--generation-deterministic", "--no-shrink"),
        *("--generation-allow-x00", "false", "--suppress-health-check", "all"),
        *("--max-examples", str(EXAMPLES), "--request-timeout", "60"),
    ]
    with serving(tmp_path, claim_wait_seconds=0.05) as server:
        server.client.ok("PUT", "/api/sessions/s1", {"agent_name": "coder"})
        done = subprocess.run(
            [*command, f"{server.url}/openapi.json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr
    counted = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", done.stdout)
    assert counted is not None, done.stdout
    selected, known, tested = map(int, counted.groups())
    assert tested == selected == known - len(NEVER_ENDING)


def test_only_operations_that_read_leniently_may_accept_what_their_schema_does_not(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server:
        paths = server.client.http.get("/openapi.json").json()["paths"]
    operations = [each for methods in paths.values() for each in methods.values()]

    own = [each for each in operations if STRICT.isdisjoint(each["tags"])]
    with_body = {each["operationId"] for each in own if "requestBody" in each}
    with_query = {
        each["operationId"]
        for each in operations
        if each["tags"] != ["ona"]
        for parameter in each.get("parameters", ())
        if parameter["in"] == "query" and parameter["name"] != "as_of"
    }
    assert {*LENIENT} == with_body
    assert {*BLANK} == with_query - {*NEVER_ENDING}

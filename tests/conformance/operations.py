"""The 62 operations of the task API: what each may answer, as facts.

Refusals that any operation may give (401, 403 and 413 by the transport, 500, 503) are not listed
unless they belong to the operation itself.
"""

from typing import Final

from msgspec import Struct


class Agreed(Struct, frozen=True):
    """An operation: successes give the shape of the body, empty for none."""

    method: str
    path: str
    name: str
    successes: dict[int, str]
    refusals: tuple[int, ...]


OPERATIONS: Final[tuple[Agreed, ...]] = (
    Agreed(
        "POST",
        "/api/agent/tasks/claim-next",
        "claimNextAgentTask",
        {200: "ClaimNextAgentTaskResponse", 204: ""},
        (401, 403, 409, 422),
    ),
    Agreed(
        "POST",
        "/api/agent/tasks/{run_id}/complete",
        "completeAgentTaskRun",
        {200: "LeaseResponse"},
        (401, 403, 404, 409, 422),
    ),
    Agreed(
        "POST",
        "/api/agent/tasks/{run_id}/fail",
        "failAgentTaskRun",
        {200: "LeaseResponse"},
        (401, 403, 404, 409, 422),
    ),
    Agreed(
        "POST",
        "/api/agent/tasks/{run_id}/heartbeat",
        "heartbeatAgentTaskRun",
        {200: "LeaseResponse"},
        (401, 403, 404, 409, 422),
    ),
    Agreed(
        "POST",
        "/api/agent/tasks/{run_id}/release",
        "releaseAgentTaskRun",
        {200: "LeaseResponse"},
        (401, 403, 404, 409, 422),
    ),
    Agreed(
        "GET",
        "/api/observe/tasks/dashboard",
        "getTaskDashboard",
        {200: "GetTaskDashboardResponse"},
        (404, 422),
    ),
    Agreed(
        "GET", "/api/observe/tasks/inbox", "getTaskInbox", {200: "GetTaskInboxResponse"}, (404, 422)
    ),
    Agreed(
        "POST",
        "/api/runs/bulk/fail",
        "bulkForceFailTaskRuns",
        {200: "BulkForceRunResponse"},
        (403, 422, 429),
    ),
    Agreed(
        "POST",
        "/api/runs/bulk/release",
        "bulkForceReleaseTaskRuns",
        {200: "BulkForceRunResponse"},
        (403, 422, 429),
    ),
    Agreed(
        "POST",
        "/api/runs/{id}/fail",
        "forceFailTaskRun",
        {200: "RunResponse"},
        (403, 404, 409, 422, 429),
    ),
    Agreed("GET", "/api/runs/{id}/inspect", "inspectRun", {200: "InspectResponse"}, (404, 422)),
    Agreed(
        "POST",
        "/api/runs/{id}/recover",
        "recoverTaskRun",
        {201: "RunChainResponse"},
        (403, 404, 409, 422, 429),
    ),
    Agreed(
        "POST",
        "/api/runs/{id}/release",
        "forceReleaseTaskRun",
        {200: "RunResponse"},
        (403, 404, 409, 422, 429),
    ),
    Agreed(
        "POST",
        "/api/runs/{id}/retry",
        "retryTaskRun",
        {201: "RunChainResponse"},
        (403, 404, 409, 422, 429),
    ),
    Agreed("GET", "/api/scheduler", "getScheduler", {200: "SchedulerResponse"}, (403,)),
    Agreed(
        "GET",
        "/api/scheduler/backlog",
        "getSchedulerBacklog",
        {200: "GetSchedulerBacklogResponse"},
        (403, 422),
    ),
    Agreed(
        "POST",
        "/api/scheduler/drain",
        "drainScheduler",
        {200: "DrainSchedulerResponse"},
        (403, 422),
    ),
    Agreed(
        "POST", "/api/scheduler/pause", "pauseScheduler", {200: "SchedulerResponse"}, (403, 422)
    ),
    Agreed(
        "POST", "/api/scheduler/resume", "resumeScheduler", {200: "SchedulerResponse"}, (403, 422)
    ),
    Agreed(
        "GET",
        "/api/task-reviews/{id}",
        "getTaskRunReview",
        {200: "GetTaskRunReviewResponse"},
        (404,),
    ),
    Agreed(
        "POST",
        "/api/task-reviews/{id}/verdict",
        "submitTaskRunReviewVerdict",
        {200: "SubmitTaskRunReviewVerdictResponse"},
        (400, 404, 409),
    ),
    Agreed("GET", "/api/task-runs/{id}", "getTaskRun", {200: "GetTaskRunResponse"}, (404, 422)),
    Agreed(
        "POST",
        "/api/task-runs/{id}/attach-session",
        "attachTaskRunSession",
        {200: "RunResponse"},
        (404, 409, 422),
    ),
    Agreed(
        "POST", "/api/task-runs/{id}/cancel", "cancelTaskRun", {200: "RunResponse"}, (404, 409, 422)
    ),
    Agreed(
        "POST", "/api/task-runs/{id}/claim", "claimTaskRun", {200: "RunResponse"}, (404, 409, 422)
    ),
    Agreed(
        "POST",
        "/api/task-runs/{id}/complete",
        "completeTaskRun",
        {200: "RunResponse"},
        (404, 409, 422),
    ),
    Agreed(
        "POST", "/api/task-runs/{id}/fail", "failTaskRun", {200: "RunResponse"}, (404, 409, 422)
    ),
    Agreed(
        "GET",
        "/api/task-runs/{id}/reviews",
        "listTaskRunReviews",
        {200: "ReviewListResponse"},
        (400, 404),
    ),
    Agreed(
        "POST",
        "/api/task-runs/{id}/reviews",
        "requestTaskRunReview",
        {200: "ReviewRequestResponse", 201: "ReviewRequestResponse"},
        (400, 404, 409),
    ),
    Agreed(
        "POST", "/api/task-runs/{id}/start", "startTaskRun", {200: "RunResponse"}, (404, 409, 422)
    ),
    Agreed("GET", "/api/tasks", "listTasks", {200: "ListTasksResponse"}, (404, 422)),
    Agreed("POST", "/api/tasks", "createTask", {201: "TaskResponse"}, (404, 409, 413, 422)),
    Agreed("GET", "/api/tasks/{id}", "getTask", {200: "TaskDetailResponse"}, (404, 422)),
    Agreed("DELETE", "/api/tasks/{id}", "deleteTask", {204: ""}, (400, 404)),
    Agreed("PATCH", "/api/tasks/{id}", "updateTask", {200: "TaskResponse"}, (404, 409, 422)),
    Agreed(
        "POST",
        "/api/tasks/{id}/approve",
        "approveTask",
        {201: "TaskExecutionResponse"},
        (404, 409, 422),
    ),
    Agreed("POST", "/api/tasks/{id}/cancel", "cancelTask", {200: "TaskResponse"}, (404, 409, 422)),
    Agreed(
        "POST",
        "/api/tasks/{id}/children",
        "createChildTask",
        {201: "TaskResponse"},
        (404, 409, 413, 422),
    ),
    Agreed(
        "POST",
        "/api/tasks/{id}/dependencies",
        "addTaskDependency",
        {200: "TaskDetailResponse"},
        (404, 409, 422),
    ),
    Agreed(
        "DELETE",
        "/api/tasks/{id}/dependencies/{depends_on_id}",
        "removeTaskDependency",
        {200: "TaskDetailResponse"},
        (404, 422),
    ),
    Agreed(
        "GET",
        "/api/tasks/{id}/execution-profile",
        "getTaskExecutionProfile",
        {200: "ExecutionProfileResponse"},
        (404, 422),
    ),
    Agreed(
        "PUT",
        "/api/tasks/{id}/execution-profile",
        "setTaskExecutionProfile",
        {200: "ExecutionProfileResponse"},
        (400, 404, 409),
    ),
    Agreed(
        "DELETE",
        "/api/tasks/{id}/execution-profile",
        "deleteTaskExecutionProfile",
        {204: ""},
        (404, 409),
    ),
    Agreed("GET", "/api/tasks/{id}/inspect", "inspectTask", {200: "InspectResponse"}, (404, 422)),
    Agreed(
        "GET",
        "/api/tasks/{id}/notifications/bridges",
        "listTaskBridgeNotificationSubscriptions",
        {200: "ListTaskBridgeNotificationSubscriptionsResponse"},
        (400, 404),
    ),
    Agreed(
        "POST",
        "/api/tasks/{id}/notifications/bridges",
        "createTaskBridgeNotificationSubscription",
        {201: "BridgeSubscriptionResponse"},
        (400, 404),
    ),
    Agreed(
        "GET",
        "/api/tasks/{id}/notifications/bridges/{subscription_id}",
        "getTaskBridgeNotificationSubscription",
        {200: "BridgeSubscriptionResponse"},
        (404,),
    ),
    Agreed(
        "DELETE",
        "/api/tasks/{id}/notifications/bridges/{subscription_id}",
        "deleteTaskBridgeNotificationSubscription",
        {204: ""},
        (404,),
    ),
    Agreed(
        "POST",
        "/api/tasks/{id}/pause",
        "pauseTask",
        {200: "TaskResponse"},
        (403, 404, 409, 422, 429),
    ),
    Agreed(
        "POST",
        "/api/tasks/{id}/publish",
        "publishTask",
        {200: "TaskExecutionResponse"},
        (404, 409, 422),
    ),
    Agreed("POST", "/api/tasks/{id}/reject", "rejectTask", {200: "TaskResponse"}, (404, 409, 422)),
    Agreed(
        "POST",
        "/api/tasks/{id}/resume",
        "resumeTask",
        {200: "TaskResponse"},
        (403, 404, 409, 422, 429),
    ),
    Agreed(
        "GET", "/api/tasks/{id}/reviews", "listTaskReviews", {200: "ReviewListResponse"}, (400, 404)
    ),
    Agreed(
        "GET", "/api/tasks/{id}/runs", "listTaskRuns", {200: "ListTaskRunsResponse"}, (404, 422)
    ),
    Agreed("POST", "/api/tasks/{id}/runs", "enqueueTaskRun", {201: "RunResponse"}, (404, 409, 422)),
    Agreed(
        "POST",
        "/api/tasks/{id}/start",
        "startTask",
        {201: "TaskExecutionResponse"},
        (404, 409, 422),
    ),
    Agreed("GET", "/api/tasks/{id}/stream", "streamTask", {200: "TaskStreamEvent"}, (404, 422)),
    Agreed(
        "GET",
        "/api/tasks/{id}/timeline",
        "getTaskTimeline",
        {200: "GetTaskTimelineResponse"},
        (404, 422),
    ),
    Agreed("GET", "/api/tasks/{id}/tree", "getTaskTree", {200: "GetTaskTreeResponse"}, (404, 422)),
    Agreed(
        "POST", "/api/tasks/{id}/triage/archive", "archiveTask", {200: "TriageResponse"}, (404, 422)
    ),
    Agreed(
        "POST", "/api/tasks/{id}/triage/dismiss", "dismissTask", {200: "TriageResponse"}, (404, 422)
    ),
    Agreed(
        "POST", "/api/tasks/{id}/triage/read", "markTaskRead", {200: "TriageResponse"}, (404, 422)
    ),
)
BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}

"""Requests that are refused, each with the status and the beginning of the text.

`@name` in a path stands for the run of that name.
"""

from typing import Any

INVALID = "task: validation failed"
TRANSITION = "task: invalid status transition"
SCOPE = "task: invalid scope binding"
LARGE = "task: payload too large"
LIMIT = "task: graph limit exceeded"
TASKS, RUNS, AGENT = "/api/tasks", "/api/task-runs", "/api/agent/tasks"
MOST = 16_384

Row = tuple[str, str, Any, int, str]
NEW = {"scope": "global", "title": "New"}
NOT_FOUND: list[Row] = [
    ("GET", "/api/tasks/none", None, 404, 'task: task not found: task "none"'),
    ("POST", "/api/tasks/none/cancel", {}, 404, "task: task not found"),
    ("POST", "/api/tasks/none/children", NEW, 404, "task: task not found"),
    ("GET", "/api/task-runs/none", None, 404, 'task: task run not found: task run "none"'),
    ("DELETE", "/api/tasks/two/dependencies/one", None, 404, "task: task dependency not found"),
    ("GET", "/api/task-reviews/none", None, 404, "task: task run review not found"),
    ("POST", "/api/task-runs/@claimed/attach-session", {"session_id": "none"}, 404, "session: ses"),
    ("POST", TASKS, {**NEW, "scope": "workspace", "workspace": "none"}, 404, "workspace not found"),
]
VALUES: list[Row] = [
    ("POST", TASKS, {"scope": "global"}, 422, f"{INVALID}: create_task.title is required"),
    ("POST", TASKS, {"scope": "global", "title": " "}, 422, f"{INVALID}: create_task.title is re"),
    ("POST", TASKS, {"title": "T"}, 422, f"{INVALID}: create_task.scope is required"),
    ("POST", TASKS, {**NEW, "scope": "x"}, 422, f"{INVALID}: create_task.scope must be"),
    (
        "POST",
        TASKS,
        {**NEW, "workspace": "w1"},
        422,
        f"{SCOPE}: create_task.workspace must be empty",
    ),
    (
        "POST",
        TASKS,
        {**NEW, "scope": "workspace"},
        422,
        f"{SCOPE}: create_task.workspace is requir",
    ),
    ("POST", TASKS, {**NEW, "priority": "x"}, 422, f"{INVALID}: create_task.priority must be"),
    (
        "POST",
        TASKS,
        {**NEW, "approval_policy": "x"},
        422,
        f"{INVALID}: create_task.approval_policy",
    ),
    (
        "POST",
        TASKS,
        {**NEW, "owner": {"kind": "x", "ref": "r"}},
        422,
        f"{INVALID}: create_task.owne",
    ),
    (
        "POST",
        TASKS,
        {**NEW, "owner": {"kind": "pool"}},
        422,
        f"{INVALID}: create_task.owner.ref is",
    ),
    (
        "POST",
        TASKS,
        {**NEW, "max_attempts": 0},
        422,
        f"{INVALID}: create_task.max_attempts must be p",
    ),
    (
        "POST",
        TASKS,
        {**NEW, "max_attempts": 11},
        422,
        f"{INVALID}: create_task.max_attempts must be <",
    ),
    (
        "POST",
        TASKS,
        {**NEW, "network_channel": "A b"},
        422,
        f"{INVALID}: create_task.network_channel",
    ),
    (
        "POST",
        TASKS,
        {**NEW, "metadata": "x" * MOST},
        413,
        f"{LARGE}: create_task.metadata exceeds 1",
    ),
    ("POST", TASKS, {**NEW, "id": "one"}, 409, "task: conflict"),
    ("PATCH", "/api/tasks/one", {}, 422, f"{INVALID}: task update must include at least one"),
    (
        "PATCH",
        "/api/tasks/one",
        {"title": ""},
        422,
        f"{INVALID}: task_patch.title is required when",
    ),
    (
        "POST",
        "/api/tasks/one/runs",
        {"metadata": "x" * MOST},
        413,
        f"{LARGE}: enqueue_run.metadata",
    ),
    (
        "POST",
        "/api/tasks/one/start",
        {"metadata": "x" * MOST},
        413,
        f"{LARGE}: task_execution.metad",
    ),
    (
        "POST",
        "/api/tasks/one/runs",
        {"metadata": {"claim_token": 1}},
        422,
        f"{INVALID}: enqueue_run",
    ),
    (
        "POST",
        "/api/tasks/one/pause",
        {"reason": "r", "metadata": "x" * MOST},
        413,
        f"{LARGE}: pause",
    ),
    (
        "POST",
        "/api/tasks/one/resume",
        {"metadata": "x" * MOST},
        413,
        f"{LARGE}: resume_task.metadat",
    ),
    (
        "POST",
        "/api/tasks/one/cancel",
        {"metadata": "x" * 65_535},
        413,
        f"{LARGE}: cancel_task.metad",
    ),
    (
        "POST",
        "/api/task-runs/@queued/cancel",
        {"metadata": "x" * 65_535},
        413,
        f"{LARGE}: cancel_run",
    ),
    (
        "POST",
        "/api/task-runs/@running/complete",
        {"result": "x" * 65_535},
        413,
        f"{LARGE}: complete",
    ),
    ("POST", "/api/task-runs/@running/fail", {"error": "e", "metadata": "x" * 65_535}, 413, LARGE),
    (
        "POST",
        "/api/task-runs/@running/fail",
        {"error": " "},
        422,
        f"{INVALID}: fail_run.error is req",
    ),
    (
        "POST",
        "/api/task-runs/@claimed/attach-session",
        {"session_id": ""},
        422,
        f"{INVALID}: attach",
    ),
    (
        "POST",
        "/api/tasks/one/dependencies",
        {},
        422,
        f"{INVALID}: add_dependency.depends_on_task_id",
    ),
    ("GET", "/api/tasks?status=x", None, 422, f"{INVALID}: status must be"),
    ("GET", "/api/tasks?scope=global&workspace=w1", None, 422, SCOPE),
    ("GET", "/api/tasks?scope=workspace", None, 422, SCOPE),
    ("GET", "/api/tasks?limit=-1", None, 422, f"{INVALID}: limit must not be negative: -1"),
]
STATES: list[Row] = [
    (
        "POST",
        "/api/tasks/one/publish",
        {},
        409,
        f'{TRANSITION}: task "one" cannot publish from "bl',
    ),
    ("POST", "/api/tasks/one/start", {}, 409, f'{TRANSITION}: task "one" is blocked'),
    (
        "POST",
        "/api/tasks/two/approve",
        {},
        409,
        f'{TRANSITION}: task "two" cannot transition appro',
    ),
    (
        "POST",
        "/api/tasks/two/reject",
        None,
        409,
        f'{TRANSITION}: task "two" cannot transition appr',
    ),
    (
        "POST",
        "/api/tasks/ended/cancel",
        {},
        409,
        f'{TRANSITION}: task "ended" cannot transition fr',
    ),
    ("POST", "/api/tasks/draft/runs", {}, 409, f'{TRANSITION}: task "draft" is draft'),
    ("POST", "/api/tasks/canceled/runs", {}, 409, f'{TRANSITION}: task "canceled" is canceled'),
    ("POST", "/api/tasks/queued/runs", {}, 409, f'{TRANSITION}: task "queued" has open run "'),
    (
        "POST",
        "/api/tasks/ended/runs",
        {},
        409,
        f'{TRANSITION}: task "ended" exhausted max_attempts',
    ),
    (
        "DELETE",
        "/api/tasks/queued",
        None,
        400,
        f'{INVALID}: task "queued" has active or queued runs',
    ),
    ("POST", "/api/task-runs/@claimed/claim", {}, 409, f'{TRANSITION}: task run "'),
    ("POST", "/api/task-runs/@pooled/claim", {}, 403, "task: permission denied"),
    ("POST", "/api/task-runs/@queued/start", {}, 409, f'{TRANSITION}: task run "'),
    ("POST", "/api/task-runs/@stale/start", {}, 409, "task: stale network channel"),
    (
        "POST",
        "/api/task-runs/@claimed/start",
        {"session_id": "busy"},
        409,
        "task: session already b",
    ),
    (
        "POST",
        "/api/task-runs/@running/attach-session",
        {"session_id": "free"},
        409,
        "task: session a",
    ),
    (
        "POST",
        "/api/task-runs/@queued/attach-session",
        {"session_id": "free"},
        409,
        "task: session at",
    ),
    (
        "POST",
        "/api/task-runs/@claimed/attach-session",
        {"session_id": "gone"},
        409,
        "task: session a",
    ),
    ("POST", "/api/task-runs/@leased/complete", {}, 409, "task: invalid claim token: task run"),
    (
        "POST",
        "/api/task-runs/@leased/fail",
        {"error": "e"},
        409,
        "task: invalid claim token: task r",
    ),
    (
        "POST",
        "/api/tasks/one/dependencies",
        {"depends_on_task_id": "one"},
        422,
        f"{INVALID}: task_d",
    ),
    (
        "POST",
        "/api/tasks/one/dependencies",
        {"depends_on_task_id": "two"},
        422,
        f"{INVALID}: depende",
    ),
    (
        "POST",
        "/api/tasks/one/dependencies",
        {"depends_on_task_id": "none"},
        404,
        "task: task not fo",
    ),
    (
        "POST",
        "/api/tasks/two/dependencies",
        {"depends_on_task_id": "one"},
        409,
        "task: dependency cy",
    ),
]

BY_AGENTS: list[tuple[str, Row]] = [
    ("holder", ("POST", f"{AGENT}/claim-next", {}, 409, "task: active run lease exists")),
    ("free", ("POST", f"{AGENT}/claim-next", {"lease_seconds": -1}, 422, f"{INVALID}: lease_sec")),
    ("free", ("POST", f"{AGENT}/claim-next", {"lease_seconds": 86_401}, 422, f"{INVALID}: lease_")),
    ("free", ("POST", f"{AGENT}/claim-next", {"priority_min": -1}, 422, f"{INVALID}: claim_next.")),
    ("free", ("POST", f"{AGENT}/claim-next", {"workspace_id": "w1"}, 403, "task: permission deni")),
    (
        "free",
        (
            "POST",
            f"{AGENT}/claim-next",
            {"required_capabilities": ["a b"]},
            422,
            f"{INVALID}: claim_next.required_capabilities",
        ),
    ),
    (
        "holder",
        (
            "POST",
            f"{AGENT}/@queued/heartbeat",
            {},
            403,
            "task: autonomy lease rejected: AUTONOMY_FOREIGN_RUN",
        ),
    ),
    (
        "free",
        (
            "POST",
            f"{AGENT}/@leased/complete",
            {},
            409,
            "task: autonomy lease rejected: AUTONOMY_NO_ACTIVE_LEASE",
        ),
    ),
    (
        "holder",
        ("POST", f"{AGENT}/@leased/fail", {}, 422, f"{INVALID}: fail_run.error is required"),
    ),
    (
        "holder",
        (
            "POST",
            f"{AGENT}/@leased/complete",
            {"result": {"claim_token": 1}},
            422,
            f"{INVALID}: complete_run.result must not contain raw lease credentials",
        ),
    ),
    (
        "free",
        ("POST", "/api/tasks/two/runs", {}, 422, f"{INVALID}: enqueue_run.idempotency_key is"),
    ),
    (
        "free",
        ("POST", f"{RUNS}/@queued/claim", {}, 422, f"{INVALID}: claim_run.idempotency_key is"),
    ),
    (
        "free",
        ("POST", f"{RUNS}/@claimed/start", {}, 422, f"{INVALID}: start_run.idempotency_key is"),
    ),
]

"""Ona's own clients, as their packages come, through every call of the facade."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.api.live import Client, JsonObject, LiveServer
from tests.api.ona.support import Do, completed, new_environment, report, working
from tests.support.packages import node_environment, node_modules_with, python_with

CLIENTS: Final = Path(__file__).parent / "clients"
REST: Final = "gitpod-sdk==0.11.0"
CONNECT: Final = "gitpod-sdk==1.2.0"
NODE: Final = "@gitpod/sdk@0.6.0"
SECONDS: Final = 120
FORMS: Final = ("sdk", "binary", "json", "get-binary", "get-json")

SEEN: Final[dict[str, Any]] = {
    "listed": ["first", "second"],
    "variable": ["A", "1"],
    "image": "alpine",
    "plan": [["First"], ["Second"]],
    "phase": "TASK_EXECUTION_PHASE_SUCCEEDED",
    "outputs": [{"exit": "0"}] * 2,
    "desired": "TASK_EXECUTION_PHASE_STOPPED",
}
ERRORS: Final = ["already_exists", "not_found", "invalid_argument", "failed_precondition"]
OF_REST: Final = {
    **SEEN,
    "listed by query": ["first", "second"],
    "updated": ["new", None, "false"],
    "executions": True,
    "errors": ERRORS,
    "left": [],
}
OF_CONNECT: Final = {
    **SEEN,
    "updated": ["new", 0, "false"],
    "created": True,
    "grows": True,
    "stopped": [True],
    "errors": [*ERRORS, "unimplemented"],
    "left": 0,
}


def ran(server: LiveServer, *command: str | Path, do: Do = completed, **variables: str) -> Any:
    """Return what a client saw while a worker did the steps."""
    environment = new_environment()
    given = {
        "ENVIRONMENT": environment,
        "GITPOD_BASE_URL": f"{server.url}/api",
        "GITPOD_API_KEY": "nobody asks",
        "NO_PROXY": "127.0.0.1",
    }
    with working(server.url, environment, do):
        done = subprocess.run(
            command,
            env={**os.environ, **given, **variables},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_generated_client_for_python(server: LiveServer) -> None:
    assert ran(server, python_with(REST), CLIENTS / "rest.py") == OF_REST


def test_the_generated_client_for_node(server: LiveServer) -> None:
    modules, path = str(node_modules_with(NODE)), node_environment()["PATH"]
    assert ran(server, "node", CLIENTS / "rest.mjs", MODULES=modules, PATH=path) == OF_REST


def test_the_connect_client_for_python(server: LiveServer) -> None:
    seen = ran(server, python_with(CONNECT), CLIENTS / "connect.py", *FORMS)
    assert seen == dict.fromkeys(FORMS, OF_CONNECT)


def test_the_helper_that_runs_a_command(server: LiveServer) -> None:
    def do(client: Client, run: JsonObject) -> None:
        detail = client.ok("GET", f"/api/tasks/{run['task_id']}")
        command = detail["task"]["task"]["metadata"]["command"]
        report(client, run, "complete", result={"output": f"{command} said\nthis\n"})

    seen = ran(server, python_with(REST), CLIENTS / "run_command.py", do=do)
    assert seen == [["first said", "this"], ["second said", "this"]]

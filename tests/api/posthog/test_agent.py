"""The API client of @posthog/agent, unchanged, through every call that it has about tasks."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from api.services import Services
from api.tokens import create_token, revoke_token
from domain.commands import RegisterWorkspace
from domain.values import LOCAL_USER, Origin
from tests.api.live import JsonObject, serving
from tests.api.posthog.project import Project
from tests.api.posthog.shapes import ARTIFACT, RUN, TASK, check
from tests.support.packages import node_environment, node_module_alone

SCRIPT = Path(__file__).parent / "clients" / "agent.mjs"
AGENT = ("@posthog/agent@2.4.187", "dist/posthog-api.js", "zod@4.2.0")


def driven(project: Project, **keys: str) -> JsonObject:
    """Return what the client saw of a new task with two runs."""
    task = project.task(description="Do it")
    run, other = project.run(task), project.run(task)
    done = subprocess.run(
        ["node", SCRIPT],
        env={
            **node_environment(),
            "MODULES": str(node_module_alone(*AGENT)),
            "API": project.client.url,
            "PROJECT": project.ref,
            "TASK": task["id"],
            "RUN": run["id"],
            "OTHER": other["id"],
            **keys,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def check_what_it_saw(seen: JsonObject) -> None:
    check(seen["task"], TASK)
    for name in ("run", "updated", "removed", "appended", "output", "completed"):
        check(seen[name], RUN)
    assert (seen["updated"]["status"], seen["updated"]["branch"]) == ("in_progress", "main")
    assert (seen["removed"]["state"], seen["removed"]["stage"]) == ({"a": 1}, "build")
    assert (seen["noLogs"], seen["otherLogs"]) == ([], [])
    numbers = [each["notification"]["params"] for each in seen["logs"]]
    assert numbers == [{"n": number, "text": "ä\n"} for number in (1, 2, 3)]
    assert [json.loads(line) for line in seen["log"].splitlines()] == seen["logs"]
    for artifact in (*seen["artifacts"], *seen["finalized"]):
        check(artifact, ARTIFACT)
    assert [each["name"] for each in seen["artifacts"]] == ["plan.md", "tree.bin"]
    assert [each["size"] for each in seen["artifacts"]] == [8, 3]
    assert (seen["sent"], seen["same"], seen["plan"]) == (204, True, " # Plan\n")
    assert seen["finalized"][0]["id"] == seen["prepared"][0]["id"]
    assert seen["nothing"] is None
    assert seen["output"]["output"] == {"pr_url": "https://x/1"}
    assert seen["completed"]["completed_at"] is not None
    refused: dict[str, Any] = {name: seen[name] for name in ("final", "unknown", "bad")}
    assert [each["status"] for each in refused.values()] == [400, 404, 400]
    assert not any(each["retryable"] for each in refused.values())
    assert '"attr":"entries"' in seen["bad"]["message"]


def test_every_call_works_without_tokens(project: Project) -> None:
    check_what_it_saw(driven(project))


def _prepare(services: Services, keys: list[str]) -> None:
    """Make two projects, and two keys of the first one: an old one, and the one in force."""
    for workspace_id in ("7", "8"):
        command = RegisterWorkspace(workspace_id=workspace_id)
        services.committer.execute(command, services.context(LOCAL_USER, Origin("cli", "test")))
    for _ in range(2):
        issued = create_token(services, name="ann", actor="human:ann", workspace="7")
        keys.append(issued.text)
    revoke_token(services, keys[0])


@pytest.mark.parametrize("ref", ["7", "@current"])
def test_every_call_works_with_a_fresh_key(tmp_path: Path, ref: str) -> None:
    keys: list[str] = []
    with serving(tmp_path, prepare=lambda services: _prepare(services, keys)) as server:
        old, key = keys
        authorized = server.client.like(Authorization=f"Bearer {key}")
        seen = driven(Project(authorized, ref), KEY=key, OLD_KEY=old)

    check_what_it_saw(seen)
    assert seen["task"]["created_by"]["first_name"] == "ann"
    assert "/api/projects/7/tasks/" in seen["run"]["log_url"]


ROOT = Path(__file__).parents[3]
PAGES = ("README.md", "docs/how-to/point-posthog-clients-here.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_say_how_to_point_the_client_here(tmp_path: Path, page: str) -> None:
    (block,) = re.findall(r"^```js\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
    asking = "console.log(JSON.stringify(await client.getTask(process.env.TASK)));"
    modules = node_module_alone(*AGENT) / "node_modules"
    (tmp_path / "node_modules").symlink_to(modules)
    with serving(tmp_path) as server:
        server.client.ok("PUT", "/api/workspaces/1", {"name": "My project"})
        task = Project(server.client, "1").task()
        script = tmp_path / "page.mjs"
        script.write_text(f"{block.replace('http://127.0.0.1:8420', server.url)}{asking}")
        environment = {**node_environment(), "TASK": task["id"]}
        said = subprocess.check_output(["node", script], env=environment, timeout=60)

    assert json.loads(said) == task

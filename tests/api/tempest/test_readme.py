"""What the README says to users of the Tempest CLI holds for our client of its shapes."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.api.live import Client, LiveServer
from tests.api.tempest.asking import ask, operation
from tests.api.tempest.client import BUCKET, TempestCli

ROOT = Path(__file__).parents[3]
ADDRESS = "http://127.0.0.1:8420"


def test_the_two_variables_lead_the_client_here(server: LiveServer, client: Client) -> None:
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"### Tempest\n\n```sh\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    cli = TempestCli(f"{server.url}/api/v1", "", "readme", "v1")
    cli.connect(BUCKET)
    asked = ask(client, cli)
    cli.close()
    program = f"{sys.executable} -m tests.api.tempest.client readme v1"
    script = block[1].replace(ADDRESS, server.url) + program
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{server.url}/api/tempest/apps/readme/v1",
        asked["run_id"],
    ]
    assert operation(client, asked["task_id"])["status"] == "completed"

"""The README's examples for Ona's clients run as they are there."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from tests.api.live import LiveServer
from tests.api.ona.test_clients import CONNECT, REST
from tests.support.packages import python_with

README: Final = (Path(__file__).parents[3] / "README.md").read_text("utf-8")


def test_the_examples_of_both_generations_run(server: LiveServer) -> None:
    section = README.partition("### Ona (Gitpod)\n")[2].partition("\n## ")[0]
    (variables,) = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    given = dict(re.findall(r"^export (\w+)=(.*)$", variables, re.MULTILINE))
    address = given["GITPOD_BASE_URL"].replace("http://127.0.0.1:8420", server.url)
    given |= {"GITPOD_BASE_URL": address, "ONA_BASE_URL": address}
    said = [
        subprocess.run(
            [python_with(package), "-c", block],
            env={**os.environ, **given, "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for package, block in zip((REST, CONNECT), blocks, strict=True)
    ]
    assert said[0] == "TASK_EXECUTION_PHASE_PENDING\n"
    assert "Hello echo hello" in said[1].splitlines()

"""The README keeps its word: its commands run, its targets and folders exist."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, free_port, running

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
MAKE = [snippet for snippet in SNIPPETS if snippet.startswith("make ")]
SHELL = [snippet for snippet in SNIPPETS if not snippet.startswith("make ")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("readme"), free_port()
    command = ["-m", "api.cli", "serve", "--port", str(port), "--store", f"sqlite:{folder}/l.db"]
    with running(command, port=port, log=folder / "log") as started:
        yield started


def test_every_command_of_the_readme_runs_in_order(server: Server, tmp_path: Path) -> None:
    script = "".join(SHELL).replace("http://127.0.0.1:8420", server.url)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TASKLEDGER_SERVER": server.url,
    }

    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"error"' not in done.stdout
    assert "hello Ada" in done.stdout
    assert "task.run_completed" in done.stdout
    assert "event: task.run_enqueued" in done.stdout


def test_every_make_target_of_the_readme_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert [snippet.split() for snippet in MAKE] == [["make", "serve"], ["make", "test"]]
    assert set(re.findall(r"`make ([a-z-]+)`", README)) <= set(targets)


def test_every_path_of_the_readme_exists() -> None:
    folders = ("domain", "projections", "replay", "api", "tests")
    cells = re.findall(r"^\| `(\w+)/` \|[^|]*\| (.*) \|$", README, re.MULTILINE)

    assert [folder for folder, _ in cells] == list(folders)
    for folder, paths in cells:
        for path in re.findall(r"`([\w/.]+)`", paths):
            assert (ROOT / folder / path).exists(), f"{folder}/{path}"


def test_every_library_the_readme_explains_is_required_and_none_is_left_out() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    required = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert required is not None
    named = re.findall(r'"([a-z0-9]+)[>=]', required[1])
    table = re.search(r"### Libraries\n(.*?)\n\n[^|]", README, re.DOTALL)
    assert table is not None
    rows = re.findall(r"^\| ([a-z0-9, ]+) \|", table[1], re.MULTILINE)
    explained = [name for row in rows for name in row.split(", ") if name != "library"]

    assert sorted(explained) == sorted(named)

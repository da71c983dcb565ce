"""Every snippet of the documentation runs, and prints what the page says it prints.

Each page has a server and a folder of its own; its snippets run in order, as one reader would do
it. What stands in a `text` block after a snippet is its output: `…` stands for anything on the line,
and a line with `…` alone for any lines.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from tests.docs.pages import PAGES, name_of
from tests.support.server import Server, free_port, running

ADDRESS: Final = "http://127.0.0.1:8420"
SERVE: Final = ("make serve", "taskledger serve")
KINDS: Final = {"sh", "python", "text", "json", "ini", "yaml", ""}
SECONDS: Final = 60
_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK: Final = "### end of snippet"


class Snippet(Struct, frozen=True):
    """A block that runs, and what it prints, if the page says so."""

    text: str
    output: str | None

    @property
    def script(self) -> str:
        """The snippet as lines of one script for the whole page, ended by a mark."""
        return f"{self.text}echo; echo '{_MARK}'\n"


def blocks_of(page: Path) -> list[tuple[str, str]]:
    return _BLOCK.findall(page.read_text("utf-8"))


def snippets_of(page: Path) -> Iterator[Snippet]:
    """Yield what a reader runs, but not what starts the server: the test has done that."""
    for (kind, text), (next_kind, next_text) in pairwise([*blocks_of(page), ("", "")]):
        output = next_text if next_kind == "text" else None
        if kind == "sh" and not text.startswith((*SERVE, "make ")):
            yield Snippet(text, output)
        if kind == "python":
            yield Snippet(f"python3 - <<'PYTHON'\n{text}PYTHON\n", output)


WITH_SNIPPETS: Final = [page for page in PAGES if any(snippets_of(page))]


def run(page: Path, server: Server, folder: Path) -> subprocess.CompletedProcess[str]:
    script = "".join(snippet.script for snippet in snippets_of(page))
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(ADDRESS, server.url)],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TASKLEDGER_SERVER": server.url,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def pattern_of(output: str) -> re.Pattern[str]:
    """Return what the printed text has to match; runs of spaces count as one."""
    lines = [
        r"(?:[^\n]*\n)*?" if line.strip() == "…" else rf"{_line(line)}\n"
        for line in output.splitlines()
    ]
    return re.compile("".join(lines))


def _line(line: str) -> str:
    words = (r"[^\n]*".join(map(re.escape, word.split("…"))) for word in line.split())
    return r" +".join(words) + " *"


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=name_of)
def test_the_snippets_of_a_page_run_and_print_what_it_says(page: Path, tmp_path: Path) -> None:
    port = free_port()
    store = f"sqlite:{tmp_path}/data/ledger.db"
    command = ["-m", "api.cli", "serve", "--port", str(port), "--store", store]
    with running(command, port=port, log=tmp_path / "server.log") as server:
        done = run(page, server, tmp_path)
        *printed, rest = done.stdout.replace(server.url, ADDRESS).split(f"\n{_MARK}\n")

    snippets = list(snippets_of(page))
    assert len(printed) == len(snippets), (
        f"this failed with {done.returncode}:\n{snippets[len(printed)].text}\n{rest}"
    )
    for snippet, text in zip(snippets, printed, strict=True):
        if snippet.output is not None:
            assert pattern_of(snippet.output).fullmatch(f"{text.rstrip()}\n"), (
                f"the page says this prints\n{snippet.output}\nbut it prints\n{text}"
            )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_kind_that_is_looked_after(page: Path) -> None:
    assert {kind for kind, _ in blocks_of(page)} <= KINDS

"""Every snippet of the documentation runs, and prints what the page says it prints.

Each page has a server and a folder of its own; its snippets run in order, as a reader would run
them. A `text` block right behind a snippet is what it prints: `…` stands for anything on a line,
and a line with `…` alone for any lines.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from tests.docs.pages import PAGES, name_of
from tests.support import postgres
from tests.support.ports import free_port
from tests.support.server import Server, running

DATABASE: Final = "postgresql://ledger@localhost/ledger"
ADDRESS: Final = "http://127.0.0.1:8420"
KINDS: Final = {"sh", "python", "js", "text", "ini", "yaml", ""}
SECONDS: Final = 300
_BLOCK: Final = re.compile(
    r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$(?:\n```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
_SERVE: Final = re.compile(r"taskledger serve( [^|\n]*)\n")
_OF_OTHERS: Final = "from gitpod"
_MARK: Final = "### end of snippet"


class Snippet(Struct, frozen=True):
    """A block that runs, and what it prints, if the page says so."""

    text: str
    output: str | None

    @property
    def script(self) -> str:
        """The snippet as lines of one script for the whole page, ended by a mark."""
        return f"{self.text}echo; echo '{_MARK}'\n"


def blocks_of(page: Path) -> Iterator[re.Match[str]]:
    return _BLOCK.finditer(page.read_text("utf-8"))


def snippets_of(page: Path) -> Iterator[Snippet]:
    """Yield what a reader runs, except make, whose targets are run elsewhere, and the server.

    Nor what needs the client of another system, which is run where there is one.
    """
    for block in blocks_of(page):
        kind, text, output = block.group("kind", "text", "output")
        if kind == "sh" and not text.startswith("make ") and not _SERVE.fullmatch(text):
            yield Snippet(text, output)
        if kind == "python" and not text.startswith(_OF_OTHERS):
            yield Snippet(f"python3 - <<'PYTHON'\n{text}PYTHON\n", output)


WITH_SNIPPETS: Final = [page for page in PAGES if any(snippets_of(page))]


def store_of(page: Path, folder: Path, cleanup: ExitStack) -> str:
    """Return where the page's server keeps its ledger: in a file if the page names no database."""
    if DATABASE in page.read_text("utf-8"):
        return cleanup.enter_context(postgres.shared().database())
    return f"sqlite:{folder}/data/ledger.db"


def arguments_of(page: Path) -> list[str]:
    """Return what the page starts the server with, if it says so."""
    found = (_SERVE.fullmatch(block["text"]) for block in blocks_of(page))
    return next((shlex.split(match[1]) for match in found if match), [])


def run(page: Path, server: Server, folder: Path, store: str) -> subprocess.CompletedProcess[str]:
    script = "".join(snippet.script for snippet in snippets_of(page))
    script = script.replace(DATABASE, store)
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
    """Return what a text has to match that prints this output."""
    lines = [
        r"(?:[^\n]*\n)*?"
        if line == "…"
        else r"[^\n]*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in even(output).splitlines()
    ]
    return re.compile("".join(lines))


def even(text: str) -> str:
    """Return a text with one space for many, and one line end at its end."""
    lines = (" ".join(line.split()) for line in text.rstrip().splitlines())
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=name_of)
def test_the_snippets_of_a_page_run_and_print_what_it_says(page: Path, tmp_path: Path) -> None:
    port = free_port()
    command = ["-m", "api.cli", "serve", *arguments_of(page), "--port", str(port)]
    with ExitStack() as cleanup:
        store = store_of(page, tmp_path, cleanup)
        log = tmp_path / "server.log"
        serving = running([*command, "--store", store], port=port, log=log)
        done = run(page, cleanup.enter_context(serving), tmp_path, store)
        *printed, rest = done.stdout.split(f"\n{_MARK}\n")

    snippets = list(snippets_of(page))
    assert len(printed) == len(snippets), (
        f"this failed with {done.returncode}:\n{snippets[len(printed)].text}\n{rest}"
    )
    for snippet, text in zip(snippets, printed, strict=True):
        if snippet.output is not None:
            assert pattern_of(snippet.output).fullmatch(even(text)), (
                f"the page says this prints\n{snippet.output}\nbut it prints\n{text}"
            )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_kind_that_is_looked_after(page: Path) -> None:
    assert {block["kind"] for block in blocks_of(page)} <= KINDS

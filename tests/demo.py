"""`make demo`: checks and builds this very repository through a ledger, with mishaps on the way.

A server on a store of its own, two workers with short leases, five steps that depend on each
other. One step fails at first and is queued again; one worker is killed in the midst of a run, so
that its lease runs out and the other one takes over; and a client that follows the ledger hangs up
again and again and resumes by sequence. The exit code is 0 only if every check at the end holds.
"""

import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path

import click
from msgspec import Struct

from api.cli import output
from api.cli.timeline import HEADINGS, cells_of, print_item
from api.client.documents import JsonObject, at, text_at
from api.client.http import Connection, LedgerClient
from api.client.stream import EventStream
from tests.cli.processes import ROOT, TASKLEDGER, environment, running

LEASE_SECONDS = 3
LIMIT_SECONDS = 150
WORKERS = ("north", "south")
# Long enough for the command to be at work, short enough for it to be far from its end.
BEFORE_KILL_SECONDS = 0.5
PYTHON = sys.executable
# A demo has no use for tests that try something else each time.
NOT_BY_CHANCE = "--ignore tests/domain/test_machine.py"
PACKAGES = "domain projections replay api"


class Step(Struct, frozen=True):
    """One task of the demo."""

    title: str
    command: str
    after: tuple[str, ...] = ()


def steps(folder: Path) -> dict[str, Step]:
    """Return what is to be done, by id; a step comes behind those it depends on."""
    cold = f"--cache-dir {folder / 'mypy'}"
    return {
        "format": Step("Check the format", f"{PYTHON} -m ruff format --check {PACKAGES}"),
        "types": Step("Check the types", f"{PYTHON} -m mypy {cold} {PACKAGES}"),
        "tests": Step(
            "Run a small test package",
            f"{PYTHON} -m pytest -q -p no:cacheprovider tests/domain {NOT_BY_CHANCE}",
        ),
        "wheel": Step(
            "Build the wheel",
            f"{PYTHON} -m build --wheel --no-isolation --outdir {folder / 'dist'}",
            ("format", "types", "tests"),
        ),
        "inspect": Step(
            "Look into the wheel (fails at first)",
            "if [ $TASKLEDGER_ATTEMPT = 1 ]; then echo 'no one is ready' >&2; exit 75; fi; "
            f"{PYTHON} -m zipfile --list {folder}/dist/*.whl",
            ("wheel",),
        ),
    }


class Follower:
    """A client that hangs up at random and resumes behind the last sequence it has seen."""

    def __init__(self, client: LedgerClient) -> None:
        self.items: list[JsonObject] = []
        self.connections = 0
        self._client = client
        self._news = asyncio.Condition()

    async def follow(self) -> None:
        """Collect events for ever."""
        while True:
            self.connections += 1
            last = self.items[-1]["sequence"] if self.items else 0
            patience = random.randint(1, 6)
            async for item in EventStream(self._client, after=last):
                await self._note(item)
                patience -= 1
                if not patience:
                    break
            await asyncio.sleep(random.uniform(0, 0.4))

    async def _note(self, item: JsonObject) -> None:
        if item["event_type"] != "task.run_lease_extended":
            print_item(item)
        async with self._news:
            self.items.append(item)
            self._news.notify_all()

    async def reach(self, sequence: int) -> None:
        """Wait until the event with this sequence has been seen."""
        async with self._news:
            await self._news.wait_for(
                lambda: bool(self.items) and self.items[-1]["sequence"] >= sequence
            )


def event(kind: str, task_id: str, attempt: int = 0) -> Callable[[JsonObject], bool]:
    """Return what recognises an event of a task, of a certain attempt if that is given."""
    return lambda item: (
        item["event_type"] == f"task.{kind}"
        and text_at(item, "task", "id") == task_id
        and attempt in (0, at(item, "run", "attempt"))
    )


class Workers:
    """The worker processes, by session."""

    def __init__(self, server: str, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._processes = {name: self._start(name) for name in WORKERS}

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        options = ("--exec-from-metadata", "--session", name, "--lease", str(LEASE_SECONDS))
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [*TASKLEDGER, "work", "--server", self._server, *options],
                cwd=ROOT,
                env=environment(),
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """End one without warning."""
        self._processes[name].kill()
        self._processes[name].wait()

    def stop(self) -> list[int]:
        """End all in good order and return their exit codes."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        return [process.wait() for process in self._processes.values()]


async def queue(client: LedgerClient, todo: dict[str, Step]) -> None:
    """Create the tasks, tie them together, and start those that wait for nothing."""
    for task_id, step in todo.items():
        body = {
            "id": task_id,
            "scope": "global",
            "title": step.title,
            "auto_enqueue_on_ready": True,
            "metadata": {"command": step.command},
        }
        await client.post("/api/tasks", body)
        for blocker in step.after:
            body = {"depends_on_task_id": blocker}
            await client.post(f"/api/tasks/{task_id}/dependencies", body)
    for task_id, step in todo.items():
        if not step.after:
            await client.post(f"/api/tasks/{task_id}/start")


class UnexpectedError(Exception):
    """A step failed that should not have, so the demo cannot go on."""


async def first(client: LedgerClient, wanted: Callable[[JsonObject], bool]) -> JsonObject:
    """Wait, without hanging up, for the first event that is wanted and return it."""
    async for item in EventStream(client):
        if wanted(item):
            return item
        if item["event_type"] == "task.run_failed" and not event("run_failed", "inspect", 1)(item):
            raise UnexpectedError(f"{at(item, 'task', 'title')}: {at(item, 'run', 'error')}")
    raise AssertionError("an event stream has no end")


async def mishaps(client: LedgerClient, workers: Workers) -> str:
    """Kill the worker that checks the types, queue the failed step again; return who was killed."""
    claimed = await first(client, event("run_claimed", "types"))
    victim = text_at(claimed, "actor", "ref")
    await asyncio.sleep(BEFORE_KILL_SECONDS)
    say(f"kill -9 worker {victim}, which is checking the types")
    workers.kill(victim)
    await first(client, event("run_failed", "inspect"))
    say("queue the failed step again")
    await client.post("/api/tasks/inspect/runs")
    await first(client, event("run_completed", "inspect"))
    return victim


def say(text: str) -> None:
    """Print what the demo itself does, apart from the events."""
    output.draw(f"[bold yellow]>>> {text}[/bold yellow]")


async def ledger(client: LedgerClient) -> list[JsonObject]:
    """Return every event of the ledger, as an auditor would read it later."""
    items: list[JsonObject] = at(await client.get("/api/timeline"), "timeline")
    return items


def sequences(items: Sequence[JsonObject], kind: str, *task_ids: str) -> list[int]:
    """Return where the events of a kind are, of some tasks."""
    return [
        item["sequence"] for item in items for task_id in task_ids if event(kind, task_id)(item)
    ]


def checks(
    items: list[JsonObject], follower: Follower, victim: str, todo: dict[str, Step], folder: Path
) -> Iterator[tuple[bool, str]]:
    """Yield what has to hold, and whether it does."""
    done = {task_id: sequences(items, "run_completed", task_id) for task_id in todo}
    yield all(len(found) == 1 for found in done.values()), "every step was completed once"
    yield any((folder / "dist").glob("*.whl")), "the wheel is there"
    begun = {task_id: sequences(items, "run_claimed", task_id)[:1] for task_id in todo}
    in_order = all(
        done[blocker] < begun[task_id] for task_id, step in todo.items() for blocker in step.after
    )
    yield in_order, "no step began before those it depends on were completed"
    failed = [item for item in items if event("run_failed", "inspect", attempt=1)(item)]
    again = [item for item in items if event("run_completed", "inspect", attempt=2)(item)]
    yield len(failed) == len(again) == 1, "the failed step succeeded at the second attempt"
    expired = sequences(items, "run_lease_expired", "types")
    finisher = next(filter(event("run_completed", "types"), items), None)
    taken_over = bool(expired) and text_at(finisher, "actor", "ref") not in ("", victim)
    yield taken_over, f"the lease of {victim} ran out and the other worker finished its run"
    numbers = [item["sequence"] for item in items]
    yield all(a < b for a, b in pairwise(numbers)), "the ledger is in order"
    resumed = f"which resumed {follower.connections - 1} times, saw every event once and in order"
    yield follower.items == items and follower.connections > 1, f"the client, {resumed}"


@asynccontextmanager
async def following(follower: Follower) -> AsyncIterator[None]:
    """Follow in the background."""
    task = asyncio.create_task(follower.follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextmanager
def working(server: str, folder: Path) -> Iterator[Workers]:
    """Yield two workers, which are stopped at the end."""
    workers = Workers(server, folder)
    try:
        yield workers
    finally:
        workers.stop()


async def play(server: str, folder: Path) -> bool:
    """Do all of it; return whether every check holds."""
    todo = steps(folder)
    async with LedgerClient(Connection(server=server)) as client:
        follower = Follower(client)
        async with following(follower):
            await queue(client, todo)
            with working(server, folder) as workers:
                victim = await mishaps(client, workers)
            items = await ledger(client)
            await follower.reach(items[-1]["sequence"])
    say("the timeline, replayed")
    output.grid(HEADINGS, map(cells_of, items))
    say("checks")
    results = list(checks(items, follower, victim, todo, folder))
    for holds, what in results:
        output.draw(f"[green]  ok[/green]  {what}" if holds else f"[red]FAIL[/red]  {what}")
    return all(holds for holds, _ in results)


async def within_limit(server: str, folder: Path) -> bool:
    """Play, but not for ever; a demo that hangs has failed."""
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await play(server, folder)
    except TimeoutError:
        click.echo(f"the demo did not end within {LIMIT_SECONDS} s", err=True)
    except UnexpectedError as error:
        click.echo(str(error), err=True)
    return False


def main() -> int:
    """Run the demo and return its exit code."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="taskledger-demo-") as name:
        folder = Path(name)
        with running(folder, "--sweep-seconds", "0.3") as server:
            say(f"a server on {server.url}, two workers, leases of {LEASE_SECONDS} s")
            good = asyncio.run(within_limit(server.url, folder))
        if not good:
            for log in sorted(folder.glob("*.log")):
                click.echo(f"--- {log.name}\n{log.read_text()}", err=True)
    say(f"{'all checks hold' if good else 'FAILED'} after {time.monotonic() - begin:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Large ledgers, made through deciding and projecting as always but in large transactions."""

import shutil
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from domain.commands import Command, EnqueueRun
from projections.catalog import PROJECTORS
from replay.batch import Job
from replay.steps import taken
from replay.transaction import Transaction
from tests.bench.case import Options
from tests.bench.embedded import embedded, task_of

BATCH: Final = 5_000
QUEUED_EVERY: Final = 10
_ATTEMPTS: Final = 10


def task_id(number: int) -> str:
    """Return the id of a seeded task."""
    return f"task-{number:016x}"


def is_queued(number: int) -> bool:
    """Whether a seeded task has a queued run."""
    return number % QUEUED_EVERY == 0


def tasks(total: int) -> Iterator[Command]:
    """Yield the commands for a ledger of tasks, every tenth of them queued."""
    for number in range(total):
        yield task_of(task_id(number), attempts=_ATTEMPTS)
        if is_queued(number):
            yield EnqueueRun(task_id=task_id(number))


def write(path: Path, commands: Iterable[Command], total: int, what: str, options: Options) -> None:
    """Write what the commands come to into a new file; `total` is for the progress bar."""
    waiting = iter(commands)
    done = 0
    with embedded(path) as product, options.reporter.bar(what, total) as bar:
        transaction = product.transaction()
        while jobs := [product.job(each, "tasks.seed") for each in islice(waiting, BATCH)]:
            write_batch(transaction, jobs)
            done += len(jobs)
            bar(done)


def write_batch(transaction: Transaction, jobs: list[Job]) -> None:
    """Write what jobs come to; raises the refusal of any of them."""
    taken(transaction.begin(jobs, wait=True))
    taken(transaction.write(jobs))
    for job in jobs:
        if job.error is not None:
            raise job.error
    transaction.commit()
    transaction.finish()


def schema() -> str:
    """Return a short text that changes with the tables and versions of the read models."""
    described = [
        (each.name, each.version, *(table.ddl for table in each.tables)) for each in PROJECTORS
    ]
    return f"{zlib.crc32(repr(described).encode()):08x}"


def seeded(total: int, options: Options) -> Path:
    """Return a ledger of so many tasks for one use, copied from the cache or made for it."""
    kept = options.cache / f"tasks-{total}-{schema()}.db"
    if not kept.exists():
        options.cache.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        commands = total + total // QUEUED_EVERY
        write(unfinished, tasks(total), commands, f"{total:,} tasks", options)
        unfinished.rename(kept)
    copy = options.folder / f"copy-{total}.db"
    for suffix in ("-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(kept, copy)
    return copy

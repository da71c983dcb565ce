"""Ledgers of a number of events: tasks that were created, queued, claimed, worked on and ended."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from domain.commands import (
    ClaimNext,
    Command,
    CompleteLease,
    EnqueueRun,
    FailLease,
    Heartbeat,
)
from replay.batch import Job
from replay.transaction import Transaction
from tests.bench import seed
from tests.bench.agents import AGENT, session_of
from tests.bench.case import Options
from tests.bench.embedded import RESULT, Embedded, embedded, task_of

SESSIONS: Final = 1_000
_QUEUED_EVERY: Final = 10
_FAILED_EVERY: Final = 20


class _Writer:
    """Takes tasks through their lives, so many at a time."""

    def __init__(self, product: Embedded) -> None:
        self._product = product
        self._transaction: Transaction = product.transaction()
        self._number = 0
        self.written = 0

    def lives(self, sessions: int) -> None:
        """Take one task of each session through its life; every tenth stays in the queue."""
        first, self._number = self._number, self._number + sessions
        tasks = [(seed.task_id(first + each), each) for each in range(sessions)]
        self._write([task_of(task_id, each, attempts=2) for task_id, each in tasks])
        self._write([EnqueueRun(task_id=task_id) for task_id, _ in tasks])
        taken = [(task_id, each) for task_id, each in tasks if each % _QUEUED_EVERY]
        claims = [
            ClaimNext(session_id=session_of(each), agent_name=AGENT, claim_token_hash=task_id)
            for task_id, each in taken
        ]
        runs = [job.outcome.reply.run_id for job in self._write(claims) if job.outcome]
        sessions_of = [session_of(each) for _, each in taken]
        held = list(zip(runs, sessions_of, strict=True))
        self._write([Heartbeat(run_id=run, session_id=session) for run, session in held])
        self._write([_end(number, *each) for number, each in enumerate(held)])

    def _write(self, commands: Sequence[Command]) -> list[Job]:
        jobs = [
            self._product.job(each, "tasks.seed", getattr(each, "session_id", ""))
            for each in commands
        ]
        seed.write_batch(self._transaction, jobs)
        self.written = self._transaction.desk.head
        return jobs


def _end(number: int, run_id: str, session_id: str) -> Command:
    if number % _FAILED_EVERY:
        return CompleteLease(run_id=run_id, session_id=session_id, result=RESULT)
    return FailLease(run_id=run_id, session_id=session_id, error="the page was gone")


def live(where: Path | str, total: int, options: Options) -> None:
    """Write about so many events into a new place."""
    with embedded(where) as product, options.reporter.bar(f"{total:,} events", total) as bar:
        writer = _Writer(product)
        while writer.written < total:
            writer.lives(min(SESSIONS, max(total // 20, 20)))
            bar(writer.written)


def lived(total: int, options: Options) -> Path:
    """Return a ledger of about so many events for one use, copied from the cache or made for it."""
    kept = options.cache / f"events-{total}-{seed.schema()}.db"
    if not kept.exists():
        options.cache.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        live(unfinished, total, options)
        unfinished.rename(kept)
    copy = options.folder / f"events-{total}.db"
    shutil.copyfile(kept, copy)
    return copy

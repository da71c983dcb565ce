"""pgqueuer on PostgreSQL: `python pgqueuer_jobs.py DSN WORKERS BATCH`.

For each line of standard input, the number of jobs, it queues so many, lets the workers take and
complete them all, and prints how many a second that were.
"""

import asyncio
import sys
import time
from datetime import timedelta
from uuid import uuid4

import asyncpg  # type: ignore[import-not-found]
from pgqueuer.queries import (  # type: ignore[import-not-found]
    EntrypointExecutionParameter,
    Queries,
)

PAYLOAD = b'{"page":"https://example.org/pages/1","depth":2}'
ENTRYPOINT = "check"
PARAMETERS = {ENTRYPOINT: EntrypointExecutionParameter(0)}
LEASE = timedelta(seconds=300)


async def work(queries: Queries, batch: int) -> None:
    """Take jobs and complete them until there are none."""
    me = uuid4()
    while jobs := await queries.dequeue(batch, PARAMETERS, me, None, LEASE):
        await queries.log_jobs([(job, "successful", None) for job in jobs])


async def run(dsn: str, workers: int, batch: int) -> None:
    """Answer each line."""
    connections = [await asyncpg.connect(dsn) for _ in range(workers)]
    queues = [Queries.from_asyncpg_connection(each) for each in connections]
    if not await queues[0].has_table(queues[0].qbe.settings.queue_table):
        await queues[0].install()
    for line in sys.stdin:
        jobs = int(line)
        await queues[0].enqueue([ENTRYPOINT] * jobs, [PAYLOAD] * jobs, [0] * jobs)
        started = time.perf_counter()
        await asyncio.gather(*(work(each, batch) for each in queues))
        print(jobs / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))

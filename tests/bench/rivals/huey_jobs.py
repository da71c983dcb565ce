"""huey on SQLite: `python huey_jobs.py FILE WORKERS`; it takes one job at a time.

For each line of standard input, the number of jobs, it queues so many, lets the workers take and
complete them all, and prints how many a second that were.
"""

import sys
import threading
import time

from huey import SqliteHuey  # type: ignore[import-not-found]

PAGE = {"page": "https://example.org/pages/1", "depth": 2}
RESULT = {"links": 41, "broken": ["https://example.org/gone"]}


def main() -> None:
    """Answer each line."""
    # Every commit reaches the disk, as it does in what this is compared with.
    huey = SqliteHuey(filename=sys.argv[1], fsync=True)

    @huey.task()  # type: ignore[untyped-decorator]
    def check(page: dict[str, object]) -> dict[str, object]:
        return RESULT

    def work() -> None:
        while (task := huey.dequeue()) is not None:
            huey.execute(task)

    for line in sys.stdin:
        jobs = int(line)
        for _ in range(jobs):
            check(PAGE)
        threads = [threading.Thread(target=work) for _ in range(int(sys.argv[2]))]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(jobs / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()

"""Claims that wait on a thread of their own, at a server that lets them wait for long."""

from contextlib import AbstractContextManager
from pathlib import Path
from threading import Thread
from typing import Any, Final

from tests.api.live import NEVER, Client, LiveServer, serving
from tests.api.sockets import until

CLAIM_NEXT: Final = "/api/agent/tasks/claim-next"


def patient(folder: Path) -> AbstractContextManager[LiveServer]:
    """Give a server where a claim that nobody wakes ends empty-handed, after a minute."""
    return serving(folder, claim_wait_seconds=60, sweep_seconds=NEVER)


def waiting(server: LiveServer, agent: Client, answers: list[int], **body: Any) -> Thread:
    """Return a thread that waits for a claim, after one look in vain, and notes the status."""

    def wait() -> None:
        answers.append(agent.post(CLAIM_NEXT, {"wait": True, **body}).status_code)

    claims, metrics = server.services.claims, server.services.committer.metrics
    others, before = len(claims), metrics.commands
    thread = Thread(target=wait)
    thread.start()
    until(lambda: metrics.commands > before and len(claims) == others + 1)
    return thread

"""The model's operations on runs by hand, whoever has them."""

from collections.abc import Callable

from tests.machine.state import ENDED, TRANSITION, Outcome, RefusedError, Run
from tests.machine.tasks import Tasks


class ByHand(Tasks):
    """What operators do with runs that nobody else takes care of."""

    def force_release(self, run_id: str, actor: str) -> Outcome:
        """Take a claimed run back into the queue."""
        run = self._reached(run_id, actor)
        if run.status != "claimed":
            raise RefusedError(409, "Task run not releasable")
        run.requeue()
        self.note_by_hand("task.run_released", run.task, actor, run)
        self.settle(run.task)
        return Outcome(200, run.task, run)

    def force_fail(self, run_id: str, reason: str, actor: str) -> Outcome:
        """End a run badly that nobody works on."""
        if not reason.strip():
            raise RefusedError(422, "Reason required")
        run = self._reached(run_id, actor)
        if run.status in ENDED:
            raise RefusedError(409, "Task run already terminal")
        if run.status in {"starting", "running"}:
            raise RefusedError(409, "Task run still active")
        self._end(run, reason)
        self.note_by_hand("task.run_operator_forced_fail", run.task, actor, run)
        self.settle(run.task)
        return Outcome(200, run.task, run)

    def retry(self, run_id: str, actor: str) -> Outcome:
        """Queue a successor of a failed run."""
        run = self._reached(run_id, actor)
        if run.status != "failed":
            raise RefusedError(409, "Task run not failed")
        self._check_successor(run)
        return self._follow("task.run_operator_retry", run, actor)

    def recover(self, run_id: str, reason: str, in_place: bool, actor: str) -> Outcome:
        """Queue a successor of a run that needs attention, or the run itself."""
        run = self._reached(run_id, actor)
        if run.status != "needs_attention":
            raise RefusedError(409, "Task run not recoverable")
        if in_place:
            run.requeue()
            run.expiries = 0
            self.note_by_hand("task.run_requeued", run.task, actor, run)
            self.settle(run.task)
            return Outcome(201, run.task, run, previous=run)
        run.status = "failed"
        try:
            self._check_successor(run)
        finally:
            run.status = "needs_attention"
        self._end(run, reason or run.error)
        return self._follow("task.run_recovered_from_attention", run, actor)

    def bulk(self, run_ids: list[str], one: Callable[[str], Outcome]) -> Outcome:
        """Do something to several runs, to each on its own."""
        rows: list[tuple[str, Run | RefusedError]] = []
        for run_id in dict.fromkeys(run_ids):
            try:
                done = one(run_id).run
                assert done is not None
                rows.append((run_id, done))
            except RefusedError as refusal:
                rows.append((run_id, refusal))
        return Outcome(200, rows=rows)

    def _reached(self, run_id: str, actor: str) -> Run:
        run = self.run(run_id)
        self.check_rate(run.task, actor)
        return run

    def _end(self, run: Run, reason: str) -> None:
        run.status, run.failure_kind, run.error, run.result = (
            "failed",
            "operator_forced",
            reason,
            None,
        )
        run.leased, run.until = False, 0

    def _check_successor(self, run: Run) -> None:
        if any(other.previous is run for other in run.task.runs):
            raise RefusedError(409, f'{TRANSITION}: task run "{run.id}" already has retry run')
        self.check_room(run.task)

    def _follow(self, kind: str, run: Run, actor: str) -> Outcome:
        successor = Run(run.task, len(run.task.runs) + 1, previous=run, round=run.round)
        run.task.runs.append(successor)
        self.note_by_hand(kind, run.task, actor, successor)
        self.settle(run.task)
        return Outcome(201, run.task, successor, previous=run)

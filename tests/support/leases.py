"""Who held which run when, by the history alone: no run ever has two holders."""

from dataclasses import dataclass

from domain import events as e
from domain.recorded import Recorded


@dataclass
class Hold:
    """Somebody has a run; an operator's hold has no token and no deadline."""

    task_id: str
    session_id: str
    token: str
    until: int


def check_leases(history: list[Recorded]) -> None:
    """Check every change of hands; raises AssertionError with the sequence of a wrong one."""
    checker = _Checker()
    for past in history:
        try:
            checker.take(past)
        except (AssertionError, KeyError) as error:
            message = f"sequence {past.sequence}, {past.type} of {past.run_id or past.task_id}"
            raise AssertionError(message) from error


class _Checker:
    def __init__(self) -> None:
        self.holds: dict[str, Hold] = {}
        self.open: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.most: dict[str, int] = {}

    def take(self, past: Recorded) -> None:
        """Take in one event."""
        run_id, fact = past.run_id, past.fact
        match fact:
            case e.SessionRegistered():
                self.most[fact.session_id] = fact.concurrency
            case e.RunEnqueued() | e.RunReviewRetryEnqueued():
                assert past.task_id not in self.open, "the task has an open run"
                self.open[past.task_id] = run_id
            case e.RunClaimed():
                self._claim(past, fact)
            case e.RunLeaseExtended():
                hold = self._own(past)
                assert hold.token == fact.claim_token_hash
                hold.until = fact.lease_until
            case e.RunLeaseExpired():
                hold = self.holds.pop(run_id)
                assert hold.token == fact.previous_claim_token_hash != ""
                assert past.occurred_at >= hold.until == fact.lease_until, "expired too early"
            case e.RunReleased():
                if not fact.manual:
                    self._own(past)
                del self.holds[run_id]
            case e.RunOperatorForcedFail():
                self.holds.pop(run_id, None)
                assert self.open.pop(past.task_id) == run_id
            case e.RunOperatorRetry():
                assert past.task_id not in self.open, "the task has an open run"
                self.open[past.task_id] = run_id
            case e.RunRecoveredFromAttention():
                assert self.open[past.task_id] == fact.source_run_id
                self.open[past.task_id] = run_id
            case e.RunCompleted() | e.RunFailed():
                self._end(past, fact.claim_token_hash)
            case e.RunCanceled():
                self.holds.pop(run_id, None)
                assert self.open.pop(past.task_id) == run_id
            case e.RunNeedsAttention():
                assert run_id not in self.holds, "a run that needs attention has a holder"
            case e.TaskDeleted():
                assert past.task_id not in self.open, "an open run was deleted"
            case _:
                pass

    def _claim(self, past: Recorded, fact: e.RunClaimed) -> None:
        assert past.run_id not in self.holds, f"held by {self.holds[past.run_id]}"
        assert self.open[past.task_id] == past.run_id
        if fact.claim_token_hash:
            assert fact.claim_token_hash not in self.tokens, "a token is used again"
            self.tokens.add(fact.claim_token_hash)
            others = [
                other
                for other in self.holds.values()
                if other.session_id == fact.session_id
                and other.token
                and other.until > past.occurred_at
            ]
            assert len(others) < self.most[fact.session_id], f"the session has {others}"
        self.holds[past.run_id] = Hold(
            past.task_id, fact.session_id, fact.claim_token_hash, fact.lease_until
        )

    def _own(self, past: Recorded) -> Hold:
        """Return the hold that the actor of an event has, in time."""
        hold = self.holds[past.run_id]
        assert (past.actor.kind, past.actor.ref) == ("agent_session", hold.session_id)
        assert past.occurred_at < hold.until, "the lease had run out"
        return hold

    def _end(self, past: Recorded, token: str) -> None:
        hold = self.holds.pop(past.run_id)
        assert hold.token == token, "not the holder's token"
        if token:
            assert (past.actor.kind, past.actor.ref) == ("agent_session", hold.session_id)
            assert past.occurred_at < hold.until, "the lease had run out"
        assert self.open.pop(past.task_id) == past.run_id

"""Who held which run when, by the events alone: no run ever has two holders."""

from collections.abc import Callable

from msgspec import Struct

from domain import events as e
from domain.recorded import Recorded, session_stream, task_stream
from domain.values import Actor


class HoldError(Exception):
    """An event that cannot be, after those before it; the text says why."""


class _Hold(Struct):
    """Somebody has a run; an operator's hold has no token and no deadline."""

    task_id: str
    holder: Actor
    token: str
    until: int


def _require(condition: object, text: str) -> None:
    if not condition:
        raise HoldError(text)


class Holds:
    """Follows the runs that are open and those that are held."""

    def __init__(self, is_new: Callable[[str], bool]) -> None:
        """`is_new` tells whether it is given a token for the first time."""
        self._is_new = is_new
        self._holds: dict[str, _Hold] = {}
        self._open: dict[str, str] = {}
        self._most: dict[str, int] = {}
        self._unknown: set[str] = set()

    def forget(self, stream: str) -> None:
        """Follow a task or a session no more, one of whose events cannot be read."""
        self._unknown.add(stream)
        self._holds = {
            run: hold for run, hold in self._holds.items() if task_stream(hold.task_id) != stream
        }

    def take(self, past: Recorded) -> None:
        """Take in the next event; raises HoldError."""
        if past.originator_id in self._unknown:
            return
        fact = past.fact
        match fact:
            case e.SessionRegistered():
                self._most[fact.session_id] = fact.concurrency
            case e.RunEnqueued() | e.RunReviewRetryEnqueued() | e.RunOperatorRetry():
                _require(past.task_id not in self._open, "the task has an open run")
                self._open[past.task_id] = past.run_id
            case e.RunRecoveredFromAttention():
                _require(self._open.get(past.task_id) == fact.source_run_id, "the run is not open")
                self._open[past.task_id] = past.run_id
            case e.RunClaimed():
                self._claim(past, fact)
            case e.RunLeaseExtended():
                hold = self._own(past)
                _require(hold.token == fact.claim_token_hash, "it is not the holder's token")
                hold.until = fact.lease_until
            case e.RunLeaseExpired():
                self._expire(past, fact)
            case e.RunReleased():
                self._hold(past) if fact.manual else self._own(past)
                del self._holds[past.run_id]
            case e.RunFailed(failure_kind="lease_expired"):
                _require(past.run_id not in self._holds, "a run whose lease ran out is held")
                self._close(past)
            case e.RunCompleted() | e.RunFailed():
                self._end(past, fact.claim_token_hash)
            case e.RunCanceled() | e.RunOperatorForcedFail():
                self._holds.pop(past.run_id, None)
                self._close(past)
            case e.RunNeedsAttention():
                _require(past.run_id not in self._holds, "a run that needs attention is held")
            case e.TaskDeleted():
                _require(past.task_id not in self._open, "the task has an open run")
            case _:
                pass

    def _hold(self, past: Recorded) -> _Hold:
        _require(past.run_id in self._holds, "nobody holds the run")
        return self._holds[past.run_id]

    def _claim(self, past: Recorded, fact: e.RunClaimed) -> None:
        _require(past.run_id not in self._holds, "the run is held already")
        _require(self._open.get(past.task_id) == past.run_id, "the run is not open")
        if fact.claim_token_hash:
            _require(self._is_new(fact.claim_token_hash), "its token was used before")
        if fact.claim_token_hash and self._is_followed(fact.session_id):
            now = past.occurred_at
            others = [
                other
                for other in self._holds.values()
                if other.holder == fact.claimed_by and other.token and other.until > now
            ]
            most = self._most.get(fact.session_id, 0)
            _require(len(others) < most, f"the session holds {len(others)} other runs")
        self._holds[past.run_id] = _Hold(
            past.task_id, fact.claimed_by, fact.claim_token_hash, fact.lease_until
        )

    def _is_followed(self, session_id: str) -> bool:
        return session_id != "" and session_stream(session_id) not in self._unknown

    def _own(self, past: Recorded) -> _Hold:
        """Return the hold that the actor of an event has, in time."""
        hold = self._hold(past)
        _require(past.actor == hold.holder, "it is not the holder's")
        _require(past.occurred_at < hold.until, "the lease had run out")
        return hold

    def _expire(self, past: Recorded, fact: e.RunLeaseExpired) -> None:
        hold = self._hold(past)
        tokens = (hold.token, fact.previous_claim_token_hash)
        _require(hold.token and tokens[0] == tokens[1], "it is not the holder's token")
        _require(hold.until == fact.lease_until, "the lease had another deadline")
        _require(past.occurred_at >= hold.until, "the lease had not run out")
        del self._holds[past.run_id]

    def _end(self, past: Recorded, token: str) -> None:
        hold = self._own(past) if token else self._hold(past)
        _require(hold.token == token, "it is not the holder's token")
        del self._holds[past.run_id]
        self._close(past)

    def _close(self, past: Recorded) -> None:
        _require(self._open.pop(past.task_id, "") == past.run_id, "the run is not open")

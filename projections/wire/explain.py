"""Why a run is handed to whom, rule by rule (added resource)."""

from msgspec import Struct

from domain.eligibility import Rule
from projections.wire.runs import Run
from projections.wire.tasks import TaskReference
from projections.wire.times import DateTime


class SessionExplanation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rules for one session; it is `eligible` when those of the run hold as well."""

    session_id: str
    agent_name: str
    workspace_id: str = ""
    channel: str = ""
    eligible: bool
    rules: tuple[Rule, ...]


class RunWaiting(Struct, frozen=True, kw_only=True):
    """How many cycles of the scheduler a run has waited too long, and what follows when."""

    cycles: int
    starved_after: int
    needs_attention_after: int


class Explanation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rules of a claim for one run: those of the run, then those for each active session."""

    run: Run
    task: TaskReference
    claimable: bool
    rules: tuple[Rule, ...]
    waiting: RunWaiting | None = None
    eligible_sessions: int
    sessions: tuple[SessionExplanation, ...]
    as_of: DateTime

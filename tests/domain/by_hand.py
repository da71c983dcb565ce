"""What tests of force operations share."""

from typing import Any

from domain import errors
from domain.force_commands import ForceFailRun, RecoverRun, ReleaseRun, RetryRun
from tests.domain.runs import ATTENTION, PASTS
from tests.support.spec import Spec, on
from tests.support.steps import queued, task

RELEASE, FORCE_FAIL = ReleaseRun(run_id="r1"), ForceFailRun(run_id="r1", reason="stuck")
RETRY, RECOVER = RetryRun(run_id="r1"), RecoverRun(run_id="r1")
IN_PLACE = RecoverRun(run_id="r1", in_place=True)
EVERY = (RELEASE, FORCE_FAIL, RETRY, RECOVER, IN_PLACE)
BY_HUMAN: dict[str, Any] = {"manual": True, "actor_kind": "human", "actor_id": "local-user"}
TRANSITION = errors.InvalidTransitionError
STATUSES = tuple(PASTS)


def code_of(spec: Spec) -> tuple[str, str]:
    """Return code and severity of a refusal's diagnostic."""
    assert spec.refusal is not None
    assert spec.refusal.diagnostic is not None
    return spec.refusal.diagnostic.code, spec.refusal.diagnostic.severity


def stuck(task_id: str = "t1", run_id: str = "r1", **given: Any) -> tuple[Any, ...]:
    """Return what leaves a run in need of attention."""
    return task(task_id, **given), queued(task_id, run_id), on(task_id, ATTENTION, run_id)

"""Random requests that take runs in hand, one or many."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.machine.rules import UNKNOWN_NUMBER, TaskRules, actors, numbers

reasons = st.sampled_from(("stuck", "stuck", "lost", ""))


def has_runs(machine: TaskRules) -> bool:
    """Whether there is any run."""
    return bool(machine.model.runs())


class HandRules(TaskRules):
    """Force operations; what they are about is mostly a run that they fit."""

    def run_id(self, number: int, *statuses: str) -> str:
        """Return the id of a run, mostly of one in these statuses."""
        runs = self.model.runs()
        fitting = [run for run in runs if run.status in statuses] if number % 8 else []
        found = fitting or runs
        known = found and number < UNKNOWN_NUMBER
        return found[number // 8 % len(found)].id if known else "run-unknown"

    @precondition(has_runs)
    @rule(number=numbers, actor=actors)
    def force_release(self, number: int, actor: str) -> None:
        run_id, who = self.run_id(number, "claimed"), actor or "human"
        path, body = f"/runs/{run_id}/release", {"reason": "taken back"}
        self.ask(actor, lambda: self.model.force_release(run_id, who), "POST", path, body)

    @precondition(has_runs)
    @rule(number=numbers, reason=reasons, actor=actors)
    def force_fail(self, number: int, reason: str, actor: str) -> None:
        run_id = self.run_id(number, "queued", "claimed", "needs_attention")
        path, body, who = f"/runs/{run_id}/fail", {"reason": reason}, actor or "human"
        self.ask(actor, lambda: self.model.force_fail(run_id, reason, who), "POST", path, body)

    @precondition(has_runs)
    @rule(number=numbers, actor=actors)
    def retry(self, number: int, actor: str) -> None:
        run_id, who = self.run_id(number, "failed"), actor or "human"
        self.ask(actor, lambda: self.model.retry(run_id, who), "POST", f"/runs/{run_id}/retry")

    @precondition(has_runs)
    @rule(number=numbers, reason=reasons, in_place=st.booleans(), actor=actors)
    def recover(self, number: int, reason: str, in_place: bool, actor: str) -> None:
        run_id, who = self.run_id(number, "needs_attention"), actor or "human"
        body = {"reason": reason, "in_place": in_place}
        self.ask(
            actor,
            lambda: self.model.recover(run_id, reason, in_place, who),
            "POST",
            f"/runs/{run_id}/recover",
            body,
        )

    @precondition(has_runs)
    @rule(numbers=st.lists(numbers, min_size=1, max_size=4), fails=st.booleans(), actor=actors)
    def bulk(self, numbers: list[int], fails: bool, actor: str) -> None:
        run_ids = [self.run_id(number, "claimed") for number in numbers]
        model, who = self.model, actor or "human"
        self.ask(
            actor,
            lambda: model.bulk(
                run_ids,
                lambda run_id: (
                    model.force_fail(run_id, "reset", who)
                    if fails
                    else model.force_release(run_id, who)
                ),
            ),
            "POST",
            f"/runs/bulk/{'fail' if fails else 'release'}",
            {"run_ids": run_ids, "reason": "reset"},
        )

"""What follows in the same commit when a task that is another API's unit of work moves."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from domain.ona.reactions import follow
from domain.values import Facade
from domain.world import Change, Plan

React: TypeAlias = Callable[[Change, Plan], None]

_REACT: Final[Mapping[Facade, React]] = {"ona": follow}


def react(plan: Plan) -> None:
    """Note what follows from the events in the plan, and from what follows from them."""
    for change in plan.changes:
        facade = change.task.task.facade if change.task else None
        if facade is not None and facade in _REACT:
            _REACT[facade](change, plan)

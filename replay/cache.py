"""Folded states of recently used streams, bounded by number and by weight."""

from collections import OrderedDict
from typing import Final

from domain.task.state import TaskState
from domain.values import NO_JSON
from domain.world import State

MAX_STATES: Final = 8192
MAX_BYTES: Final = 64 << 20
MAX_RUNS_BYTES: Final = 32 << 10
_STRUCT_BYTES: Final = 512


def runs_bytes(state: State) -> int:
    """Return roughly how much the runs of a task weigh."""
    if not isinstance(state, TaskState):
        return 0
    weight = 0
    for run in state.runs.values():
        weight += _STRUCT_BYTES + len(run.error)
        # Most runs carry neither, and asking an absent value costs more than looking.
        if run.result is not NO_JSON:
            weight += memoryview(run.result).nbytes
        if run.metadata is not NO_JSON:
            weight += memoryview(run.metadata).nbytes
    return weight


def _own_bytes(state: State) -> int:
    if not isinstance(state, TaskState):
        return _STRUCT_BYTES + len(getattr(state, "description", ""))
    task = state.task
    return 2 * _STRUCT_BYTES + memoryview(task.metadata).nbytes + len(task.description)


class StateCache:
    """The most recently used committed states. They are frozen, so sharing them is safe."""

    def __init__(
        self,
        max_states: int = MAX_STATES,
        max_bytes: int = MAX_BYTES,
        max_runs_bytes: int = MAX_RUNS_BYTES,
    ) -> None:
        """Start empty; a state whose runs weigh more than `max_runs_bytes` is never kept."""
        self._kept: OrderedDict[str, tuple[State, int]] = OrderedDict()
        self._bytes = 0
        self._max_states = max_states
        self._max_bytes = max_bytes
        self._max_runs_bytes = max_runs_bytes

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, stream: str) -> State | None:
        """Return the state of a stream, None when it is not kept."""
        found = self._kept.get(stream)
        if found is None:
            return None
        self._kept.move_to_end(stream)
        return found[0]

    def put(self, stream: str, state: State | None) -> None:
        """Keep a state in place of an older one, or forget the stream."""
        replaced = self._kept.pop(stream, None)
        if replaced is not None:
            self._bytes -= replaced[1]
        if state is None or (runs := runs_bytes(state)) > self._max_runs_bytes:
            return
        weight = runs + _own_bytes(state)
        self._kept[stream] = (state, weight)
        self._bytes += weight
        while len(self._kept) > self._max_states or self._bytes > self._max_bytes:
            self._bytes -= self._kept.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._bytes = 0

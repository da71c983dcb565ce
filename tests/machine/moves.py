"""Requests in the mix of a busy day, by plain chance: they reach what single rules seldom do."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tests.machine import reviews

if TYPE_CHECKING:
    from tests.machine.machines import Machine

Move: TypeAlias = "Callable[[Machine, Random], None]"

_SESSIONS: Final = ("coder.1", "coder.1", "coder.2", "tester.1", "coder.w")
_RESULTS: Final = (None, 1, "done", {"answer": [42]})
_OWNERS: Final = (
    {"kind": "pool", "ref": "coder"},
    {"kind": "agent_session", "ref": "coder.1"},
    {"kind": "human", "ref": "somebody"},
)
_MOST_TASKS: Final = 12
_FIRST_TASKS: Final = 5


def _number(chance: Random) -> int:
    return chance.randrange(63)


def _fields(chance: Random, likelihood: float) -> dict[str, Any]:
    made = {
        "priority": chance.choice(("low", "medium", "high", "urgent")),
        "max_attempts": chance.randint(1, 4),
        "auto_enqueue_on_ready": chance.random() < 0.7,
        "approval_policy": "manual" if chance.random() < 0.3 else "none",
        "owner": chance.choice(_OWNERS),
    }
    kept = {name: value for name, value in made.items() if chance.random() < likelihood}
    if chance.random() < 0.7:
        kept.pop("owner", None)
    return kept


def _body(chance: Random) -> dict[str, Any]:
    rare = chance.choice(({}, {}, {}, {}, {"draft": True}, {"workspace": "w1"}))
    return {"title": chance.choice(("One", "Two")), **_fields(chance, 0.5), **rare}


def _create(machine: "Machine", chance: Random) -> None:
    if len(machine.model.tasks) >= _MOST_TASKS:
        machine.delete(_number(chance))
    elif chance.random() < 0.5:
        machine.create(_number(chance), _body(chance))
    else:
        numbers = _number(chance), _number(chance)
        machine.create_child(*numbers, _body(chance), chance.randrange(4))


def _queue(machine: "Machine", chance: Random) -> None:
    verb = chance.choice(("publish", "start", "start", "approve", "runs", "runs", "runs"))
    actor = chance.choice(("", "", "", "coder.1"))
    key = chance.choice(("", "", f"key-{chance.randrange(20)}"))
    request = chance.choice((None, None, {"metadata": {"n": 1}}))
    machine.queue(verb, _number(chance), actor, key, request)


def _operate(machine: "Machine", chance: Random) -> None:
    session = chance.choice(("", "", "coder.2", "tester.1"))
    number = _number(chance)
    match chance.randrange(4):
        case 0:
            machine.operate(number, session, chance.random() < 0.7)
        case 1:
            machine.claim(number, chance.choice(("", "coder.1")), chance.choice(("", "key")))
        case 2:
            machine.start_run(number, chance.choice(("", "", "coder.1")), "key", session)
        case _:
            machine.attach(number, session or "ghost.1")


def _finish(machine: "Machine", chance: Random) -> None:
    if chance.random() < 0.6:
        machine.complete_run(_number(chance), chance.choice(_RESULTS))
    else:
        machine.fail_run(_number(chance), chance.choice(("broken", " ")))


def _work(machine: "Machine", chance: Random) -> None:
    ends = chance.choice(("complete", "complete", "complete", "fail", "release"))
    machine.work(chance.choice(_SESSIONS), ends)


def _claim_next(machine: "Machine", chance: Random) -> None:
    session = chance.choice((*_SESSIONS, "ghost.1"))
    machine.claim_next(session, chance.choice((0, 0, 30)), chance.choice((0, 60, 600)))
    if session in _SESSIONS and chance.random() < 0.5:
        machine.heartbeat(1, session, chance.choice((0, 60, 600)))


def _neglect(machine: "Machine", chance: Random) -> None:
    """Claim and let the lease run out, mostly until the run is no longer handed out."""
    session = chance.choice(_SESSIONS)
    for _ in range(chance.choice((1, 3, 3))):
        machine.claim_next(session, 0, 60)
        machine.let_time_pass(700)


def _report(machine: "Machine", chance: Random) -> None:
    number, session = _number(chance), chance.choice(_SESSIONS)
    match chance.randrange(5):
        case 0:
            machine.heartbeat(number, session, chance.choice((0, 60, 600)))
        case 1:
            machine.release(number, session)
        case 2:
            machine.fail(number, session, chance.choice(("broken", "worse", " ")))
        case _:
            machine.complete(number, session, chance.choice(_RESULTS))


def _relate(machine: "Machine", chance: Random) -> None:
    if chance.random() < 0.7:
        machine.wait_for(_number(chance), _number(chance))
    else:
        machine.no_longer_wait_for(_number(chance), _number(chance))


def _hold(machine: "Machine", chance: Random) -> None:
    number = _number(chance)
    match chance.randrange(8):
        case 0 | 1:
            machine.pause(number, chance.choice(("wait", "")), chance.choice(("", "coder.1")))
        case 2 | 3 | 4:
            machine.resume(number, chance.choice(("", "coder.1")))
        case 5:
            machine.reject(number)
        case _:
            machine.control(number)


def _take_in_hand(machine: "Machine", chance: Random) -> None:
    number, actor = _number(chance), chance.choice(("", "", "", "coder.1"))
    reason = chance.choice(("stuck", "stuck", ""))
    there = {run.status for run in machine.model.runs()}
    if "needs_attention" in there and chance.random() < 0.6:
        machine.recover(number, reason, chance.random() < 0.5, actor)
    elif "failed" in there and chance.random() < 0.6:
        machine.retry(number, actor)
    elif "claimed" in there and chance.random() < 0.6:
        machine.force_release(number, actor)
    elif chance.random() < 0.5:
        machine.force_fail(number, reason, actor)
    else:
        machine.bulk([_number(chance) for _ in range(3)], chance.random() < 0.5, actor)


def _end(machine: "Machine", chance: Random) -> None:
    number = _number(chance)
    ways: tuple[Callable[[int], None], ...] = (machine.cancel, machine.cancel_run, machine.delete)
    chance.choice(ways)(number)


def _patch(machine: "Machine", chance: Random) -> None:
    machine.patch(_number(chance), _fields(chance, 0.3) or {"clear_owner": True})


def _review(machine: "Machine", chance: Random) -> None:
    number, session = _number(chance), chance.choice(_SESSIONS)
    match chance.randrange(4):
        case 0 | 1:
            actor = chance.choice(("", "", "coder.1"))
            machine.request_review(number, actor, chance.choice((0, 0, 2)), chance.random() < 0.5)
        case 2:
            machine.take_review(session)
        case _:
            actor = chance.choice(("", session))
            machine.judge(number, actor, chance.choice(reviews.OUTCOMES))


_MOVES: Final[dict[Move, int]] = {
    _create: 4,
    _queue: 8,
    _operate: 5,
    _finish: 3,
    _work: 6,
    _claim_next: 3,
    _neglect: 1,
    _report: 4,
    _relate: 4,
    _hold: 3,
    _take_in_hand: 4,
    _end: 1,
    _review: 6,
    _patch: 3,
}


def spend_day(machine: "Machine", seed: int, moves: int) -> None:
    """Send as many requests as there are moves, or a few more, and let time go by if it can."""
    chance = Random(seed)
    machine.register()
    for number in range(moves):
        (chosen,) = chance.choices(list(_MOVES), list(_MOVES.values()))
        chosen = _create if number < _FIRST_TASKS else chosen
        try:
            chosen(machine, chance)
            if chance.random() < 0.1:
                machine.let_time_pass(chance.choice((1, 61, 301, 700)))
        except AssertionError as error:
            error.add_note("\n".join(machine.both.log))
            raise

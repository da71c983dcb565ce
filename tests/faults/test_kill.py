"""The server is killed again and again while clients write, and nothing that it said is lost."""

import random
import time
from pathlib import Path

from tests.faults.crew import Crew, check_done
from tests.faults.serving import Site
from tests.support.verify import Verifier

KILLS = 22
EVERY_FIFTH = 5
SEED = 20
KINDS = {"create", "patch", "key", "enqueue", "claim", "heartbeat", "complete", "fail", "release"}


def test_what_was_acknowledged_survives_every_kill_exactly_once(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    site = Site(tmp_path, sweep_seconds=0.1, max_lease_expiries=4)
    verifier = Verifier(site.store)
    with Crew(site.port, size=6, seed=SEED) as crew:
        for kill in range(1, KILLS + 1):
            if kill % EVERY_FIFTH == 0:
                # While it starts: in the middle of opening, recovering or the first requests.
                server = site.spawn()
                time.sleep(chance.uniform(0.3, 0.8))
            else:
                server = site.start()
                time.sleep(chance.uniform(0.1, 0.5))
            server.kill()
            verifier.check()
            check_done(tuple(crew.done), verifier.history)
            crew.check()
        with site.serving():
            crew.finish()
        verifier.check()
        check_done(crew.done, verifier.history)
    assert not site.complaints()
    assert {done.kind for done in crew.done} == KINDS
    assert len(crew.done) > 10 * KILLS

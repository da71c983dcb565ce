"""Statements sent one behind the other: whose answer is whose, whatever happens in between."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq.abc import PGconn

from replay.errors import ForeignDatabaseError
from replay.postgresql.pipeline import Answer, Pipeline
from replay.postgresql.rest import Rest
from replay.postgresql.sessions import LiveSession, Session, connect
from replay.steps import Course
from replay.store import Row
from tests.faults.client import until
from tests.support.obstacles import session_ended
from tests.support.postgres import shared

ROUNDS = 200
SEEDS = 5
MEGABYTES = 32 << 20
DEFERRED = (
    "CREATE TABLE once (a bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    "INSERT INTO once VALUES (1)",
)


@pytest.fixture(name="connection")
def _connection(place: str) -> Iterator[psycopg.Connection[Row]]:
    with closing(psycopg.connect(place, autocommit=True)) as connection:
        yield connection


@pytest.fixture(name="session")
def _session(place: str) -> Iterator[Session]:
    with closing(session_at(place)) as session:
        yield session


def session_at(place: str) -> Session:
    """Return a session in a database."""
    return connect(conninfo_to_dict(place))


def number(answer: Answer) -> int:
    """Return the one number that a statement gave."""
    ((found,),) = answer.fetchall()
    assert isinstance(found, int)
    return found


def test_each_statement_gets_its_own_answer(session: Session) -> None:
    session.take()
    answers = [session.execute("SELECT ?", (each,)) for each in range(50)]

    assert [number(each) for each in answers] == list(range(50))


def test_what_the_server_says_unasked_is_no_answer(session: Session) -> None:
    session.execute("LISTEN here")
    session.take()
    first = session.execute("SELECT 1")
    session.execute("DO $$ BEGIN RAISE NOTICE 'by the way'; RAISE WARNING 'really'; END $$")
    session.execute("NOTIFY here")
    last = session.execute("SELECT 2")

    assert (number(first), number(last)) == (1, 2)
    assert number(session.execute("SELECT 3")) == 3


def test_behind_a_statement_that_fails_none_is_done(session: Session) -> None:
    session.take()
    before = session.execute("SELECT 1")
    failing = session.execute("SELECT 1 / 0")
    behind = session.execute("CREATE TABLE never (a INTEGER)")

    with pytest.raises(ForeignDatabaseError, match="division by zero"):
        session.execute("SELECT 2").fetchall()
    assert number(before) == 1
    assert not before.failed
    for each in (failing, behind):
        assert each.failed
        with pytest.raises(ForeignDatabaseError, match="division by zero"):
            each.fetchall()
    # What was to be prepared behind it is prepared now.
    assert number(session.execute("SELECT 2")) == 2
    assert session.execute("SELECT to_regclass('never')").fetchall() == [(None,)]


def test_what_fails_only_at_the_end_is_told(session: Session) -> None:
    for statement in DEFERRED:
        session.execute(statement)

    with pytest.raises(ForeignDatabaseError, match="duplicate key"):
        session.execute(DEFERRED[1])
    assert number(session.execute("SELECT count(*) FROM once")) == 1
    assert number(session.execute("SELECT 2")) == 2


def _statement_more(server: PGconn) -> None:
    server.send_query_params(b"SELECT 2", [])


def _end_more(server: PGconn) -> None:
    server.pipeline_sync()


def _taking(results: int) -> Callable[[PGconn], None]:
    def take(server: PGconn) -> None:
        server.pipeline_sync()
        for _ in range(results):
            server.get_result()

    return take


@pytest.mark.parametrize(
    "disturb",
    [
        pytest.param(_statement_more, id="a statement more"),
        pytest.param(_end_more, id="an end more"),
        pytest.param(_taking(1), id="a result less"),
        pytest.param(_taking(2), id="an answer less"),
        pytest.param(_taking(4), id="a round less"),
    ],
)
def test_answers_that_do_not_fit_end_the_connection(
    connection: psycopg.Connection[Row], disturb: Callable[[PGconn], None]
) -> None:
    pipeline = Pipeline(connection)
    first = pipeline.send(b"SELECT 1")
    disturb(connection.pgconn)
    last = pipeline.send(b"SELECT 3")

    with pytest.raises(ForeignDatabaseError, match="does not fit") as failed:
        pipeline.wait()
    assert failed.value.unavailable
    assert connection.closed
    for each in (first, last):
        assert not each.failed
        with pytest.raises(ForeignDatabaseError, match="closed"):
            each.fetchall()
    with pytest.raises(ForeignDatabaseError, match="closed"):
        pipeline.send(b"SELECT 1")


def test_answers_that_somebody_took_are_not_waited_for(
    connection: psycopg.Connection[Row],
) -> None:
    pipeline = Pipeline(connection)
    pipeline.send(b"SELECT 1")
    pipeline.finish()
    for _ in range(5):
        connection.pgconn.get_result()

    with pytest.raises(ForeignDatabaseError, match="does not fit"):
        pipeline.wait()


def test_statements_are_prepared_up_to_a_number(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replay.postgresql.pipeline._STATEMENTS", 1)

    for each in (1, 2, 1, 2):
        assert number(session.execute(f"SELECT {each} + ?", (1,))) == each + 1
    prepared = "SELECT count(*) FROM pg_prepared_statements"
    assert number(session.execute(prepared)) == 1


@pytest.mark.anyio
async def test_what_is_too_much_for_the_network_at_once_is_sent_all_the_same(
    session: Session,
) -> None:
    ended = asyncio.Event()
    session.take()
    answer = session.execute("SELECT length(?)", ("x" * MEGABYTES,))
    Course(ended.set, lambda _: None).take(session.answered())
    assert not ended.is_set()
    await ended.wait()

    assert number(answer) == MEGABYTES


def test_a_statement_that_cannot_be_sent_leaves_no_answer_to_wait_for(session: Session) -> None:
    too_many = "SELECT " + ",".join("?" * 70_000)

    with pytest.raises(ForeignDatabaseError, match="number of parameters"):
        session.execute(too_many, range(70_000))
    with pytest.raises(ForeignDatabaseError):
        session.execute("SELECT 1")
    assert session.broken


def test_a_session_that_is_ended_says_so_to_all_who_wait(session: Session, place: str) -> None:
    session.take()
    answers = [session.execute(f"SELECT {each}, pg_sleep(9)") for each in range(3)]
    session.push()
    shared().end_sessions(place)

    for each in answers:
        with pytest.raises(ForeignDatabaseError) as failed:
            each.fetchall()
        assert failed.value.unavailable
    assert session.broken


def test_who_hangs_in_a_transaction_is_ended(session: Session) -> None:
    session.take()
    session.execute("BEGIN")
    begun = session.execute("SELECT 1")
    session.execute("SET idle_in_transaction_session_timeout = '100ms'")
    session.push()
    until(lambda: session_ended(shared(), session.number), "the session is ended")

    assert number(begun) == 1
    with pytest.raises(ForeignDatabaseError) as failed:
        session.execute("SELECT 2").fetchall()
    assert failed.value.unavailable


def test_threads_take_turns_in_a_session(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replay.postgresql.sessions._TURN_SECONDS", 120)
    wrong: list[tuple[int, int]] = []

    def ask(first: int) -> None:
        for each in range(first, first + ROUNDS):
            found = number(session.execute("SELECT ?", (each,)))
            if found != each:
                wrong.append((each, found))

    threads = [threading.Thread(target=ask, args=(start * ROUNDS,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong


def test_a_session_that_is_taken_is_nobody_elses(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replay.postgresql.sessions._TURN_SECONDS", 0.05)
    refused: list[ForeignDatabaseError] = []

    def intrude() -> None:
        for intrusion in (session.take, session.rollback, lambda: session.execute("SELECT 1")):
            with pytest.raises(ForeignDatabaseError, match="another thread") as failed:
                intrusion()
            refused.append(failed.value)

    session.take()
    session.take()
    mine = session.execute("SELECT 1")
    intruder = threading.Thread(target=intrude)
    intruder.start()
    intruder.join()

    assert [each.busy for each in refused] == [True] * 3
    assert number(mine) == 1
    session.release()
    session.release()
    found: list[int] = []
    guest = threading.Thread(target=lambda: found.append(number(session.execute("SELECT 2"))))
    guest.start()
    guest.join()
    assert found == [2]


def test_threads_that_find_a_session_broken_share_the_next(place: str) -> None:
    opened: list[Session] = []
    found: list[int] = []

    def open_another() -> Session:
        opened.append(session_at(place))
        return opened[-1]

    def ask() -> None:
        ready.wait()
        found.append(number(live.execute("SELECT 1")))

    with closing(LiveSession(open_another, Rest())) as live:
        ready = threading.Barrier(4)
        shared().end_sessions(place)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert found == [1] * 4
        assert len(opened) == 2


class Hammer:
    """Random work in one session: what is known to be in a table has to be in it at the end."""

    def __init__(self, place: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.place = place
        self.session = session_at(place)
        self.session.execute("CREATE TABLE kept (a BIGINT PRIMARY KEY)")
        self.kept: set[int] = set()
        self.doubtful: set[int] = set()
        self.wrong: list[object] = []

    def work(self) -> None:
        for turn in range(ROUNDS):
            try:
                self._transact(turn)
            except ForeignDatabaseError:
                self._recover()

    def _recover(self) -> None:
        try:
            self.session.rollback()
        except ForeignDatabaseError:
            self.session.close()
            self.session = session_at(self.place)

    def _transact(self, turn: int) -> None:
        session, chance = self.session, self.chance
        session.take()
        session.execute("BEGIN")
        session.execute("INSERT INTO kept VALUES (?)", (turn,))
        asked: list[tuple[int, Answer]] = []
        for each in range(chance.randrange(12)):
            asked.append((each, session.execute("SELECT ?", (each,))))
            if chance.random() < 0.1:
                session.push()
            if chance.random() < 0.1:
                self._compare(asked)
            if chance.random() < 0.02:
                session.execute(chance.choice(("SELECT 1 / 0", "SELECT", "NO SQL")))
            if chance.random() < 0.02:
                shared().end_sessions(self.place)
        self._compare(asked)
        self.doubtful.add(turn)
        if chance.random() < 0.2:
            session.rollback()
            self.doubtful.remove(turn)
            return
        session.execute("COMMIT")
        for _ in session.answered():
            pass
        session.release()
        self.doubtful.remove(turn)
        self.kept.add(turn)

    def _compare(self, asked: list[tuple[int, Answer]]) -> None:
        self.wrong += [each for each, answer in asked if number(answer) != each]
        asked.clear()

    def look(self, stop: threading.Event) -> None:
        """Read in the same session from another thread for as long as there is work."""
        each = 0
        while not stop.is_set():
            each += 1
            # Locks are not fair to those who wait.
            time.sleep(0.001)
            try:
                found = number(self.session.execute("SELECT ?", (each,)))
            except ForeignDatabaseError:
                continue
            if found != each:
                self.wrong.append((each, found))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_mixed_up_or_waited_for_in_vain(place: str, seed: int) -> None:
    hammer = Hammer(place, seed)
    stop = threading.Event()
    reader = threading.Thread(target=hammer.look, args=(stop,))
    reader.start()
    try:
        hammer.work()
    finally:
        stop.set()
        reader.join()
        hammer.session.close()
    with closing(session_at(place)) as session:
        stored = {each for (each,) in session.execute("SELECT a FROM kept")}

    assert not hammer.wrong
    assert hammer.kept <= stored <= hammer.kept | hammer.doubtful

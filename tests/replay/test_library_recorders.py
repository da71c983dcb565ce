"""The library's own test cases for recorders and factories, run against ours."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import StoredEvent

from replay.places import environment_of
from replay.postgresql import recorder as postgresql
from replay.sqlite import Factory, LedgerRecorder
from tests.replay import library_cases as library
from tests.support.postgres import shared


class OnSQLite:
    """Makes a recorder in a file of its own."""

    id_type = "text"
    factory: Factory

    def setUp(self) -> None:
        self.running = set(threading.enumerate())
        self.folder = TemporaryDirectory()
        path = Path(self.folder.name) / "events.db"
        self.factory = Factory({"SQLITE_DBNAME": str(path), "ORIGINATOR_ID_TYPE": self.id_type})

    def tearDown(self) -> None:
        # The library tells its readers to end without waiting for them, and a connection must not
        # be closed while another thread reads on it.
        for thread in set(threading.enumerate()) - self.running:
            thread.join()
        self.factory.close()
        self.folder.cleanup()

    def new_originator_id(self) -> UUID | str:
        return f"task:{uuid4()}" if self.id_type == "text" else uuid4()

    def create_recorder(self) -> LedgerRecorder:
        recorder = self.factory.process_recorder()
        assert isinstance(recorder, LedgerRecorder)
        return recorder


class TestApplicationRecorder(OnSQLite, library.ApplicationRecorderTestCase[LedgerRecorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithUuids(TestApplicationRecorder):
    id_type = "uuid"


class TestProcessRecorder(OnSQLite, library.ProcessRecorderTestCase):
    pass


class TestTrackingRecorder(OnSQLite, library.TrackingRecorderTestCase):
    pass


class TestNonInterleaving(OnSQLite, library.NonInterleavingNotificationIDsBaseCase):
    insert_num = 200


class OnPostgreSQL:
    """Makes a recorder in a database of its own."""

    id_type = "text"
    factory: postgresql.Factory

    def setUp(self) -> None:
        self.resources = ExitStack()
        url = self.resources.enter_context(shared().database())
        env = environment_of(url) | {"ORIGINATOR_ID_TYPE": self.id_type}
        self.factory = postgresql.Factory(env)
        self.resources.callback(self.factory.close)

    def tearDown(self) -> None:
        self.resources.close()

    def new_originator_id(self) -> UUID | str:
        return f"task:{uuid4()}" if self.id_type == "text" else uuid4()

    def create_recorder(self) -> postgresql.LedgerRecorder:
        recorder = self.factory.process_recorder()
        assert isinstance(recorder, postgresql.LedgerRecorder)
        return recorder


class TestApplicationRecorderOnPostgreSQL(
    OnPostgreSQL, library.ApplicationRecorderTestCase[postgresql.LedgerRecorder]
):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithUuidsOnPostgreSQL(TestApplicationRecorderOnPostgreSQL):
    id_type = "uuid"


class TestProcessRecorderOnPostgreSQL(OnPostgreSQL, library.ProcessRecorderTestCase):
    pass


class TestTrackingRecorderOnPostgreSQL(OnPostgreSQL, library.TrackingRecorderTestCase):
    pass


class TestNonInterleavingOnPostgreSQL(OnPostgreSQL, library.NonInterleavingNotificationIDsBaseCase):
    insert_num = 200


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[LedgerRecorder]:
    factory = Factory({"SQLITE_DBNAME": str(tmp_path / "a.db"), "ORIGINATOR_ID_TYPE": "text"})
    recorder = factory.process_recorder()
    assert isinstance(recorder, LedgerRecorder)
    yield recorder
    factory.close()


def test_a_subscription_that_waits_is_woken_by_an_insert(recorder: LedgerRecorder) -> None:
    with recorder.subscribe(gt=0) as subscription:
        recorder.insert_events([StoredEvent("task:a", 1, "t", b"")])

        assert next(subscription).id == 1
    assert not recorder.listeners


def test_ids_are_a_column_of_their_own_that_vacuum_keeps(recorder: LedgerRecorder) -> None:
    recorder.insert_events([StoredEvent("task:a", 1, "t", b""), StoredEvent("task:a", 2, "t", b"")])
    with recorder.datastore.get_connection(commit=True) as connection:
        connection.cursor().execute("DELETE FROM stored_events WHERE notification_id=1")
        connection.cursor().execute("VACUUM")

    assert [found.id for found in recorder.select_notifications(None, 10)] == [2]

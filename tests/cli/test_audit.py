"""The auditor's commands, on a store and with their exit codes."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.cli.main import main
from tests.cli.processes import ROOT, TASKLEDGER, Server, environment
from tests.replay.audited import STORY, events_of, planted, store_of


@pytest.fixture
def offline(tmp_path: Path) -> Server:
    """A store with a history whose server is not running."""
    store_of(tmp_path)
    return Server(tmp_path)


def test_verify_says_that_everything_is_in_order(offline: Server) -> None:
    assert "in order" in offline.cli("verify", "--store", offline.store).stdout
    document = offline.json("verify", "--store", offline.store)
    assert document["finding"] is None
    assert "tasks" in document["read_models"]


def test_verify_says_that_no_server_has_run_on_a_store_yet(tmp_path: Path) -> None:
    empty = Server(tmp_path)
    empty.cli("migrate", "--store", empty.store)

    told = empty.cli("verify", "--store", empty.store, exit_code=1).stdout

    assert told == (
        "read model lookup is not in the store: no server of this release has run on it yet\n"
    )


def test_a_file_without_a_byte_is_no_store_and_stays_so(tmp_path: Path) -> None:
    empty = Server(tmp_path)
    (tmp_path / "ledger.db").touch()

    told = empty.cli("verify", "--store", empty.store, exit_code=2).stderr

    assert "there is no store at" in told
    assert (tmp_path / "ledger.db").stat().st_size == 0


def test_verify_ends_with_1_and_names_the_difference(offline: Server, tmp_path: Path) -> None:
    planted(tmp_path / "ledger.db", "UPDATE tasks SET priority = 'low' WHERE task_id = 'a'")

    assert "priority" in offline.cli("verify", "--store", offline.store, exit_code=1).stdout
    document = json.loads(
        offline.cli("verify", "--json", "--store", offline.store, exit_code=1).stdout
    )
    assert document["finding"]["read_model"] == "tasks"


def test_replay_prints_events_with_their_changes(offline: Server) -> None:
    words = ("replay", "--task", "a", "--store", offline.store)
    text = offline.cli(*words).stdout
    lines = offline.cli(*words, "--json").stdout.splitlines()

    assert 'task.title: "First" → "Changed"' in text
    assert [json.loads(line)["version"] for line in lines] == list(range(1, len(lines) + 1))
    assert "scheduler.paused" in offline.cli("replay", "--all", "--store", offline.store).stdout
    until = offline.cli(*words, "--until", "2", "--json").stdout
    assert len(until.splitlines()) == 1


def test_replay_tells_where_an_event_came_from(offline: Server, tmp_path: Path) -> None:
    store_of(tmp_path, [*STORY[:3], ("DELETE", "/api/tasks/a", None)])
    lines = offline.cli("export", "-", "--store", offline.store).stdout.splitlines()
    exported = [json.loads(line) for line in lines]

    lines = offline.cli("replay", "--all", "--json", "--store", offline.store).stdout.splitlines()

    members = ("event_id", "command_id", "causation_id", "correlation_id", "origin")
    assert [[json.loads(line)[each] for each in members] for line in lines] == [
        [
            each["id"],
            each["commandid"],
            each.get("causationid", ""),
            each.get("correlationid", ""),
            f"{each['originkind']}:{each['originref']}",
        ]
        for each in exported
    ]
    assert any("causationid" in each for each in exported)


def test_diff_prints_what_differs(offline: Server) -> None:
    words = ("diff", "--from", "1", "--store", offline.store)

    assert (
        'task.title: "First" → "Changed"' in offline.cli(*words, "--to", "9", "--task", "a").stdout
    )
    until = offline.cli(*words, "--to", "2999-01-01T00:00:00Z", "--json").stdout
    assert {json.loads(line)["stream"] for line in until.splitlines()} >= {"task:a", "task:b"}


@pytest.mark.parametrize(
    "words",
    [
        ("replay",),
        ("replay", "--task", "a", "--all"),
        ("replay", "--task", "unknown"),
        ("replay", "--all", "--until", "tomorrow"),
        ("replay", "--all", "--from", "300"),
        ("replay", "--all", "--from", "5", "--until", "4"),
        ("diff", "--from", "3", "--to", "2"),
        ("diff", "--from", "3", "--to", "300"),
        ("diff", "--from", "1", "--to", "2", "--task", "unknown"),
        ("export", "-", "--after", "300"),
    ],
)
def test_wrong_usage_ends_with_2(offline: Server, words: tuple[str, ...]) -> None:
    assert offline.cli(*words, "--store", offline.store, exit_code=2).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("diff", "--from", "x", "--to", "2"), '--from: "x" is neither'),
        (("diff", "--from", "1", "--to", "300"), '--to: "300" lies beyond the head'),
        (("replay", "--all", "--until", "x"), '--until: "x" is neither'),
        (("replay", "--all", "--from", "300"), "--from: 300 lies beyond the head"),
        (("export", "-", "--after", "300"), "--after: 300 lies beyond the head"),
    ],
)
def test_a_moment_that_is_not_there_is_named_with_its_option(
    offline: Server, words: tuple[str, ...], told: str
) -> None:
    assert told in offline.cli(*words, "--store", offline.store, exit_code=2).stderr


@pytest.mark.parametrize(
    "words", [("replay", "--task", "a"), ("diff", "--task", "a", "--from", "1", "--to", "9")]
)
def test_an_unreadable_event_of_a_task_is_named(
    offline: Server, tmp_path: Path, words: tuple[str, ...]
) -> None:
    paused = next(each[0] for each in events_of(tmp_path / "ledger.db") if "paused" in each[3])
    planted(
        tmp_path / "ledger.db",
        f"UPDATE stored_events SET state = x'00' WHERE notification_id = {paused}",
    )

    told = offline.cli(*words, "--store", offline.store, exit_code=1)

    assert f"event {paused}, a task.paused: " in told.stderr
    assert ("task.run_enqueued" in told.stdout) == (words[0] == "replay")


def test_an_export_stops_at_an_unreadable_event_and_names_it(
    offline: Server, tmp_path: Path
) -> None:
    kind = "UPDATE stored_events SET topic = 'task.of_tomorrow' WHERE notification_id = 6"
    planted(tmp_path / "ledger.db", kind)

    told = offline.cli("export", "-", "--store", offline.store, exit_code=1)

    assert "event 4 of stream 'task:a', a 'task.of_tomorrow', is unreadable" in told.stderr


def test_nobody_is_told_when_the_reader_of_a_pipe_has_enough(offline: Server) -> None:
    command = [*TASKLEDGER, "replay", "--all", "--store", offline.store]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()

        assert process.stderr.read() == b""


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    store = Server(tmp_path / "nowhere").store

    assert "no store" in Server(tmp_path).cli("verify", "--store", store, exit_code=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_continued_and_imported(offline: Server, tmp_path: Path) -> None:
    file, copy = tmp_path / "events.ndjson", tmp_path / "copy.db"
    offline.cli("export", str(file), "--store", offline.store)
    whole = file.read_bytes()
    assert offline.cli("export", "-", "--store", offline.store).stdout.encode() == whole
    file.write_bytes(whole[: len(whole) // 2])
    offline.cli("export", str(file), "--store", offline.store)
    assert file.read_bytes() == whole

    words = ("import", str(file), "--store", f"sqlite:{copy}")
    count = len(events_of(tmp_path / "ledger.db"))
    nothing = {"imported": 0, "present": 0, "blobs": 0}
    assert offline.json(*words) == {**nothing, "imported": count, "head": count}
    assert offline.json(*words) == {**nothing, "present": count, "head": count}
    assert events_of(copy) == events_of(tmp_path / "ledger.db")
    offline.cli("verify", "--store", f"sqlite:{copy}")


def test_an_export_of_another_history_is_not_continued(offline: Server, tmp_path: Path) -> None:
    file, other = tmp_path / "events.ndjson", tmp_path / "other"
    other.mkdir()
    offline.cli("export", str(file), "--store", offline.store)
    whole = file.read_bytes()
    store_of(other, STORY[1:2])
    another = f"sqlite:{other / 'ledger.db'}"

    told = offline.cli("export", str(file), "--store", another, exit_code=1).stderr
    assert "cannot be continued" in told
    assert "this store ends at 1" in told

    file.write_bytes(whole.splitlines(keepends=True)[0])
    told = offline.cli("export", str(file), "--store", another, exit_code=1).stderr
    assert "this store has another event at sequence 1" in told
    assert file.read_bytes() == whole.splitlines(keepends=True)[0]


def test_a_damaged_file_is_refused_and_nothing_is_imported(offline: Server, tmp_path: Path) -> None:
    file, copy = tmp_path / "events.ndjson", tmp_path / "copy.db"
    offline.cli("export", str(file), "--store", offline.store)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:3], lines[3].replace(b"a", b"b", 1), *lines[4:]]))

    told = offline.cli("import", str(file), "--store", f"sqlite:{copy}", exit_code=1).stderr

    assert "line 4" in told
    assert not copy.exists() or events_of(copy) == []


def test_standard_input_is_imported_as_a_file_is(
    offline: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replay.importing.PAGE", 2)
    copy = tmp_path / "copy.db"
    lines = offline.cli("export", "-", "--store", offline.store).stdout.encode()
    words = ("import", "-", "--store", f"sqlite:{copy}")

    refused = CliRunner().invoke(main, words, input=lines[:-20])
    assert refused.exit_code == 1
    last = len(lines.splitlines())
    assert f"line {last}: " in refused.stderr
    assert not copy.exists() or events_of(copy) == []

    done = CliRunner().invoke(main, words, input=lines)
    assert done.exit_code == 0, done.output
    assert events_of(copy) == events_of(tmp_path / "ledger.db")


def test_a_served_store_can_be_read_but_not_imported_into(tmp_path: Path) -> None:
    store_of(tmp_path)
    server = Server(tmp_path)
    server.start()
    try:
        file = tmp_path / "events.ndjson"
        server.cli("verify", "--store", server.store)
        server.cli("export", str(file), "--store", server.store)
        refused = server.cli("import", str(file), "--store", server.store, exit_code=2).stderr
        assert server.url in refused
    finally:
        server.stop()

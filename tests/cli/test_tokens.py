import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import SECONDS, TASKLEDGER, Server, environment, running, until, worked

TEXT = re.compile(r"tl_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")


def create(server: Server, *words: str) -> str:
    text = server.cli("token", "create", "--store", server.store, *words).stdout.strip()
    assert TEXT.fullmatch(text)
    return text


@pytest.fixture
def offline(tmp_path: Path) -> Server:
    """A store whose server is not running."""
    return Server(tmp_path)


@pytest.fixture
def online(tmp_path: Path) -> Iterator[Server]:
    """A server of one test's own, since a token changes who may come in."""
    with running(tmp_path) as server:
        yield server


def test_a_token_is_made_listed_and_revoked_without_a_server(offline: Server) -> None:
    text = create(offline, "--name", "laptop", "--actor", "automation:ci")
    token_id = text.split("_")[1]
    listed = offline.cli("token", "list", "--store", offline.store).stdout
    offline.cli("token", "revoke", text, "--store", offline.store)
    [view] = offline.json("token", "list", "--store", offline.store)

    assert text not in listed
    for expected in (token_id, "laptop", "automation:ci", "task:read,task:write"):
        assert expected in listed
    assert view["id"] == token_id
    assert view["revoked_at"]


def test_a_store_that_a_token_makes_is_named(offline: Server) -> None:
    words = ("token", "create", "--name", "first", "--store", offline.store)

    made = offline.cli(*words)
    again = offline.cli(*words)

    path = offline.store.removeprefix("sqlite:")
    assert made.stderr == f"taskledger: there was no store at {path}, so it is made\n"
    assert TEXT.fullmatch(made.stdout.strip())
    assert again.stderr == ""


def test_looking_for_tokens_makes_no_store(tmp_path: Path) -> None:
    nowhere = Server(tmp_path / "mistyped")
    for words in (("list",), ("revoke", "0123")):
        refused = nowhere.cli("token", *words, "--store", nowhere.store, exit_code=2)
        assert "there is no store" in refused.stderr
    assert not (tmp_path / "mistyped").exists()


def test_several_commands_may_make_the_store_at_the_same_moment(offline: Server) -> None:
    words = ("token", "create", "--store", offline.store, "--name", "one of them")
    several = [
        subprocess.Popen([*TASKLEDGER, *words], env=environment(), stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in several:
        process.communicate(timeout=SECONDS)

    assert [process.returncode for process in several] == [0, 0, 0]
    assert len(offline.json("token", "list", "--store", offline.store)) == 3


def test_the_text_of_a_token_is_not_in_the_store(offline: Server) -> None:
    text = create(offline, "--name", "secret")
    _, token_id, secret = text.split("_", 2)
    folder = Path(offline.store.removeprefix("sqlite:")).parent
    kept = b"".join(file.read_bytes() for file in folder.iterdir())

    assert token_id.encode() in kept
    assert secret.encode() not in kept


def test_wrong_values_are_refused_in_one_line(offline: Server) -> None:
    words = ("--store", offline.store)

    assert (
        "scopes"
        in offline.cli(
            "token", "create", "--name", "x", "--scope", "all", *words, exit_code=1
        ).stderr
    )
    assert (
        "actor"
        in offline.cli(
            "token", "create", "--name", "x", "--actor", "cat:tom", *words, exit_code=1
        ).stderr
    )
    assert "not found" in offline.cli("token", "revoke", "none", *words, exit_code=1).stderr
    assert offline.cli("token", "list", "--store", "paper:x", exit_code=2).stderr
    assert offline.cli("token", "list", "--store", "sqlite:/proc/x/y", exit_code=2).stderr


def test_a_running_server_notices_new_and_revoked_tokens(online: Server) -> None:
    online.cli("task", "list")
    text = create(online, "--name", "first")
    until(lambda: online_refuses(online))
    online.cli("task", "list", "--token", text)
    online.cli("token", "revoke", text, "--store", online.store)
    until(lambda: not online_refuses(online))


def online_refuses(server: Server) -> bool:
    try:
        server.cli("task", "list")
    except AssertionError:
        return True
    return False


def test_whoever_is_not_let_in_is_told_what_to_give(online: Server) -> None:
    create(online, "--name", "one")
    until(lambda: online_refuses(online))

    assert online.cli("task", "list", exit_code=1).stderr == (
        "taskledger: an access token is required: Authorization: Bearer tl_… (HTTP 401);"
        " give one by --token or TASKLEDGER_TOKEN\n"
    )
    mistyped = online.cli("task", "list", "--token", "tl_mistyped", exit_code=1).stderr
    assert "that is no access token" in mistyped


def test_a_token_allows_only_its_scopes(online: Server) -> None:
    reader = create(online, "--name", "reader", "--scope", "task:read")
    until(lambda: online_refuses(online))
    online.cli("task", "list", "--token", reader)

    outcome = online.cli("task", "create", "T", "--token", reader, exit_code=1)
    assert "task:write" in outcome.stderr
    assert "HTTP 403" in outcome.stderr


def test_a_worker_needs_no_more_than_reading_and_writing(online: Server) -> None:
    text = create(online, "--name", "worker")
    until(lambda: online_refuses(online))
    answer = online.cli("task", "create", "T", "--enqueue", "--json", "--token", text)
    told = worked(online, "--once", "--exec", "true", TASKLEDGER_TOKEN=text)

    assert answer.stdout
    assert [one["event"] for one in told] == ["claimed", "completed"]

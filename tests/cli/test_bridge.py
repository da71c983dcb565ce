"""Bridges and subscriptions from the command line, with a real receiver."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.receiver import Receiver, receiving
from tests.cli.processes import Server, until

OWN = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


@pytest.fixture(name="receiver", scope="module")
def _receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_a_bridge_from_its_making_to_its_end(
    server: Server, receiver: Receiver, tmp_path: Path
) -> None:
    made = server.cli("bridge", "create", "chat", "--url", receiver.url, "--name", "Chat").stdout
    secret = made.rpartition("secret, shown this once: ")[2].strip()
    assert secret.startswith("whsec_")
    assert "chat" in server.cli("bridge", "list").stdout

    server.cli("task", "create", "Watched", "--id", "watched")
    row = server.cli(
        *("bridge", "subscribe", "watched", "chat", "--peer", "ann", "--thread", "7"),
        *("--subscription-id", "s-1"),
    ).stdout
    assert row.split()[:2] == ["SUBSCRIPTION", "TASK"]
    assert row.splitlines()[1].split()[:5] == ["s-1", "watched", "chat", "ann", "7"]
    server.cli("task", "cancel", "watched", "--reason", "enough")
    (request,) = receiver.wait_for(1)
    assert request.signed_with(secret)
    assert request.document["data"]["text"] == "Task watched finished as canceled"
    until(lambda: "delivered" in server.cli("bridge", "show", "chat").stdout)
    shown = server.json("bridge", "show", "chat")
    assert shown["secret_available"] is True
    assert [each["subscription_id"] for each in shown["subscriptions"]] == ["s-1"]

    rotated = server.cli("bridge", "rotate", "chat").stdout
    assert secret not in rotated
    assert "secret, shown this once: whsec_" in rotated
    assert "secret" not in server.cli("bridge", "disable", "chat").stdout
    assert server.json("bridge", "list")[0]["enabled"] is False
    assert server.json("bridge", "enable", "chat")["bridge"]["enabled"] is True

    assert [
        row["subscription_id"] for row in server.json("bridge", "subscriptions", "watched")
    ] == ["s-1"]
    assert server.cli("bridge", "unsubscribe", "watched", "s-1").stdout == "s-1  deleted\n"
    assert server.cli("bridge", "subscriptions", "watched").stdout == "no subscriptions\n"
    assert server.cli("bridge", "delete", "chat").stdout == "chat  deleted\n"


def test_a_secret_of_ones_own_comes_from_a_file(
    server: Server, receiver: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{OWN}\n")
    words = ("bridge", "create", "own", "--url", receiver.url, "--secret-file", str(file))

    made = server.json(*words, "--disabled")

    assert made["secret"] == OWN
    assert made["bridge"]["enabled"] is False
    server.cli("bridge", "delete", "own")
    assert server.cli("bridge", "list").stdout == "no bridges\n"

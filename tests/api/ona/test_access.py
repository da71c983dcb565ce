"""Tokens, scopes and workspaces on the methods of Ona."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from api.services import Services
from api.tokens import create_token
from domain.commands import RegisterWorkspace
from domain.values import LOCAL_USER, Origin
from tests.api.live import Client, serving
from tests.api.ona.support import call, create, new_environment, refused, send, start

HERE: Final = "0190c2b5-5d6e-7e1a-8c6b-aaaaaaaaaaaa"
Holders = dict[str, Client]


@pytest.fixture(name="by", scope="module")
def _by(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holders]:
    tokens: dict[str, str] = {}

    def prepare(services: Services) -> None:
        context = services.context(LOCAL_USER, Origin("cli", "test"))
        services.committer.execute(RegisterWorkspace(workspace_id=HERE), context)
        for name, more in {
            "owner": {"scopes": ("admin",)},
            "reader": {"scopes": ("task:read",)},
            "robot": {"actor": "automation:ci"},
            "bound": {"workspace": HERE},
        }.items():
            tokens[name] = create_token(services, name=name, **more).text  # type: ignore[arg-type]

    folder: Path = tmp_path_factory.mktemp("guarded")
    with serving(folder, prepare=prepare) as server:
        client = server.client
        yield {
            "stranger": client,
            "liar": client.like(Authorization="Bearer tl_no"),
            **{name: client.like(Authorization=f"Bearer {tokens[name]}") for name in tokens},
        }


def test_calls_need_a_token_with_the_scope_of_the_method(by: Holders) -> None:
    task_id = create(by["owner"], new_environment(), "a")
    for name in ("stranger", "liar"):
        by[name].document = by["owner"].document
        answer = send(by[name], "GetTask", {"id": task_id})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    call(by["reader"], "GetTask", {"id": task_id})
    call(by["reader"], "ListTaskExecutions", {})
    for method in ("UpdateTask", "StartTask", "DeleteTask"):
        refused(by["reader"], method, {"id": task_id}, "permission_denied", 403)


def test_the_creator_is_who_holds_the_token(by: Holders) -> None:
    found = start(by["robot"], create(by["robot"], new_environment(), "a"))
    assert found["metadata"]["creator"]["principal"] == "PRINCIPAL_SERVICE_ACCOUNT"


def test_a_bound_token_reaches_its_own_environment_alone(by: Holders) -> None:
    there = new_environment()
    mine, theirs = create(by["bound"], HERE, "a"), create(by["owner"], there, "a")
    begun = start(by["owner"], theirs)["id"]

    assert [each["id"] for each in call(by["bound"], "ListTasks", {})["tasks"]] == [mine]
    assert call(by["bound"], "ListTaskExecutions", {})["taskExecutions"] == []
    own = {"filter": {"environmentIds": [HERE]}}
    assert len(call(by["bound"], "ListTasks", own)["tasks"]) == 1
    for method, body in (
        ("GetTask", {"id": theirs}),
        ("UpdateTask", {"id": theirs}),
        ("DeleteTask", {"id": theirs}),
        ("StartTask", {"id": theirs}),
        ("GetTaskExecution", {"id": begun}),
        ("StopTaskExecution", {"id": begun}),
        ("ListTasks", {"filter": {"environmentIds": [there]}}),
        ("CreateTask", {"environmentId": there}),
    ):
        refused(by["bound"], method, body, "permission_denied", 403)

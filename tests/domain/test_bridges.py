"""Bridges and subscriptions (task API, bridge notifications; the rows of its tables)."""

from typing import Any

import pytest

from domain import bridge_commands as b
from domain import commands as c
from domain import events as e
from domain.bridge_state import BridgeState
from domain.errors import (
    BridgeNotFoundError,
    ConflictError,
    DomainError,
    InvalidScopeBindingError,
    PayloadTooLargeError,
    PermissionDeniedError,
    SubscriptionNotFoundError,
    TaskNotFoundError,
    ValidationError,
    WorkspaceNotFoundError,
)
from domain.values import Actor
from tests.support.spec import NOW, Past, given
from tests.support.steps import task, workspace, workspace_task

URL = "https://hooks.example/a?tenant=1"


def bridge(bridge_id: str = "b1", **more: Any) -> b.PutBridge:
    return b.PutBridge(**{"bridge_id": bridge_id, "url": URL, "secret_id": "sec-1", **more})


def configured(bridge_id: str = "b1", **more: Any) -> e.BridgeConfigured:
    usual = {"url": URL, "scope": "global", "enabled": True, "secret_id": "sec-1"}
    return e.BridgeConfigured(bridge_id=bridge_id, **{**usual, **more})


def subscribe(task_id: str = "t", **more: Any) -> b.SubscribeBridge:
    usual = {"bridge_instance_id": "b1", "peer_id": "ann", "delivery_mode": "reply"}
    return b.SubscribeBridge(task_id=task_id, **{"subscription_id": "s", **usual, **more})


def subscribed(**more: Any) -> e.TaskBridgeSubscribed:
    usual = {"scope": "global", "peer_id": "ann", "delivery_mode": "reply"}
    return e.TaskBridgeSubscribed(
        **{"subscription_id": "s", "bridge_instance_id": "b1", **usual, **more}
    )


def opened(**more: Any) -> e.NotificationOpened:
    return e.NotificationOpened(**{"subscription_id": "s", "subject_task_id": "t", **more})


def test_a_bridge_is_made_with_what_is_usual() -> None:
    given().when(bridge()).then(Past("bridge:b1", configured()))


def test_a_bridge_may_belong_to_a_workspace() -> None:
    made = configured(scope="workspace", workspace_id="w1", name="Chat", enabled=False)

    spec = given(workspace("w1", name="main"))
    spec.when(bridge(workspace="main", name=" Chat ", enabled=False)).then(made)


def test_what_is_not_named_stays_as_it_is() -> None:
    spec = given(workspace("w1"), bridge(workspace="w1", name="Chat"))

    off = configured(scope="workspace", workspace_id="w1", name="Chat", enabled=False)
    spec.when(b.PutBridge(bridge_id="b1", enabled=False)).then(off)
    state = spec.world.states["bridge:b1"]
    assert isinstance(state, BridgeState)
    assert (state.enabled, state.name, state.url) == (False, "Chat", URL)


def test_the_same_again_changes_nothing() -> None:
    given(bridge()).when(bridge()).then_nothing()


def test_a_new_secret_and_a_new_address_take_the_place_of_the_old() -> None:
    spec = given(bridge())

    changed = configured(url="http://other.example/", secret_id="sec-2")
    spec.when(bridge(url="http://other.example/", secret_id="sec-2")).then(changed)


def test_a_removed_bridge_may_be_made_again_elsewhere() -> None:
    spec = given(workspace("w1"), bridge(), b.RemoveBridge(bridge_id="b1"))

    spec.when(bridge(workspace="w1"), at=NOW + 5)
    spec.then(configured(scope="workspace", workspace_id="w1"))
    state = spec.world.states["bridge:b1"]
    assert isinstance(state, BridgeState)
    assert (state.created_at, state.removed) == (NOW + 5, False)


BAD_BRIDGES: list[tuple[dict[str, Any], type[DomainError], str]] = [
    ({"bridge_id": " "}, ValidationError, "bridge.id is required"),
    ({"bridge_id": "a b"}, ValidationError, "bridge.id must be 1 to 128 letters, digits, _, -"),
    ({"bridge_id": "x" * 129}, ValidationError, "bridge.id must be"),
    ({"url": None}, ValidationError, "bridge.url is required"),
    ({"url": ""}, ValidationError, "bridge.url is required"),
    ({"url": "ftp://a.example/"}, ValidationError, "bridge.url must be an http or https URL"),
    ({"url": "https:///path"}, ValidationError, "bridge.url must be an http or https URL"),
    ({"url": "https://a.example:99999/"}, ValidationError, "bridge.url must be"),
    ({"url": "https://a.example:0/"}, ValidationError, "bridge.url must be"),
    ({"url": "https://[::1/"}, ValidationError, "bridge.url must be"),
    ({"url": "https://ä.example/"}, ValidationError, "bridge.url must be"),
    ({"url": "https://a.example/a b"}, ValidationError, "bridge.url must be"),
    ({"url": "https://a.example/\x7f"}, ValidationError, "bridge.url must be"),
    ({"url": "https://a.example\\@b.example/"}, ValidationError, "bridge.url must be"),
    ({"url": "https://me:pw@a.example/"}, ValidationError, "a user name or password"),
    ({"url": "https://a.example/#x"}, ValidationError, "must not contain a fragment"),
    ({"url": "https://a.example/?api_key=x"}, ValidationError, 'parameter "api_key"'),
    ({"url": "https://a.example/?apikey=x"}, ValidationError, 'parameter "apikey"'),
    ({"url": "https://a.example/?authorization=x"}, ValidationError, 'parameter "authorization"'),
    ({"url": "https://a.example/?a=1;token=x"}, ValidationError, 'parameter "token"'),
    ({"url": "https://a.example/whsec_x"}, ValidationError, "bridge.url must not contain a secret"),
    ({"name": "whsec_x"}, ValidationError, "bridge.name must not contain a secret"),
    ({"url": f"https://a.example/{'x' * 2048}"}, PayloadTooLargeError, "bridge.url exceeds 2048"),
    ({"scope": "here"}, ValidationError, 'bridge.scope must be "global" or "workspace": "here"'),
    ({"scope": "workspace"}, InvalidScopeBindingError, '"workspace" needs bridge.workspace'),
    ({"scope": "global", "workspace": "w1"}, InvalidScopeBindingError, "takes no bridge.workspace"),
    ({"workspace": "w9"}, WorkspaceNotFoundError, '"w9"'),
    ({"name": "x" * 1025}, PayloadTooLargeError, "bridge.name exceeds 1024 bytes"),
]


@pytest.mark.parametrize(("members", "error", "text"), BAD_BRIDGES)
def test_a_bad_bridge_is_refused(
    members: dict[str, Any], error: type[DomainError], text: str
) -> None:
    given(workspace("w1")).when(bridge(**members)).then_refused(error, text)


def test_a_refused_address_is_not_repeated() -> None:
    spec = given().when(bridge(url="https://me:pass@a.example/"))

    assert spec.refusal is not None
    assert "pass" not in spec.refusal.text.replace("password", "")


def test_a_bridge_stays_where_it_is() -> None:
    spec = given(workspace("w1"), bridge(), bridge("b2", workspace="w1"))

    spec.when(bridge(workspace="w1")).then_refused(ConflictError, "belongs to the global scope")
    elsewhere = bridge("b2", scope="global")
    spec.when(elsewhere).then_refused(ConflictError, 'belongs to workspace "w1"')


def test_a_bound_token_reaches_only_the_bridges_of_its_workspace() -> None:
    spec = given(workspace("w1"), bridge(), bridge("b2", workspace="w1"))

    spec.when(bridge(), workspace_limit="w1").then_refused(PermissionDeniedError)
    removal = b.RemoveBridge(bridge_id="b1")
    spec.when(removal, workspace_limit="w1").then_refused(PermissionDeniedError)
    gone = e.BridgeRemoved(bridge_id="b2", workspace_id="w1")
    spec.when(b.RemoveBridge(bridge_id="b2"), workspace_limit="w1").then(gone)


def test_only_a_known_bridge_can_be_removed() -> None:
    spec = given(bridge(), b.RemoveBridge(bridge_id="b1"))

    for bridge_id in ("b1", "b2"):
        spec.when(b.RemoveBridge(bridge_id=bridge_id)).then_refused(
            BridgeNotFoundError, f'bridge: bridge instance not found: "{bridge_id}"'
        )


def test_subscribing_is_an_event_of_the_task_and_opens_a_cursor() -> None:
    spec = given(task("t"), bridge()).when(subscribe())

    spec.then(Past("task:t", subscribed()), Past("notification:s", opened()))
    spec.then_reply(task_id="t", subscription_id="s")
    assert spec.recorded[1].causation_id == spec.recorded[0].event_id


def test_a_subscription_without_an_id_gets_one() -> None:
    spec = given(task("t"), bridge()).when(subscribe(subscription_id=" "))

    spec.then_reply(task_id="t", subscription_id="bts-1")


def test_who_is_told_of_a_task_does_nothing_to_it() -> None:
    spec = given(task("t"), bridge()).when(subscribe(), at=NOW + 9)

    spec.then_task("t", last_activity_at=NOW, updated_at=NOW)
    assert spec.world.task("t").latest_event_seq == spec.recorded[0].sequence


def test_scope_and_workspace_are_those_of_the_task() -> None:
    made = subscribed(scope="workspace", workspace_id="w1", peer_id="", group_id="g", thread_id="h")
    spec = given(workspace("w1"), workspace_task("t"), bridge(workspace="w1"))

    target = {"peer_id": "", "group_id": "g", "thread_id": "h"}
    spec.when(subscribe(scope="workspace", workspace_id="w1", **target))
    spec.then(made, opened(workspace_id="w1"))
    # Without a scope nothing is said that could be wrong.
    spec.when(subscribe(workspace_id="other", **target)).then(made, opened(workspace_id="w1"))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("direct-send", "direct-send"),
        ("direct", "direct-send"),
        ("direct_send", "direct-send"),
        (" SEND ", "direct-send"),
        ("reply", "reply"),
        ("reply-send", "reply"),
        ("reply_send", "reply"),
    ],
)
def test_delivery_modes_have_other_names(sent: str, stored: str) -> None:
    spec = given(task("t"), bridge()).when(subscribe(delivery_mode=sent))

    spec.then(subscribed(delivery_mode=stored), opened())


BAD_SUBSCRIPTIONS: list[tuple[dict[str, Any], type[DomainError], str]] = [
    ({"task_id": "unknown"}, TaskNotFoundError, 'task: task not found: task "unknown"'),
    ({"scope": "here"}, ValidationError, "subscription.scope must be"),
    (
        {"scope": "workspace"},
        InvalidScopeBindingError,
        'subscription.scope must be that of the task, "global": "workspace"',
    ),
    (
        {"task_id": "wt", "scope": "workspace", "workspace_id": "w2", "bridge_instance_id": "wb"},
        InvalidScopeBindingError,
        'subscription.workspace_id must be that of the task, "w1": "w2"',
    ),
    (
        {"task_id": "wt", "scope": "workspace", "bridge_instance_id": "wb"},
        InvalidScopeBindingError,
        'subscription.workspace_id must be that of the task, "w1": ""',
    ),
    ({"delivery_mode": ""}, ValidationError, "subscription.delivery_mode is required"),
    (
        {"delivery_mode": "shout"},
        ValidationError,
        'subscription.delivery_mode must be "direct-send" or "reply": "shout"',
    ),
    ({"peer_id": ""}, ValidationError, "subscription.peer_id or subscription.group_id is required"),
    ({"peer_id": " ", "thread_id": "h"}, ValidationError, "subscription.group_id is required"),
    ({"peer_id": "x" * 1025}, PayloadTooLargeError, "subscription.peer_id exceeds 1024 bytes"),
    ({"bridge_instance_id": ""}, ValidationError, "subscription.bridge_instance_id is required"),
    (
        {"bridge_instance_id": "b9"},
        BridgeNotFoundError,
        'bridge: bridge instance not found: "b9"',
    ),
    (
        {"bridge_instance_id": "wb"},
        InvalidScopeBindingError,
        'bridge "wb" is bound to another scope or workspace than the task',
    ),
    ({"subscription_id": "a.b"}, ValidationError, "subscription.subscription_id must be 1 to 128"),
]


@pytest.mark.parametrize(("members", "error", "text"), BAD_SUBSCRIPTIONS)
def test_a_bad_subscription_is_refused(
    members: dict[str, Any], error: type[DomainError], text: str
) -> None:
    spec = given(
        workspace("w1"),
        task("t"),
        workspace_task("wt"),
        bridge(),
        bridge("wb", workspace="w1"),
    )

    spec.when(subscribe(**members)).then_refused(error, text)


def test_a_known_subscription_gets_the_new_target_and_keeps_who_made_it() -> None:
    ann = Actor("human", "ann")
    spec = given(task("t"), bridge()).given().when(subscribe(), actor=ann)
    spec.when(subscribe(peer_id="", group_id="g"), at=NOW + 7)
    spec.then(subscribed(peer_id="", group_id="g"), opened())

    state = spec.world.states["task:t"]
    known = state.subscriptions["s"]  # type: ignore[union-attr]
    assert (known.created_by, known.created_at, known.updated_at) == (ann, NOW, NOW + 7)
    assert (known.peer_id, known.group_id) == ("", "g")


def test_a_subscription_does_not_move_to_another_task() -> None:
    spec = given(task("t"), task("u"), bridge(), subscribe())

    text = 'task: conflict: subscription "s" belongs to another task'
    spec.when(subscribe("u")).then_refused(ConflictError, text)
    assert spec.refusal is not None


def test_an_id_that_is_free_again_may_name_a_subscription_of_another_task() -> None:
    spec = given(task("t"), task("u"), bridge(), subscribe())
    spec.given(b.UnsubscribeBridge(task_id="t", subscription_id="s"))

    spec.when(subscribe("u")).then(subscribed(), opened(subject_task_id="u"))
    spec.given(c.DeleteTask(task_id="u"))
    spec.when(subscribe("t")).then(subscribed(), opened())


def test_a_subscription_can_be_ended_once() -> None:
    spec = given(task("t"), task("u"), bridge(), subscribe())
    spec.given(subscribe(subscription_id="other"))

    ended = b.UnsubscribeBridge(task_id="t", subscription_id="s")
    elsewhere = b.UnsubscribeBridge(task_id="u", subscription_id="s")
    spec.when(elsewhere).then_refused(
        SubscriptionNotFoundError, 'bridge: task subscription not found: "s" of task "u"'
    )
    gone = e.TaskBridgeUnsubscribed(subscription_id="s", bridge_instance_id="b1")
    spec.when(ended).then(gone)
    spec.when(ended).then_refused(SubscriptionNotFoundError)
    assert list(spec.world.states["task:t"].subscriptions) == ["other"]  # type: ignore[union-attr]

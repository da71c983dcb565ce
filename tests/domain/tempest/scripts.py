"""What scripts of any commands may ask of app versions, sensible or not."""

from typing import Any, Final

from hypothesis import strategies as st

from domain.commands import Command
from domain.tempest import commands as c
from domain.tempest.values import HealthReport, Variable
from domain.values import Blob
from tests.domain.tempest.steps import (
    BUCKET,
    act,
    created,
    execute,
    listing,
    page,
)

_APP: Final[dict[str, Any]] = {
    "app_id": st.sampled_from(["store", "store", "store", "a:b"]),
    "version": st.sampled_from(["v1", "v1", "v2"]),
}
_RUN: Final[dict[str, Any]] = {"run_id": st.integers(1, 8).map("run-{}".format)}
_REQUESTS: Final = [execute(), execute(), execute("read", "b-1"), act("burn"), listing(), listing()]
_BLOBS: Final = st.none() | st.just(Blob("a" * 64, 70_000))

BUILDERS: Final[dict[type[Command], dict[str, Any]]] = {
    c.ConnectVersion: {**_APP, "resources": st.sampled_from([(BUCKET,), (BUCKET,), ()])},
    c.ReportHealth: {
        **_APP,
        "reports": st.sampled_from([(), (HealthReport(type="bucket", status="healthy"),)]),
    },
    c.QueueOperation: {
        **_APP,
        "request": st.sampled_from(_REQUESTS),
        "request_blob": _BLOBS,
        "environment": st.sampled_from([(), (Variable(name="A", type="secret"),)]),
        "secret_id": st.just("sec-1"),
        "workspace": st.sampled_from(["", "", "w1"]),
        "priority": st.sampled_from(["", "high"]),
        "idempotency_key": st.sampled_from(["", "", "k1"]),
    },
    c.TakeOperation: {**_APP, "lease_seconds": st.just(60), "claim_token_hash": st.just("")},
    c.GiveBackOperation: {**_RUN, "reason": st.just("gone")},
    c.SetAsideOperation: {**_RUN, "reason": st.just("incomplete")},
    c.ReportOperation: {
        **_RUN,
        "status": st.sampled_from(["ok", "ok", "error", ""]),
        "response": st.sampled_from([None, created(), page(), page("p2")]),
        "response_blob": _BLOBS,
    },
}
OFTEN: Final[list[type[Command]]] = [c.ConnectVersion, c.QueueOperation, c.TakeOperation]

"""Signatures, addresses and texts of webhooks by themselves."""

import asyncio
import base64
import hashlib
import hmac
from ipaddress import ip_address
from typing import Any

import pytest

from api.bridges.message import without_secrets
from api.bridges.secrets import key_of, new_secret
from api.bridges.signing import signed_headers
from api.bridges.targets import TargetError, Targets
from api.redaction import redact_text
from domain.errors import ValidationError
from domain.instants import SECOND

PUBLIC = Targets(loopback=False, private=False)


def test_a_signature_is_that_of_the_published_example() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'

    headers = signed_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330 * SECOND + 7, body)

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    content = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_new_secrets_differ_and_can_be_signed_with() -> None:
    made = {new_secret() for _ in range(3)}

    assert len(made) == 3
    assert {len(key_of(secret)) for secret in made} == {32}


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_A", "whsec_é", "whsec_" + "A" * 88],
)
def test_what_is_no_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValidationError, match=r"must be whsec_ and 24 to 64 bytes in base64$"):
        key_of(secret)


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff0e::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("64:ff9b:1::a00:1", False),
        ("fec0::1", False),
        ("::a00:1", False),
    ],
)
def test_only_public_addresses_are_permitted(address: str, permitted: bool) -> None:
    assert PUBLIC.permits(ip_address(address)) is permitted
    assert Targets(loopback=False, private=True).permits(ip_address(address))


def test_this_machine_is_permitted_where_that_is_said() -> None:
    here = Targets(loopback=True, private=False)

    assert here.permits(ip_address("127.0.0.1"))
    assert here.permits(ip_address("::1"))
    assert not here.permits(ip_address("10.0.0.1"))


def test_a_name_is_looked_up_and_its_address_is_what_is_connected_to() -> None:
    here = Targets(loopback=True, private=False)
    target = asyncio.run(here.find("http://localhost:8080/a?b=c"))

    assert target.url in {"http://127.0.0.1:8080/a?b=c", "http://[::1]:8080/a?b=c"}
    assert (target.authority, target.host) == ("localhost:8080", "localhost")
    target = asyncio.run(here.find("https://127.0.0.1/"))
    assert target.url == "https://127.0.0.1:443/"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://localhost/", "the host is not a public address"),
        ("http://name.invalid/", "the host name cannot be resolved"),
        (f"http://{'x' * 80}.example/", "the host name cannot be resolved"),
    ],
)
def test_a_name_that_leads_nowhere_permitted_is_refused(url: str, text: str) -> None:
    with pytest.raises(TargetError, match=text):
        asyncio.run(PUBLIC.find(url))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"token": "x", "tokens": 3}, {"token": "[REDACTED]", "tokens": 3}),
        ({"claim_token_hash": "x"}, {"claim_token_hash": "[REDACTED]"}),
        ({"Client-Secret": {"a": 1}}, {"Client-Secret": "[REDACTED]"}),
        ([{"userPassword": "x"}, "text", None], [{"userPassword": "[REDACTED]"}, "text", None]),
        ({"key": 1, "monkey": 2}, {"key": 1, "monkey": 2}),
        (
            {"privateKey": 1, "AUTHORIZATION": 2},
            {"privateKey": "[REDACTED]", "AUTHORIZATION": "[REDACTED]"},
        ),
    ],
)
def test_members_that_look_secret_are_replaced(value: Any, shown: Any) -> None:
    assert without_secrets(value) == shown


def test_texts_show_no_secret_of_a_bridge() -> None:
    assert redact_text(f"it was {new_secret()}.") == "it was whsec_[REDACTED]."

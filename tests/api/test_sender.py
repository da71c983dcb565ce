"""Tries to send over TLS: the name is checked although its address is what is connected to."""

import asyncio
import datetime
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.bridges.sender import Sender, Sent
from api.bridges.targets import Targets
from tests.api.receiver import Receiver, receiving

HERE = Targets(loopback=True, private=False)


@pytest.fixture(name="certificate")
def _certificate(tmp_path: Path) -> Path:
    """A file with a certificate for `localhost` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.fixture(name="receiver")
def _receiver(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with receiving(tls=context) as receiver:
        yield receiver


def sent(url: str, targets: Targets = HERE) -> Sent:
    async def send() -> Sent:
        sender = Sender(targets, 60)
        try:
            return await sender.send(url, {"webhook-id": "1"}, b"{}")
        finally:
            await sender.close()

    return asyncio.run(send())


def test_a_name_with_a_certificate_is_sent_to(
    receiver: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert sent(f"https://localhost:{receiver.port}/hook?a=1") == Sent(status_code=204)
    (request,) = receiver.requests
    assert request.path == "/hook?a=1"
    assert request.headers["host"] == f"localhost:{receiver.port}"
    assert request.headers["user-agent"] == "taskledger"
    # The certificate is not for this one.
    wrong = sent(f"https://127.0.0.1:{receiver.port}/hook")
    assert wrong.error == "the request failed: ConnectError"
    assert len(receiver.requests) == 1


def test_nobody_is_sent_to_whose_certificate_is_not_trusted(receiver: Receiver) -> None:
    assert sent(f"https://localhost:{receiver.port}/").error == "the request failed: ConnectError"
    assert receiver.requests == []


def test_what_is_no_permitted_target_is_not_connected_to() -> None:
    with receiving() as receiver:
        nowhere = Targets(loopback=False, private=False)
        refused = sent(f"http://localhost:{receiver.port}/", nowhere)
    assert refused == Sent(error="the host is not a public address")
    assert receiver.requests == []
    assert not nowhere.permits(ip_address("127.0.0.1"))

from typing import ClassVar

import msgspec
import pytest
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.cryptography import AESCipher
from eventsourcing.persistence import JSONTranscoder, MapperDeserialisationError, StoredEvent
from eventsourcing.utils import Environment
from hypothesis import given
from msgspec import Raw

from domain.events import FACTS, Fact, TaskCreated
from domain.recorded import Recorded
from replay.codec import LedgerMapper
from replay.upcasters import Payload
from tests.replay.codec_support import events, plain_mapper
from tests.replay.golden_lines import GoldenLine, golden_lines, recorded, sample

GOLDEN = golden_lines()


def id_of(line: GoldenLine) -> str:
    return f"{line.type}-v{line.schema_version}"


@pytest.mark.parametrize("line", GOLDEN, ids=id_of)
def test_a_stored_shape_is_still_read(line: GoldenLine) -> None:
    decoded = line.decoded(plain_mapper())

    assert decoded.type == line.type
    assert msgspec.json.encode(decoded.fact) == bytes(line.fact)
    assert (decoded.sequence, decoded.originator_id, decoded.originator_version) == (
        line.sequence,
        line.stream,
        line.version,
    )


@pytest.mark.parametrize("line", GOLDEN, ids=id_of)
def test_the_current_shape_is_written_byte_for_byte(line: GoldenLine) -> None:
    decoded = line.decoded(plain_mapper())
    if line.schema_version == decoded.fact.SCHEMA_VERSION:
        assert plain_mapper().encode(decoded) == bytes(line.state)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.TYPE)
def test_every_shape_of_every_fact_has_golden_lines(fact: type[Fact]) -> None:
    shapes = [line.schema_version for line in GOLDEN if line.type == fact.TYPE]

    assert sorted({*shapes}) == list(range(1, fact.SCHEMA_VERSION + 1)), (
        "python -m tests.replay.golden_lines adds what is missing"
    )


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.TYPE)
@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
def test_the_golden_lines_show_every_field(fact: type[Fact], full: bool) -> None:
    event = recorded(sample(fact, full=full), full=full)

    assert plain_mapper().encode(event) in [bytes(line.state) for line in GOLDEN]


@given(event=events())
def test_what_is_read_is_what_was_written(event: Recorded) -> None:
    mapper = plain_mapper()
    state = mapper.encode(event)
    read = mapper.decode(
        event.sequence, event.originator_id, event.originator_version, event.type, state
    )

    assert read == event
    assert mapper.encode(read) == state


@given(event=events())
def test_stream_version_sequence_and_import_paths_are_not_in_the_state(event: Recorded) -> None:
    stored = plain_mapper().to_stored_event(event)

    assert stored.topic == event.fact.TYPE
    assert set(msgspec.json.decode(stored.state)) <= {
        *("schema_version", "event_id", "actor", "origin", "occurred_at", "recorded_at"),
        *("command_id", "payload", "task_id", "run_id", "causation_id", "correlation_id"),
    }


class Measured(Fact, frozen=True, kw_only=True):
    """A fact whose third shape counts millimetres; the first had inches, the second no unit."""

    TYPE = "test.measured"
    SCHEMA_VERSION: ClassVar[int] = 3
    length_mm: int
    note: Raw


def rename(payload: Payload) -> Payload:
    payload["length"] = payload.pop("inches")
    return payload


def convert(payload: Payload) -> Payload:
    inches = msgspec.json.decode(payload.pop("length"), type=int)
    return {**payload, "length_mm": Raw(msgspec.json.encode(inches * 25))}


def measuring_mapper() -> LedgerMapper:
    steps = {("test.measured", 1): rename, ("test.measured", 2): convert}
    return plain_mapper(facts={Measured.TYPE: Measured}, upcasters=steps)


def stored_measurement(schema_version: int, payload: bytes) -> bytes:
    actor = b'{"kind":"human","ref":"me"}'
    return (
        b'{"schema_version":%d,"event_id":"e","actor":%b,"origin":{"kind":"cli","ref":"r"},'
        b'"occurred_at":1,"recorded_at":2,"command_id":"c","payload":%b}'
        % (schema_version, actor, payload)
    )


@pytest.mark.parametrize(
    ("schema_version", "member"), [(1, b'"inches":4'), (2, b'"length":4'), (3, b'"length_mm":100')]
)
def test_older_shapes_pass_through_every_step(schema_version: int, member: bytes) -> None:
    payload = b'{%b,"note":{ "as":"sent" }}' % member
    state = stored_measurement(schema_version, payload)

    read = measuring_mapper().decode(1, "task:a", 1, "test.measured", state)

    assert read.fact == Measured(length_mm=100, note=Raw(b'{ "as":"sent" }'))


@pytest.mark.parametrize(
    ("type_", "state"),
    [
        ("test.measured", stored_measurement(4, b'{"length_mm":100,"note":1}')),
        ("test.measured", stored_measurement(0, b"{}")),
        ("test.measured", b"not json"),
        ("test.unknown", stored_measurement(1, b"{}")),
    ],
    ids=["newer", "older than every step", "damaged", "unknown type"],
)
def test_what_cannot_be_read_names_the_event(type_: str, state: bytes) -> None:
    with pytest.raises(MapperDeserialisationError, match=r"event 7 of stream 'task:a'"):
        measuring_mapper().decode(1, "task:a", 7, type_, state)


def test_compressor_and_cipher_of_the_library_are_kept() -> None:
    key = AESCipher.create_key(16)
    cipher = AESCipher(Environment(env={"CIPHER_KEY": key}))
    mapper = LedgerMapper(JSONTranscoder(), ZlibCompressor(), cipher)
    event = recorded(sample(TaskCreated, full=True), full=True)
    stored = mapper.to_stored_event(event)

    assert b"title" not in stored.state
    assert ZlibCompressor().decompress(cipher.decrypt(stored.state)).startswith(b"{")
    assert mapper.to_domain_event(stored) == msgspec.structs.replace(event, sequence=0)


def test_another_key_reads_nothing() -> None:
    ciphers = [
        AESCipher(Environment(env={"CIPHER_KEY": AESCipher.create_key(32)})) for _ in range(2)
    ]
    writing, reading = (LedgerMapper(JSONTranscoder(), cipher=cipher) for cipher in ciphers)
    stored = writing.to_stored_event(recorded(sample(TaskCreated, full=False), full=False))

    with pytest.raises(MapperDeserialisationError):
        reading.to_domain_event(StoredEvent("task:a", 1, stored.topic, stored.state))

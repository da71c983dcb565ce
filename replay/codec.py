"""The stored form of an event.

Stream, version, sequence and type are columns; everything else is one JSON text, compressed and
encrypted when the library's environment names say so. Types are data, never import paths.
"""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    Cipher,
    Compressor,
    Mapper,
    MapperDeserialisationError,
    Notification,
    StoredEvent,
    Transcoder,
)
from msgspec import Raw, Struct

from domain.events import FACT_BY_TYPE, Fact
from domain.instants import Instant
from domain.recorded import Recorded
from domain.values import Actor, Origin
from replay.upcasters import UPCASTERS, Upcasters, upcast

PayloadT = TypeVar("PayloadT")


class _State(Struct, Generic[PayloadT], frozen=True, omit_defaults=True, gc=False):
    """The JSON text. The version leads, so that a current shape is known by its first bytes."""

    schema_version: int
    event_id: str
    actor: Actor
    origin: Origin
    occurred_at: Instant
    recorded_at: Instant
    command_id: str
    payload: PayloadT
    task_id: str = ""
    run_id: str = ""
    causation_id: str = ""
    correlation_id: str = ""


class _Time(Struct):
    """What every event says, whatever its type and version."""

    recorded_at: Instant


class _Shape:
    """How one type of fact is read: its current shape at once, an older one step by step."""

    def __init__(self, fact: type[Fact]) -> None:
        self.version = fact.SCHEMA_VERSION
        self.prefix = b'{"schema_version":%d,' % fact.SCHEMA_VERSION
        self.decode = msgspec.json.Decoder(_State[fact]).decode  # type: ignore[valid-type]


_decode_time = msgspec.json.Decoder(_Time).decode
_decode_any = msgspec.json.Decoder(_State[dict[str, Raw]]).decode


class LedgerMapper(Mapper[str]):
    """Maps `Recorded` to stored events and back."""

    def __init__(
        self,
        transcoder: Transcoder,
        compressor: Compressor | None = None,
        cipher: Cipher | None = None,
        *,
        facts: Mapping[str, type[Fact]] = FACT_BY_TYPE,
        upcasters: Upcasters = UPCASTERS,
    ) -> None:
        """Keep the library's compressor and cipher; its transcoder has no part here."""
        super().__init__(transcoder, compressor, cipher)
        self._is_covered = bool(compressor or cipher)
        self._encoder = msgspec.json.Encoder()
        self._shapes = {name: _Shape(fact) for name, fact in facts.items()}
        self._upcasters = upcasters

    def encode(self, event: Recorded) -> bytes:
        """Return the stored state of an event."""
        fact = event.fact
        state = self._encoder.encode(
            _State(
                fact.SCHEMA_VERSION,
                event.event_id,
                event.actor,
                event.origin,
                event.occurred_at,
                event.recorded_at,
                event.command_id,
                fact,
                event.task_id,
                event.run_id,
                event.causation_id,
                event.correlation_id,
            )
        )
        if self.compressor:
            state = self.compressor.compress(state)
        if self.cipher:
            state = self.cipher.encrypt(state)
        return state

    def decode(
        self, sequence: int, stream: str, version: int, type_: str, state: bytes
    ) -> Recorded:
        """Return the event of a stored row; raises MapperDeserialisationError when unreadable."""
        try:
            found = self._state(type_, state)
        except Exception as error:
            message = f"event {version} of stream {stream!r}, a {type_!r}, is unreadable: {error!r}"
            raise MapperDeserialisationError(message) from error
        return Recorded(
            sequence=sequence,
            originator_id=stream,
            originator_version=version,
            event_id=found.event_id,
            fact=found.payload,
            actor=found.actor,
            origin=found.origin,
            occurred_at=found.occurred_at,
            recorded_at=found.recorded_at,
            command_id=found.command_id,
            task_id=found.task_id,
            run_id=found.run_id,
            causation_id=found.causation_id,
            correlation_id=found.correlation_id,
        )

    def recorded_at(self, state: bytes) -> int:
        """Return when an event was recorded, even one of a type that is not known here.

        Raises MapperDeserialisationError when it is unreadable.
        """
        try:
            return _decode_time(self._plain(state)).recorded_at
        except Exception as error:
            message = f"a stored event is unreadable: {error!r}"
            raise MapperDeserialisationError(message) from error

    def _plain(self, state: bytes) -> bytes:
        if self.cipher:
            state = self.cipher.decrypt(state)
        if self.compressor:
            state = self.compressor.decompress(state)
        return state

    def _state(self, type_: str, state: bytes) -> _State[Any]:
        if self._is_covered:
            state = self._plain(state)
        try:
            shape = self._shapes[type_]
        except KeyError:
            message = "this release knows no such type"
            raise ValueError(message) from None
        if state.startswith(shape.prefix):
            return shape.decode(state)
        return self._decode_older(type_, shape, state)

    def _decode_older(self, type_: str, shape: _Shape, state: bytes) -> _State[Any]:
        older = _decode_any(state)
        if older.schema_version > shape.version:
            message = f"schema version {older.schema_version} is newer than {shape.version}"
            raise ValueError(message)
        payload = upcast(type_, older.payload, older.schema_version, shape.version, self._upcasters)
        current = msgspec.structs.replace(older, schema_version=shape.version, payload=payload)
        return shape.decode(self._encoder.encode(current))

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Return the library's form of an event."""
        assert isinstance(domain_event, Recorded)
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=domain_event.fact.TYPE,
            state=self.encode(domain_event),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded:
        """Return the event of the library's form; its sequence is 0 when that form has none."""
        return self.decode(
            stored_event.id if isinstance(stored_event, Notification) else 0,
            str(stored_event.originator_id),
            stored_event.originator_version,
            stored_event.topic,
            stored_event.state,
        )

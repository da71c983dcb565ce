"""The ledger as lines: each event one CloudEvents 1.0 document in JSON.

The envelope is in attributes, the fact in `data`. The last member of a line is a digest of
everything before it, so that a damaged line is known by itself.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

import msgspec
from eventsourcing.persistence import MapperDeserialisationError
from msgspec import Raw, Struct

from domain.events import FACT_BY_TYPE, Fact
from domain.instants import parse_rfc3339, rfc3339
from domain.recorded import Recorded
from domain.values import Actor, Origin
from replay.errors import ReplayError
from replay.ledger import Ledger
from replay.upcasters import upcast

PAGE: Final = 1_000
_DIGEST_BYTES: Final = 16
_TAIL: Final = b',"digest":"'
_TAIL_BYTES: Final = len(_TAIL) + 2 * _DIGEST_BYTES + len(b'"}')


class LineError(ReplayError):
    """A line and an event cannot be made of each other; the text says why."""


class _Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The attributes of CloudEvents 1.0 and our extensions, in the order of writing."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    sequence: str
    recordedtime: str
    streamversion: int
    schemaversion: int
    commandid: str
    actorkind: str
    actorref: str
    originkind: str
    originref: str
    data: Raw
    taskid: str = ""
    runid: str = ""
    causationid: str = ""
    correlationid: str = ""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Line).decode
_decode_payload: Final = msgspec.json.Decoder(dict[str, Raw]).decode


def line_of(recorded: Recorded) -> bytes:
    """Return an event as one line, its end included."""
    body = _encode(
        _Line(
            specversion="1.0",
            id=recorded.event_id,
            source="taskledger",
            type=recorded.type,
            subject=recorded.originator_id,
            time=rfc3339(recorded.occurred_at),
            datacontenttype="application/json",
            sequence=str(recorded.sequence),
            recordedtime=rfc3339(recorded.recorded_at),
            streamversion=recorded.originator_version,
            schemaversion=recorded.fact.SCHEMA_VERSION,
            commandid=recorded.command_id,
            actorkind=recorded.actor.kind,
            actorref=recorded.actor.ref,
            originkind=recorded.origin.kind,
            originref=recorded.origin.ref,
            data=Raw(_encode(recorded.fact)),
            taskid=recorded.task_id,
            runid=recorded.run_id,
            causationid=recorded.causation_id,
            correlationid=recorded.correlation_id,
        )
    )
    return b'%b%b%b"}\n' % (body[:-1], _TAIL, _digest(body[:-1]))


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=_DIGEST_BYTES).hexdigest().encode()


def event_of(line: bytes) -> Recorded:
    """Return the event of a line; raises LineError when it is none, damaged, or not known here."""
    text = line.rstrip(b"\n")
    body, tail = text[:-_TAIL_BYTES], text[-_TAIL_BYTES:]
    if not tail.startswith(_TAIL):
        message = "it does not end with a digest, as each whole line of an export does"
        raise LineError(message)
    if tail != b'%b%b"}' % (_TAIL, _digest(body)):
        message = "it is damaged: its digest does not fit"
        raise LineError(message)
    try:
        return _event(_decode(body + b"}"))
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        message = f"it is not an event of this release: {error}"
        raise LineError(message) from error


def _event(line: _Line) -> Recorded:
    return Recorded(
        sequence=int(line.sequence),
        originator_id=line.subject,
        originator_version=line.streamversion,
        event_id=line.id,
        fact=_fact(line),
        actor=msgspec.convert({"kind": line.actorkind, "ref": line.actorref}, Actor),
        origin=msgspec.convert({"kind": line.originkind, "ref": line.originref}, Origin),
        occurred_at=parse_rfc3339(line.time),
        recorded_at=parse_rfc3339(line.recordedtime),
        command_id=line.commandid,
        task_id=line.taskid,
        run_id=line.runid,
        causation_id=line.causationid,
        correlation_id=line.correlationid,
    )


def _fact(line: _Line) -> Fact:
    kind = FACT_BY_TYPE[line.type]
    if line.schemaversion > kind.SCHEMA_VERSION:
        message = f"schema version {line.schemaversion} is newer than {kind.SCHEMA_VERSION}"
        raise ValueError(message)
    payload: bytes = bytes(line.data)
    if line.schemaversion < kind.SCHEMA_VERSION:
        older = _decode_payload(payload)
        payload = _encode(upcast(line.type, older, line.schemaversion, kind.SCHEMA_VERSION))
    return msgspec.json.decode(payload, type=kind)


def resumed_behind(ledger: Ledger, line: bytes) -> int:
    """Return the sequence behind which an export that ends with this line goes on.

    Raises LineError unless the line is an event of this ledger.
    """
    recorded = event_of(line)
    sequence = recorded.sequence
    if sequence > ledger.head:
        message = f"it is of sequence {sequence}, but this store ends at {ledger.head}"
        raise LineError(message)
    if _read(ledger, sequence - 1, 1) != [recorded]:
        message = f"this store has another event at sequence {sequence}"
        raise LineError(message)
    return sequence


def _read(ledger: Ledger, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
    try:
        return ledger.read(after, limit, upto)
    except MapperDeserialisationError as error:
        raise LineError(str(error)) from error


def export_lines(ledger: Ledger, after: int = 0) -> Iterator[tuple[Recorded, bytes]]:
    """Yield (event, line) of each event behind `after`, up to the head as it is now.

    Raises LineError for an event that cannot be read.
    """
    upto = ledger.head
    while page := _read(ledger, after, PAGE, upto):
        for recorded in page:
            yield recorded, line_of(recorded)
        after = page[-1].sequence

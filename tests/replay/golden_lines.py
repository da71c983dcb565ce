"""The stored shapes ever released: `golden/<type>.jsonl`, lines that are added and never edited.

`python -m tests.replay.golden_lines` adds the lines of facts that are not shown as they are now,
with all members and with those alone that have no default.
"""

from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

from domain.events import FACTS, Fact
from domain.ona import values as ona
from domain.profile import (
    CoordinatorProfile,
    ExecutionProfile,
    ParticipantPolicy,
    ReviewProfile,
    RuntimePolicy,
    SandboxPolicy,
    WorkerProfile,
)
from domain.recorded import Recorded
from domain.tempest.values import (
    ActionDefinition,
    HealthReport,
    Link,
    Links,
    ResourceDefinition,
    Variable,
)
from domain.values import Actor, Blob, Origin, Owner, Soul
from replay.codec import LedgerMapper
from tests.replay.codec_support import plain_mapper

FOLDER = Path(__file__).parent / "golden"
NUMBERS: dict[Any, Any] = {bool: True, int: 7, float: 0.5}
STRUCTS: dict[Any, Any] = {
    HealthReport: HealthReport(type="bucket", status="degraded", message="slow"),
    ResourceDefinition: ResourceDefinition(
        type="bucket",
        display_name="Bucket",
        description="Where files are",
        lifecycle_stage="operate",
        list_supported=True,
        create_supported=True,
        create_input_schema=Raw(b'{"type":"object"}'),
        links=Links(links=(Link(title="Docs", url="https://docs.example/", type="support"),)),
        actions=(ActionDefinition(name="empty", input_json_schema=Raw(b"{}")),),
    ),
    Variable: Variable(name="TOKEN", type="secret"),
    ona.Trigger: ona.Trigger(kind="prebuild", on=False),
    ona.TaskSpec: ona.TaskSpec(
        command="make",
        env=(
            ona.Variable(name="A", value=""),
            ona.Variable(name="B", secret_id="secret-1"),
        ),
        runs_on=ona.RunsOn(docker=ona.Docker(image="alpine", environment=("X=1",)), machine=True),
        prebuild_requires_success=True,
    ),
    Actor: Actor("agent_session", "sess-1"),
    Owner: Owner("pool", "builders"),
    Blob: Blob("6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", 1),
    Soul: Soul(
        snapshot_id="soul-1",
        digest="sha256:aa",
        agent_name="coder",
        captured_at="2023-11-14T22:13:20Z",
    ),
    ExecutionProfile: ExecutionProfile(
        coordinator=CoordinatorProfile(mode="guided", agent_name="lead", guidance="slowly"),
        worker=WorkerProfile(
            mode="select", agent_name="coder", provider="p", required_capabilities=("go", "sql")
        ),
        review=ReviewProfile(allowed_agent_names=("critic",), model="m"),
        participants=ParticipantPolicy(preferred_channel_ids=("room",), allowed_peer_ids=("x",)),
        sandbox=SandboxPolicy(mode="ref", sandbox_ref="box"),
        runtime=RuntimePolicy(mode="evidence"),
        created_at=1_700_000_000_000_003,
        updated_at=1_700_000_000_000_004,
    ),
}
TIMES: dict[str, Any] = {"occurred_at": 1_700_000_000_000_001, "recorded_at": 1_700_000_000_000_002}


class GoldenLine(Struct, frozen=True, kw_only=True):
    """A stored row, and the JSON form of the fact it has to give."""

    sequence: int
    stream: str
    version: int
    type: str
    state: Raw
    fact: Raw

    def decoded(self, mapper: LedgerMapper) -> Recorded:
        return mapper.decode(self.sequence, self.stream, self.version, self.type, bytes(self.state))

    @property
    def schema_version(self) -> int:
        """The version of the shape."""
        found = msgspec.json.decode(self.state)["schema_version"]
        assert isinstance(found, int)
        return found


def golden_lines() -> list[GoldenLine]:
    """Return every line there is."""
    return [
        msgspec.json.decode(line, type=GoldenLine)
        for path in sorted(FOLDER.glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def sample_value(name: str, annotation: Any) -> Any:
    """Return a value of a field that is not its default."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Raw:
        return Raw(b'{"key":["value",1.5,null]}')
    if annotation in NUMBERS:
        return NUMBERS[annotation]
    if annotation in STRUCTS:
        return STRUCTS[annotation]
    if annotation is str:
        return f"{name} \u00e9"
    if origin is tuple:
        item = sample_value(name, arguments[0])
        return (item, "second") if isinstance(item, str) else (item,)
    if hasattr(annotation, "__metadata__"):
        return 1_700_000_000_000_000
    # A choice of words, or a value that may be missing.
    optional = isinstance(arguments[0], type) or get_origin(arguments[0])
    return sample_value(name, arguments[0]) if optional else arguments[-1]


def sample(fact: type[Fact], *, full: bool) -> Fact:
    """Return a fact with all of its fields set, or with those alone that have no default."""
    fields = msgspec.structs.fields(fact)
    return fact(
        **{
            field.name: sample_value(field.name, field.type)
            for field in fields
            if full or field.required
        }
    )


def recorded(fact: Fact, *, full: bool) -> Recorded:
    """Return a fact in an envelope."""
    links: dict[str, Any] = {
        name: f"{name}-1"
        for name in ("task_id", "run_id", "causation_id", "correlation_id")
        if full
    }
    return Recorded(
        sequence=42,
        originator_id="task:task-1",
        originator_version=7,
        event_id="evt-1",
        fact=fact,
        actor=Actor("human", "local-user"),
        origin=Origin("http", "POST /api/tasks"),
        command_id="cmd-1",
        **TIMES,
        **links,
    )


def new_line(event: Recorded) -> GoldenLine:
    """Return the line of an event in its current shape."""
    return GoldenLine(
        sequence=event.sequence,
        stream=event.originator_id,
        version=event.originator_version,
        type=event.type,
        state=Raw(plain_mapper().encode(event)),
        fact=Raw(msgspec.json.encode(event.fact)),
    )


def main() -> None:
    known = {(line.type, bytes(line.state)) for line in golden_lines()}
    for fact in FACTS:
        lines = [new_line(recorded(sample(fact, full=full), full=full)) for full in (True, False)]
        added = [line for line in lines if (line.type, bytes(line.state)) not in known]
        with (FOLDER / f"{fact.TYPE}.jsonl").open("ab") as file:
            file.writelines(msgspec.json.encode(line) + b"\n" for line in added)


if __name__ == "__main__":
    main()

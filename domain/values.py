"""Value types shared by every part of the domain: identities, enumerations and limits."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

Json = Raw
"""A JSON text kept exactly as it was sent."""

NO_JSON: Final = Raw()
"""The absent JSON value; fields default to this very object so that encoders can leave it out."""

ActorKind = Literal["human", "agent_session", "automation", "extension", "network_peer", "daemon"]
OwnerKind = Literal["human", "agent_session", "automation", "extension", "network_peer", "pool"]
OriginKind = Literal[
    "cli",
    "web",
    "uds",
    "http",
    "automation",
    "extension",
    "network",
    "agent_session",
    "daemon",
]
Scope = Literal["global", "workspace"]
Priority = Literal["low", "medium", "high", "urgent"]
ApprovalPolicy = Literal["none", "manual"]
ApprovalState = Literal["not_required", "pending", "approved", "rejected"]
TaskStatus = Literal[
    "draft", "pending", "blocked", "ready", "in_progress", "completed", "failed", "canceled"
]
RunStatus = Literal[
    "queued",
    "claimed",
    "starting",
    "running",
    "completed",
    "failed",
    "canceled",
    "needs_attention",
]
DependencyKind = Literal["blocks"]
DeliveryMode = Literal["direct-send", "reply"]
TriageAction = Literal["read", "archive", "dismiss"]
LeaseAction = Literal["heartbeat", "complete", "fail", "release"]
ReviewPolicy = Literal["none", "always", "on_success", "on_failure"]
ReviewStatus = Literal["requested", "routed", "in_review", "recorded", "circuit_opened", "canceled"]
ReviewOutcome = Literal["approved", "rejected", "blocked", "error", "timeout", "invalid_output"]

Facade = Literal["posthog", "ona", "tempest"]
"""The other APIs whose units of work are tasks here."""

TERMINAL_TASK: Final[frozenset[str]] = frozenset({"completed", "failed", "canceled"})
TERMINAL_RUN: Final[frozenset[str]] = frozenset({"completed", "failed", "canceled"})
OPEN_REVIEW: Final[frozenset[str]] = frozenset({"requested", "in_review"})
ACTIVE_CLAIM: Final[frozenset[str]] = frozenset({"claimed", "starting", "running"})
PRIORITY_VALUE: Final[dict[str, int]] = {"low": 10, "medium": 20, "high": 30, "urgent": 40}

DEFAULT_PRIORITY: Final = "medium"
DEFAULT_MAX_ATTEMPTS: Final = 3
MAX_ATTEMPTS: Final = 10
MAX_DEPTH: Final = 8
MAX_CHILDREN: Final = 64
MAX_DEPENDENCIES: Final = 32
METADATA_BYTES: Final = 16_384
PAYLOAD_BYTES: Final = 65_536
TEXT_BYTES: Final = 65_536
ID_BYTES: Final = 1_024
DEFAULT_LEASE_SECONDS: Final = 300
MAX_LEASE_SECONDS: Final = 86_400
MAX_DRAIN_SECONDS: Final = 86_400
MAX_CLAIMS: Final = 100
"""How many leases a session may hold at most, and how many reports may come together."""
FORCE_LIMIT: Final = 10
FORCE_WINDOW: Final = 60_000_000
"""Microseconds in which an agent may do so much by hand to one task."""
MAX_BULK: Final = 50
MAX_RETRIES: Final = 10


class Actor(Struct, frozen=True, gc=False):
    """Who did something."""

    kind: ActorKind
    ref: str

    @property
    def label(self) -> str:
        """The actor as one word, `kind:ref`."""
        return f"{self.kind}:{self.ref}"


class Origin(Struct, frozen=True, gc=False):
    """Through which door it came in."""

    kind: OriginKind
    ref: str


class Owner(Struct, frozen=True, gc=False):
    """Whom a task belongs to."""

    kind: OwnerKind
    ref: str


class Blob(Struct, frozen=True):
    """Bytes that are kept beside the events, by the SHA-256 of them in hexadecimal digits."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
    size: Annotated[int, Meta(ge=0)]


class Soul(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The persona with which a session claimed a run, as it is kept in the run's metadata."""

    snapshot_id: str = ""
    digest: str
    agent_name: str
    captured_at: str


LOCAL_USER: Final = Actor("human", "local-user")
SCHEDULER_ACTOR: Final = Actor("daemon", "scheduler")
SCHEDULER_ORIGIN: Final = Origin("daemon", "daemon.scheduler")
BOOT_ACTOR: Final = Actor("daemon", "boot-recovery")
BOOT_ORIGIN: Final = Origin("daemon", "daemon.boot")

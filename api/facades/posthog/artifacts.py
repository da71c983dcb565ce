"""Artifacts with their content: stored, listed and read."""

import re
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any, Final

from msgspec import Struct

from api.answers import NO_STORE, Answer, Stream
from api.call import Call
from api.facades.posthog.bodies import PosthogArtifactUploads, PosthogStoragePath
from api.facades.posthog.errors import invalid, not_found, plain
from api.facades.posthog.links import LINK_SECONDS, Links, check_link, links_of
from api.facades.posthog.operations import RUN, posthog, posthog_plain
from api.facades.posthog.reading import read
from api.facades.posthog.subjects import Subject, reader_of, run_in
from api.facades.posthog.views import PosthogArtifacts, Url, artifact_view
from api.operations import Operation
from domain.posthog.commands import NewArtifact, StorePosthogArtifacts
from domain.uuids import uuid_of
from projections.posthog import queries
from projections.posthog.rows import ArtifactRecord
from replay.blobs.store import require

ARTIFACTS: Final = f"{RUN}/artifacts"
_MOST: Final = 64 << 20
_ANY_TYPE: Final = "application/octet-stream"
_TYPE: Final = re.compile(r"[!-~]+/[!-~]+( ?; ?[!-~]+)*")
_HEX: Final = 8
_NOT_FOUND: Final = 404
_BAD_REQUEST: Final = 400


class PosthogPresigned(Struct, frozen=True):
    """An address that needs no header."""

    url: Url
    expires_in: int


class Place(Struct, frozen=True):
    """Where a new artifact goes; no other one ever has its path."""

    id: str
    path: str


def place_of(call: Call, subject: Subject, name: str) -> Place:
    """Return a place for an artifact of this name."""
    artifact_id = uuid_of(call.services.new_id("artifact"))
    return Place(artifact_id, path_of(subject, artifact_id, name))


def path_of(subject: Subject, artifact_id: str, name: str) -> str:
    """Return the path of an artifact of a run."""
    return f"{prefix_of(subject)}{artifact_id[:_HEX]}_{name}"


def prefix_of(subject: Subject) -> str:
    """Return what the paths of the artifacts of a run begin with."""
    return f"tasks/artifacts/{subject.task.id}/{subject.run.id}/"


def base_name(name: str, attr: str) -> str:
    """Return the last part of a path; raises RefusalError when that names nothing."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
    if last in {"", ".", ".."}:
        raise invalid("invalid_input", "This is not the name of a file.", attr)
    return last


async def store_artifacts(call: Call) -> Answer:
    """Give a run artifacts; the answer is its whole manifest, the oldest first."""
    subject = run_in(call)
    sent = (await read(call, PosthogArtifactUploads))["artifacts"]
    contents = [_content(each, f"artifacts__{at}") for at, each in enumerate(sent)]
    names = [base_name(each["name"], f"artifacts__{at}__name") for at, each in enumerate(sent)]
    new = []
    for each, name, content in zip(sent, names, contents, strict=True):
        place = place_of(call, subject, name)
        new.append(
            NewArtifact(
                id=place.id,
                name=name,
                type=each["type"],
                storage_path=place.path,
                content_type=each.get("content_type", ""),
                source=each.get("source", ""),
                content=await call.services.blobs.put(_whole(content)),
            )
        )
    await call.submit(StorePosthogArtifacts(**subject.ids, artifacts=tuple(new)))
    return call.reply(
        PosthogArtifacts(artifacts=tuple(map(artifact_view, manifest(call, subject))))
    )


def _content(sent: dict[str, Any], path: str) -> bytes:
    text: str = sent["content"]
    if sent.get("content_encoding") != "base64":
        return text.encode()
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise invalid("invalid_input", "Invalid base64 content.", f"{path}__content") from None


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


def manifest(call: Call, subject: Subject) -> list[ArtifactRecord]:
    """Return the artifacts of a run, the oldest first."""
    return queries.artifacts(reader_of(call), (subject.run.id,))[subject.run.id]


async def _wanted(call: Call, subject: Subject) -> ArtifactRecord:
    path = (await read(call, PosthogStoragePath))["storage_path"]
    found = queries.artifact_at(reader_of(call), subject.run.id, path)
    if found is None:
        raise plain(_NOT_FOUND, "Artifact not found on this run")
    return found


async def presign(call: Call) -> Answer:
    """Return an address of an artifact that needs no header."""
    subject = run_in(call)
    artifact = await _wanted(call, subject)
    links = await links_of(call, subject.workspace_id)
    url = signed(links, subject, f"artifacts/{artifact.id}/content")
    return call.reply(PosthogPresigned(url, LINK_SECONDS))


def signed(links: Links, subject: Subject, path: str) -> str:
    """Return a signed address below a run; raises RefusalError when nothing can be signed."""
    url = links.below(subject.run, path)
    if url is None:
        raise plain(_BAD_REQUEST, "no addresses can be signed: the server has no secret_key_file")
    return url


async def download(call: Call) -> Stream:
    """Return the bytes of an artifact."""
    return await _bytes_of(call, await _wanted(call, run_in(call)))


async def get_linked_artifact(call: Call) -> Stream:
    """Return the bytes of an artifact to whoever has a signed address of it."""
    await check_link(call)
    subject, artifact_id = run_in(call), call.values[3]
    found = next((each for each in manifest(call, subject) if each.id == artifact_id), None)
    if found is None:
        raise not_found()
    return await _bytes_of(call, found)


async def _bytes_of(call: Call, artifact: ArtifactRecord) -> Stream:
    blobs = call.services.blobs
    await require(blobs, artifact.content)
    kind = artifact.content_type if _TYPE.fullmatch(artifact.content_type) else _ANY_TYPE
    headers = (
        (b"content-type", kind.encode()),
        (b"content-length", b"%d" % artifact.content.size),
        # What callers stored is not to act as a page of this server.
        (b"content-disposition", b"attachment"),
        NO_STORE,
    )
    return Stream(blobs.read(artifact.content), headers)


_BYTES: Final = {"type": "string", "format": "binary"}
_ANYTHING: Final = "*/*"

OPERATIONS: Final[tuple[Operation, ...]] = (
    posthog(
        "POST",
        ARTIFACTS,
        "tasks_runs_artifacts_create",
        store_artifacts,
        body=PosthogArtifactUploads,
        reply=PosthogArtifacts,
        max_body=_MOST,
    ),
    posthog_plain(
        "POST",
        f"{ARTIFACTS}/presign",
        "tasks_runs_artifacts_presign_create",
        presign,
        scope="task:read",
        body=PosthogStoragePath,
        reply=PosthogPresigned,
    ),
    posthog_plain(
        "POST",
        f"{ARTIFACTS}/download",
        "tasks_runs_artifacts_download_create",
        download,
        scope="task:read",
        body=PosthogStoragePath,
        reply=_BYTES,
        media_type=_ANYTHING,
    ),
    posthog(
        "GET",
        f"{ARTIFACTS}/{{artifact_id}}/content",
        "tasks_runs_artifacts_content",
        get_linked_artifact,
        public=True,
        reply=_BYTES,
        media_type=_ANYTHING,
    ),
)

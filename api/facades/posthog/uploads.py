"""Artifacts whose content is sent apart, straight to where it is kept, however large it is."""

from typing import Final
from urllib.parse import quote

from msgspec import Struct

from api.answers import NO_CONTENT, Answer
from api.call import Call
from api.facades.posthog.artifacts import (
    ARTIFACTS,
    base_name,
    manifest,
    path_of,
    place_of,
    prefix_of,
    signed,
)
from api.facades.posthog.bodies import PosthogUploadEnds, PosthogUploadWishes
from api.facades.posthog.errors import invalid
from api.facades.posthog.links import LINK_SECONDS, check_link, links_of
from api.facades.posthog.multipart import file_of
from api.facades.posthog.operations import posthog, posthog_plain
from api.facades.posthog.paging import number
from api.facades.posthog.reading import read
from api.facades.posthog.subjects import Subject, run_in
from api.facades.posthog.views import PosthogArtifacts, PosthogArtifactView, Url, artifact_view
from api.operations import Operation
from domain.errors import ValidationError
from domain.posthog.commands import NewArtifact, ReceivePosthogUpload, StorePosthogArtifacts
from domain.posthog.values import ArtifactType
from domain.values import Actor, Origin

_MOST: Final = 5 << 30
"""Bytes of one upload; S3 takes no more in one form either."""
_FORM: Final = 1 << 16
"""Bytes that the rest of a form may have."""
_LINK_HOLDER: Final = Actor("network_peer", "signed-address")
_ORIGIN: Final = Origin("network", "posthog.tasks_runs_artifacts_upload")


class PosthogForm(Struct, frozen=True):
    """Where to send a form, and which fields it has before its file."""

    url: Url
    fields: dict[str, str]


class PosthogPrepared(Struct, frozen=True, kw_only=True):
    """An artifact whose content is expected."""

    id: str
    name: str
    type: ArtifactType
    source: str
    size: int
    content_type: str
    storage_path: str
    expires_in: int
    presigned_post: PosthogForm


class PosthogPreparedUploads(Struct, frozen=True):
    """Artifacts whose content is expected."""

    artifacts: tuple[PosthogPrepared, ...]


async def prepare_upload(call: Call) -> Answer:
    """Return for each artifact where its content is to be sent; nothing is kept of that."""
    subject = run_in(call)
    sent = (await read(call, PosthogUploadWishes))["artifacts"]
    names = [base_name(each["name"], f"artifacts__{at}__name") for at, each in enumerate(sent)]
    links = await links_of(call, subject.workspace_id)
    prepared = []
    for at, (each, name) in enumerate(zip(sent, names, strict=True)):
        if each["size"] > _MOST:
            detail = f"Ensure this value is less than or equal to {_MOST}."
            raise invalid("max_value", detail, f"artifacts__{at}__size")
        place = place_of(call, subject, name)
        unique = quote(place.path.rpartition("/")[2], safe="")
        content_type = each.get("content_type", "")
        form = PosthogForm(
            signed(links, subject, f"artifacts/uploads/{each['size']}/{unique}"),
            {"key": place.path, "Content-Type": content_type or "application/octet-stream"},
        )
        prepared.append(
            PosthogPrepared(
                id=place.id,
                name=name,
                type=each["type"],
                source=each.get("source", ""),
                size=each["size"],
                content_type=content_type,
                storage_path=place.path,
                expires_in=LINK_SECONDS,
                presigned_post=form,
            )
        )
    return call.reply(PosthogPreparedUploads(tuple(prepared)))


async def upload(call: Call) -> Answer:
    """Keep the file of a form, which whoever has the signed address may send."""
    await check_link(call)
    subject = run_in(call)
    content_type = call.headers.get(b"content-type", b"").decode("latin-1")
    file = file_of(call.chunks(), content_type, number(call.values[3]))
    content = await call.services.blobs.put(file)
    command = ReceivePosthogUpload(
        **subject.ids, storage_path=f"{prefix_of(subject)}{call.values[4]}", content=content
    )
    services = call.services
    await services.committer.submit(command, services.context(_LINK_HOLDER, _ORIGIN))
    return NO_CONTENT


async def finalize_upload(call: Call) -> Answer:
    """Give a run the artifacts whose content came in; the answer has these alone.

    What the run has already is told once more, and stays as it is.
    """
    subject = run_in(call)
    sent = (await read(call, PosthogUploadEnds))["artifacts"]
    for at, each in enumerate(sent):
        if not each["storage_path"].startswith(path_of(subject, each["id"], "")):
            detail = "This is not the path of that artifact."
            raise invalid("invalid_input", detail, f"artifacts__{at}__storage_path")
    new = tuple(
        NewArtifact(
            id=each["id"],
            name=base_name(each["name"], f"artifacts__{at}__name"),
            type=each["type"],
            storage_path=each["storage_path"],
            content_type=each.get("content_type", ""),
            source=each.get("source", ""),
        )
        for at, each in enumerate(sent)
    )
    try:
        await call.submit(StorePosthogArtifacts(**subject.ids, artifacts=new))
    except ValidationError as error:
        raise invalid("invalid_input", error.detail, "artifacts") from error
    return call.reply(PosthogArtifacts(artifacts=_entries(call, subject, new)))


def _entries(
    call: Call, subject: Subject, new: tuple[NewArtifact, ...]
) -> tuple[PosthogArtifactView, ...]:
    stored = {each.storage_path: artifact_view(each) for each in manifest(call, subject)}
    return tuple(stored[each.storage_path] for each in new)


OPERATIONS: Final[tuple[Operation, ...]] = (
    posthog_plain(
        "POST",
        f"{ARTIFACTS}/prepare_upload",
        "tasks_runs_artifacts_prepare_upload_create",
        prepare_upload,
        body=PosthogUploadWishes,
        reply=PosthogPreparedUploads,
    ),
    posthog_plain(
        "POST",
        f"{ARTIFACTS}/uploads/{{size}}/{{name}}",
        "tasks_runs_artifacts_upload",
        upload,
        public=True,
        success=204,
        max_body=_MOST + _FORM,
    ),
    posthog(
        "POST",
        f"{ARTIFACTS}/finalize_upload",
        "tasks_runs_artifacts_finalize_upload_create",
        finalize_upload,
        body=PosthogUploadEnds,
        reply=PosthogArtifacts,
    ),
)

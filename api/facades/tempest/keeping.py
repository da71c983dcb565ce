"""What an operation needs that no event holds: long documents, and the values of variables."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from domain.values import Blob

if TYPE_CHECKING:
    from api.services import Services

_ENCODE: Final = msgspec.json.Encoder().encode
_VALUES: Final = msgspec.json.Decoder(dict[str, str]).decode


async def keep_long(services: "Services", document: bytes, limit: int) -> Blob | None:
    """Keep a document that is longer than this many bytes; None for one that events may hold."""
    if len(document) <= limit:
        return None
    return await services.blobs.put(_whole(document))


async def _whole(document: bytes) -> AsyncIterator[bytes]:
    yield document


async def kept(services: "Services", blob: Blob) -> bytes:
    """Return a kept document; raises BlobMissingError."""
    return b"".join([piece async for piece in services.blobs.read(blob)])


async def keep_values(services: "Services", task_id: str, values: Mapping[str, str]) -> str:
    """Keep the values of variables, by name; return the id to find them by, empty for none.

    That is the id of the task they are for, by which they are forgotten. Raises ValidationError
    when there is no key to seal them with, and StoreUnavailableError.
    """
    if not values:
        return ""
    await asyncio.to_thread(services.vault.keep, task_id, _ENCODE(values).decode())
    return task_id


async def values_of(services: "Services", secret_id: str) -> dict[str, str] | None:
    """Return the values of variables; None when they are not in this store."""
    if not secret_id:
        return {}
    found = await asyncio.to_thread(services.vault.secret, secret_id)
    return None if found is None else _VALUES(found)


async def forget_values(services: "Services", secret_id: str) -> None:
    """Remove the values of variables, if any are kept; raises StoreUnavailableError."""
    if secret_id:
        await asyncio.to_thread(services.vault.forget, secret_id)

"""Where blobs are kept, as operators write it: empty for beside the events, or `s3://…`."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from replay.blobs.store import BlobStore
from replay.errors import StoreOpenError
from replay.store import Access

EXPECTED: Final = "must be empty or s3://BUCKET/PREFIX?endpoint=URL&region=NAME"

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_OPTIONS: Final = {
    "endpoint": re.compile(
        r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?/?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?/?"
    ),
    "region": re.compile(r"[A-Za-z0-9-]{1,64}"),
}


class Bucket(Struct, frozen=True, kw_only=True):
    """A folder of an S3-compatible service; what is empty comes from the `AWS_*` variables."""

    name: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""


def bucket_of(place: str) -> Bucket:
    """Return the bucket that a place names; raises StoreOpenError, which says what it must be."""
    parts = urlsplit(place)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = all(name in _OPTIONS and _OPTIONS[name].fullmatch(options[name]) for name in options)
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.fragment or not known:
        raise StoreOpenError(f"blob_store {EXPECTED}")
    return Bucket(name=parts.netloc, prefix=parts.path.strip("/"), **options)


def blobs_at(place: str, access: Access) -> BlobStore:
    """Return the blobs at a place, which for an empty one is beside the events of `access`.

    Raises StoreOpenError for a place that cannot be understood or used.
    """
    if not place:
        return access.blobs()
    from replay.blobs.s3 import S3Blobs  # noqa: PLC0415 - its library is an extra

    return S3Blobs(bucket_of(place))

"""Where blobs are kept, as operators write it: empty for beside the events, or `s3://…`."""

import re
from typing import Final
from urllib.parse import parse_qsl

from msgspec import Struct

from replay.blobs.store import BlobStore
from replay.errors import StoreOpenError
from replay.store import Access

EXPECTED: Final = "must be empty or s3://BUCKET/PREFIX?endpoint=URL&region=NAME"

_PLACE: Final = re.compile(
    r"s3://(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{1,254})"
    r"(?P<prefix>(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,254})*)/?(?:\?(?P<options>[^#]*))?"
)
_HOST: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_OPTIONS: Final = {
    "endpoint": re.compile(rf"https?://{_HOST}/?"),
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
    found = _PLACE.fullmatch(place)
    options = dict(parse_qsl(found["options"] or "", keep_blank_values=True)) if found else {}
    known = (name in _OPTIONS and _OPTIONS[name].fullmatch(options[name]) for name in options)
    if found is None or not all(known):
        raise StoreOpenError(f"blob_store {EXPECTED}")
    return Bucket(name=found["name"], prefix=found["prefix"].lstrip("/"), **options)


def blobs_at(place: str, access: Access) -> BlobStore:
    """Return the blobs at a place, which for an empty one is beside the events of `access`.

    Raises StoreOpenError for a place that cannot be understood or used.
    """
    if not place:
        return access.blobs()
    from replay.blobs.s3 import S3Blobs  # noqa: PLC0415 - its library is an extra

    return S3Blobs(bucket_of(place))

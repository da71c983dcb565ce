"""The console: one page and its parts, as they are sent.

It has no build: what lies in this folder is what browsers run. Nothing of it names another host.
"""

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from typing import Final

from msgspec import Struct

_TYPES: Final[Mapping[str, bytes]] = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
PAGE: Final = "index.html"


class Asset(Struct, frozen=True):
    """One file of the console: its media type, entity tag, and bytes, plain and gzipped.

    The tag is a weak one, since it stands for both.
    """

    media_type: bytes
    tag: bytes
    plain: bytes
    gzipped: bytes


@cache
def assets() -> Mapping[str, Asset]:
    """Return the files of the console by name, read once."""
    names = (each.name for each in files(__name__).iterdir())
    return {name: _asset(name) for name in names if name.rpartition(".")[2] in _TYPES}


def _asset(name: str) -> Asset:
    plain = files(__name__).joinpath(name).read_bytes()
    if name == PAGE:
        plain = plain.replace(b"{version}", version("taskledger").encode())
    return Asset(
        media_type=_TYPES[name.rpartition(".")[2]],
        tag=b'W/"%s"' % sha256(plain).hexdigest()[:32].encode(),
        plain=plain,
        gzipped=gzip.compress(plain, mtime=0),
    )

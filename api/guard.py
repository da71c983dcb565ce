"""Browser protection: which Host and Origin headers are let in (task API, browser protection)."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_KEPT: Final = 256
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to the host."""
    name = host.strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def authority(host: str, port: int) -> str:
    """Return host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host_of(value: str) -> str:
    """Return the host of a Host header in lower case, without the port; empty when malformed."""
    try:
        return urlsplit(f"//{value}").hostname or ""
    except ValueError:
        return ""


def _origin_of(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an origin; None for an opaque or malformed one."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except (KeyError, ValueError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


class Guard:
    """Decides on Host and Origin; verdicts on the few values that come again and again are kept."""

    def __init__(self, host: str, port: int, allowed_hosts: tuple[str, ...]) -> None:
        """Let in the bound host, the names of this machine and the configured hosts."""
        self._bound = host.strip("[]").lower()
        self._port = port
        self._hosts = {"localhost", "127.0.0.1", "::1", self._bound, *map(str.lower, allowed_hosts)}
        self._good_hosts: set[bytes] = set()

    def admits_host(self, value: bytes | None) -> bool:
        """Whether a Host header names this server; one that is missing comes from no browser."""
        if value is None or value in self._good_hosts:
            return True
        host = _host_of(value.decode("latin-1"))
        admitted = host in self._hosts or is_loopback(host)
        if admitted and len(self._good_hosts) < _KEPT:
            self._good_hosts.add(value)
        return admitted

    def admits_origin(self, origin: bytes, headers: Mapping[bytes, bytes], scheme: str) -> bool:
        """Whether an Origin header is the request's own origin or the bound one."""
        claimed = _origin_of(origin.decode("latin-1"))
        if claimed is None:
            return False
        forwarded = headers.get(b"x-forwarded-proto", b"").decode("latin-1")
        scheme = forwarded.split(",")[0].strip().lower() or scheme
        own = _origin_of(f"{scheme}://{headers.get(b'host', b'').decode('latin-1')}")
        bound = ("http", self._bound, self._port)
        return claimed in (own, bound)

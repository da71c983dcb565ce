"""Where webhooks may go: public addresses, this machine while nobody else reaches the server."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from api.guard import is_loopback
from domain.errors import ValidationError

Address = IPv4Address | IPv6Address
_NAT64: Final = IPv6Network("64:ff9b::/96")
# All other IPv6 addresses are local, translated, reserved or multicast (RFC 4291, 2.4).
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_PORTS: Final = {"http": 80, "https": 443}


class TargetError(Exception):
    """A webhook cannot or may not be sent there."""


class Target(Struct, frozen=True, kw_only=True):
    """An address that was looked up and found permitted, to be connected to as it is."""

    url: str
    authority: str
    host: str


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast


class Targets:
    """Decides about addresses."""

    def __init__(self, *, loopback: bool, private: bool) -> None:
        """Permit this machine, and whatever else is not public, or not."""
        self._loopback = loopback
        self._private = private

    def permits(self, address: Address) -> bool:
        """Whether a webhook may go to an address."""
        address = _inner(address)
        if self._private or _is_public(address):
            return True
        return self._loopback and address.is_loopback

    def check(self, url: str) -> None:
        """Refuse an address that is known without looking it up; raises ValidationError."""
        host = urlsplit(url).hostname or ""
        try:
            permitted = self.permits(ip_address(host))
        except ValueError:
            permitted = self._private or self._loopback or not is_loopback(host)
        if not permitted:
            message = "bridge.url must lead to a public address (setting bridge_private_targets)"
            raise ValidationError(message)

    async def find(self, url: str) -> Target:
        """Look the host up and return what to connect to; raises TargetError.

        The address found is the one connected to, so that a name cannot lead elsewhere in between.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise TargetError("the host name cannot be resolved") from None
        addresses = [ip_address(str(info[4][0]).partition("%")[0]) for info in found]
        permitted = next((address for address in addresses if self.permits(address)), None)
        if permitted is None:
            raise TargetError("the host is not a public address")
        shown = f"[{permitted}]" if isinstance(permitted, IPv6Address) else str(permitted)
        pinned = parts._replace(netloc=f"{shown}:{port}").geturl()
        return Target(url=pinned, authority=parts.netloc, host=host)

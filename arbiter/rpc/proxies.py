"""The proxies of the operator's own, and whose calls they forward. Pure.

What a call says of the address it was forwarded for is believed of a configured proxy alone, of anybody else it is no more than a text. But
whoever says it, the call was made by somebody behind who is connected, so the connection proves nothing about who makes it.
"""

import ipaddress
from collections.abc import Iterable

from arbiter.errors import ConfigError

FORWARDED_FOR = b"x-forwarded-for"
FORWARDED = frozenset({FORWARDED_FOR, b"forwarded"})
"""Headers that only proxies send."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """Addresses and networks whose word counts."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    def knows(self, peer: str) -> bool:
        """Whether it is a proxy that is connected from this address."""
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)


def read_proxies(text: str) -> Proxies:
    """From addresses and networks with commas between them. Raises ConfigError."""
    networks = []
    for each in filter(None, map(str.strip, text.split(","))):
        try:
            networks.append(ipaddress.ip_network(each))
        except ValueError:
            raise ConfigError(f"grpc_proxies: {each!r} is no address and no network", "give some such as 10.0.0.7, 10.1.0.0/16") from None
    return Proxies(networks)


def forwarded_for(value: bytes) -> str:
    """The address in `x-forwarded-for` that the last proxy put there; those before it are what its client sent. Empty for none."""
    address = _address(value.rpartition(b",")[2].strip().decode("ascii", "replace"))
    return "" if address is None else str(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

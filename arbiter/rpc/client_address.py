"""Where a server is reached, as a person writes it: `host:port`, `https://host:port`, or `unix:/path` of a socket file."""

import ipaddress
from dataclasses import dataclass

from arbiter.rpc.client_errors import ArbiterClientError

TLS_PREFIX = "https://"
LOCAL_PREFIX = "unix:"


@dataclass(frozen=True)
class Address:
    """`path` is of a socket file; where it is empty, `host` (an IPv6 address without its brackets) and `port` count."""

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False
    """TLS was asked for by name."""

    @property
    def here(self) -> bool:
        """Whether what is sent there stays on this machine."""
        return bool(self.path) or is_loopback(self.host)


def read_address(text: str) -> Address:
    """Raises ArbiterClientError."""
    if text.startswith(LOCAL_PREFIX) and len(text) > len(LOCAL_PREFIX):
        return Address(path=text[len(LOCAL_PREFIX) :])
    tls = text.startswith(TLS_PREFIX)
    host, _, port = text.removeprefix(TLS_PREFIX).rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host.replace(":", "/")
    if not bare or "/" in bare or not port.isdecimal() or len(port) > 5 or not 0 < int(port) <= 65_535:
        raise ArbiterClientError(f"{text!r} is not host:port", "BAD_ADDRESS")
    return Address(bare, int(port), tls=tls)


def is_loopback(host: str) -> bool:
    """Whether only this machine is reached there. Judged by its text: no name but localhost counts, whatever it resolves to."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback

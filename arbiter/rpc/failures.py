"""Failed sign-ins, counted by the address that they come from. Who brings something valid is never counted, and never held up.

The order is always: check, then charge what failed. So an address that is used by an attacker too costs its other users
nothing. What could be made costly is verifying signatures: tokens that were issued or verified since the start are known
without, and to the others an address that failed too often gets only so many looks.
"""

import ipaddress
from collections import OrderedDict

from arbiter.domain.limits import TokenBucket
from arbiter.errors import ArbiterError, LimitExceeded
from arbiter.runtime import Environment

FAILURES_A_MINUTE = 20
"""So many failures of one address are answered for what they are."""
CHECKS_PER_SECOND = 20
"""Signatures that are verified for all addresses together that failed too often."""
MOST_ADDRESSES = 10_000
"""The address that failed the longest ago is forgotten first."""
MOST_ASKING = 1_000
"""Addresses that may ask without a token, remembered for each kind of question."""
IPV6_PREFIX = 64
"""What one subscriber gets: the addresses in it count as one."""
WIDE_IPV4, WIDE_IPV6 = 24, 48
"""What one who has many addresses has, as a rule."""
WHAT = "too many failed sign-ins from this address"


class Failures:
    """What each address has spent of its failures."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._of: OrderedDict[str, TokenBucket] = OrderedDict()
        self._checks = TokenBucket.per_second(CHECKS_PER_SECOND, environment.monotonic(), burst=1)

    def __len__(self) -> int:
        return len(self._of)

    def charge(self, peer: str, error: ArbiterError) -> ArbiterError:
        """What to answer to something that failed with `error`: that, or LimitExceeded after too many."""
        now = self._environment.monotonic()
        address = network_of(peer)
        bucket = self._of.get(address)
        if bucket is None:
            bucket = self._of[address] = TokenBucket.per_minute(FAILURES_A_MINUTE, now)
            if len(self._of) > MOST_ADDRESSES:
                self._of.popitem(last=False)
        self._of.move_to_end(address)
        wait_ms = bucket.take(now)
        return LimitExceeded(WHAT, wait_ms) if wait_ms else error

    def require_check(self, peer: str) -> None:
        """Before a signature is verified. Raises LimitExceeded where the address failed too often and so many were already."""
        bucket = self._of.get(network_of(peer))
        if bucket is None:
            return
        now = self._environment.monotonic()
        if bucket.wait_ms(now) and self._checks.take(now):
            raise LimitExceeded(WHAT, bucket.wait_ms(now))


class AddressBuckets:
    """A bucket for each address, so many tokens a second; of the addresses that asked the longest ago none is remembered."""

    def __init__(self, rate: int, environment: Environment, most: int = MOST_ASKING) -> None:
        self._rate = rate
        self._environment = environment
        self._most = most
        self._of: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._of)

    def take(self, peer: str) -> int:
        """Take one, or answer the milliseconds until there is one."""
        address, now = network_of(peer), self._environment.monotonic()
        bucket = self._of.get(address)
        if bucket is None:
            bucket = self._of[address] = TokenBucket.per_second(self._rate, now)
            if len(self._of) > self._most:
                self._of.popitem(last=False)
        self._of.move_to_end(address)
        return bucket.take(now)


def network_of(peer: str) -> str:
    """The address that failures count for: of `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]:5`; else the text itself, cut."""
    host = peer[1:].partition("]")[0] if peer.startswith("[") else peer.partition(":")[0] if peer.count(":") == 1 else peer
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return peer[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def wide_network_of(peer: str) -> str:
    """The network around that address; the text itself, cut, where it is none."""
    try:
        network = ipaddress.ip_network(network_of(peer))
    except ValueError:
        return peer[:64]
    return str(network.supernet(new_prefix=WIDE_IPV4 if network.version == 4 else WIDE_IPV6))

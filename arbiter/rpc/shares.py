"""Who holds how many of what needs no token: shares by address and by network, so that no one of them holds up the others.

This machine has its own, and so have connections that prove who is there. Where all of the others' are held, the network with the
most gives one up, its oldest, to a network that has fewer. Who lost theirs finds `lost` set.
"""

from collections import Counter
from typing import Protocol

from arbiter.errors import LimitExceeded
from arbiter.rpc.client_address import is_loopback
from arbiter.rpc.failures import network_of, wide_network_of
from arbiter.rpc.listener import LOCAL

AGAIN_MS = 10_000


class From(Protocol):
    """A call, as far as it says where it comes from."""

    peer: str
    verified_peer: bool


class Share:
    """One that is held."""

    __slots__ = ("address", "lost", "network")

    def __init__(self, peer: str) -> None:
        self.address = network_of(peer)
        self.network = wide_network_of(peer)
        self.lost = False


class Shares:
    """`what` is told to who is refused: "calls watch the health". The network has `most`, those who prove who they are as many besides."""

    def __init__(self, what: str, *, most: int, of_one_address: int, of_one_network: int) -> None:
        self._what = what
        self._here = _Pool(of_one_address, of_one_address, of_one_address)
        self._proven = _Pool(most, of_one_address, most)
        self._strangers = _Pool(most, of_one_address, of_one_network)

    def __len__(self) -> int:
        return len(self._here) + len(self._proven) + len(self._strangers)

    def take(self, call: From) -> Share:
        """Raises LimitExceeded."""
        share = Share("127.0.0.1" if _is_here(call.peer) else call.peer)
        problem = self._pool(call).put(share, self._what)
        if problem:
            raise LimitExceeded(problem, AGAIN_MS)
        return share

    def give_back(self, call: From, share: Share) -> None:
        """Also where it is lost."""
        if not share.lost:
            self._pool(call).remove(share)

    def require(self, share: Share) -> None:
        """Raises LimitExceeded where it is lost."""
        if share.lost:
            raise LimitExceeded(f"too many {self._what} from your network: others need the room", AGAIN_MS)

    def _pool(self, call: From) -> "_Pool":
        if _is_here(call.peer):
            return self._here
        return self._proven if call.verified_peer else self._strangers


class _Pool:
    def __init__(self, most: int, of_one_address: int, of_one_network: int) -> None:
        self._most = most
        self._of_one_address = of_one_address
        self._of_one_network = of_one_network
        self._held: dict[Share, None] = {}
        """The oldest first."""
        self._addresses: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def put(self, share: Share, what: str) -> str:
        """Why not; empty where it is held now."""
        if self._addresses[share.address] >= self._of_one_address:
            return f"{self._of_one_address} {what} already from this address"
        if self._networks[share.network] >= self._of_one_network:
            return f"{self._of_one_network} {what} already from this network"
        if len(self._held) >= self._most and not self._made_room(share.network):
            return f"{self._most} {what} already"
        self._held[share] = None
        self._addresses[share.address] += 1
        self._networks[share.network] += 1
        return ""

    def remove(self, share: Share) -> None:
        del self._held[share]
        for counter, key in ((self._addresses, share.address), (self._networks, share.network)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    def _made_room(self, network: str) -> bool:
        """The network with the most gives one up, unless this one would then have as many."""
        greediest, held = max(self._networks.items(), key=lambda each: each[1])
        if held <= self._networks[network] + 1:
            return False
        oldest = next(each for each in self._held if each.network == greediest)
        oldest.lost = True
        self.remove(oldest)
        return True


def _is_here(peer: str) -> bool:
    return peer == LOCAL or is_loopback(peer)

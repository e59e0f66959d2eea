"""Who has a place among the connections: the caps, and who makes room when they are reached.

A connection is a stranger until a call of an account was admitted on it. Strangers hold places for nothing, so they make room: where an
address is full, its own oldest stranger; where the server is full, the oldest of the address that has the most of them. Nobody whose
calls were admitted is ever put out. The socket file is its owner's alone and has a cap of its own.
"""

from collections import Counter

import trio

from arbiter.rpc.listener import LOCAL, neighbourhood
from arbiter.rpc.server_limits import ServerLimits


class Place:
    """One connection's, from its accept to its end. What runs in `scope` ends when another one gets the place."""

    __slots__ = ("address", "held", "known", "scope")

    def __init__(self, peer: str) -> None:
        self.address = neighbourhood(peer)
        self.scope = trio.CancelScope()
        self.known = False
        """A call of an account was admitted."""
        self.held = True


class Places:
    """All places that are taken."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._strangers: dict[str, dict[Place, None]] = {}
        """By address, the oldest first."""

    def __len__(self) -> int:
        return self._held.total()

    def take(self, peer: str, limits: ServerLimits) -> Place | None:
        """A place for a connection from this address, made free where need be; None where there is none."""
        place = Place(peer)
        address = place.address
        if address == LOCAL:
            fits = self._held[LOCAL] < limits.local_connections
        else:
            fits = (self._held[address] < limits.connections_from_one_address or self._put_out(address)) and (
                len(self) - self._held[LOCAL] < limits.connections or self._put_out(self._greediest())
            )
        if not fits:
            return None
        self._held[address] += 1
        self._strangers.setdefault(address, {})[place] = None
        return place

    def give_back(self, place: Place) -> None:
        """Its connection has ended, or will at once. Twice is once."""
        if not place.held:
            return
        place.held = False
        self._forget_stranger(place)
        self._held[place.address] -= 1
        if not self._held[place.address]:
            del self._held[place.address]

    def know(self, place: Place) -> None:
        """A call of an account was admitted: from now on it keeps its place."""
        place.known = True
        self._forget_stranger(place)

    def _greediest(self) -> str:
        return max((each for each in self._strangers if each != LOCAL), key=lambda each: len(self._strangers[each]), default="")

    def _put_out(self, address: str) -> bool:
        """Let the oldest stranger of an address go, if it has one."""
        oldest = next(iter(self._strangers.get(address, ())), None)
        if oldest is None:
            return False
        self.give_back(oldest)
        oldest.scope.cancel()
        return True

    def _forget_stranger(self, place: Place) -> None:
        strangers = self._strangers.get(place.address)
        if strangers is not None:
            strangers.pop(place, None)
            if not strangers:
                del self._strangers[place.address]

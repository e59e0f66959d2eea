"""Who has a place among the connections: the caps, and who makes room when they are reached.

A connection begins as a guest, until TLS, the preface and SETTINGS have come; guests have caps of their own, so that no number of
them takes a place from anybody else. Then it is a stranger until a call of an account was admitted on it. Guests and strangers hold
places for nothing, so they make room: where an address is full, its own oldest; where all is full, the oldest of the address that has
the most of them (of as many, the most connections), but never for an address that has more itself. Nobody whose calls were admitted
is ever put out. The socket file is its owner's alone and has a cap of its own.
"""

from collections import Counter

import trio

from arbiter.rpc.listener import LOCAL, neighbourhood
from arbiter.rpc.server_limits import ServerLimits


class Place:
    """One connection's, from its accept to its end. What runs in `scope` ends when another one gets the place."""

    __slots__ = ("address", "guest", "held", "known", "scope", "since")

    def __init__(self, peer: str) -> None:
        self.address = neighbourhood(peer)
        self.scope = trio.CancelScope()
        self.since = trio.current_time()
        """When it was accepted."""
        self.guest = True
        """It has not greeted yet."""
        self.known = False
        """A call of an account was admitted."""
        self.held = True


class Places:
    """All places that are taken."""

    def __init__(self) -> None:
        self._guests = _Waiting()
        self._strangers = _Waiting()
        self._held: Counter[str] = Counter()
        """Connections that are no guests, by address."""

    def __len__(self) -> int:
        return len(self._guests) + self._held.total()

    def take(self, peer: str, limits: ServerLimits) -> Place | None:
        """A guest's place for a connection from this address, made free where need be; None where it could not stay afterwards."""
        place = Place(peer)
        address = place.address
        if address == LOCAL:
            return place if self._settle(place, limits) else None
        if not self._has_room(address, limits):
            return None  # before it costs a handshake
        if self._guests.of(address) >= limits.handshakes_from_one_address:
            self._put_out(self._guests.oldest(address))
        elif len(self._guests) >= limits.handshakes:
            greediest = self._guests.greediest(self._held)
            whose = address if self._guests.of(address) >= self._guests.of(greediest) else greediest
            self._put_out(self._guests.oldest(whose))
        self._guests.add(place)
        return place

    def greet(self, place: Place, limits: ServerLimits) -> bool:
        """It has said what it is, so it is no guest any more. False: there is no room for it, or it was put out."""
        if not place.guest:
            return True
        if not place.held:
            return False
        self._guests.remove(place)
        if self._settle(place, limits):
            return True
        place.held = False
        return False

    def give_back(self, place: Place) -> None:
        """Its connection has ended, or will at once. Twice is once."""
        if not place.held:
            return
        place.held = False
        if place.guest:
            self._guests.remove(place)
            return
        self._strangers.remove(place)
        self._held[place.address] -= 1
        if not self._held[place.address]:
            del self._held[place.address]

    def know(self, place: Place) -> None:
        """A call of an account was admitted: from now on it keeps its place."""
        place.known = True
        self._strangers.remove(place)

    def _settle(self, place: Place, limits: ServerLimits) -> bool:
        """A place among those that have greeted, made free where need be."""
        if not self._has_room(place.address, limits):
            return False
        victim = self._victim(place.address, limits)
        if victim is not None:
            self._put_out(victim)
        place.guest = False
        self._held[place.address] += 1
        if not place.known:
            self._strangers.add(place)
        return True

    def _has_room(self, address: str, limits: ServerLimits) -> bool:
        if not self._is_full(address, limits):
            return True
        return self._victim(address, limits) is not None

    def _is_full(self, address: str, limits: ServerLimits) -> bool:
        if address == LOCAL:
            return self._held[LOCAL] >= limits.local_connections
        return self._held[address] >= limits.connections_from_one_address or self._held.total() - self._held[LOCAL] >= limits.connections

    def _victim(self, address: str, limits: ServerLimits) -> Place | None:
        """Who makes room for one more of this address; None where nobody must, or may."""
        if address == LOCAL or not self._is_full(address, limits):
            return None
        if self._held[address] >= limits.connections_from_one_address:
            return self._strangers.oldest(address)
        greediest = self._strangers.greediest(self._held)
        has = self._strangers.of(greediest), self._held[greediest]
        if has < (self._strangers.of(address) + 1, self._held[address] + 1) and greediest != address:
            return None
        return self._strangers.oldest(greediest)

    def _put_out(self, place: Place | None) -> None:
        assert place is not None
        self.give_back(place)
        place.scope.cancel()


class _Waiting:
    """Places that can be put out, by address, the oldest first."""

    def __init__(self) -> None:
        self._of: dict[str, dict[Place, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, address: str) -> int:
        return len(self._of.get(address, ()))

    def add(self, place: Place) -> None:
        self._of.setdefault(place.address, {})[place] = None
        self._count += 1

    def remove(self, place: Place) -> None:
        """If it is there."""
        places = self._of.get(place.address, {})
        if place in places:
            del places[place]
            self._count -= 1
            if not places:
                del self._of[place.address]

    def oldest(self, address: str) -> Place | None:
        return next(iter(self._of.get(address, ())), None)

    def greediest(self, connections: Counter[str]) -> str:
        """The address with the most of them; of as many, with the most connections; of those, the first. Empty where there is none."""
        return max((each for each in self._of if each != LOCAL), key=lambda each: (len(self._of[each]), connections[each]), default="")

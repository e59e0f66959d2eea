"""One venue's faults: begun here, carried out on its open sockets and on its answers."""

from collections.abc import Callable, Mapping

from arbiter.sandbox.faults.answers import Answers
from arbiter.sandbox.faults.fault import ANSWERS, FRAMES, GOING_AWAY, HUGE, Fault
from arbiter.sandbox.faults.socket import FaultySocket
from arbiter.sandbox.http import Deferred, Request, Response, Socket

GARBAGE = b"%$#&\x01 this is no JSON \xc3\xa9"
BROKEN_JSON = b'{"event_type":"book","type":"orderbook_delta","sid":1,"market":"0x'
HALF_OF = b'{"event_type":"book","type":"orderbook_snapshot","filler":"' + b"half of this never comes " * 40 + b'"}'

Special = Callable[[Fault, int], None]
"""A fault that only the engine can make: it needs the venue's books and sequence numbers."""


class Faults:
    """See the package. `special`: name -> how this venue makes it; a name that it lacks is refused at `begin`."""

    def __init__(self, refuse: Callable[[int, int], Response], special: Mapping[str, Special]) -> None:
        self._answers = Answers(refuse)
        self._special = special
        self._sockets: list[FaultySocket] = []
        self._now_ms = 0

    def check(self, fault: Fault) -> None:
        """Raises ValueError for a fault that this venue does not know."""
        if fault.what in ("error-25", "negative-level", "crossed-book", "unknown-event") and fault.what not in self._special:
            raise ValueError(f"this venue has no {fault.what}")

    def begin(self, fault: Fault, now_ms: int) -> None:
        """Let it happen from now (Unix ms) on. Raises ValueError for a fault that this venue does not know."""
        self.check(fault)
        self._now_ms = max(self._now_ms, now_ms)
        if fault.what in ANSWERS:
            self._answers.begin(fault, now_ms)
        elif fault.what in self._special:
            self._special[fault.what](fault, now_ms)
        else:
            for socket in self._open():
                _befall(socket, fault)

    def tick(self, now_ms: int) -> None:
        """It is `now_ms` (Unix ms): slow answers that are due are given."""
        self._now_ms = max(self._now_ms, now_ms)
        self._answers.tick(now_ms)

    @property
    def open_sockets(self) -> int:
        """How many sockets a fault would befall now."""
        return len(self._open())

    # -- for the engine --

    def socket(self, socket: Socket, now_ms: int) -> FaultySocket:
        """What the engine writes to instead."""
        self._now_ms = max(self._now_ms, now_ms)
        faulty = FaultySocket(socket, lambda: self._now_ms)
        self._sockets = [*self._open(), faulty]
        return faulty

    def refused_upgrade(self, request: Request, now_ms: int) -> Response | None:
        """A refusal that befalls this upgrade."""
        return self._answers.refused_upgrade(request, now_ms)

    def answer(self, request: Request, now_ms: int, given: Callable[[], Response]) -> Response | Deferred:
        """What becomes of the answer that the engine would give."""
        return self._answers.answer(request, now_ms, given)

    def _open(self) -> list[FaultySocket]:
        self._sockets = [socket for socket in self._sockets if not socket.over]
        return list(self._sockets)


def _befall(socket: FaultySocket, fault: Fault) -> None:
    if fault.what in FRAMES:
        socket.befall(fault)
        return
    match fault.what:
        case "stall":
            socket.stall(fault.for_ms)
        case "disconnect":
            socket.drop()
        case "close":
            socket.close(fault.status or GOING_AWAY)
        case "garbage":
            socket.send(GARBAGE)
        case "broken-json":
            socket.send(BROKEN_JSON)
        case "half-frame":
            socket.half(HALF_OF)
        case _:  # huge-message
            socket.send(b'{"event_type":"huge","type":"huge","filler":"' + b"x" * (fault.size or HUGE) + b'"}')

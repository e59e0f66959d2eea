"""A venue's end of a WebSocket with faults on it: what the engine sends is what it would be, what arrives may not be."""

from collections.abc import Callable

import msgspec

from arbiter.sandbox.faults.fault import Fault
from arbiter.sandbox.faults.mangle import mangled
from arbiter.sandbox.http import Socket

FOR_EVER = 2**62


class Effect(msgspec.Struct):
    """A fault on the next events: so many still, or until a time."""

    what: str
    left: int
    until_ms: int


class FaultySocket(Socket):
    """`event` goes through the faults; `send` (answers to the client, PONG) does not, nor do pings."""

    def __init__(self, socket: Socket, clock: Callable[[], int]) -> None:
        super().__init__(socket.connection)
        self._clock = clock
        self._stalled_until_ms = 0
        self._effects: list[Effect] = []

    def event(self, text: bytes) -> None:
        """What the venue tells by itself."""
        now_ms = self._clock()
        if now_ms < self._stalled_until_ms:
            return
        match self._next_effect(now_ms):
            case None:
                self.send(text)
            case "drop-frame":
                pass
            case "duplicate-frame":
                self.send(text)
                self.send(text)
            case what:
                self.send(mangled(what, text))

    def _next_effect(self, now_ms: int) -> str | None:
        self._effects = [effect for effect in self._effects if effect.left and now_ms < effect.until_ms]
        if not self._effects:
            return None
        self._effects[0].left -= 1
        return self._effects[0].what

    def stall(self, for_ms: int) -> None:
        """Tell nothing more, for so long or (0) as long as the connection lives. Pings are answered."""
        self._stalled_until_ms = self._clock() + for_ms if for_ms else FOR_EVER

    def befall(self, fault: Fault) -> None:
        """Let a fault of `FRAMES` befall the next events."""
        if fault.for_ms:
            self._effects.append(Effect(fault.what, FOR_EVER, self._clock() + fault.for_ms))
        else:
            self._effects.append(Effect(fault.what, fault.times, FOR_EVER))

"""The sandbox as a whole: a world, and the venues on which it happens. Pure: time is told to it."""

from collections.abc import Mapping

from arbiter.domain.ids import KALSHI, POLYMARKET
from arbiter.sandbox.faults.script import Player, Script
from arbiter.sandbox.kalshi.auth import TOLERANCE_MS, Authenticator
from arbiter.sandbox.kalshi.engine import KalshiEngine
from arbiter.sandbox.polymarket.engine import PolymarketEngine
from arbiter.sandbox.world import World, venue_of

NOTHING = Script()


class Sandbox:
    """Both venues' engines on one world.

    `kalshi_keys`: key id -> public key (PEM) that may open Kalshi sockets. `kalshi_tolerance_ms`: how far the time of a
    signature may be off. `script`: what goes wrong, by the time since the first tick.
    """

    def __init__(
        self, world: World, kalshi_keys: Mapping[str, bytes], *, kalshi_tolerance_ms: int = TOLERANCE_MS, script: Script = NOTHING
    ) -> None:
        self.world = world
        self._player = Player(script)
        self.polymarket = PolymarketEngine([m for m in world.markets if m.key.venue == POLYMARKET])
        authenticator = Authenticator(kalshi_keys, tolerance_ms=kalshi_tolerance_ms)
        self.kalshi = KalshiEngine([m for m in world.markets if m.key.venue == KALSHI], authenticator)

    def tick(self, now_ms: int) -> None:
        """Let the world move on to `now_ms` (Unix ms) and both venues tell their subscribers."""
        for engine in (self.polymarket, self.kalshi):
            engine.faults.tick(now_ms)
        for step in self._player.due(now_ms):
            (self.polymarket if step.venue == POLYMARKET else self.kalshi).faults.begin(step.fault, now_ms)
        for event in self.world.advance(now_ms):
            (self.polymarket if venue_of(event) == POLYMARKET else self.kalshi).apply(event, now_ms)
        self.polymarket.tick(now_ms)
        self.kalshi.tick(now_ms)

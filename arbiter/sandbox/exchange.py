"""The sandbox as a whole: a world, and the venues on which it happens. Pure: time is told to it."""

from collections.abc import Mapping

import msgspec

from arbiter.domain.ids import KALSHI, POLYMARKET, MarketKey
from arbiter.sandbox.faults.script import Player, Script
from arbiter.sandbox.kalshi.auth import TOLERANCE_MS, Authenticator
from arbiter.sandbox.kalshi.cache import REAL_MS
from arbiter.sandbox.kalshi.engine import ARCHIVED_MS, KalshiEngine
from arbiter.sandbox.polymarket.data_api import Lags
from arbiter.sandbox.polymarket.engine import PolymarketEngine
from arbiter.sandbox.world import Details, World, venue_of

NOTHING = Script()
NO_DETAILS: Mapping[MarketKey, Details] = {}


class Habits(msgspec.Struct, frozen=True):
    """What a venue does that a client must bear. The defaults are the kind ones.

    `kalshi_cache_ms`: how long REST books are answered from the edge cache. `archived_ms`: after how long a settled
    Kalshi market is historical. `lags`: of Polymarket's Data API. `clob_lag_ms`: how long Gamma has a new market before
    the CLOB. `lost_resolutions`: each so-many-th `market_resolved` is not delivered (0: none).
    """

    kalshi_cache_ms: int = 0
    archived_ms: int = ARCHIVED_MS
    lags: Lags = Lags()
    clob_lag_ms: int = 0
    lost_resolutions: int = 0


KIND = Habits()
REAL = Habits(kalshi_cache_ms=REAL_MS, clob_lag_ms=3_000, lost_resolutions=4)
"""As the venues are said to be."""


class Sandbox:
    """Both venues' engines on one world.

    `kalshi_keys`: key id -> public key (PEM) that may open Kalshi sockets. `kalshi_tolerance_ms`: how far the time of a
    signature may be off. `script`: what goes wrong, by the time since the first tick. `details`: what the venues list
    of markets that are not plain.
    """

    def __init__(
        self,
        world: World,
        kalshi_keys: Mapping[str, bytes],
        *,
        kalshi_tolerance_ms: int = TOLERANCE_MS,
        script: Script = NOTHING,
        details: Mapping[MarketKey, Details] = NO_DETAILS,
        habits: Habits = KIND,
    ) -> None:
        self.world = world
        self._player = Player(script)
        self.polymarket = PolymarketEngine(
            [m for m in world.markets if m.key.venue == POLYMARKET],
            details,
            lags=habits.lags,
            clob_lag_ms=habits.clob_lag_ms,
            lost_resolutions=habits.lost_resolutions,
        )
        authenticator = Authenticator(kalshi_keys, tolerance_ms=kalshi_tolerance_ms)
        self.kalshi = KalshiEngine(
            [m for m in world.markets if m.key.venue == KALSHI],
            authenticator,
            details,
            cache_ms=habits.kalshi_cache_ms,
            archived_ms=habits.archived_ms,
        )

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

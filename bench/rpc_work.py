"""What both servers of the rpc bench do: the same messages, the same handlers, told by the same orders.

The handlers count: `ok` goes up with the last line of a handler that answers, so a call that was refused, failed or cancelled is not
in it. A handler runs as it stands under trio and under asyncio.
"""

from collections.abc import AsyncIterator
from typing import Any

from arbiter.actors.arb_scanner import OpportunityChanged
from arbiter.actors.market_feed import MarketData
from arbiter.domain.arbitrage import Leg, Opportunity
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OpportunityId, OutcomeId, PairId
from arbiter.domain.market import KalshiFees, Market, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.v1 import trading_pb2

TRADING, STRATEGY = "arbiter.v1.TradingService", "arbiter.v1.StrategyService"
AT_ONCE = f"/{TRADING}/GetWallet"
THROUGH_THE_CORE = f"/{TRADING}/GetPositions"
FLOOD = f"/{TRADING}/StreamPositions"
OPPORTUNITIES = f"/{STRATEGY}/GetArbOpportunities"

CENT = Micros(10_000)
POLY = Market(
    MarketKey(POLYMARKET, MarketId(f"0x{0x5EED << 200:064x}")),
    EventId("final"),
    "Will the Reds win the final on February 1?",
    Outcome(OutcomeId("71321045679252212594626385532706912750332728571942532289631379312455583992563"), "Yes"),
    Outcome(OutcomeId("52114319501245915516055106046884209969926127482827954674443846427813813222426"), "No"),
    (TickRange(CENT, Micros(ONE - CENT), CENT),),
    CENT,
    fees=PolymarketFees(CENT),
)
KALS = Market(
    MarketKey(KALSHI, MarketId("KXFINAL-27FEB01-RED")),
    EventId("KXFINAL-27FEB01"),
    "Reds to win the final?",
    Outcome(OutcomeId("yes"), "Yes"),
    Outcome(OutcomeId("no"), "No"),
    (TickRange(ZERO, ONE, CENT),),
    CENT,
    fees=KalshiFees(),
)
FOUND = OpportunityId("01930d2a-7c5e-7000-8000-0123456789ab")


def load_markets(data: MarketData) -> None:
    """The two markets whose names stand in each opportunity."""
    for market in (POLY, KALS):
        data.markets.publish(market.key, market)


def change(number: int) -> OpportunityChanged:
    """The opportunity after so many changes: the same one, with other figures."""
    size = Micros(500_000_000 + number * 1_000_000)
    legs = (
        Leg(POLY.yes_key, Micros(440_000), size, Micros(220_000_000), CENT),
        Leg(KALS.no_key, Micros(510_000), size, Micros(255_000_000), CENT),
    )
    return OpportunityChanged(
        id=FOUND,
        state="updated" if number else "opened",
        pair=PairId("final-2027"),
        title="The Reds win the final",
        opportunity=Opportunity(legs, size, Micros(25_000_000), Micros(20_000_000)),
        ages_ms=(12, 34),
        opened_ms=1_790_000_000_000,
        at_ms=1_790_000_000_000 + number,
        duration_ms=number,
    )


def wallet() -> trading_pb2.WalletResponse:
    return trading_pb2.WalletResponse(
        cash_micros=10_000_000_000,
        positions_exit_micros=250_000_000,
        realised_pnl_micros=12_340_000,
        unrealised_pnl_micros=-1_000_000,
        unmarked_positions=1,
    )


def _update() -> trading_pb2.PositionUpdate:
    position = trading_pb2.Position(
        title=POLY.title,
        label="Yes",
        size_micros=500_000_000,
        cost_micros=220_000_000,
        realised_pnl_micros=12_340_000,
        fees_micros=1_000_000,
        marked=True,
        mark_price_micros=450_000,
        unrealised_pnl_micros=5_000_000,
        exit_value_micros=222_000_000,
    )
    position.outcome.venue, position.outcome.market_id, position.outcome.outcome_id = POLY.key.venue, POLY.key.market, POLY.yes.id
    return trading_pb2.PositionUpdate(positions=[position], sequence=100_000, at_unix_ms=1_790_000_000_000)


UPDATE = _update()
"""What the flood sends again and again, serialised for each message."""


class Work:
    """The handlers. `held` is what the two sides do differently: an actor's answer here, a queue's there."""

    def __init__(self) -> None:
        self.ok = 0
        self.messages = 0
        self.flood = 0
        """How many messages the next stream sends."""
        self.running = 0
        """Streams under way, where the server itself does not tell."""

    async def held(self) -> tuple[Any, ...]:
        """The user's positions, by another task: none."""
        raise NotImplementedError

    async def GetWallet(self, message: Any, request: Any) -> trading_pb2.WalletResponse:  # noqa: N802 the contract's name
        reply = wallet()
        self.ok += 1
        return reply

    async def GetPositions(self, message: Any, request: Any) -> trading_pb2.PositionsResponse:  # noqa: N802 the contract's name
        reply = trading_pb2.PositionsResponse(positions=await self.held())
        self.ok += 1
        return reply

    async def StreamPositions(self, message: Any, request: Any) -> AsyncIterator[trading_pb2.PositionUpdate]:  # noqa: N802 the contract's name
        self.running += 1
        try:
            for _ in range(self.flood):
                self.messages += 1
                yield UPDATE
        finally:
            self.running -= 1
        self.ok += 1

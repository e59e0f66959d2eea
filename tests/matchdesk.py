"""What the matching tests share: markets of both venues, requests as text, and an account's own view folded from what it is told."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from arbiter.domain.book import BookSnapshot, Level, Side
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OrderId, OutcomeId, OutcomeKey
from arbiter.domain.market import KalshiFees, Market, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import MICRO, Micros, parse_micros
from arbiter.sandbox.matching.events import AccountEvent, CashMoved, Filled, OrderChanged, Paid, PairsMoved, TradeMoved
from arbiter.sandbox.matching.orders import AccountId, NewOrder, OrderRecord
from arbiter.sandbox.matching.rules import KALSHI_RULES, POLYMARKET_RULES
from arbiter.sandbox.matching.trades import Leg, TradeStatus
from arbiter.sandbox.matching.venue import Matching

NOW = 1_767_225_600_000
CENT = Micros(10_000)
GRID = (TickRange(CENT, Micros(990_000), CENT),)


def polymarket(number: int = 1, **changes: Any) -> Market:
    market = Market(
        key=MarketKey(POLYMARKET, MarketId(f"0x{number:x}")),
        event=EventId("event"),
        title="?",
        yes=Outcome(OutcomeId(f"{number}01"), "Yes"),
        no=Outcome(OutcomeId(f"{number}02"), "No"),
        ticks=GRID,
        size_step=CENT,
        min_size=parse_micros("5"),
        min_notional=parse_micros("1"),
        fees=PolymarketFees(parse_micros("0.05")),
    )
    return msgspec.structs.replace(market, **changes)


def kalshi(ticker: str = "KXA", **changes: Any) -> Market:
    market = Market(
        key=MarketKey(KALSHI, MarketId(ticker)),
        event=EventId("KX"),
        title="?",
        yes=Outcome(OutcomeId("yes"), "Yes"),
        no=Outcome(OutcomeId("no"), "No"),
        ticks=GRID,
        size_step=CENT,
        min_size=CENT,
        fees=KalshiFees(maker_fees=True),
    )
    return msgspec.structs.replace(market, **changes)


class Desk:
    """A matching with short words: `desk.buy("a", "yes", "0.40", "10")`. All amounts are decimal text."""

    def __init__(self, matching: Matching, market: Market) -> None:
        self.matching = matching
        self.market = market
        self.now = NOW
        self._number = 0

    def fund(self, *accounts: str, amount: str = "1000", pool: int = 0) -> None:
        for account in accounts:
            self.matching.deposit(AccountId(account), parse_micros(amount), pool)

    def order(self, account: str, side: Side, outcome: str, price: str, size: str, **options: Any) -> NewOrder:
        self._number += 1
        key = self.market.yes_key if outcome == "yes" else self.market.no_key
        whose = {"id": OrderId(f"o{self._number}"), "account": AccountId(account)}
        return NewOrder(**{**whose, "outcome": key, "side": side, "price": parse_micros(price), "size": parse_micros(size), **options})

    def buy(self, account: str, outcome: str, price: str, size: str, **options: Any) -> Any:
        return self.matching.place(self.order(account, Side.BUY, outcome, price, size, **options), self.now)

    def sell(self, account: str, outcome: str, price: str, size: str, **options: Any) -> Any:
        return self.matching.place(self.order(account, Side.SELL, outcome, price, size, **options), self.now)

    def crowd(self, bids: Iterable[tuple[str, str]] = (), asks: Iterable[tuple[str, str]] = ()) -> None:
        """The world's book of YES."""
        self.matching.apply(BookSnapshot(self.market.yes_key, _levels(bids), _levels(asks)), self.now)

    def tick(self, seconds: float) -> None:
        self.now += int(seconds * 1000)
        self.matching.tick(self.now)

    def book(self, side: Side) -> list[tuple[Any, Any]]:
        return [tuple(level) for level in self.matching.levels(self.market.key, side)]

    def cash(self, account: str, pool: int = 0) -> int:
        return self.matching.account(AccountId(account)).cash[pool]

    def holds(self, account: str, outcome: str) -> int:
        key = self.market.yes_key if outcome == "yes" else self.market.no_key
        return self.matching.account(AccountId(account)).shares[key]

    def told(self, account: str) -> list[AccountEvent]:
        """What this one is told since anybody last asked."""
        return [each.event for each in self.matching.drain()[0] if each.account == account]


def _levels(pairs: Iterable[tuple[str, str]]) -> tuple[Level, ...]:
    return tuple(Level(parse_micros(price), parse_micros(size)) for price, size in pairs)


class View:
    """What an account knows from events alone; written apart from the engine's own bookkeeping."""

    def __init__(self, account: AccountId, markets: Iterable[Market], *, nets: bool) -> None:
        self.account = account
        self._markets = {market.key: market for market in markets}
        self._nets = nets
        self.cash: defaultdict[int, int] = defaultdict(int)
        self.shares: defaultdict[OutcomeKey, int] = defaultdict(int)
        self.incoming_cash: defaultdict[int, int] = defaultdict(int)
        self.incoming_shares: defaultdict[OutcomeKey, int] = defaultdict(int)
        self.open: dict[OrderId, OrderRecord] = {}

    def hear(self, event: AccountEvent) -> None:
        if isinstance(event, CashMoved):
            self.cash[event.pool] += event.amount
        elif isinstance(event, OrderChanged):
            self.open[event.order.id] = event.order
            if not event.order.status.is_open:
                del self.open[event.order.id]
        elif isinstance(event, Filled):
            self._fill(event.leg)
        elif isinstance(event, TradeMoved):
            for leg in event.trade.legs:
                if leg.account == self.account:
                    self._finish(leg, event.trade.status)
        elif isinstance(event, PairsMoved):
            market = self._markets[event.market]
            self.cash[event.pool] += event.cash
            self.shares[market.yes_key] += event.size
            self.shares[market.no_key] += event.size
        elif isinstance(event, Paid):
            market = self._markets[event.market]
            assert self.shares.pop(market.yes_key, 0) == event.yes
            assert self.shares.pop(market.no_key, 0) == event.no
            self.cash[event.pool] += event.amount

    def _fill(self, leg: Leg) -> None:
        if leg.side is Side.SELL:
            self.shares[leg.outcome] -= leg.size
            self.incoming_cash[leg.pool] += leg.cash - leg.fee
            return
        self.cash[leg.pool] -= leg.cash + leg.fee
        if not self._nets:
            self.incoming_shares[leg.outcome] += leg.size
            return
        # a signed position, as the venue shows it
        market = self._markets[leg.outcome.market_key]
        before = self.shares[market.yes_key] - self.shares[market.no_key]
        after = before + (leg.size if leg.outcome == market.yes_key else -leg.size)
        assert leg.shares_after == after
        closed = (abs(before) + leg.size - abs(after)) // 2
        self.cash[leg.pool] += closed * market.payout // MICRO
        self.shares[market.yes_key], self.shares[market.no_key] = max(after, 0), max(-after, 0)

    def _finish(self, leg: Leg, status: TradeStatus) -> None:
        if not status.is_final:
            return
        kept = status is TradeStatus.CONFIRMED
        if leg.side is Side.BUY:
            self.incoming_shares[leg.outcome] -= leg.size
            self.shares[leg.outcome] += leg.size if kept else 0
            self.cash[leg.pool] += 0 if kept else leg.cash + leg.fee
        else:
            self.incoming_cash[leg.pool] -= leg.cash - leg.fee
            self.cash[leg.pool] += leg.cash - leg.fee if kept else 0
            self.shares[leg.outcome] += 0 if kept else leg.size


def desk(market: Market) -> Desk:
    """On this one market, by the rules of its venue."""
    return Desk(Matching(KALSHI_RULES if market.key.venue == KALSHI else POLYMARKET_RULES, [market]), market)

"""A machine that does anything to a matching and checks after each step what must always hold; for hypothesis and for seeded runs."""

from collections import defaultdict
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from arbiter.domain.book import Book, BookSnapshot, Level, LevelChange, PublicTrade, Side
from arbiter.domain.ids import OrderId, OutcomeKey
from arbiter.domain.market import KalshiFees, Market
from arbiter.domain.money import MICRO, Micros
from arbiter.sandbox.matching.entry import Placed
from arbiter.sandbox.matching.events import Filled, OrderChanged
from arbiter.sandbox.matching.locks import locked_cash
from arbiter.sandbox.matching.orders import AccountId, NewOrder, OrderRecord, SelfTrade, Tif, Why
from arbiter.sandbox.matching.refused import Refused
from arbiter.sandbox.matching.rules import KALSHI_RULES, POLYMARKET_RULES, Rules
from arbiter.sandbox.matching.trades import Fate, Leg
from arbiter.sandbox.matching.venue import Matching
from arbiter.sandbox.world import FeesChanged, Stage, StageChanged
from tests.matchdesk import CENT, NOW, View, kalshi, polymarket

PEOPLE = [AccountId(name) for name in ("ann", "bob", "cid")]
people = st.sampled_from(PEOPLE)
sides = st.sampled_from(Side)
picks = st.integers(0, 99)
cents = st.integers(44, 56) | st.integers(1, 99)
sizes = st.sampled_from([500, 700, 1_000, 1_503, 2_500]) | st.integers(1, 3_000)


class Wish(NamedTuple):
    """An order that somebody may wish for, in YES prices and hundredths of a share."""

    who: AccountId
    which: int
    no: bool
    side: Side
    price: int
    size: int
    tif: Tif
    flag: str
    own: SelfTrade


wishes = st.builds(
    Wish,
    people,
    st.sampled_from([0, 0, 1]),
    st.booleans(),
    sides,
    cents,
    sizes,
    st.sampled_from([Tif.GTC, Tif.GTC, *Tif]),
    st.sampled_from(["", "", "post", "reduce", "dollars"]),
    st.sampled_from(SelfTrade),
)


class Machine(RuleBasedStateMachine):
    """`venue_rules` and `markets` are set by the classes below."""

    venue_rules: Rules
    markets: list[Market]

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.matching = Matching(self.venue_rules, self.markets)
        self.floor = self.matching._floor
        self.views = {each: View(each, self.markets, nets=self.venue_rules.nets) for each in PEOPLE}
        self.books = {market.key: Book(market.yes_key) for market in self.markets}
        self.middle = {market.key: 50 for market in self.markets}
        self.joined: dict[OrderId, int] = {}
        self.records: dict[OrderId, OrderRecord] = {}
        self.number = 0
        for person in PEOPLE:
            for pool in (0, 1):
                # the last one is poor
                self.matching.deposit(person, Micros((20 if person == PEOPLE[-1] else 1_000) * MICRO), pool)
        for which, market in enumerate(self.markets):
            self.drift(which, 0, 1_700)
            for person in [] if self.venue_rules.nets else PEOPLE[:2]:
                self.matching.split(person, market.key, Micros(100 * MICRO))
        self.hear()

    # -- what happens --

    @rule(wishes=st.lists(wishes, min_size=1, max_size=6))
    def place(self, wishes: list[Wish]) -> None:
        for wish in wishes:
            self.place_one(wish)
            self.holds()

    def by_dollars(self, wish: Wish) -> bool:
        return wish.flag == "dollars" and not wish.tif.rests and wish.side is Side.BUY and not self.venue_rules.nets

    def place_one(self, wish: Wish) -> None:
        market = self.markets[wish.which]
        self.number += 1
        request = NewOrder(
            id=OrderId(f"o{self.number}"),
            account=wish.who,
            outcome=market.no_key if wish.no else market.yes_key,
            side=wish.side,
            price=Micros((100 - wish.price if wish.no else wish.price) * CENT),
            size=Micros(wish.size * CENT),
            tif=wish.tif,
            post_only=wish.flag == "post" and wish.tif.rests,
            reduce_only=wish.flag == "reduce" and wish.tif is Tif.FAK and self.venue_rules.reduces,
            self_trade=wish.own,
            expires_ms=self.now + 200_000 if wish.tif is Tif.GTD else 0,
            spend=Micros(wish.size * wish.price * 100 if self.by_dollars(wish) else 0),
        )
        before = {side: self.queue(market, side) for side in Side}
        try:
            placed = self.matching.place(request, self.now)
        except Refused:
            assert self.matching.drain() == ([], []), "a refusal changes nothing"
            return
        self.check_placed(request, placed)
        self.check_priority(market, before, placed)

    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        if record := self.pick_open(pick):
            ended = self.matching.cancel(record.account, record.id, self.now)
            assert ended.why is Why.CANCELLED

    @rule(who=people)
    def cancel_all(self, who: AccountId) -> None:
        self.matching.cancel_all(who, self.now)
        assert self.matching.open_orders(who) == []

    @rule(pick=picks, price=cents, size=sizes, keep=st.booleans(), shorter=st.booleans())
    def amend(self, pick: int, price: int, size: int, keep: bool, shorter: bool) -> None:
        record = self.pick_open(pick)
        if record is None:
            return
        market = self.market(record.outcome)
        if shorter:
            self.refusable(lambda: self.matching.decrease(record.account, record.id, Micros(size * CENT), self.now))
            return
        wanted = record.price if keep else Micros(price * CENT)
        before = {side: self.queue(market, side) for side in Side}
        placed = self.refusable(
            lambda: self.matching.amend(record.account, record.id, wanted, Micros(record.filled + size * CENT), self.now)
        )
        if placed is not None:
            self.check_priority(market, before, placed)

    @rule(which=st.integers(0, 1), side=sides, away=st.integers(1, 8), size=st.integers(0, 2_000))
    def quote(self, which: int, side: Side, away: int, size: int) -> None:
        """The world's own book never crosses: bids below its middle, asks above."""
        market = self.markets[which]
        middle = self.middle[market.key]
        price = middle - away if side is Side.BUY else middle + away
        self.matching.apply(LevelChange(market.yes_key, side, Micros(price * CENT), Micros(size * CENT)), self.now)

    @rule(which=st.integers(0, 1), step=st.integers(-6, 6), size=st.integers(1, 2_000))
    def drift(self, which: int, step: int, size: int) -> None:
        market = self.markets[which]
        middle = self.middle[market.key] = min(80, max(20, self.middle[market.key] + step))
        levels = [Level(Micros((middle + way) * CENT), Micros(size * CENT)) for way in (-2, -1, 1, 2)]
        self.matching.apply(BookSnapshot(market.yes_key, tuple(levels[:2]), tuple(levels[2:])), self.now)

    @rule(which=st.integers(0, 1), side=sides, price=cents, size=sizes)
    def others_trade(self, which: int, side: Side, price: int, size: int) -> None:
        market = self.markets[which]
        self.matching.apply(PublicTrade(market.yes_key, Micros(price * CENT), Micros(size * CENT), side, self.now), self.now)

    @rule(seconds=st.sampled_from([0.1, 1, 3, 150]))
    def wait(self, seconds: float) -> None:
        self.now += int(seconds * 1000)
        self.matching.tick(self.now)

    @rule(fate=st.sampled_from(Fate))
    def doom(self, fate: Fate) -> None:
        if self.venue_rules.settles_by is not None:
            self.matching.doom(fate)

    @rule(pick=picks, fate=st.sampled_from(Fate))
    def turn(self, pick: int, fate: Fate) -> None:
        under_way = [each.id for each in self.floor.board.trades.values() if not each.status.is_final]
        if under_way:
            self.matching.turn(under_way[pick % len(under_way)], fate, self.now)

    @rule(who=people, which=st.integers(0, 1), size=st.integers(-2_000, 2_000))
    def split(self, who: AccountId, which: int, size: int) -> None:
        self.refusable(lambda: self.matching.split(who, self.markets[which].key, Micros(size * CENT)))

    @rule(who=people, cents_=st.integers(1, 1_000))
    def withdraw(self, who: AccountId, cents_: int) -> None:
        self.refusable(lambda: self.matching.withdraw(who, Micros(cents_ * CENT), self.now))

    @rule(which=st.integers(0, 1), multiplier=st.sampled_from([0, 500_000, 1_000_000, 3_000_000]))
    def other_fees(self, which: int, multiplier: int) -> None:
        if self.venue_rules.nets:
            fees = KalshiFees(Micros(multiplier), maker_fees=True)
            self.matching.apply(FeesChanged(self.markets[which].key, fees), self.now)

    @rule(which=st.integers(0, 1))
    def pause(self, which: int) -> None:
        for stage in (Stage.PAUSED, Stage.ACTIVE):
            if not self.floor.markets[self.markets[which].key].settled:
                self.matching.apply(StageChanged(self.markets[which].key, stage), self.now)

    @precondition(lambda self: self.number > 60)
    @rule(which=st.integers(0, 1), pays=st.sampled_from([0, 500_000, 333_333, 1_000_000]), void=st.booleans())
    def settle(self, which: int, pays: int, void: bool) -> None:
        key = self.markets[which].key
        self.matching.apply(StageChanged(key, Stage.DETERMINED, Micros(pays), void), self.now)
        self.matching.apply(StageChanged(key, Stage.SETTLED, Micros(pays), void), self.now)
        for who in PEOPLE:
            self.matching.redeem(who, key, self.now)

    # -- what must hold of one step --

    def check_placed(self, request: NewOrder, placed: Placed) -> None:
        record = placed.order
        assert sum(trade.taker.size for trade in placed.trades) == record.filled <= record.size
        if request.spend:
            assert record.taker_cash <= request.spend + len(placed.trades)
            assert record.filled == 0 or request.tif is Tif.FAK or request.spend - record.taker_cash < MICRO
        if request.tif is Tif.FOK:
            assert record.filled in (0, record.size), "all or nothing"
        if not request.tif.rests and record.why is not Why.DELAYED:
            assert not record.status.is_open, "an immediate order leaves nothing"
        if request.post_only:
            assert not placed.trades, "post-only never takes"

    def check_priority(self, market: Market, before: dict[Side, list[tuple[int, OrderId | None, int]]], placed: Placed) -> None:
        """What was taken is the front of the other side's queue, less own orders that self-trade prevention ended."""
        if not placed.trades:
            return
        other = Side.SELL if placed.order.yes_side is Side.BUY else Side.BUY
        own = self.matching.order(placed.order.id)
        assert own is not None
        prevented = own.request.self_trade is not SelfTrade.ALLOWED
        taken = [(trade.price, leg.order, leg.size) for trade in placed.trades for leg in trade.makers]
        queue = [
            each
            for each in before[other]
            if each[1] != own.id and not (prevented and each[1] is not None and self.order(each[1]).account == own.account)
        ]
        for index, (price, order, size) in enumerate(taken):
            assert queue[index][:2] == (price, order)
            assert size == queue[index][2] or index == len(taken) - 1

    # -- what must hold always --

    @invariant()
    def holds(self) -> None:
        self.hear()
        self.events_tell_everything()
        self.the_public_book_is_the_queues()
        self.nothing_is_made_or_lost()
        self.nobody_owes()
        self.nothing_crosses_and_places_are_by_time()

    def hear(self) -> None:
        told, public = self.matching.drain()
        for each in told:
            event = each.event
            self.views[each.account].hear(event)
            if isinstance(event, Filled):
                self.check_fill(event.leg)
            elif isinstance(event, OrderChanged):
                self.note_place(event.order)
        for event in public:
            book = self.books[event.outcome.market_key]
            if isinstance(event, BookSnapshot):
                book.apply_snapshot(event)
            elif isinstance(event, LevelChange):
                book.apply_change(event)

    def check_fill(self, leg: Leg) -> None:
        assert leg.order is not None
        record = self.order(leg.order)
        assert leg.outcome == record.outcome
        assert leg.size <= record.size
        assert leg.fee >= 0
        if leg.taker:
            assert leg.price <= record.price if leg.side is Side.BUY else leg.price >= record.price, "its limit"
        pico = leg.price * leg.size
        assert abs(leg.cash * MICRO - pico) < MICRO

    def note_place(self, record: OrderRecord) -> None:
        """When an order got its place: a new one at once, one that was amended when its price changed or it grew."""
        self.number += 1
        last = self.records.get(record.id)
        grew = last is not None and (record.price != last.price or record.size > last.size)
        if record.why in (Why.PLACED, Why.DELAYED) or (record.why is Why.AMENDED and grew):
            self.joined[record.id] = self.number
        self.records[record.id] = record

    def events_tell_everything(self) -> None:
        for who, view in self.views.items():
            account = self.matching.account(who)
            for mine, theirs in (
                (view.cash, account.cash),
                (view.shares, account.shares),
                (view.incoming_cash, account.incoming_cash),
                (view.incoming_shares, account.incoming_shares),
            ):
                assert nonzero(mine) == nonzero(theirs)
            assert view.open == {record.id: record for record in self.matching.open_orders(who)}

    def the_public_book_is_the_queues(self) -> None:
        for market in self.markets:
            book = self.books[market.key]
            assert (book.bids(), book.asks()) == tuple(self.matching.levels(market.key, side) for side in Side)

    def nothing_is_made_or_lost(self) -> None:
        bank = self.floor.bank
        assert bank.total == bank.deposited
        everybody = [bank.crowd, *bank.accounts.values()]
        for market in self.markets:
            yes, no = (sum(each.shares[key] + each.incoming_shares[key] for each in everybody) for key in (market.yes_key, market.no_key))
            if not self.floor.markets[market.key].settled:
                assert yes == no
                assert bank.vault[market.key] == yes
            assert bank.vault[market.key] >= 0

    def nobody_owes(self) -> None:
        for account in [self.matching.account(who) for who in PEOPLE]:
            for pool, cash in account.cash.items():
                locked = 0
                for market in self.markets:
                    if market.shard == pool:
                        records = [order.record for order in account.open[market.key].values()]
                        locked += locked_cash(records, market, account.shares, nets=self.venue_rules.nets)
                assert account.free(pool) == cash - locked
                assert account.free(pool) >= 0
            for held in (account.shares, account.incoming_shares, account.incoming_cash):
                assert all(amount >= 0 for amount in held.values())
            for market in self.markets:
                for key in (market.yes_key, market.no_key):
                    assert account.id is not None
                    assert self.matching.free_shares(account.id, key) >= 0
        assert self.floor.bank.house >= 0

    def nothing_crosses_and_places_are_by_time(self) -> None:
        for market in self.markets:
            bids, asks = (self.queue(market, side) for side in Side)
            if bids and asks:
                assert bids[0][0] < asks[0][0]
            for queue in (bids, asks):
                places = defaultdict(list)
                for price, order, size in queue:
                    assert size > 0
                    if order is not None:
                        record = self.order(order)
                        assert (record.yes_price, record.remaining) == (price, size)
                        places[price].append(self.joined[order])
                assert all(each == sorted(each) for each in places.values())

    # -- helpers --

    def refusable(self, call: Any) -> Any:
        try:
            return call()
        except Refused:
            assert self.matching.drain() == ([], []), "a refusal changes nothing"
            return None

    def order(self, order: OrderId) -> OrderRecord:
        found = self.matching.order(order)
        assert found is not None
        return found

    def market(self, outcome: OutcomeKey) -> Market:
        return next(market for market in self.markets if market.key == outcome.market_key)

    def queue(self, market: Market, side: Side) -> list[tuple[int, OrderId | None, int]]:
        walk = self.floor.markets[market.key].queues.walk(side)
        return [(price, entry.order.record.id if entry.order else None, entry.size) for price, entry in walk]

    def pick_open(self, pick: int) -> OrderRecord | None:
        found = [record for who in PEOPLE for record in self.matching.open_orders(who)]
        return found[pick % len(found)] if found else None


def nonzero(amounts: Any) -> dict[Any, int]:
    return {key: amount for key, amount in amounts.items() if amount}


class PolymarketMachine(Machine):
    venue_rules = POLYMARKET_RULES
    markets = [polymarket(1), polymarket(2, taker_delay_ms=250)]  # noqa: RUF012 read alone


class KalshiMachine(Machine):
    venue_rules = KALSHI_RULES
    markets = [kalshi("KXA"), kalshi("KXB", shard=1)]  # noqa: RUF012 read alone

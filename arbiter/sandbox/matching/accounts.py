"""Who owns what: dollars by pool, shares by outcome, and what is on its way. The only place where balances change.

A trade takes what an account gives at once. What it gets is `incoming` until the trade is confirmed, and cannot be used:
so a trade that fails can always be taken back, and nothing ever goes below zero. Where trades are final at once nothing is
ever incoming. The collateral behind all shares lies in the vault; a pair of one YES and one NO is worth the payout.
"""

from collections import defaultdict

from arbiter.domain.book import Side
from arbiter.domain.ids import MarketKey, OrderId, OutcomeKey
from arbiter.domain.market import Market
from arbiter.domain.money import ZERO, Micros, pico_floor
from arbiter.sandbox.matching.orders import AccountId, LiveOrder
from arbiter.sandbox.matching.trades import Leg


class Account:
    """One account. All in micros. `locked` is what its open orders may still need, by market; `locks.py` computes it."""

    def __init__(self, account: AccountId | None) -> None:
        self.id = account
        self.cash: defaultdict[int, int] = defaultdict(int)
        self.shares: defaultdict[OutcomeKey, int] = defaultdict(int)
        self.incoming_cash: defaultdict[int, int] = defaultdict(int)
        self.incoming_shares: defaultdict[OutcomeKey, int] = defaultdict(int)
        self.open: defaultdict[MarketKey, dict[OrderId, LiveOrder]] = defaultdict(dict)
        self.locked: defaultdict[int, defaultdict[MarketKey, int]] = defaultdict(lambda: defaultdict(int))
        self.stale: dict[MarketKey, None] = {}
        """Markets whose part of `locked` is of before."""
        self._locked_in: defaultdict[int, int] = defaultdict(int)

    def lock(self, pool: int, market: MarketKey, amount: int) -> None:
        """So many dollars of the pool are for the open orders in this market."""
        self._locked_in[pool] += amount - self.locked[pool][market]
        self.locked[pool][market] = amount

    def free(self, pool: int) -> Micros:
        """Dollars that a new order may use. Only when nothing is stale: `Floor.refresh`, `Matching.free`."""
        assert not self.stale
        return Micros(self.cash[pool] - self._locked_in[pool])

    def locked_beside(self, pool: int, market: MarketKey) -> int:
        """Of the pool, for the open orders of all other markets."""
        return self._locked_in[pool] - self.locked[pool][market]

    def net(self, market: Market) -> Micros:
        """YES less NO, unconfirmed shares too."""
        yes, no = market.yes_key, market.no_key
        held, incoming = self.shares, self.incoming_shares
        return Micros(held[yes] + incoming[yes] - held[no] - incoming[no])


class Bank:
    """All accounts, the crowd (whose dollars may be below zero: it is the rest of the world), the fees and the vault."""

    def __init__(self) -> None:
        self.accounts: dict[AccountId, Account] = {}
        self.crowd = Account(None)
        self.house = 0
        """All fees."""
        self.vault: defaultdict[MarketKey, int] = defaultdict(int)
        self.deposited = 0
        """What came in less what went out: at any time the sum of all dollars here."""

    def of(self, account: AccountId | None) -> Account:
        """Made when first asked for."""
        if account is None:
            return self.crowd
        found = self.accounts.get(account)
        if found is None:
            found = self.accounts[account] = Account(account)
        return found

    @property
    def total(self) -> int:
        """Every dollar there is."""
        people = [self.crowd, *self.accounts.values()]
        held = sum(sum(each.cash.values()) + sum(each.incoming_cash.values()) for each in people)
        return held + self.house + sum(self.vault.values())

    def move(self, account: AccountId, pool: int, amount: int) -> None:
        """From outside, or to it."""
        self.of(account).cash[pool] += amount
        self.deposited += amount

    def give(self, leg: Leg) -> None:
        """The account parts with what the leg costs it; the fee not yet."""
        owner = self.of(leg.account)
        if leg.side is Side.BUY:
            owner.cash[leg.pool] -= leg.cash
            owner.incoming_shares[leg.outcome] += leg.size
            self.vault[leg.outcome.market_key] += leg.cash
        else:
            owner.shares[leg.outcome] -= leg.size
            owner.incoming_cash[leg.pool] += leg.cash
            self.vault[leg.outcome.market_key] -= leg.cash

    def charge(self, leg: Leg) -> None:
        """The fee: of a sale it comes out of the proceeds."""
        owner = self.of(leg.account)
        (owner.cash if leg.side is Side.BUY else owner.incoming_cash)[leg.pool] -= leg.fee
        self.house += leg.fee

    def receive(self, leg: Leg) -> None:
        """The account gets what the leg brings it."""
        owner = self.of(leg.account)
        if leg.side is Side.BUY:
            owner.incoming_shares[leg.outcome] -= leg.size
            owner.shares[leg.outcome] += leg.size
        else:
            proceeds = leg.cash - leg.fee
            owner.incoming_cash[leg.pool] -= proceeds
            owner.cash[leg.pool] += proceeds

    def reverse(self, leg: Leg) -> None:
        """As if the leg had never been; its shares or proceeds were not received yet."""
        owner = self.of(leg.account)
        self.house -= leg.fee
        if leg.side is Side.BUY:
            owner.cash[leg.pool] += leg.cash + leg.fee
            owner.incoming_shares[leg.outcome] -= leg.size
            self.vault[leg.outcome.market_key] -= leg.cash
        else:
            owner.shares[leg.outcome] += leg.size
            owner.incoming_cash[leg.pool] -= leg.cash - leg.fee
            self.vault[leg.outcome.market_key] += leg.cash

    def split(self, owner: Account, market: Market, pool: int, size: int) -> None:
        """Dollars into pairs; a negative size: pairs into dollars."""
        cost = pico_floor(market.payout * size)
        owner.cash[pool] -= cost
        self.vault[market.key] += cost
        owner.shares[market.yes_key] += size
        owner.shares[market.no_key] += size

    def net(self, owner: Account, market: Market, pool: int) -> None:
        """All pairs that it holds become dollars."""
        pairs = min(owner.shares[market.yes_key], owner.shares[market.no_key])
        if pairs:
            self.split(owner, market, pool, -pairs)

    def redeem(self, owner: Account, market: Market, pool: int, yes_pays: int) -> Micros:
        """Its shares become what they pay, rounded down to a micro; the rest stays in the vault."""
        yes, no = owner.shares.pop(market.yes_key, 0), owner.shares.pop(market.no_key, 0)
        paid = pico_floor(yes * yes_pays + no * (market.payout - yes_pays)) if yes or no else ZERO
        owner.cash[pool] += paid
        self.vault[market.key] -= paid
        return paid

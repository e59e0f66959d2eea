"""What wallets did at the sandbox's Polymarket, and what they hold by it. Every public trade has a taker and a maker here.

A week of past trades is made up when the markets are first seen, so that there is somebody to follow from the start.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Literal

import msgspec

from arbiter.domain.book import PublicTrade, Side
from arbiter.domain.money import MICRO, ZERO, Micros
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.polymarket.people import People, Wallet

KEPT = 20_000
WEEK_MS = 7 * 86_400_000
CENT = 10_000

Kind = Literal["TRADE", "SPLIT", "MERGE", "REDEEM", "REWARD"]


class Entry(msgspec.Struct, frozen=True):
    """One thing that a wallet did. `index`: 0 YES, 1 NO. `price` of that outcome, `usdc` in micros."""

    number: int
    deal: int
    wallet: Wallet
    kind: Kind
    books: MarketBooks
    index: int
    side: Side | None
    price: Micros
    size: Micros
    usdc: Micros
    at_ms: int
    is_taker: bool

    @property
    def token(self) -> str:
        return (self.books.market.yes, self.books.market.no)[self.index].id

    @property
    def tx(self) -> str:
        """Taker and maker of one trade share it."""
        return "0x" + hashlib.sha256(f"tx {self.at_ms} {self.deal}".encode()).hexdigest()


class Position(msgspec.Struct):
    """What a wallet holds of one outcome. `cost` of what it still holds, micros."""

    wallet: Wallet
    books: MarketBooks
    index: int
    size: Micros = ZERO
    cost: Micros = ZERO
    realized: Micros = ZERO
    first_ms: int = 0
    last_ms: int = 0

    @property
    def price(self) -> Micros:
        """What the outcome is worth now."""
        books = self.books
        if books.yes_pays is not None:
            yes = books.yes_pays
        else:
            known = [level.price for level in books.touch if level]
            yes = Micros(sum(known) // len(known)) if known else books.last_price
        return yes if self.index == 0 else Micros(books.market.payout - yes)

    @property
    def value(self) -> Micros:
        return Micros(self.size * self.price // MICRO)

    @property
    def profit(self) -> Micros:
        return Micros(self.realized + self.value - self.cost)


class Ledger:
    """Entries oldest first, bounded; positions are folded from all there ever were."""

    def __init__(self, people: People, seed: int) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.positions: dict[tuple[str, str], Position] = {}
        self._people = people
        self._random = Random(seed)  # noqa: S311 repeatable on purpose
        self._number = self._deals = 0

    def newest_first(self) -> Iterator[Entry]:
        return reversed(self.entries)

    def make_past(self, listed: list[MarketBooks], rows: int, now_ms: int) -> None:
        """So many entries over the last week, in the markets that have a book."""
        traded = [books for books in listed if all(books.touch)]
        if not traded:
            return
        times = sorted(self._random.randrange(now_ms - WEEK_MS, now_ms) for _ in range(rows // 2))
        for at_ms in times:
            books = self._random.choice(traded)
            bid, ask = books.touch
            assert bid is not None
            assert ask is not None
            side = self._random.choice((Side.BUY, Side.SELL))
            moved = (ask.price if side is Side.BUY else bid.price) + self._random.randrange(-10, 11) * CENT
            price = Micros(min(max(moved, CENT), books.market.payout - CENT))
            self.trade(books, PublicTrade(books.market.yes_key, price, Micros(self._random.randrange(5, 500) * MICRO), side), at_ms)

    def trade(self, books: MarketBooks, trade: PublicTrade, now_ms: int) -> None:
        """A taker and a maker: now the maker sells what the taker buys, now both buy and a pair of outcomes is made."""
        self._deals += 1
        taker, maker = self._people.pick(self._random), self._people.pick(self._random)
        self._add(taker, "TRADE", books, 0, trade.side, trade.price, trade.size, now_ms, is_taker=True)
        if self._random.randrange(2):
            other = Side.SELL if trade.side is Side.BUY else Side.BUY
            self._add(maker, "TRADE", books, 0, other, trade.price, trade.size, now_ms, is_taker=False)
        else:
            self._add(maker, "TRADE", books, 1, trade.side, Micros(books.market.payout - trade.price), trade.size, now_ms, is_taker=False)

    def resolve(self, books: MarketBooks, now_ms: int) -> None:
        """Who holds something of a decided market redeems it: one entry for each outcome (since 2026-08-10)."""
        for position in list(self.positions.values()):
            if position.books is books and position.size > 0:
                self._deals += 1
                self._add(position.wallet, "REDEEM", books, position.index, None, position.price, position.size, now_ms, is_taker=False)

    def _add(
        self,
        wallet: Wallet,
        kind: Kind,
        books: MarketBooks,
        index: int,
        side: Side | None,
        price: Micros,
        size: Micros,
        at_ms: int,
        *,
        is_taker: bool,
    ) -> None:
        self._number += 1
        usdc = Micros(price * size // MICRO)
        entry = Entry(self._number, self._deals, wallet, kind, books, index, side, price, size, usdc, at_ms, is_taker)
        self.entries.append(entry)
        self._fold(entry)

    def _fold(self, entry: Entry) -> None:
        """Buys add at their cost; sells and redemptions realize against the average. Nobody holds less than nothing."""
        key = (entry.wallet.address, entry.token)
        position = self.positions.setdefault(key, Position(entry.wallet, entry.books, entry.index, first_ms=entry.at_ms))
        position.last_ms = entry.at_ms
        if entry.side is Side.BUY:
            position.size = Micros(position.size + entry.size)
            position.cost = Micros(position.cost + entry.usdc)
            return
        taken = min(entry.size, position.size)
        if taken:
            cost = position.cost * taken // position.size
            position.realized = Micros(position.realized + entry.price * taken // MICRO - cost)
            position.size, position.cost = Micros(position.size - taken), Micros(position.cost - cost)

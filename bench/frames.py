"""Frames as both venues send them, made in advance: 500 pairs, 1,000 markets, books that stay consistent.

The books wander: sizes change mostly near the touch, levels come and go, both venues follow one fair value with some
delay, and now and then Kalshi is out of line so that an opportunity opens and closes. Everything follows from the seed.
Frame number `n` carries `BASE_MS + n` as its venue time, which is how its decision is found again.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from arbiter.domain.market import Market
from arbiter.domain.money import ONE, format_micros
from arbiter.domain.pair import Pair
from arbiter.sandbox.generated import CENT, GeneratedWorld

BASE_MS = 1_767_225_600_000
SEED = 20_260_901
PAIRS = 500
DEPTH = 20
"""Levels on each side of a book at the start; 12 to 28 later."""
KALSHI_SID = 1
NOT_AGAIN_WITHIN = 64
"""A market comes again after at least this many others: at 5,000 frames/s that is 13 ms."""

MIX = (
    "half Polymarket, half Kalshi; Polymarket: 92 % price_change (70 % of them one level, 30 % two, always told for both "
    "tokens), 4 % book, 4 % last_trade_price; Kalshi: 99.5 % orderbook_delta, 0.5 % orderbook_snapshot"
)

_BOOK, _TRADE, _TWO_LEVELS, _SNAPSHOT = 0.04, 0.08, 0.30, 0.005
_FAIR_MOVES, _WINDOW_OPENS, _WINDOW_CLOSES = 0.08, 0.0005, 0.01
_WINDOW_EDGE = 9 * CENT


class Frame(NamedTuple):
    """One message: which market it is about (a Polymarket condition or a Kalshi ticker), and its text."""

    market: str
    text: bytes


class _Change(NamedTuple):
    bid: bool
    price: int
    size: int
    delta: int


class _Book:
    """One market's YES book and where it belongs around the fair value."""

    def __init__(self, random: Random, market: Market, fair: int) -> None:
        self.market = market
        self._random = random
        self._below, self._above = random.choice(((CENT, 0), (0, CENT), (CENT, CENT)))
        bid, ask = fair - self._below, fair + self._above
        self.bids = {bid - i * CENT: self._size() for i in range(DEPTH) if bid > i * CENT}
        self.asks = {ask + i * CENT: self._size() for i in range(DEPTH) if ask + i * CENT < ONE}

    def move(self, fair: int) -> _Change:
        """One step: toward where the quotes belong, or another size somewhere. Never crossed on the way."""
        bids, asks = self.bids, self.asks
        bid, ask = max(bids), min(asks)
        target_bid, target_ask = fair - self._below, fair + self._above
        if bid > target_bid and len(bids) > 12:
            return self._put(True, bid, 0)
        if ask < target_ask and len(asks) > 12:
            return self._put(False, ask, 0)
        if bid < target_bid and bid + CENT < ask:
            return self._put(True, bid + CENT, self._size())
        if ask > target_ask and ask - CENT > bid:
            return self._put(False, ask - CENT, self._size())
        return self._elsewhere()

    def _elsewhere(self) -> _Change:
        is_bid = self._random.random() < 0.5
        side = self.bids if is_bid else self.asks
        worst = min(side) if is_bid else max(side)
        beyond = worst - CENT if is_bid else worst + CENT
        if len(side) > 28:
            return self._put(is_bid, worst, 0)
        if len(side) < 16 and 0 < beyond < ONE:
            return self._put(is_bid, beyond, self._size())
        place = min(int(self._random.expovariate(0.4)), len(side) - 1)
        return self._put(is_bid, sorted(side, reverse=is_bid)[place], self._size())

    def _put(self, is_bid: bool, price: int, size: int) -> _Change:
        side = self.bids if is_bid else self.asks
        delta = size - side.get(price, 0)
        if size:
            side[price] = size
        else:
            del side[price]
        return _Change(is_bid, price, size, delta)

    def _size(self) -> int:
        return self._random.randrange(500, 800_000) * 10_000


class _Listed(NamedTuple):
    polymarket: _Book
    kalshi: _Book
    inverted: bool


class Traffic:
    """The markets, their first books as frames, and the endless stream after them."""

    def __init__(self, seed: int = SEED) -> None:
        world = GeneratedWorld(seed, BASE_MS, events=PAIRS)
        self.markets: tuple[Market, ...] = world.markets
        self.pairs: tuple[Pair, ...] = world.pairs
        self._random = random = Random(seed)
        by_key = {market.key: market for market in world.markets}
        self._fair = [random.randrange(30, 71) * CENT for _ in world.pairs]
        self._shift = [0] * len(world.pairs)
        self._listed: list[_Listed] = []
        for pair, fair in zip(world.pairs, self._fair, strict=True):
            kalshi = by_key[pair.b_same.market_key]
            inverted = pair.b_same == kalshi.no_key
            poly_book = _Book(random, by_key[pair.a_yes.market_key], fair)
            self._listed.append(_Listed(poly_book, _Book(random, kalshi, ONE - fair if inverted else fair), inverted))
        self._seq = 0
        self._number = 0

    def polymarket_books(self, tokens: set[str]) -> bytes:
        """The array frame that answers a subscription to these tokens."""
        texts = []
        for listed in self._listed:
            market = listed.polymarket.market
            if market.yes.id in tokens:
                texts += [_book_text(listed.polymarket, BASE_MS - 1, yes=yes) for yes in (True, False)]
        return b"[" + b",".join(texts) + b"]"

    def kalshi_snapshots(self) -> list[bytes]:
        """A snapshot of every market: what answers the subscription."""
        return [self._snapshot(listed.kalshi) for listed in self._listed]

    def stream(self, count: int) -> Iterator[Frame]:
        """The next `count` frames."""
        recent: list[int] = []
        last = self._number + count
        while self._number < last:
            which = self._random.randrange(len(self._listed))
            if which in recent:
                continue
            recent = [*recent[-NOT_AGAIN_WITHIN + 1 :], which]
            self._let_fair_move(which)
            for frame in self._polymarket(which) if self._random.random() < 0.5 else self._kalshi(which):
                if self._number < last:
                    self._number += 1
                    yield frame

    def _let_fair_move(self, which: int) -> None:
        random = self._random
        if random.random() < _FAIR_MOVES:
            self._fair[which] = min(70 * CENT, max(30 * CENT, self._fair[which] + random.choice((-CENT, CENT))))
        if self._shift[which]:
            if random.random() < _WINDOW_CLOSES:
                self._shift[which] = 0
        elif random.random() < _WINDOW_OPENS:
            self._shift[which] = random.choice((-_WINDOW_EDGE, _WINDOW_EDGE))

    # -- Polymarket --

    def _polymarket(self, which: int) -> list[Frame]:
        book, fair, random = self._listed[which].polymarket, self._fair[which], self._random
        market, ms, dice = book.market, BASE_MS + self._number, random.random()
        if dice < _BOOK:
            return [Frame(market.key.market, _book_text(book, ms, yes=random.random() < 0.5))]
        if dice < _TRADE:
            return [Frame(market.key.market, self._trade(book, ms))]
        changes = [book.move(fair) for _ in range(2 if random.random() < _TWO_LEVELS else 1)]
        parts = ",".join(self._change(book, change, yes=yes) for change in changes for yes in (True, False))
        text = f'{{"market":"{market.key.market}","price_changes":[{parts}],"timestamp":"{ms}","event_type":"price_change"}}'
        return [Frame(market.key.market, text.encode())]

    def _change(self, book: _Book, change: _Change, *, yes: bool) -> str:
        bid, ask = max(book.bids), min(book.asks)
        price, best_bid, best_ask = (change.price, bid, ask) if yes else (ONE - change.price, ONE - ask, ONE - bid)
        outcome = book.market.yes if yes else book.market.no
        return (
            f'{{"asset_id":"{outcome.id}","price":"{_plain(price)}","size":"{_plain(change.size)}",'
            f'"side":"{"BUY" if change.bid is yes else "SELL"}","hash":"{self._random.getrandbits(160):040x}",'
            f'"best_bid":"{_plain(best_bid)}","best_ask":"{_plain(best_ask)}"}}'
        )

    def _trade(self, book: _Book, ms: int) -> bytes:
        side = "BUY" if self._random.random() < 0.5 else "SELL"
        price = min(book.asks) if side == "BUY" else max(book.bids)
        size = self._random.randrange(100, 90_000) * 10_000
        return (
            f'{{"asset_id":"{book.market.yes.id}","event_type":"last_trade_price","fee_rate_bps":"0",'
            f'"market":"{book.market.key.market}","price":"{_plain(price)}","side":"{side}","size":"{_plain(size)}","timestamp":"{ms}"}}'
        ).encode()

    # -- Kalshi --

    def _kalshi(self, which: int) -> list[Frame]:
        listed = self._listed[which]
        book, ticker = listed.kalshi, listed.kalshi.market.key.market
        if self._random.random() < _SNAPSHOT:
            return [Frame(ticker, self._snapshot(book))]
        fair = self._fair[which]
        change = book.move((ONE - fair if listed.inverted else fair) + self._shift[which])
        self._seq += 1
        price = change.price if change.bid else ONE - change.price
        text = (
            f'{{"type":"orderbook_delta","sid":{KALSHI_SID},"seq":{self._seq},"msg":{{"market_ticker":"{ticker}",'
            f'"market_id":"9b0f6b43-5b68-4f9f-9f02-9a2d1b8ac1a1","price_dollars":"{format_micros(price, 4)}",'
            f'"delta_fp":"{format_micros(change.delta, 2)}","side":"{"yes" if change.bid else "no"}",'
            f'"ts":"2026-09-01T00:00:00.000000Z","ts_ms":{BASE_MS + self._number}}}}}'
        )
        return [Frame(ticker, text.encode())]

    def _snapshot(self, book: _Book) -> bytes:
        self._seq += 1
        yes = ",".join(_row(price, book.bids[price]) for price in sorted(book.bids))
        no = ",".join(_row(ONE - price, book.asks[price]) for price in sorted(book.asks, reverse=True))
        return (
            f'{{"type":"orderbook_snapshot","sid":{KALSHI_SID},"seq":{self._seq},"msg":{{"market_ticker":"{book.market.key.market}",'
            f'"market_id":"9b0f6b43-5b68-4f9f-9f02-9a2d1b8ac1a1","yes_dollars_fp":[{yes}],"no_dollars_fp":[{no}]}}}}'
        ).encode()


def _book_text(book: _Book, ms: int, *, yes: bool) -> bytes:
    """A `book` of one token, worst levels first as the venue writes them."""
    if yes:
        outcome, bids, asks = book.market.yes, book.bids, book.asks
    else:
        outcome = book.market.no
        bids = {ONE - price: size for price, size in book.asks.items()}
        asks = {ONE - price: size for price, size in book.bids.items()}
    bid_rows = ",".join(_level(price, bids[price]) for price in sorted(bids))
    ask_rows = ",".join(_level(price, asks[price]) for price in sorted(asks, reverse=True))
    return (
        f'{{"event_type":"book","asset_id":"{outcome.id}","market":"{book.market.key.market}","bids":[{bid_rows}],"asks":[{ask_rows}],'
        f'"timestamp":"{ms}","hash":"{ms:040x}","tick_size":"0.01","last_trade_price":""}}'
    ).encode()


def _level(price: int, size: int) -> str:
    return f'{{"price":"{_plain(price)}","size":"{_plain(size)}"}}'


def _row(price: int, size: int) -> str:
    return f'["{format_micros(price, 4)}","{format_micros(size, 2)}"]'


def _plain(micros: int) -> str:
    return format_micros(micros, 0)

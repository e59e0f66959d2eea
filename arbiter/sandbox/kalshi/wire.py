"""Kalshi's books and socket messages as JSON. Prices are dollar text with 4 decimals, counts text with 2."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from arbiter.domain.book import LevelChange, Levels, PublicTrade, Side
from arbiter.domain.market import Market
from arbiter.domain.money import MICRO, format_micros
from arbiter.sandbox.books import MarketBooks


def dollars(micros: int) -> str:
    return format_micros(micros, 4)


def count(micros: int) -> str:
    """Contracts; a signed change keeps its sign."""
    return format_micros(micros, 2)


def whole_dollars(pico: int) -> int:
    """10^-12 dollars as whole dollars, rounded down."""
    return pico // (MICRO * MICRO)


def ladder(bids: Levels) -> list[list[str]]:
    """Ascending: the best bid is the last element."""
    return [[dollars(price), count(size)] for price, size in reversed(bids)]


def orderbook(books: MarketBooks, depth: int) -> dict[str, Any]:
    """Bids of both sides, the best `depth` of each (0: all); the asks are their complements."""
    most = depth or None
    return {"yes_dollars": ladder(books.yes.bids()[:most]), "no_dollars": ladder(books.no.bids()[:most])}


def snapshot_message(books: MarketBooks, market_id: str, *, yes_prices: bool) -> dict[str, Any]:
    """A side without bids is left out altogether. `yes_prices`: the NO levels carry what YES costs there."""
    body: dict[str, Any] = {"market_ticker": books.market.key.market, "market_id": market_id}
    if bids := books.yes.bids():
        body["yes_dollars_fp"] = ladder(bids)
    if bids := books.no.bids():
        payout = books.market.payout
        body["no_dollars_fp"] = [[dollars(payout - p if yes_prices else p), count(size)] for p, size in reversed(bids)]
    return body


def delta_message(market: Market, market_id: str, change: LevelChange, delta: int, now_ms: int, *, yes_prices: bool) -> dict[str, Any]:
    """`change` is on YES; a YES ask at p is a NO bid at 1 - p. `delta` is the signed change of the level."""
    is_yes = change.side is Side.BUY
    return {
        "market_ticker": market.key.market,
        "market_id": market_id,
        "price_dollars": dollars(change.price if is_yes or yes_prices else market.payout - change.price),
        "delta_fp": count(delta),
        "side": "yes" if is_yes else "no",
        "ts": rfc3339(now_ms),
        "ts_ms": now_ms,
    }


class Trade(msgspec.Struct, frozen=True):
    """A public trade with the number that is its id on both interfaces."""

    number: int
    market: Market
    trade: PublicTrade
    ms: int

    @property
    def common(self) -> dict[str, Any]:
        """The fields that REST and the socket share."""
        buys_yes = self.trade.side is Side.BUY
        return {
            "trade_id": f"trade-{self.number:08d}",
            "yes_price_dollars": dollars(self.trade.price),
            "no_price_dollars": dollars(self.market.payout - self.trade.price),
            "count_fp": count(self.trade.size),
            "taker_outcome_side": "yes" if buys_yes else "no",
            "taker_book_side": "bid" if buys_yes else "ask",
            "is_block_trade": False,
        }

    @property
    def message(self) -> dict[str, Any]:
        """The socket's `trade`."""
        sides = {"taker_side": "yes" if self.trade.side is Side.BUY else "no"}
        return {"market_ticker": self.market.key.market, **self.common, **sides, "ts": self.ms // 1000, "ts_ms": self.ms}

    @property
    def rest(self) -> dict[str, Any]:
        """An element of `GET /markets/trades`."""
        return {"ticker": self.market.key.market, **self.common, "created_time": rfc3339(self.ms)}


def ticker_message(books: MarketBooks, market_id: str, now_ms: int) -> dict[str, Any]:
    return {
        "market_ticker": books.market.key.market,
        "market_id": market_id,
        "price_dollars": dollars(books.last_price),
        **yes_touch(books),
        "last_trade_size_fp": count(books.last_size),
        "volume_fp": count(books.volume),
        "open_interest_fp": count(books.volume),
        "dollar_volume": whole_dollars(books.turnover_pico),
        "dollar_open_interest": whole_dollars(books.turnover_pico),
        "ts": now_ms // 1000,
        "ts_ms": now_ms,
        "time": rfc3339(now_ms),
    }


def yes_touch(books: MarketBooks) -> dict[str, str]:
    """Best prices and sizes of YES: 0 and 1 dollar where there is none."""
    bid, ask = books.touch
    return {
        "yes_bid_dollars": dollars(bid.price if bid else 0),
        "yes_ask_dollars": dollars(ask.price if ask else books.market.payout),
        "yes_bid_size_fp": count(bid.size if bid else 0),
        "yes_ask_size_fp": count(ask.size if ask else 0),
    }


def rfc3339(ms: int) -> str:
    return utc_text(datetime.fromtimestamp(ms // 1000, UTC))


def utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

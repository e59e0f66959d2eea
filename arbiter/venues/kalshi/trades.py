"""`/markets/trades`: public trades over REST (B5). They name no traders."""

import msgspec

from arbiter.domain.book import PublicTrade
from arbiter.domain.market import Market
from arbiter.venues.kalshi.frames import read_trade
from arbiter.venues.kalshi.metadata import moment
from arbiter.venues.kalshi.wire import TradeBody
from arbiter.venues.tally import Tally
from arbiter.venues.wire_numbers import UNDECODABLE


class RestTrade(msgspec.Struct):
    ticker: str
    yes_price_dollars: str
    no_price_dollars: str
    count_fp: str
    trade_id: str = ""
    taker_outcome_side: str = ""
    taker_side: str = ""
    is_block_trade: bool = False
    created_time: str = ""


class TradesPage(msgspec.Struct):
    """Newest first; an empty `cursor` ends it. Trades stay undecoded: an odd one must not hide the others."""

    trades: list[msgspec.Raw] | None = None
    cursor: str | None = ""


_decode = msgspec.json.Decoder(RestTrade).decode


def read_trades(page: TradesPage, market: Market, tally: Tally) -> list[PublicTrade]:
    """Those of this market that were made on its book. What cannot be read is counted."""
    found = []
    for raw in page.trades or ():
        try:
            row = _decode(raw)
            trade = None if row.is_block_trade or row.ticker != market.key.market else read_trade(_body(row), market)
        except (*UNDECODABLE, ValueError):
            tally.unknown("unreadable trade")
            continue
        if trade is not None:
            found.append(trade)
    return found


def _body(row: RestTrade) -> TradeBody:
    made = moment(row.created_time)
    ms = 0 if made is None else round(made.timestamp() * 1000)
    sides = row.taker_outcome_side, row.taker_side
    return TradeBody(row.ticker, row.yes_price_dollars, row.no_price_dollars, row.count_fp, row.trade_id, *sides, ts_ms=ms)

"""Markets, events, books and feeds between the protobuf messages and the domain. What comes in is checked here."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

import msgspec

from arbiter.actors.feed_report import FeedReport, LineReport
from arbiter.actors.market_data import BookUpdated, MarketData
from arbiter.actors.market_search import LIVE, EventFilter, MarketFilter, Place
from arbiter.domain.book import Levels, PublicTrade
from arbiter.domain.ids import EventId, MarketKey, VenueId
from arbiter.domain.market import Event, FeeSchedule, KalshiFees, Market, MarketStatus, Outcome, PolymarketFees, Resolution
from arbiter.domain.market_events import Ticker
from arbiter.domain.money import format_micros
from arbiter.errors import InvalidInput
from arbiter.rpc import codec
from arbiter.v1 import market_pb2

LONGEST_WORDS = 200
LONGEST_TOKEN = 4_096
LATEST_MS = 253_402_300_799_999
"""The end of the year 9999, of which there are no later times."""
MOST_EVENT_MARKETS = 1_000
"""Markets that are named with an event."""
_STATUSES = {status.value: status for status in MarketStatus}

# -- in --


def market_filter_in(message: market_pb2.SearchMarketsRequest) -> MarketFilter:
    """Which markets are asked for."""
    unknown = [each for each in message.statuses if each not in _STATUSES]
    if unknown:
        raise InvalidInput("statuses", f"must be of {', '.join(_STATUSES)}")
    return MarketFilter(
        _words_in(message.words),
        frozenset(_STATUSES[each] for each in message.statuses) or LIVE,
        EventId(codec.text_in("event_id", message.event_id)) if message.event_id else None,
        codec.optional_text_in("category", message.category),
        _time_in("closes_after_unix_ms", message.closes_after_unix_ms),
        _time_in("closes_before_unix_ms", message.closes_before_unix_ms),
    )


def event_filter_in(message: market_pb2.ListEventsRequest) -> EventFilter:
    """Which events are asked for."""
    return EventFilter(_words_in(message.words), codec.optional_text_in("category", message.category))


def limit_in(value: int) -> int:
    """How many a page of a search holds."""
    if not 0 <= value <= codec.LARGEST_PAGE:
        raise InvalidInput("limit", f"must be from 0 to {codec.LARGEST_PAGE}")
    return value or codec.DEFAULT_PAGE


def place_in(token: str) -> Place | None:
    """The place behind which the page begins."""
    if not token:
        return None
    try:
        title, venue, name = msgspec.json.decode(urlsafe_b64decode(token[:LONGEST_TOKEN]), type=tuple[str, str, str])
    except ValueError:  # msgspec's own errors are such, too
        raise InvalidInput("page_token", "is none that this method gave") from None
    return title, VenueId(venue), name


def place_out(place: Place) -> str:
    """The token of the page after this place."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _words_in(words: str) -> str:
    if len(words) > LONGEST_WORDS:
        raise InvalidInput("words", f"at most {LONGEST_WORDS} characters are allowed")
    return words


def _time_in(field: str, value: int) -> datetime | None:
    if not 0 <= value <= LATEST_MS:
        raise InvalidInput(field, "is no time")
    return datetime.fromtimestamp(value / 1000, UTC) if value else None


# -- out: markets and events --


def market_out(market: Market, ticker: Ticker | None = None) -> market_pb2.Market:
    return market_pb2.Market(
        venue=market.key.venue,
        market_id=market.key.market,
        event_id=market.event,
        title=market.title,
        yes=_market_outcome_out(market.yes),
        no=_market_outcome_out(market.no),
        price_ranges=[market_pb2.PriceRange(start_micros=t.start, end_micros=t.end, step_micros=t.step) for t in market.ticks],
        min_size_micros=market.min_size,
        size_step_micros=market.size_step,
        status=market.status.value,
        closes_unix_ms=_ms(market.closes_at),
        tradable=market.fees is not None,
        rules=market.rules,
        category=market.category,
        opens_unix_ms=_ms(market.opens_at),
        resolves_unix_ms=_ms(market.resolves_at),
        settlement_seconds=_int64(market.settlement_seconds),
        settlement_sources=market.settlement_sources,
        resolution=_resolution_out(market.resolution) if market.resolution else None,
        fees=fees_out(market.fees),
        min_notional_micros=market.min_notional,
        notional_step_micros=market.notional_step,
        payout_micros=market.payout,
        volume_micros=market.volume,
        ticker=_ticker_out(ticker) if ticker else None,
        generation=market.generation,
        negative_risk=market.negative_risk,
        shard=_int64(market.shard),
        taker_delay_ms=_int64(market.taker_delay_ms),
    )


def whole_market_out(market: Market, data: MarketData) -> market_pb2.Market:
    """With what was last told of it and its outcomes."""
    body = market_out(market, data.tickers.get(market.key))
    for outcome, key in ((body.yes, market.yes_key), (body.no, market.no_key)):
        trade = data.trades.get(key)
        if trade is not None:
            outcome.last_trade.CopyFrom(trade_out(trade))
    return body


def fees_out(fees: FeeSchedule | None) -> market_pb2.FeeSchedule:
    """The terms, and the same in words."""
    match fees:
        case PolymarketFees(rate, exponent):
            power = "" if exponent == 1 else f" ^ {exponent}"
            text = f"taker: {format_micros(rate)} x shares x (price x (1 - price)){power}; maker: nothing" if rate else "no fees"
            terms = market_pb2.PolymarketFees(rate_micros=rate, exponent=exponent)
            return market_pb2.FeeSchedule(known=True, text=text, polymarket=terms)
        case KalshiFees(multiplier, maker_fees, unit):
            taker, maker = format_micros(multiplier * 7 // 100), format_micros(multiplier * 7 // 400)
            product = "contracts x price x (1 - price)"
            text = f"taker: {taker} x {product}; maker: {f'{maker} x {product}' if maker_fees else 'nothing'}" if multiplier else "no fees"
            body = market_pb2.KalshiFees(multiplier_micros=multiplier, maker_fees=maker_fees, balance_unit_micros=unit)
            return market_pb2.FeeSchedule(known=True, text=text, kalshi=body)
    return market_pb2.FeeSchedule(text="not known: this market is not traded")


def _resolution_out(resolution: Resolution) -> market_pb2.Resolution:
    payout = resolution.yes_payout
    return market_pb2.Resolution(final=resolution.final, void=payout is None, yes_payout_micros=payout or 0, at_unix_ms=_ms(resolution.at))


def _ticker_out(ticker: Ticker) -> market_pb2.Ticker:
    return market_pb2.Ticker(
        best_bid_micros=ticker.best_bid or 0,
        best_ask_micros=ticker.best_ask or 0,
        last_price_micros=ticker.last_price or 0,
        volume_micros=ticker.volume or 0,
        open_interest_micros=ticker.open_interest or 0,
        at_unix_ms=ticker.venue_ms,
    )


def _market_outcome_out(outcome: Outcome) -> market_pb2.MarketOutcome:
    return market_pb2.MarketOutcome(outcome_id=outcome.id, label=outcome.label)


def event_out(event: Event, data: MarketData) -> market_pb2.Event:
    """With its markets, of which the titles are those in `data`."""
    known = [market for each in event.markets if (market := data.markets.get(MarketKey(event.venue, each))) is not None]
    return market_pb2.Event(
        venue=event.venue,
        event_id=event.id,
        title=event.title,
        category=event.category,
        series=event.series,
        at_most_one=event.at_most_one,
        at_least_one=event.at_least_one,
        settlement_sources=event.settlement_sources,
        closes_unix_ms=_ms(event.closes_at),
        markets=[
            market_pb2.EventMarket(market_id=market.key.market, title=market.title, status=market.status.value)
            for market in known[:MOST_EVENT_MARKETS]
        ],
        market_count=len(known),
    )


# -- out: what moves --


def book_out(book: BookUpdated, *, fresh: bool, age_ms: int) -> market_pb2.Book:
    return market_pb2.Book(
        outcome=codec.outcome_out(book.outcome), bids=_levels_out(book.bids), asks=_levels_out(book.asks), fresh=fresh, age_ms=age_ms
    )


def _levels_out(levels: Levels) -> list[market_pb2.PriceLevel]:
    return [market_pb2.PriceLevel(price_micros=price, size_micros=size) for price, size in levels]


def trade_out(trade: PublicTrade) -> market_pb2.PublicTrade:
    return market_pb2.PublicTrade(
        outcome=codec.outcome_out(trade.outcome),
        price_micros=trade.price,
        size_micros=trade.size,
        taker_side=codec.SIDES_OUT[trade.side],
        at_unix_ms=trade.venue_ms,
        trade_id=trade.id,
    )


# -- out: feeds --


def feed_out(report: FeedReport, *, counters: bool) -> market_pb2.Feed:
    problems = [line.problem for line in report.lines if line.problem] + [report.catalogue_problem]
    return market_pb2.Feed(
        venue=report.venue,
        connected=any(line.connected for line in report.lines),
        problem=problems[0],
        markets=report.markets,
        followed_markets=report.followed,
        books=sum(line.books for line in report.lines),
        trusted_books=sum(line.trusted for line in report.lines),
        fresh_books=sum(line.fresh for line in report.lines),
        catalogue_read=report.catalogue_age_ms is not None,
        catalogue_age_ms=report.catalogue_age_ms or 0,
        catalogue_problem=report.catalogue_problem,
        lines=[_line_out(line) for line in report.lines],
        counters=report.counters if counters else {},
        oldest_proof_ms=max((line.oldest_proof_ms or 0 for line in report.lines), default=0),
    )


def _line_out(line: LineReport) -> market_pb2.FeedLine:
    return market_pb2.FeedLine(
        line=line.line,
        connected=line.connected,
        seen_alive=line.alive_age_ms is not None,
        alive_age_ms=line.alive_age_ms or 0,
        problem=line.problem,
        books=line.books,
        trusted_books=line.trusted,
        fresh_books=line.fresh,
        oldest_proof_ms=line.oldest_proof_ms or 0,
    )


def _ms(moment: datetime | None) -> int:
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000 if moment else 0


def _int64(value: int) -> int:
    """What a venue says of itself, which has no bounds of its own."""
    return max(-(2**63), min(value, 2**63 - 1))

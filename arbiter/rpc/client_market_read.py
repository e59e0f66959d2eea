"""How the server's answers about markets are read. See `client_read.py`."""

from arbiter.domain.book import Level
from arbiter.domain.ids import MarketId, OutcomeId, OutcomeKey, VenueId
from arbiter.domain.market import KalshiFees, PolymarketFees, TickRange
from arbiter.domain.money import Micros
from arbiter.rpc.client_market_types import (
    BookInfo,
    BooksUpdate,
    EventInfo,
    EventMarketInfo,
    FeedInfo,
    FeedLineInfo,
    MarketInfo,
    PairInfo,
    ResolutionInfo,
    TickerInfo,
    TradeInfo,
    TradesUpdate,
)
from arbiter.rpc.client_read import outcome, side
from arbiter.v1 import market_pb2


def market(m: market_pb2.Market) -> MarketInfo:
    def key(outcome_id: str) -> OutcomeKey:
        return OutcomeKey(VenueId(m.venue), MarketId(m.market_id), OutcomeId(outcome_id))

    return MarketInfo(
        venue=m.venue,
        market_id=m.market_id,
        title=m.title,
        yes=key(m.yes.outcome_id),
        no=key(m.no.outcome_id),
        status=m.status,
        tradable=m.tradable,
        event_id=m.event_id,
        yes_label=m.yes.label,
        no_label=m.no.label,
        rules=m.rules,
        category=m.category,
        opens_ms=m.opens_unix_ms,
        closes_ms=m.closes_unix_ms,
        resolves_ms=m.resolves_unix_ms,
        settlement_seconds=m.settlement_seconds,
        settlement_sources=tuple(m.settlement_sources),
        resolution=_resolution(m.resolution) if m.HasField("resolution") else None,
        fees=_fees(m.fees),
        fees_text=m.fees.text,
        ticks=tuple(TickRange(Micros(r.start_micros), Micros(r.end_micros), Micros(r.step_micros)) for r in m.price_ranges),
        size_step=Micros(m.size_step_micros),
        min_size=Micros(m.min_size_micros),
        min_notional=Micros(m.min_notional_micros),
        notional_step=Micros(m.notional_step_micros),
        payout=Micros(m.payout_micros),
        volume=Micros(m.volume_micros),
        ticker=_ticker(m.ticker) if m.HasField("ticker") else None,
        generation=m.generation,
        negative_risk=m.negative_risk,
        shard=m.shard,
        taker_delay_ms=m.taker_delay_ms,
        last_trades=tuple(trade(each.last_trade) for each in (m.yes, m.no) if each.HasField("last_trade")),
    )


def _fees(m: market_pb2.FeeSchedule) -> PolymarketFees | KalshiFees | None:
    match m.WhichOneof("terms"):
        case "polymarket":
            return PolymarketFees(Micros(m.polymarket.rate_micros), m.polymarket.exponent)
        case "kalshi":
            return KalshiFees(Micros(m.kalshi.multiplier_micros), m.kalshi.maker_fees, Micros(m.kalshi.balance_unit_micros))
    return None


def _resolution(m: market_pb2.Resolution) -> ResolutionInfo:
    return ResolutionInfo(None if m.void else Micros(m.yes_payout_micros), m.final, m.at_unix_ms)


def _ticker(m: market_pb2.Ticker) -> TickerInfo:
    return TickerInfo(
        Micros(m.best_bid_micros),
        Micros(m.best_ask_micros),
        Micros(m.last_price_micros),
        Micros(m.volume_micros),
        Micros(m.open_interest_micros),
        m.at_unix_ms,
    )


def event(m: market_pb2.Event) -> EventInfo:
    return EventInfo(
        m.venue,
        m.event_id,
        m.title,
        m.category,
        m.series,
        m.at_most_one,
        m.at_least_one,
        tuple(m.settlement_sources),
        m.closes_unix_ms,
        tuple(EventMarketInfo(each.market_id, each.title, each.status) for each in m.markets),
        m.market_count,
    )


def trade(m: market_pb2.PublicTrade) -> TradeInfo:
    taker = side(m.taker_side, "side of a trade")
    return TradeInfo(outcome(m.outcome), Micros(m.price_micros), Micros(m.size_micros), taker, m.at_unix_ms, m.trade_id)


def trades_update(m: market_pb2.TradeUpdate, *, resumed: bool) -> TradesUpdate:
    return TradesUpdate(m.snapshot, tuple(trade(each) for each in m.trades), m.sequence, m.conflated, m.more, resumed)


def book(m: market_pb2.Book) -> BookInfo:
    bids, asks = (tuple(Level(Micros(x.price_micros), Micros(x.size_micros)) for x in side) for side in (m.bids, m.asks))
    last = trade(m.last_trade) if m.HasField("last_trade") else None
    return BookInfo(bids, asks, m.fresh, m.age_ms, outcome(m.outcome), last)


def books_update(m: market_pb2.BookUpdate, *, resumed: bool) -> BooksUpdate:
    return BooksUpdate(m.snapshot, tuple(book(each) for each in m.books), m.sequence, m.conflated, m.more, resumed)


def pair(m: market_pb2.Pair) -> PairInfo:
    equals = tuple((outcome(each.outcome), outcome(each.same_as)) for each in m.outcomes)
    return PairInfo(m.pair_id, m.title, (m.title_a, m.title_b), equals)


def feed(m: market_pb2.Feed) -> FeedInfo:
    return FeedInfo(
        venue=m.venue,
        connected=m.connected,
        problem=m.problem,
        markets=m.markets,
        followed=m.followed_markets,
        books=m.books,
        trusted=m.trusted_books,
        fresh=m.fresh_books,
        oldest_proof_ms=m.oldest_proof_ms,
        catalogue_age_ms=m.catalogue_age_ms if m.catalogue_read else None,
        catalogue_problem=m.catalogue_problem,
        lines=tuple(_line(each) for each in m.lines),
        counters=dict(m.counters),
    )


def _line(m: market_pb2.FeedLine) -> FeedLineInfo:
    alive = m.alive_age_ms if m.seen_alive else None
    return FeedLineInfo(m.line, m.connected, alive, m.problem, m.books, m.trusted_books, m.fresh_books, m.oldest_proof_ms)

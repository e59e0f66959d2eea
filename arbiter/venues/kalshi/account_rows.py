"""Orders, fills, positions and settlements as Kalshi writes them, over REST and over the WebSocket -> what the domain calls them.

The names differ a little between the two (B7, B8): both are taken. Only today's fields are read: dollars and `_fp` counts. The
integers of before March 2026 are gone from the API, and a count without its name would be worth nothing here.
Each function raises UnreadableAnswer.
"""

from types import MappingProxyType

from arbiter.domain.account_events import FillTold, GroupEvent, OrderGroupTold, OrderTold, PositionTold, SettlementTold, Standing
from arbiter.domain.ids import KALSHI, MarketId, MarketKey
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.venues.kalshi.fields import Fields, UnreadableAnswer
from arbiter.venues.kalshi.metadata import NO, YES
from arbiter.venues.kalshi.yes_book import key, read_direction, read_price

_STANDING = MappingProxyType({"resting": Standing.RESTING, "executed": Standing.EXECUTED, "canceled": Standing.CANCELLED})
_GROUP = MappingProxyType(
    {
        "created": GroupEvent.CREATED,
        "triggered": GroupEvent.TRIGGERED,
        "reset": GroupEvent.RESET,
        "deleted": GroupEvent.DELETED,
        "limit_updated": GroupEvent.LIMIT_CHANGED,
    }
)
_CENT = 10_000
_CENTS = 100


def to_order(fields: Fields) -> OrderTold:
    """An order object, or a `user_order`. How much was filled says `filled`, whatever the status: a cancelled IOC order may have
    been filled in part, and says that nothing remains."""
    outcome, side = read_direction(fields)
    said = fields.need_text("status")
    return OrderTold(
        venue_id=fields.need_text("order_id"),
        client_id=fields.text("client_order_id"),
        outcome=key(fields.need_text("ticker", "market_ticker"), outcome),
        side=side,
        price=read_price(fields, outcome),
        size=fields.need_size("initial_count_fp"),
        filled=fields.need_size("fill_count_fp"),
        remaining=fields.need_size("remaining_count_fp"),
        standing=_STANDING.get(said, Standing.UNKNOWN),
        said=said,
        reason=fields.text("last_update_reason"),
        fees=_sum(fields.signed("taker_fees_dollars"), fields.signed("maker_fees_dollars")),
        cash=_sum(fields.signed("taker_fill_cost_dollars"), fields.signed("maker_fill_cost_dollars")),
        group=fields.text("order_group_id"),
        shard=fields.number("exchange_index"),
        subaccount=fields.number("subaccount_number", "subaccount") or 0,
        created_ms=fields.unix("created_ts_ms") or fields.moment_ms("created_time"),
        updated_ms=fields.unix("last_updated_ts_ms") or fields.moment_ms("last_update_time"),
        expires_ms=fields.unix("expiration_ts_ms") or fields.moment_ms("expiration_time"),
    )


def to_fill(fields: Fields) -> FillTold:
    """A fill object, or a `fill`. REST does not repeat our id of the order: join by the venue's."""
    outcome, side = read_direction(fields)
    after = fields.signed("post_position_fp")
    return FillTold(
        trade_id=fields.need_text("trade_id", "fill_id"),
        venue_id=fields.need_text("order_id"),
        client_id=fields.text("client_order_id"),
        outcome=key(fields.need_text("ticker", "market_ticker"), outcome),
        side=side,
        price=read_price(fields, outcome),
        size=_more_than_nothing(fields),
        fee=fields.signed("fee_cost"),
        taker=fields.flag("is_taker"),
        position_after=after if after is None or outcome == YES else Micros(-after),
        shard=fields.number("exchange_index"),
        subaccount=fields.number("subaccount_number", "subaccount") or 0,
        at_ms=fields.unix("ts_ms") or fields.moment_ms("created_time") or 1000 * fields.unix("ts"),
    )


def to_position(fields: Fields) -> PositionTold:
    """A market position, or a `market_position`: one signed number, above zero of YES, below of NO."""
    net = fields.need_signed("position_fp")
    return PositionTold(
        outcome=key(fields.need_text("ticker", "market_ticker"), NO if net < 0 else YES),
        size=Micros(abs(net)),
        cost=fields.signed("position_cost_dollars", "market_exposure_dollars"),
        realised=fields.signed("realized_pnl_dollars"),
        fees=fields.signed("fees_paid_dollars"),
        shard=fields.number("exchange_index"),
        subaccount=fields.number("subaccount_number", "subaccount") or 0,
        updated_ms=fields.moment_ms("last_updated_ts"),
    )


def to_settlement(fields: Fields) -> SettlementTold:
    """`revenue` and `value` (of one YES, for a scalar result) are whole cents, all else is dollars."""
    said = fields.need_text("market_result")
    return SettlementTold(
        market=MarketKey(KALSHI, MarketId(fields.need_text("ticker", "market_ticker"))),
        said=said,
        yes_payout=_payout(said, fields),
        yes_size=fields.need_size("yes_count_fp"),
        no_size=fields.need_size("no_count_fp"),
        cash=_needed_cents(fields, "revenue"),
        fee=fields.signed("fee_cost"),
        shard=fields.number("exchange_index"),
        at_ms=fields.moment_ms("settled_time"),
    )


def to_group_event(fields: Fields) -> OrderGroupTold:
    """An `order_group_updates`."""
    said = fields.need_text("event_type")
    return OrderGroupTold(
        venue=KALSHI,
        group=fields.need_text("order_group_id"),
        event=_GROUP.get(said, GroupEvent.UNKNOWN),
        said=said,
        limit=fields.size("contracts_limit_fp"),
        at_ms=fields.unix("ts_ms"),
    )


def _more_than_nothing(fields: Fields) -> Micros:
    size = fields.need_size("count_fp")
    if size == 0:
        raise UnreadableAnswer("count_fp", "a fill of nothing")
    return size


def _sum(*parts: Micros | None) -> Micros | None:
    """None where no part is told; a part that is not is nothing."""
    told = [part for part in parts if part is not None]
    return Micros(sum(told)) if told else None


def _payout(said: str, fields: Fields) -> Micros | None:
    match said:
        case "yes":
            return ONE
        case "no":
            return ZERO
        case "scalar":
            value = fields.number("value")
            return Micros(value * _CENT) if value is not None and 0 <= value <= _CENTS else None
        case _:
            return None


def _needed_cents(fields: Fields, name: str) -> Micros:
    found = fields.cents(name)
    if found is None:
        raise UnreadableAnswer(name, "is missing")
    return found

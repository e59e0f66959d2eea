"""Between the protobuf messages and the domain. What comes in is checked here, and an error names its field."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from arbiter.actors.accounts import STRATEGIES
from arbiter.actors.arb_scanner import OpportunityChanged
from arbiter.actors.brake import Standing
from arbiter.actors.market_data import MarketData
from arbiter.actors.position_tracker import PositionChanged
from arbiter.domain.account import Account, UserSettings
from arbiter.domain.arbitrage import Leg
from arbiter.domain.book import Side
from arbiter.domain.ids import MarketId, MarketKey, OrderId, OutcomeId, OutcomeKey, VenueId
from arbiter.domain.ledger import Position
from arbiter.domain.limits import TIERS
from arbiter.domain.money import MAX_MICROS, ONE, Micros
from arbiter.domain.order import Order, OrderState, TimeInForce
from arbiter.domain.pair import Pair
from arbiter.domain.trading_state import TradingState, TradingStatus
from arbiter.domain.wallet import CashPool
from arbiter.errors import InvalidInput
from arbiter.rpc.change import Cursor
from arbiter.rpc.status import shown
from arbiter.v1 import admin_pb2, market_pb2, strategy_pb2, trading_pb2, user_pb2

LONGEST_ID = 200
LONGEST_KEY = 100
LONGEST_MS = 18
"""Digits of a time; what has more does not fit 64 bits."""
DEFAULT_PAGE = 50
LARGEST_PAGE = 200

_SIDES = {market_pb2.SIDE_BUY: Side.BUY, market_pb2.SIDE_SELL: Side.SELL}
_TIFS = {
    market_pb2.TIME_IN_FORCE_GTC: TimeInForce.GTC,
    market_pb2.TIME_IN_FORCE_IOC: TimeInForce.IOC,
    market_pb2.TIME_IN_FORCE_FOK: TimeInForce.FOK,
}
SIDES_OUT = {side: number for number, side in _SIDES.items()}
_TIFS_OUT = {tif: number for number, tif in _TIFS.items()}
_ORDER_STATES = {getattr(trading_pb2, f"ORDER_STATE_{state.name}"): state for state in OrderState}
_ORDER_STATES_OUT: dict[OrderState, trading_pb2.OrderState] = {
    state: getattr(trading_pb2, f"ORDER_STATE_{state.name}") for state in OrderState
}
_OPPORTUNITY_STATES = {
    "opened": strategy_pb2.OPPORTUNITY_STATE_OPENED,
    "updated": strategy_pb2.OPPORTUNITY_STATE_UPDATED,
    "closed": strategy_pb2.OPPORTUNITY_STATE_CLOSED,
}

# -- in --


def text_in(field: str, value: str, longest: int = LONGEST_ID) -> str:
    """Required text of bounded length."""
    if not value:
        raise InvalidInput(field, "is required")
    if len(value) > longest:
        raise InvalidInput(field, f"has {len(value)} characters, at most {longest} are allowed")
    return value


def optional_text_in(field: str, value: str, longest: int = LONGEST_ID) -> str:
    """Text that may be empty, of bounded length."""
    return text_in(field, value, longest) if value else ""


def line_in(field: str, value: str, longest: int) -> str:
    """Required text that people read in one line among others: nothing in it moves them about or is invisible."""
    text = text_in(field, value, longest)
    if not text.isprintable() or not text.strip():
        raise InvalidInput(field, "must be text that can be read, in one line")
    return text


def short_text_in(value: str, longest: int = LONGEST_ID) -> str:
    """Text of a stop, in one line and cut where it is too long: nothing that is wrong with it may hold the stop up."""
    return shown(value[:longest])


def positive_micros_in(field: str, value: int) -> Micros:
    """Micros above zero and within what any account can hold."""
    if value <= 0:
        raise InvalidInput(field, "must be above 0")
    if value > MAX_MICROS:
        raise InvalidInput(field, "is out of range")
    return Micros(value)


def price_in(field: str, value: int) -> Micros:
    """A price that a contract can have: above zero and below what a won one pays."""
    if not 0 < value < ONE:
        raise InvalidInput(field, f"must be above 0 and below {ONE}")
    return Micros(value)


def key_in(value: str) -> str:
    """An idempotency key: any text that can be shown, logged and compared as it is."""
    if any(unicodedata.category(each) == "Cc" for each in value):
        raise InvalidInput("idempotency_key", "has a control character")
    return text_in("idempotency_key", value, LONGEST_KEY)


def outcome_in(field: str, value: market_pb2.OutcomeRef) -> OutcomeKey:
    return OutcomeKey(
        VenueId(text_in(f"{field}.venue", value.venue)),
        MarketId(text_in(f"{field}.market_id", value.market_id)),
        OutcomeId(text_in(f"{field}.outcome_id", value.outcome_id)),
    )


def market_key_in(venue: str, market_id: str) -> MarketKey:
    return MarketKey(VenueId(text_in("venue", venue)), MarketId(text_in("market_id", market_id)))


def side_in(value: market_pb2.Side) -> Side:
    if value not in _SIDES:
        raise InvalidInput("side", "must be SIDE_BUY or SIDE_SELL")
    return _SIDES[value]


def tif_in(value: market_pb2.TimeInForce) -> TimeInForce:
    if value not in _TIFS:
        raise InvalidInput("time_in_force", "must be TIME_IN_FORCE_GTC, _IOC or _FOK")
    return _TIFS[value]


def order_states_in(values: Iterable[trading_pb2.OrderState]) -> frozenset[OrderState]:
    wanted = tuple(values)
    if not set(wanted) <= _ORDER_STATES.keys():
        raise InvalidInput("states", "must be states that an order can have")
    return frozenset(_ORDER_STATES[value] for value in wanted)


def page_size_in(value: int) -> int:
    """How many a page holds."""
    if not 0 <= value <= LARGEST_PAGE:
        raise InvalidInput("page_size", f"must be from 0 to {LARGEST_PAGE}")
    return value or DEFAULT_PAGE


def page_after_in(token: str) -> str:
    """The id after which the page begins; any text is one."""
    return optional_text_in("page_token", token)


def orders_before_in(token: str) -> tuple[int, OrderId] | None:
    """The order after which, newest first, the page begins."""
    created_ms, _, order_id = optional_text_in("page_token", token).partition(".")
    if not token:
        return None
    if not order_id or not created_ms.isascii() or not created_ms.isdecimal() or len(created_ms) > LONGEST_MS:
        raise InvalidInput("page_token", "is none that ListOrders gave")
    return int(created_ms), OrderId(order_id)


def resume_after_in(message: Any) -> Cursor | None:
    """The cursor that a stream is asked to go on from; any numbers are one, which may not fit."""
    return Cursor(message.resume_after.epoch, message.resume_after.sequence) if message.HasField("resume_after") else None


# -- out --


def orders_before_out(orders: Sequence[Order], page_size: int) -> str:
    """The token of the page after this one; none where this one is not full."""
    return f"{orders[-1].created_ms}.{orders[-1].id}" if len(orders) == page_size else ""


def outcome_out(key: OutcomeKey) -> market_pb2.OutcomeRef:
    return market_pb2.OutcomeRef(venue=key.venue, market_id=key.market, outcome_id=key.outcome)


def order_out(order: Order) -> trading_pb2.Order:
    return trading_pb2.Order(
        order_id=order.id,
        outcome=outcome_out(order.outcome),
        side=SIDES_OUT[order.side],
        price_micros=order.price,
        size_micros=order.size,
        filled_micros=order.filled,
        time_in_force=_TIFS_OUT[order.tif],
        state=_order_state_out(order.state),
        reason=order.reason,
        created_unix_ms=order.created_ms,
        updated_unix_ms=order.updated_ms,
        idempotency_key=order.idempotency_key,
        strategy=order.strategy,
    )


def _order_state_out(state: OrderState) -> trading_pb2.OrderState:
    return _ORDER_STATES_OUT[state]


def position_out(change: PositionChanged, data: MarketData) -> trading_pb2.Position:
    position, mark = change.position, change.mark
    title, label = _names(position.outcome, data)
    body = trading_pb2.Position(
        outcome=outcome_out(position.outcome),
        title=title,
        label=label,
        size_micros=position.size,
        cost_micros=position.cost,
        realised_pnl_micros=position.realised,
        fees_micros=position.fees,
    )
    if mark.price is not None and mark.unrealised is not None and mark.exit_value is not None:
        body.marked = True
        body.mark_price_micros, body.unrealised_pnl_micros, body.exit_value_micros = mark.price, mark.unrealised, mark.exit_value
    return body


def opportunity_out(change: OpportunityChanged, data: MarketData) -> strategy_pb2.ArbOpportunity:
    found = change.opportunity
    return strategy_pb2.ArbOpportunity(
        opportunity_id=change.id,
        state=_OPPORTUNITY_STATES[change.state],
        pair_id=change.pair,
        title=change.title,
        legs=[_leg_out(leg, data) for leg in found.legs],
        size_micros=found.size,
        gross_micros=found.gross,
        net_micros=found.net,
        net_per_contract_micros=found.net_per_contract,
        book_age_ms=change.ages_ms,
        opened_unix_ms=change.opened_ms,
        at_unix_ms=change.at_ms,
        duration_ms=change.duration_ms,
        reason=change.reason,
    )


def _leg_out(leg: Leg, data: MarketData) -> strategy_pb2.OpportunityLeg:
    title, label = _names(leg.outcome, data)
    return strategy_pb2.OpportunityLeg(
        outcome=outcome_out(leg.outcome),
        title=title,
        label=label,
        limit_price_micros=leg.limit,
        size_micros=leg.size,
        cost_micros=leg.cost,
        fee_micros=leg.fee,
    )


def pair_out(pair: Pair, data: MarketData) -> market_pb2.Pair:
    (title_a, _), (title_b, _) = _names(pair.a_yes, data), _names(pair.b_same, data)
    sides = ((pair.a_yes, pair.b_same), (pair.a_no, pair.b_other))
    return market_pb2.Pair(
        pair_id=pair.id,
        title=pair.title,
        title_a=title_a,
        title_b=title_b,
        outcomes=[
            market_pb2.PairedOutcome(
                outcome=outcome_out(here), label=_names(here, data)[1], same_as=outcome_out(there), same_label=_names(there, data)[1]
            )
            for here, there in sides
        ],
    )


def _names(outcome: OutcomeKey, data: MarketData) -> tuple[str, str]:
    market = data.markets.get(outcome.market_key)
    if market is None:
        return "", ""
    return market.title, market.yes.label if outcome.outcome == market.yes.id else market.no.label


_TRADING_STATES_OUT: dict[TradingState, trading_pb2.TradingState] = {
    state: getattr(trading_pb2, f"TRADING_STATE_{state.name}") for state in TradingState
}


def trading_state_out(state: TradingState) -> trading_pb2.TradingState:
    return _TRADING_STATES_OUT[state]


def wallet_out(
    pools: tuple[CashPool, ...], holdings: tuple[Position, ...], valued: tuple[PositionChanged, ...]
) -> trading_pb2.WalletResponse:
    """`holdings`: every position ever held; `valued`: the open ones with their marks."""
    exits = [change.mark.exit_value for change in valued if change.mark.exit_value is not None]
    return trading_pb2.WalletResponse(
        pools=[
            trading_pb2.CashPool(venue=pool.venue, cash_micros=pool.cash, reserved_micros=pool.reserved, available_micros=pool.available)
            for pool in pools
        ],
        cash_micros=sum(pool.cash for pool in pools),
        positions_exit_micros=sum(exits),
        realised_pnl_micros=sum(position.realised for position in holdings),
        unrealised_pnl_micros=sum(change.mark.unrealised for change in valued if change.mark.unrealised is not None),
        unmarked_positions=len(valued) - len(exits),
    )


def standing_out(standing: Standing) -> trading_pb2.TradingStateResponse:
    status = standing.effective
    return trading_pb2.TradingStateResponse(
        state=trading_state_out(status.state),
        since_unix_ms=status.since_ms,
        reason=status.reason,
        by_operator=standing.by_operator,
        own_state=trading_state_out(standing.own.state),
    )


def user_out(account: Account, own: TradingStatus) -> admin_pb2.User:
    return admin_pb2.User(
        user_id=account.user,
        name=account.name,
        tier=account.tier.value,
        role=account.role.value,
        suspended=account.suspended,
        telegram_linked=account.telegram is not None,
        strategies=account.strategies,
        own_state=trading_state_out(own.state),
    )


def profile_out(account: Account) -> user_pb2.ProfileResponse:
    limits = TIERS[account.tier]
    return user_pb2.ProfileResponse(
        user_id=account.user,
        name=account.name,
        tier=account.tier.value,
        role=account.role.value,
        suspended=account.suspended,
        limits=user_pb2.Limits(
            requests_per_second=limits.requests_per_second,
            orders_per_minute=limits.orders_per_minute,
            open_positions=limits.open_positions,
            largest_position_micros=limits.largest_position,
            copy_trades=limits.copy_trades,
            streams=limits.streams,
            arbitrage_execution=limits.arbitrage_execution,
        ),
        settings=settings_out(account.settings),
        telegram_linked=account.telegram is not None,
        telegram_name=account.telegram.name if account.telegram else "",
    )


def settings_out(settings: UserSettings) -> user_pb2.UserSettings:
    threshold = user_pb2.TotpThreshold(above_micros=settings.totp_above)
    return user_pb2.UserSettings(min_edge_micros=settings.min_edge, totp_threshold=threshold)


def strategies_out(account: Account) -> list[strategy_pb2.Strategy]:
    return [strategy_out(name, account) for name in STRATEGIES]


def strategy_out(name: str, account: Account) -> strategy_pb2.Strategy:
    reason = next((each.reason for each in account.withdrawn if each.strategy == name), "")
    return strategy_pb2.Strategy(name=name, description=STRATEGIES[name], enabled=name in account.strategies, disabled_reason=reason)

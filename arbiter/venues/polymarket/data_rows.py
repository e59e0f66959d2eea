"""The rows of the Data API v2 (A9.1), snake_case JSON -> typed results in micros. Pure.

Prices and sizes are JSON numbers with as many digits as a float has: they are rounded to micros, since nothing is booked by
them. The wallet that trades is the proxy, safe or deposit wallet, not its owner's key.
"""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, TypeVar

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import MarketId, OutcomeId
from arbiter.domain.money import MAX_MICROS, ONE, ZERO, Micros
from arbiter.venues.polymarket.metadata import moment
from arbiter.venues.wire_numbers import UNDECODABLE

T = TypeVar("T")

UNKNOWN_OUTCOME = 999
"""What the API writes for an outcome index that it does not know."""


class WalletTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of a wallet. Rows carry no id of their own: rows of one transaction may be alike in everything."""

    wallet: str
    market: MarketId
    outcome: OutcomeId
    side: Side | None
    price: Micros
    size: Micros
    seconds: int
    """Unix time."""
    transaction: str
    outcome_index: int | None
    outcome_label: str = ""
    title: str = ""
    slug: str = ""
    event_slug: str = ""


class WalletActivity(WalletTrade, frozen=True, kw_only=True):
    """Anything that changed what a wallet holds. `kind`: TRADE, SPLIT, MERGE, REDEEM, REWARD, CONVERSION and others, in the venue's words.

    Ids are empty, price and size zero where the kind has none.
    """

    kind: str
    cash: Micros
    """Dollars."""
    is_combo: bool = False


class WalletPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What a wallet holds of an outcome. `status`: OPEN, REDEEMABLE, REDEEMABLE_LOST, MERGEABLE, CLOSED, or a word that we do not know."""

    wallet: str
    market: MarketId
    outcome: OutcomeId
    opposite: OutcomeId
    size: Micros
    average_price: Micros
    """Without fees."""
    cost: Micros
    fees: Micros
    price: Micros
    value: Micros
    realized: Micros
    unrealized: Micros
    status: str
    redeemable: bool
    mergeable: bool
    negative_risk: bool
    outcome_index: int | None
    outcome_label: str


class LeaderboardRow(msgspec.Struct, frozen=True):
    """A wallet's place."""

    rank: int
    wallet: str
    name: str
    pnl: Micros
    volume: Micros
    verified: bool


class ResolutionRow(msgspec.Struct, frozen=True):
    """Where a market stands. `status` in the venue's words; `payouts` of outcome 0 and 1 in micros, None while there are none."""

    market: MarketId
    status: str
    payouts: tuple[Micros, Micros] | None
    at: datetime | None = None


# -- the wire --


class _Trade(msgspec.Struct):
    timestamp: int
    proxy_wallet: str | None = None
    condition_id: str | None = None
    token_id: str | None = None
    side: str | None = None
    price: Decimal | None = None
    size: Decimal | None = None
    transaction_hash: str | None = None
    outcome: str | None = None
    outcome_index: int | None = None
    title: str | None = None
    slug: str | None = None
    event_slug: str | None = None


class _Activity(_Trade):
    type: str | None = None
    usdc_size: Decimal | None = None
    is_combo: bool | None = None


class _Position(msgspec.Struct):
    proxy_wallet: str | None = None
    condition_id: str | None = None
    token_id: str | None = None
    opposite_token_id: str | None = None
    current_size: Decimal | None = None
    avg_price: Decimal | None = None
    total_cost_usdc: Decimal | None = None
    entry_fees_usdc: Decimal | None = None
    current_price: Decimal | None = None
    current_value: Decimal | None = None
    realized_pnl: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    status: str | None = None
    redeemable: bool | None = None
    mergeable: bool | None = None
    negative_risk: bool | None = None
    outcome: str | None = None
    outcome_index: int | None = None


class _Leader(msgspec.Struct):
    rank: int
    user_id: str
    user_name: str | None = None
    pnl: Decimal | None = None
    volume: Decimal | None = None
    verified: bool | None = None


class _Value(msgspec.Struct):
    value: Decimal


class _Resolution(msgspec.Struct):
    """The sheet says what is in a row, not what it is called: `payouts` and `condition` are the likeliest other words."""

    status: str
    condition_id: str | None = None
    condition: str | None = None
    payout_numerators: list[Decimal] | None = None
    payouts: list[Decimal] | None = None
    resolved_at: str | None = None


def read_trade(raw: bytes | msgspec.Raw) -> WalletTrade:
    """Raises ValueError, as all of these do, where a field is not what the API promises; a trade without a market or a price is none."""
    row = _decoded(raw, _Trade)
    if not row.condition_id or not row.token_id or row.price is None or row.size is None:
        raise ValueError("a trade without a market, a price or a size")
    return WalletTrade(**_common(row))


def read_activity(raw: bytes | msgspec.Raw) -> WalletActivity:
    row = _decoded(raw, _Activity)
    return WalletActivity(**_common(row), kind=row.type or "", cash=rounded(row.usdc_size), is_combo=row.is_combo is True)


def read_position(raw: bytes | msgspec.Raw) -> WalletPosition:
    row = _decoded(raw, _Position)
    if not row.condition_id or not row.token_id:
        raise ValueError("a position without a market")
    return WalletPosition(
        wallet=row.proxy_wallet or "",
        market=MarketId(row.condition_id),
        outcome=OutcomeId(row.token_id),
        opposite=OutcomeId(row.opposite_token_id or ""),
        size=rounded(row.current_size),
        average_price=rounded(row.avg_price),
        cost=rounded(row.total_cost_usdc),
        fees=rounded(row.entry_fees_usdc),
        price=rounded(row.current_price),
        value=rounded(row.current_value),
        realized=rounded(row.realized_pnl),
        unrealized=rounded(row.unrealized_pnl),
        status=row.status or "",
        redeemable=row.redeemable is True,
        mergeable=row.mergeable is True,
        negative_risk=row.negative_risk is True,
        outcome_index=_index(row.outcome_index),
        outcome_label=row.outcome or "",
    )


def read_leader(raw: bytes | msgspec.Raw) -> LeaderboardRow:
    row = _decoded(raw, _Leader)
    return LeaderboardRow(row.rank, row.user_id, row.user_name or "", rounded(row.pnl), rounded(row.volume), row.verified is True)


def read_value(raw: bytes | msgspec.Raw) -> Micros:
    return rounded(_decoded(raw, _Value).value)


def read_resolution(raw: bytes | msgspec.Raw) -> ResolutionRow:
    """Payouts are scaled by 10^6 (A4.2), which is micros; some that are not two, or do not sum to a dollar, are none."""
    row = _decoded(raw, _Resolution)
    told = row.payouts or row.payout_numerators or []
    payouts = None
    if len(told) == 2 and all(each.is_finite() and each == each.to_integral_value() and 0 <= each <= ONE for each in told):
        yes, no = (Micros(int(each)) for each in told)
        payouts = (yes, no) if yes + no == ONE else None
    return ResolutionRow(MarketId(row.condition_id or row.condition or ""), row.status.lower(), payouts, moment(row.resolved_at))


def rounded(number: Decimal | None) -> Micros:
    """To micros, half to even; nothing is zero. Raises ValueError for what is not a number of a size that occurs."""
    if number is None:
        return ZERO
    if not number.is_finite() or (abs(number.adjusted()) > 18 and number):
        raise ValueError("not a number of a size that occurs")
    result = int((number * ONE).to_integral_value(ROUND_HALF_EVEN))
    if abs(result) > MAX_MICROS:
        raise ValueError("a number out of range")
    return Micros(result)


def _common(row: _Trade) -> dict[str, Any]:
    sides = {"BUY": Side.BUY, "SELL": Side.SELL}
    return {
        "wallet": row.proxy_wallet or "",
        "market": MarketId(row.condition_id or ""),
        "outcome": OutcomeId(row.token_id or ""),
        "side": sides.get(row.side or ""),
        "price": rounded(row.price),
        "size": rounded(row.size),
        "seconds": row.timestamp,
        "transaction": row.transaction_hash or "",
        "outcome_index": _index(row.outcome_index),
        "outcome_label": row.outcome or "",
        "title": row.title or "",
        "slug": row.slug or "",
        "event_slug": row.event_slug or "",
    }


def _index(index: int | None) -> int | None:
    return None if index == UNKNOWN_OUTCOME else index


def _decoded(raw: bytes | msgspec.Raw, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=type_)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None

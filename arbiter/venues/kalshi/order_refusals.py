"""What Kalshi's refusals of order requests mean, as one table (B6.3).

The code decides, not the status: a 409 says "this id was accepted earlier" and, with another code, "fill or kill: not filled".
Known codes apart, a 4xx is a refusal. A 408, a 5xx and no answer are never one: the order may be there.
"""

from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from arbiter.domain.order import OrderState
from arbiter.errors import ArbiterError, OrderUncertain, VenueRejected, VenueUnavailable


class Meaning(Enum):
    """Why the venue refused."""

    REFUSED = "refused"
    FUNDS = "not enough money, or less held than is sold"
    OFF_GRID = "not a price of this market"
    WOULD_CROSS = "post-only, and it would have been filled at once"
    NOT_FILLED = "fill or kill, and there was not enough to fill it"
    NO_MARKET = "no such market, on the shard that was asked"
    MARKET_CLOSED = "the market is not open"
    AUTH = "the key, its signature or the clock"
    NOT_ALLOWED = "the key or the account may not do this"
    RATE = "too many requests"
    DEPRECATED = "an endpoint that is no more"
    DUPLICATE = "this client_order_id was accepted earlier"
    GONE = "no such order any more"
    UNKNOWN = "the outcome is not known"


_BECOMES: MappingProxyType[Meaning, OrderState | None] = MappingProxyType(
    {
        Meaning.NOT_FILLED: OrderState.CANCELLED,
        Meaning.RATE: None,
        Meaning.DUPLICATE: OrderState.UNKNOWN,
        Meaning.GONE: OrderState.UNKNOWN,
        Meaning.UNKNOWN: OrderState.UNKNOWN,
    }
)


def becomes(meaning: Meaning) -> OrderState | None:
    """What a refused create makes of the order; None: nothing was done, and the same request may be sent later.

    UNKNOWN is to be looked up by our id, never sent anew under another one.
    """
    return _BECOMES.get(meaning, OrderState.REJECTED)


class Row(NamedTuple):
    """`words`: only where the venue's text has them."""

    code: str
    meaning: Meaning
    words: str = ""


TABLE: tuple[Row, ...] = (
    Row("order_already_exists", Meaning.DUPLICATE),
    Row("fill_or_kill_insufficient_resting_volume", Meaning.NOT_FILLED),
    Row("insufficient_balance", Meaning.FUNDS),
    Row("invalid_order", Meaning.WOULD_CROSS, "post only cross"),
    Row("invalid_order", Meaning.REFUSED),
    Row("invalid_price", Meaning.OFF_GRID),
    Row("missing_parameters", Meaning.REFUSED),
    Row("bad_request", Meaning.REFUSED),
    Row("market_not_found", Meaning.NO_MARKET),
    Row("not_found", Meaning.GONE),
    Row("MARKET_INACTIVE", Meaning.MARKET_CLOSED),
    Row("deprecated_v1_order_endpoint", Meaning.DEPRECATED),
    Row("authentication_error", Meaning.AUTH),
    Row("INCORRECT_API_KEY_SIGNATURE", Meaning.AUTH),
)
"""Codes that were seen, as the venue spells them. The first row that fits counts."""

_STATUS: MappingProxyType[int, Meaning] = MappingProxyType(
    {
        401: Meaning.AUTH,
        403: Meaning.NOT_ALLOWED,
        404: Meaning.GONE,
        409: Meaning.DUPLICATE,  # with a code that we do not know as well: a look costs little, a second order much
        410: Meaning.DEPRECATED,
        429: Meaning.RATE,
    }
)


def meaning_of(status: int, code: str, text: str = "") -> Meaning:
    """What an answer of this status says of an order request; `code` and `text` as `read_refusal` gives them.

    Status 0 is for errors within an answer that does not refuse as a whole (a batch): only codes that we know say anything then.
    """
    if status == 408 or status >= 500:
        return Meaning.UNKNOWN
    for row in TABLE:
        if row.code == code and row.words in text:
            return row.meaning
    return _STATUS.get(status, Meaning.REFUSED) if status >= 400 else Meaning.UNKNOWN


def meaning_of_error(error: ArbiterError) -> Meaning:
    """The same of what `RestClient.once` raised for an order request.

    VenueUnavailable says that nothing was done, be it that nothing was sent, so that RATE is the reaction to all of it.
    """
    match error:
        case VenueRejected():
            return meaning_of(error.status, error.code, error.problem)
        case VenueUnavailable():
            return Meaning.RATE
        case OrderUncertain():
            return Meaning.UNKNOWN
        case _:
            raise TypeError(f"{type(error).__name__} is no answer to an order request")

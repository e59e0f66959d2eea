"""What a request can be refused for. The wire formats put it in the venue's own words."""

from enum import Enum


class Reason(Enum):
    """Why nothing was done."""

    UNKNOWN_MARKET = "unknown_market"
    MARKET_INACTIVE = "market_inactive"
    DUPLICATE = "duplicate"
    PRICE = "price"
    """Off the grid."""
    SIZE = "size"
    """Not positive, or finer than the market's step."""
    TOO_SMALL = "too_small"
    MARKETABLE_TOO_SMALL = "marketable_too_small"
    EXPIRATION = "expiration"
    COMBINATION = "combination"
    """Options that exclude each other: post-only or reduce-only with a time in force that cannot have it."""
    BALANCE = "balance"
    POST_ONLY_CROSS = "post_only_cross"
    FOK_UNFILLED = "fok_unfilled"
    FAK_UNFILLED = "fak_unfilled"
    FEES_UNKNOWN = "fees_unknown"
    NO_SUCH_ORDER = "no_such_order"
    """Unknown, another account's, or no longer open."""
    NOT_OFFERED = "not_offered"
    """The venue has no such request."""


class Refused(Exception):
    """The request changed nothing. `detail`: numbers for the venue's text."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail

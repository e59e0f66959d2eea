"""How an order is to be handled: what of it the body says and the signature does not cover (A5.1). Pure: the time is handed in."""

from enum import Enum

import msgspec

from arbiter.venues.polymarket.order_rules import OrderRefused, OrderRule

SOONEST_EXPIRY_S = 180
"""From now: an earlier one is refused."""
REMOVED_BEFORE_S = 60
"""The venue removes an order about so long before it expires."""


class OrderType(Enum):
    """The venue's own words."""

    GTC = "GTC"
    """Rests until filled or cancelled."""
    GTD = "GTD"
    """Rests until it expires."""
    FOK = "FOK"
    """All at once or nothing."""
    FAK = "FAK"
    """What is there at once; an error where nothing is."""

    @property
    def rests(self) -> bool:
        return self in (OrderType.GTC, OrderType.GTD)


class Terms(msgspec.Struct, frozen=True):
    """`expires_s` is Unix seconds, 0 for never. `check` before use."""

    type: OrderType
    post_only: bool = False
    expires_s: int = 0

    def check(self, now_s: int) -> None:
        """OrderRefused for what the venue refuses, and for an expiry that it would not heed."""
        if self.post_only and not self.type.rests:
            problem = f"a {self.type.value} order never rests, so it cannot be post-only"
            raise OrderRefused(OrderRule.POST_ONLY_NEVER_RESTS, "post_only", problem)
        if self.type is not OrderType.GTD:
            if self.expires_s:
                raise OrderRefused(OrderRule.EXPIRY_NOT_TAKEN, "expires", f"a {self.type.value} order does not expire; GTD does")
            return
        if self.expires_s <= 0:
            raise OrderRefused(OrderRule.NO_EXPIRY, "expires", "a GTD order needs a time to expire at")
        if self.expires_s < now_s + SOONEST_EXPIRY_S:
            problem = f"{self.expires_s - now_s} s from now is too soon: the venue takes {SOONEST_EXPIRY_S} s or more"
            raise OrderRefused(OrderRule.EXPIRES_TOO_SOON, "expires", problem)


def resting_for(seconds: int, now_s: int, *, post_only: bool = False) -> Terms:
    """GTD terms for an order that is to rest so long: it states its expiry later, for it is removed before. OrderRefused for too short."""
    terms = Terms(OrderType.GTD, post_only, now_s + REMOVED_BEFORE_S + seconds)
    terms.check(now_s)
    return terms

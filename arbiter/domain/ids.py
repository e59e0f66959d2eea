"""Identities. A market is (venue, market id); an outcome adds the outcome id; our own ids are UUIDv7 text."""

from random import Random
from typing import NamedTuple, NewType

VenueId = NewType("VenueId", str)
MarketId = NewType("MarketId", str)
OutcomeId = NewType("OutcomeId", str)
EventId = NewType("EventId", str)
UserId = NewType("UserId", str)
OrderId = NewType("OrderId", str)
FillId = NewType("FillId", str)
PairId = NewType("PairId", str)
OpportunityId = NewType("OpportunityId", str)

POLYMARKET = VenueId("polymarket")
KALSHI = VenueId("kalshi")


class MarketKey(NamedTuple):
    """A market anywhere. `str()` gives `venue:market`."""

    venue: VenueId
    market: MarketId

    def __str__(self) -> str:
        return f"{self.venue}:{self.market}"


class OutcomeKey(NamedTuple):
    """An outcome anywhere. `str()` gives `venue:market:outcome`."""

    venue: VenueId
    market: MarketId
    outcome: OutcomeId

    @property
    def market_key(self) -> MarketKey:
        return MarketKey(self.venue, self.market)

    def __str__(self) -> str:
        return f"{self.venue}:{self.market}:{self.outcome}"


def new_id(now_ms: int, random: Random) -> str:
    """A UUIDv7 (RFC 9562, section 5.7) as text: sorts by time, unique by 74 random bits. Clock and Random are handed in."""
    value = (now_ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | random.getrandbits(12) << 64 | 0b10 << 62 | random.getrandbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

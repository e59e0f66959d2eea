"""What the domain tests share: golden vectors, and the smallest market and order that a rule needs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from arbiter.domain.book import Side
from arbiter.domain.ids import POLYMARKET, EventId, MarketId, MarketKey, OrderId, OutcomeId, OutcomeKey, UserId, VenueId
from arbiter.domain.market import Market, Outcome, TickRange
from arbiter.domain.money import MICRO, ONE, Micros
from arbiter.domain.order import Order, TimeInForce

SHARED = Path(__file__).resolve().parents[2].parent / "shared"

# how long an example takes says nothing on a machine that does other work too
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    """The golden vectors of both venues; skips the test where they are absent."""
    path = SHARED / "venue_vectors.json"
    if not path.exists():
        pytest.skip("no golden vectors here: venue_vectors.json is not beside the repository")
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def market() -> Callable[..., Market]:
    """A binary market on whole cents with sizes of a hundredth; any field can be set."""

    def make(venue: VenueId = POLYMARKET, name: str = "m", **fields: Any) -> Market:
        cents = (TickRange(Micros(10_000), Micros(ONE - 10_000), Micros(10_000)),)
        given = {"ticks": cents, "size_step": Micros(10_000)} | fields
        yes, no = Outcome(OutcomeId("yes"), "Yes"), Outcome(OutcomeId("no"), "No")
        return Market(MarketKey(venue, MarketId(name)), EventId("event"), "title", yes, no, **given)

    return make


@pytest.fixture(scope="session")
def order() -> Callable[..., Order]:
    """A pending GTC order to buy 10 at 50 cents; any field can be set."""

    def make(**fields: Any) -> Order:
        given: dict[str, Any] = {
            "id": OrderId("o1"),
            "user": UserId("u1"),
            "outcome": OutcomeKey(POLYMARKET, MarketId("m"), OutcomeId("yes")),
            "side": Side.BUY,
            "price": Micros(500_000),
            "size": Micros(10 * MICRO),
            "tif": TimeInForce.GTC,
            "idempotency_key": "k1",
            "created_ms": 1,
        }
        return Order(**(given | fields))

    return make

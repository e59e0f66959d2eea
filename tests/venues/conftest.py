"""What the venue tests share: where recorded data lies, and the smallest markets that wire decoders need."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import Market, Outcome, TickRange
from arbiter.domain.money import ONE, Micros

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="session")
def recording() -> Callable[[str], Path]:
    """The path of a recorded file; skips the test where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / "recordings" / name
        if not path.exists():
            pytest.skip(f"no recorded data here: {name} is not beside the repository")
        return path

    return find


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    """The golden vectors of both venues; skips the test where they are absent."""
    path = SHARED / "venue_vectors.json"
    if not path.exists():
        pytest.skip("no golden vectors here: venue_vectors.json is not beside the repository")
    return json.loads(path.read_text())


def _market(key: MarketKey, yes: str, no: str) -> Market:
    cents = (TickRange(Micros(10_000), Micros(ONE - 10_000), Micros(10_000)),)
    return Market(key, EventId("event"), "title", Outcome(OutcomeId(yes), "Up"), Outcome(OutcomeId(no), "Down"), cents, Micros(10_000))


@pytest.fixture(scope="session")
def polymarket_market() -> Callable[..., Market]:
    def make(condition: str = "0xaa", yes: str = "123", no: str = "456") -> Market:
        return _market(MarketKey(POLYMARKET, MarketId(condition)), yes, no)

    return make


@pytest.fixture(scope="session")
def kalshi_market() -> Callable[..., Market]:
    def make(ticker: str = "KXTEST-26NOV23-A") -> Market:
        return _market(MarketKey(KALSHI, MarketId(ticker)), "yes", "no")

    return make

"""What a venue lists: markets, their outcomes, price grids and fee schedules, in one form for all venues."""

from datetime import datetime
from enum import Enum

import msgspec

from arbiter.domain.ids import EventId, MarketId, MarketKey, OutcomeId, OutcomeKey, VenueId
from arbiter.domain.money import ONE, ZERO, Micros


class TickRange(msgspec.Struct, frozen=True):
    """Prices from `start` to `end` (both included) move in `step`s; all in micros of a dollar."""

    start: Micros
    end: Micros
    step: Micros


class PolymarketFees(msgspec.Struct, frozen=True, tag="polymarket"):
    """Taker fee `shares * rate * (p * (1 - p)) ** exponent`; source: Gamma `feeSchedule`. `rate` in micros."""

    rate: Micros
    exponent: int = 1


class KalshiFees(msgspec.Struct, frozen=True, tag="kalshi"):
    """Taker `multiplier * 0.07 * C * P * (1 - P)`; makers pay 0.0175 only where `maker_fees`. Source: series fee fields.

    `balance_unit` is the balance's precision: $0.01 for accounts behind a broker (the safe default for estimates),
    $0.0001 for direct members.
    """

    multiplier: Micros = ONE
    maker_fees: bool = False
    balance_unit: Micros = Micros(10_000)


FeeSchedule = PolymarketFees | KalshiFees


class MarketStatus(Enum):
    """Where a market stands. Only OPEN accepts orders."""

    UPCOMING = "upcoming"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"
    RESOLVED = "resolved"


class Resolution(msgspec.Struct, frozen=True):
    """How a market came out: what one YES pays, in micros; NO pays the rest of the payout. None: void, money is given back as
    the market's rules say. `final` only when the venue cannot change it any more."""

    yes_payout: Micros | None
    final: bool
    at: datetime | None = None


class Outcome(msgspec.Struct, frozen=True):
    """One side of a binary market: the venue's id for it and what a person calls it."""

    id: OutcomeId
    label: str


class Market(msgspec.Struct, frozen=True):
    """A binary market. `yes` pays `payout` per unit if the proposition holds, `no` if it does not.

    `fees` is None where the venue's schedule is not known to us: such a market can be shown, never traded.
    `size_step`, `min_size` and `min_notional` are micros of a share, a share and a dollar. Where `notional_step` is
    set, an immediate buy's limit price times size must be a multiple of it (Polymarket: whole cents).

    `resolves_at` is when the venue expects the result, `settlement_seconds` how long it then waits before it pays.
    `generation`, `negative_risk` and `shard` say where an order of this market goes; they are the venue's own words.
    """

    key: MarketKey
    event: EventId
    title: str
    yes: Outcome
    no: Outcome
    ticks: tuple[TickRange, ...]
    size_step: Micros
    min_size: Micros = ZERO
    min_notional: Micros = ZERO
    notional_step: Micros = ZERO
    fees: FeeSchedule | None = None
    payout: Micros = ONE
    status: MarketStatus = MarketStatus.OPEN
    rules: str = ""
    category: str = ""
    closes_at: datetime | None = None
    opens_at: datetime | None = None
    resolves_at: datetime | None = None
    settlement_seconds: int = 0
    settlement_sources: tuple[str, ...] = ()
    resolution: Resolution | None = None
    taker_delay_ms: int = 0
    volume: Micros = ZERO
    generation: str = ""
    negative_risk: bool = False
    shard: int = 0

    @property
    def yes_key(self) -> OutcomeKey:
        return OutcomeKey(self.key.venue, self.key.market, self.yes.id)

    @property
    def no_key(self) -> OutcomeKey:
        return OutcomeKey(self.key.venue, self.key.market, self.no.id)

    def outcome_key(self, outcome: OutcomeId) -> OutcomeKey:
        """The key of one of our outcomes; KeyError if it is not ours."""
        if outcome not in (self.yes.id, self.no.id):
            raise KeyError(outcome)
        return OutcomeKey(self.key.venue, self.key.market, outcome)

    def complement(self, outcome: OutcomeId) -> OutcomeKey:
        """The other outcome; KeyError if `outcome` is not ours."""
        if outcome == self.yes.id:
            return self.no_key
        if outcome == self.no.id:
            return self.yes_key
        raise KeyError(outcome)

    def on_grid(self, price: int) -> bool:
        """Whether the venue accepts this price: strictly between 0 and payout, on a step of some range."""
        if not 0 < price < self.payout:
            return False
        return any(r.start <= price <= r.end and (price - r.start) % r.step == 0 for r in self.ticks)


class Event(msgspec.Struct, frozen=True):
    """What a venue groups markets by: one question with one or many answers.

    `at_most_one`: the venue says that no two of its markets resolve YES. `at_least_one`: it says that one of them must.
    Neither is inferred; a venue that does not say so leaves it False.
    """

    venue: VenueId
    id: EventId
    title: str
    category: str = ""
    series: str = ""
    markets: tuple[MarketId, ...] = ()
    at_most_one: bool = False
    at_least_one: bool = False
    settlement_sources: tuple[str, ...] = ()
    closes_at: datetime | None = None

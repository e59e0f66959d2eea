"""Which fee schedule a Kalshi market has at a time: waivers, announced changes, and that nothing is ever guessed."""

from decimal import Decimal

import pytest

from arbiter.domain.market import KalshiFees
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.venues.kalshi.fee_rules import CACHED_MS, WAIVER_MARGIN_MS, FeeRules, SeriesFeeChange
from arbiter.venues.kalshi.metadata import KalshiEvent, KalshiMarket, KalshiSeries

NOW = 1_800_000_000_000
LATER = "2027-01-15T09:00:00Z"
LATER_MS = 1_800_003_600_000
CENT = Micros(10_000)


@pytest.fixture
def rules() -> FeeRules:
    made = FeeRules(CENT)
    made.learn_series(KalshiSeries("S", fee_type="quadratic", fee_multiplier=Decimal(1)), NOW)
    made.learn_event(KalshiEvent("S-E", "S"))
    return made


def test_the_accounts_precision_is_part_of_the_schedule():
    rules = FeeRules(Micros(100))
    rules.learn_series(KalshiSeries("S", fee_type="quadratic", fee_multiplier=Decimal(1)), NOW)
    rules.learn_event(KalshiEvent("S-E", "S"))
    assert rules.of("M", "S-E", NOW) == KalshiFees(ONE, False, Micros(100))


def test_an_event_that_nobody_told_of_has_no_schedule(rules):
    assert rules.of("M", "S-OTHER", NOW) is None


def test_an_override_on_the_stream_counts_from_then_on_and_can_be_lifted(rules):
    rules.learn_override("S-E", "", None, Decimal("0.5"))
    assert rules.of("M", "S-E", NOW).multiplier == 500_000
    rules.learn_override("S-E", "", "flat", None)
    assert rules.of("M", "S-E", NOW) is None
    rules.learn_override("S-E", "", None, None)
    assert rules.of("M", "S-E", NOW) == KalshiFees(ONE, False, CENT)


def test_a_waived_market_is_free_until_shortly_before_the_waivers_end(rules):
    rules.learn_market(KalshiMarket("M", fee_waiver_expiration_time=LATER), NOW)
    assert rules.of("M", "S-E", NOW).multiplier == ZERO
    assert rules.of("N", "S-E", NOW).multiplier == ONE
    end = LATER_MS - WAIVER_MARGIN_MS
    assert rules.next_change(NOW) == end
    assert rules.of("M", "S-E", end - 1).multiplier == ZERO
    assert rules.of("M", "S-E", end).multiplier == ONE
    assert rules.next_change(LATER_MS) is None


@pytest.mark.parametrize("text", [None, "", "soon", "2027-01-15T07:59:59Z", "2027-01-15T09:00:00"])
def test_a_waiver_that_ended_or_cannot_be_read_is_none(rules, text):
    rules.learn_market(KalshiMarket("M", fee_waiver_expiration_time=text), NOW)
    assert rules.of("M", "S-E", NOW).multiplier == ONE


def test_an_announced_change_counts_from_its_time_on_and_the_last_one_that_began(rules):
    rows = [
        SeriesFeeChange("S", "quadratic_with_maker_fees", Decimal(2), LATER),
        SeriesFeeChange("S", "flat", None, "2027-01-15T10:00:00Z"),
    ]
    rules.learn_changes(rows[::-1])
    assert rules.next_change(NOW) == LATER_MS
    assert rules.of("M", "S-E", LATER_MS - 1) == KalshiFees(ONE, False, CENT)
    assert rules.of("M", "S-E", LATER_MS) == KalshiFees(Micros(2_000_000), True, CENT)
    assert rules.of("M", "S-E", LATER_MS + 3_600_000) is None


def test_a_change_of_long_ago_does_not_undo_what_was_read_since(rules):
    rules.learn_changes([SeriesFeeChange("S", "quadratic", Decimal(3), LATER)])
    rules.learn_series(KalshiSeries("S", fee_type="quadratic", fee_multiplier=Decimal("0.5")), LATER_MS + CACHED_MS)
    assert rules.of("M", "S-E", LATER_MS + CACHED_MS).multiplier == 500_000


def test_an_override_stands_over_a_change_of_its_series(rules):
    rules.learn_override("S-E", "S", "quadratic", Decimal("0.25"))
    rules.learn_changes([SeriesFeeChange("S", "quadratic_with_maker_fees", Decimal(2), LATER)])
    assert rules.of("M", "S-E", LATER_MS) == KalshiFees(Micros(250_000), False, CENT)

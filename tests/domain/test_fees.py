from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.domain.book import Level, Side
from arbiter.domain.fees import FeeMeter, UnknownFees, planned_taker_fee
from arbiter.domain.market import KalshiFees, PolymarketFees
from arbiter.domain.money import MICRO, ONE, Micros, micros_from_decimal, parse_micros

prices = st.integers(1, 999_999).map(Micros)
cent_prices = st.integers(1, 99).map(lambda cents: Micros(cents * 10_000))
sizes = st.integers(1, 10_000_000).map(lambda hundredths: Micros(hundredths * 10_000))
rates = st.sampled_from([0, 40_000, 50_000, 70_000, 1_000_000]).map(Micros)


def _kalshi(case: dict[str, Any]) -> tuple[KalshiFees, bool]:
    """The schedule of a golden case, and whether its fills are a taker's."""
    taker = case["coefficient"] == "0.07"
    return KalshiFees(parse_micros(case["multiplier"]), not taker, parse_micros(case["balance_precision"])), taker


def test_every_kalshi_fill_costs_what_the_golden_vectors_say(vectors: dict[str, Any]) -> None:
    for case in vectors["kalshi"]["fees"]["cases"]:
        schedule, taker = _kalshi(case)
        meter = FeeMeter(schedule)
        charged = [
            meter.charge(Side(case["side"]), parse_micros(fill["price"]), parse_micros(fill["count"]), taker=taker)
            for fill in case["fills"]
        ]
        assert charged == [parse_micros(fill["net_fee"]) for fill in case["fills"]], case["name"]
        assert sum(charged) == parse_micros(case["total_net_fee"]), case["name"]


def test_real_kalshi_fills_pin_the_formula(vectors: dict[str, Any]) -> None:
    """Their whole ceiling was $0.0001 then; ours of a micro, brought to that, must agree."""
    for fill in vectors["kalshi"]["fees"]["historical_real_fills_before_2026_08_30_rounding_0.0001"]:
        maker = "maker" in fill.get("role", "")
        fee = FeeMeter(KalshiFees(maker_fees=True, balance_unit=Micros(1))).charge(
            Side.BUY, parse_micros(fill["price"]), parse_micros(fill["count"]), taker=not maker
        )
        assert -(-fee // 100) * 100 == parse_micros(fill["fee"])


def test_every_polymarket_fill_costs_what_the_golden_vectors_say(vectors: dict[str, Any]) -> None:
    for case in vectors["polymarket"]["fees"]["cases"]:
        schedule = PolymarketFees(parse_micros(case["rate"]), case["exponent"])
        price, size = parse_micros(case["price"]), parse_micros(case["shares"])
        booked = FeeMeter(schedule).charge(Side.BUY, price, size, taker=True)
        assert booked == parse_micros(case["rounded_5dp_half_up"]), case
        raw = Decimal(case["raw"])
        assert booked == micros_from_decimal(raw.quantize(Decimal("0.00001"), ROUND_HALF_UP))
        planned = planned_taker_fee(schedule, [Level(price, size)])
        assert raw * MICRO <= planned < raw * MICRO + 10


@given(rates, st.integers(1, 4), st.lists(st.builds(Level, prices, sizes), min_size=1, max_size=4))
def test_a_planned_polymarket_fee_is_the_exact_sum_rounded_up_once(rate: Micros, exponent: int, taken: list[Level]) -> None:
    def exact(price: int, size: int) -> Fraction:
        p = Fraction(price, MICRO)
        return Fraction(size, MICRO) * Fraction(rate, MICRO) * (p * (1 - p)) ** exponent * 10**5

    schedule = PolymarketFees(rate, exponent)
    assert planned_taker_fee(schedule, taken) == ceil(sum(exact(*each) for each in taken)) * 10
    for price, size in taken:
        assert FeeMeter(schedule).charge(Side.BUY, price, size, taker=True) == floor(exact(price, size) + Fraction(1, 2)) * 10
        assert FeeMeter(schedule).charge(Side.BUY, price, size, taker=False) == 0


kalshi_schedules = st.builds(
    KalshiFees, st.sampled_from([0, 500_000, ONE]).map(Micros), st.booleans(), st.sampled_from([100, 10_000]).map(Micros)
)
fills = st.lists(st.tuples(st.sampled_from(Side), cent_prices, sizes, st.booleans()), min_size=1, max_size=12)


@settings(max_examples=60)
@given(kalshi_schedules, fills)
def test_the_fees_of_a_kalshi_order_follow_the_five_published_steps(schedule: KalshiFees, given_fills: list[Any]) -> None:
    meter = FeeMeter(schedule)
    unit, accumulated = Fraction(schedule.balance_unit, MICRO), Fraction(0)
    for side, price, size, taker in given_fills:
        p, count = Fraction(price, MICRO), Fraction(size, MICRO)
        coefficient = Fraction(7, 100) if taker else Fraction(175, 10_000) if schedule.maker_fees else Fraction(0)
        model = Fraction(schedule.multiplier, MICRO) * coefficient * count * p * (1 - p)
        trade_fee = Fraction(ceil(model * MICRO), MICRO)
        change = (p * count if side is Side.SELL else -p * count) - trade_fee
        rounding_fee = change - floor(change / unit) * unit
        accumulated += rounding_fee
        rebate = unit * min(floor(accumulated / unit), floor((trade_fee + rounding_fee) / unit))
        accumulated -= rebate
        net = meter.charge(side, price, size, taker=taker)
        assert Fraction(net, MICRO) == trade_fee + rounding_fee - rebate
        assert net >= 0


@settings(max_examples=60)
@given(kalshi_schedules, st.lists(st.builds(Level, cent_prices, sizes), min_size=1, max_size=5))
def test_a_planned_kalshi_fee_covers_an_order_that_fills_once_a_level(schedule: KalshiFees, taken: list[Level]) -> None:
    meter = FeeMeter(schedule)
    booked = sum(meter.charge(Side.BUY, price, size, taker=True) for price, size in taken)
    planned = planned_taker_fee(schedule, taken)
    assert booked <= planned <= booked + 2 * schedule.balance_unit * len(taken)


@given(st.lists(st.integers(1, 500).map(lambda count: Micros(count * MICRO)), min_size=2, max_size=20), cent_prices)
def test_many_fills_of_whole_contracts_cost_less_than_a_balance_unit_more_than_one(parts: list[Micros], price: Micros) -> None:
    schedule = KalshiFees()
    meter = FeeMeter(schedule)
    booked = sum(meter.charge(Side.BUY, price, size, taker=True) for size in parts)
    exact = sum(Fraction(7, 100) * size * price * (MICRO - price) / MICRO**2 for size in parts)
    assert exact <= booked < exact + len(parts) + schedule.balance_unit


@pytest.mark.parametrize(
    ("fills", "each", "total"), [(1, "10", "0.18"), (2, "5", "0.18"), (10, "1", "0.18"), (40, "0.25", "0.3"), (1_000, "0.01", "4.7")]
)
def test_what_ten_contracts_at_53_cents_cost_depends_on_how_they_are_filled(fills: int, each: str, total: str) -> None:
    meter = FeeMeter(KalshiFees())
    assert sum(meter.charge(Side.BUY, Micros(530_000), parse_micros(each), taker=True) for _ in range(fills)) == parse_micros(total)


def test_a_kalshi_maker_pays_only_where_the_series_has_maker_fees() -> None:
    price, size = Micros(500_000), Micros(100 * MICRO)
    assert FeeMeter(KalshiFees()).charge(Side.BUY, price, size, taker=False) == 0
    assert FeeMeter(KalshiFees(maker_fees=True)).charge(Side.BUY, price, size, taker=False) == 440_000
    assert FeeMeter(KalshiFees()).charge(Side.BUY, price, size, taker=True) == 1_750_000


def test_yes_and_no_of_one_price_cost_the_same() -> None:
    for schedule in (KalshiFees(), PolymarketFees(Micros(50_000))):
        one = planned_taker_fee(schedule, [Level(Micros(120_000), Micros(7 * MICRO))])
        assert one == planned_taker_fee(schedule, [Level(Micros(880_000), Micros(7 * MICRO))])


def test_without_a_schedule_nothing_is_computed() -> None:
    with pytest.raises(UnknownFees):
        planned_taker_fee(None, [])
    with pytest.raises(UnknownFees):
        FeeMeter(None)


@pytest.mark.parametrize("exponent", [-1, 0, 5, 10**9])
def test_an_exponent_that_no_fee_sheet_has_is_refused(exponent: int) -> None:
    schedule = PolymarketFees(Micros(50_000), exponent)
    with pytest.raises(UnknownFees):
        planned_taker_fee(schedule, [Level(Micros(500_000), ONE)])
    with pytest.raises(UnknownFees):
        FeeMeter(schedule).charge(Side.BUY, Micros(500_000), ONE, taker=True)


def test_taking_nothing_costs_nothing() -> None:
    assert planned_taker_fee(KalshiFees(), []) == planned_taker_fee(PolymarketFees(Micros(50_000)), []) == 0

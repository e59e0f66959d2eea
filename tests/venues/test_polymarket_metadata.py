import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.market import Market, MarketStatus, PolymarketFees, TickRange
from arbiter.domain.money import Micros
from arbiter.venues.polymarket.metadata import read_market


def gamma(**fields: Any) -> bytes:
    market = {
        "conditionId": "0xaa",
        "question": "Detroit or Washington?",
        "outcomes": '["Tigers", "Nationals"]',
        "clobTokenIds": '["123", "456"]',
        "active": True,
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "orderPriceMinTickSize": "TICK",
        "orderMinSize": 5,
        "feesEnabled": True,
        "feeSchedule": {"rate": "RATE", "exponent": 1, "takerOnly": True, "rebateRate": "REBATE"},
        "events": [{"id": "77", "slug": "mlb-det-wsh"}],
        "endDate": "2026-03-22T07:55:00Z",
        **fields,
    }
    # JSON numbers with a fraction are written by hand, so that no float comes near them
    return json.dumps(market).replace('"TICK"', "0.01").replace('"RATE"', "0.05").replace('"REBATE"', "0.15").encode()


def read(**fields: Any) -> Market:
    market = read_market(gamma(**fields))
    assert market is not None
    return market


def test_index_zero_is_yes_whatever_it_is_called() -> None:
    market = read()
    assert (market.yes.id, market.yes.label) == ("123", "Tigers")
    assert (market.no.id, market.no.label) == ("456", "Nationals")
    assert (market.key.venue, market.key.market, market.event) == ("polymarket", "0xaa", "mlb-det-wsh")


def test_grid_sizes_fees_and_times_come_from_the_market_itself() -> None:
    market = read()
    assert market.ticks == (TickRange(Micros(10_000), Micros(990_000), Micros(10_000)),)
    assert (market.min_size, market.size_step, market.min_notional, market.notional_step) == (5_000_000, 10_000, 1_000_000, 10_000)
    assert market.fees == PolymarketFees(Micros(50_000), 1)
    assert market.closes_at == datetime(2026, 3, 22, 7, 55, tzinfo=UTC)
    assert market.status is MarketStatus.OPEN


def test_a_recorded_market_is_read_as_it_stands(recording: Callable[[str], Path]) -> None:
    """feeSchedule of the recording: rate 0.25, exponent 2 (crypto, March 2026)."""
    market = read_market(recording("polymarket-rest/market_detail.json").read_bytes())
    assert market is not None
    assert (market.yes.label, market.no.label) == ("Up", "Down")
    assert market.yes.id == "94242206871221370391055736153305071391564432448684801902267396130896523340261"
    assert market.fees == PolymarketFees(Micros(250_000), 2)
    assert market.ticks == (TickRange(Micros(1_000), Micros(999_000), Micros(1_000)),)
    assert market.min_size == 5_000_000
    assert market.event == "btc-updown-5m-1774165800"
    assert market.closes_at == datetime(2026, 3, 22, 7, 55, tzinfo=UTC)


@pytest.mark.parametrize("schedule", [None, {"rate": 1, "exponent": 1, "takerOnly": True}])
def test_fees_switched_off_are_no_fee_whatever_the_schedule_says(schedule: object) -> None:
    assert read(feesEnabled=False, feeSchedule=schedule).fees == PolymarketFees(Micros(0))


@pytest.mark.parametrize(
    "schedule",
    [
        None,
        {"rate": -1, "exponent": 1},
        {"rate": 1, "exponent": 0},
        {"rate": 1, "exponent": 5},
        {"rate": 1, "exponent": "1.5"},
        {"rate": 1, "exponent": "1e999999"},
        {"rate": "NaN", "exponent": 1},
        {"rate": 1, "exponent": 1, "takerOnly": False},
    ],
)
@pytest.mark.parametrize("enabled", [True, None])
def test_a_missing_or_odd_schedule_is_unknown_fees_and_never_zero(schedule: object, enabled: bool | None) -> None:
    assert read(feesEnabled=enabled, feeSchedule=schedule).fees is None


def test_the_generation_decides_which_ids_count() -> None:
    market = read(version="v2", positionIds=["789", "790"])
    assert (market.yes.id, market.no.id) == ("789", "790")
    assert read(version="v1", positionIds=["789", "790"]).yes.id == "123"
    assert read(version=None).yes.id == "123"
    assert read_market(gamma(version="v2")) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"outcomes": '["A", "B", "C"]', "clobTokenIds": '["1", "2", "3"]'},
        {"clobTokenIds": '["", ""]'},
        {"clobTokenIds": '["1", "1"]'},
        {"clobTokenIds": None},
        {"clobTokenIds": "[1, 2"},
        {"outcomes": "not JSON"},
        {"enableOrderBook": False},
        {"conditionId": None},
        {"orderPriceMinTickSize": None},
    ],
)
def test_what_has_no_two_sided_book_is_left_out(fields: dict[str, Any]) -> None:
    assert read_market(gamma(**fields)) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"orderPriceMinTickSize": 1},
        {"orderPriceMinTickSize": 0},
        {"orderPriceMinTickSize": "0.0000001"},
        {"orderMinSize": "1e999999"},
        {"active": "perhaps"},
        {"events": 3},
    ],
)
def test_an_odd_field_is_a_value_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_market(gamma(**fields))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, MarketStatus.OPEN),
        ({"closed": True}, MarketStatus.CLOSED),
        ({"acceptingOrders": False}, MarketStatus.PAUSED),
        ({"active": None}, MarketStatus.PAUSED),
    ],
)
def test_only_an_active_market_that_accepts_orders_is_open(fields: dict[str, Any], status: MarketStatus) -> None:
    assert read(**fields).status is status


def test_missing_texts_and_times_do_no_harm() -> None:
    market = read(question=None, description=None, category=None, endDate="some day", events=None, orderMinSize=None)
    assert (market.title, market.rules, market.closes_at, market.event, market.min_size) == ("", "", None, "0xaa", 0)
    assert read(endDate="2026-03-22").closes_at == datetime(2026, 3, 22, tzinfo=UTC)


_names = ["conditionId", "outcomes", "clobTokenIds", "version", "orderPriceMinTickSize", "orderMinSize", "feeSchedule", "events", "endDate"]
_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.lists(st.integers(), max_size=2)


@given(
    st.dictionaries(st.sampled_from(_names), _values | st.dictionaries(st.sampled_from(["rate", "exponent", "id"]), _values), max_size=4)
)
def test_random_fields_give_a_market_or_none_or_a_value_error(fields: dict[str, Any]) -> None:
    try:
        market = read_market(gamma(**fields))
    except ValueError:
        return
    assert market is None or market.yes.id != market.no.id

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.market import KalshiFees, Market, MarketStatus, Resolution, TickRange
from arbiter.domain.money import ONE, Micros
from arbiter.venues.kalshi.fee_rules import FeeRules
from arbiter.venues.kalshi.metadata import (
    EventsPage,
    KalshiEvent,
    KalshiSeries,
    SeriesAnswer,
    SeriesList,
    Source,
    read_event,
    read_market,
    read_series,
    to_event,
)
from arbiter.venues.kalshi.metadata import to_market as convert

CENTS = [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]
EVENT = KalshiEvent("KXTEST-26", "KXTEST", "Who wins?", "Sports")
SERIES = KalshiSeries("KXTEST", fee_type="quadratic", fee_multiplier=Decimal(1))


def to_market(raw: bytes | msgspec.Raw, event: KalshiEvent, series: KalshiSeries | None) -> Market | None:
    """With the fees that the rules give who know this event and this series."""
    rules = FeeRules(Micros(10_000))
    rules.learn_event(event)
    if series is not None:
        rules.learn_series(msgspec.structs.replace(series, ticker=event.series_ticker), 0)  # the recorded ones are of two series
    market = read_market(raw)
    return convert(market, event, series, rules.of(market.ticker, event.event_ticker, 0))


def raw(**fields: Any) -> bytes:
    market = {
        "ticker": "KXTEST-26-A",
        "market_type": "binary",
        "status": "active",
        "notional_value_dollars": "1.0000",
        "price_ranges": CENTS,
    }
    return json.dumps({**market, **fields}).encode()


def read(**fields: Any) -> Market:
    market = to_market(raw(**fields), EVENT, SERIES)
    assert market is not None
    return market


def fees(event: KalshiEvent = EVENT, series: KalshiSeries | None = SERIES) -> object:
    market = to_market(raw(), event, series)
    assert market is not None
    return market.fees


def test_a_recorded_event_with_its_market_and_a_recorded_series_make_a_market(recording: Callable[[str], Path]) -> None:
    response = json.loads(recording("kalshi-rest/event_single_response.json").read_text())["response"]
    nested = {**response["event"], "markets": response["markets"]}  # today's API nests what January's put beside
    event = read_event(json.dumps(nested).encode())
    series = msgspec.json.decode(
        json.dumps(json.loads(recording("kalshi-rest/series_single_response.json").read_text())["response"]), type=SeriesAnswer
    ).series
    assert event.markets is not None
    market = to_market(event.markets[0], event, series)
    assert market is not None
    assert (market.key.market, market.event, market.category) == ("KXELONMARS-99", "KXELONMARS-99", "World")
    assert market.title == "Will Elon Musk visit Mars before Aug 1, 2099?"
    assert (market.yes.id, market.yes.label, market.no.id, market.no.label) == ("yes", "Yes", "no", "No"), "Kalshi says Mars of both"
    assert market.ticks == (TickRange(Micros(0), ONE, Micros(10_000)),)
    assert (market.payout, market.status) == (ONE, MarketStatus.OPEN)
    assert market.fees == KalshiFees(ONE, False)
    assert market.closes_at == datetime(2099, 8, 1, 4, 59, tzinfo=UTC)


def test_every_market_of_the_recorded_lists_is_a_combo_and_left_out(recording: Callable[[str], Path]) -> None:
    """`/markets` lists almost only combos (B5), which is why the catalogue walks events."""
    response = json.loads(recording("kalshi-rest/markets_list_response.json").read_text())["response"]
    assert response["markets"]
    for market in response["markets"]:
        assert to_market(json.dumps(market).encode(), EVENT, SERIES) is None


def test_recorded_pages_of_events_and_series_decode(recording: Callable[[str], Path]) -> None:
    events = json.dumps(json.loads(recording("kalshi-rest/events_list_response.json").read_text())["response"])
    page = msgspec.json.decode(events, type=EventsPage)
    assert page.cursor
    assert [read_event(each).event_ticker for each in page.events or ()][:2] == ["KXELONMARS-99", "KXNEWPOPE-70"]
    series = json.dumps(json.loads(recording("kalshi-rest/series_list_response.json").read_text())["response"])
    found = [read_series(each) for each in msgspec.json.decode(series, type=SeriesList).series or ()]
    assert len(found) > 200
    assert {(each.fee_type, each.fee_multiplier) for each in found} == {("quadratic", Decimal(1))}


def test_a_recorded_settled_market_is_resolved(recording: Callable[[str], Path]) -> None:
    response = json.loads(recording("kalshi-ws/KXGOLD15M-26AUG102200.json").read_text())["response"]
    event = read_event(json.dumps(response["event"]).encode())
    market = to_market(json.dumps(response["markets"][0]).encode(), event, None)
    assert market is not None
    assert market.status is MarketStatus.RESOLVED
    assert market.fees is None, "no series was given"
    assert market.resolution == Resolution(ONE, True, datetime(2026, 8, 11, 2, 0, 5, 466162, UTC))
    assert market.settlement_sources == ("Pyth - Gold",)
    assert "rounded to the nearest 2 decimal places" in market.rules, "the secondary rules, too"
    assert (market.opens_at, market.settlement_seconds) == (datetime(2026, 8, 11, 1, 45, tzinfo=UTC), 1)


def test_an_event_says_at_most_one_only_where_the_venue_does_and_never_at_least_one() -> None:
    market = read(close_time="2026-12-01T00:00:00Z")
    sources = [Source("AP", "https://ap.example"), Source(None, "https://only.example")]
    exclusive = KalshiEvent("KXTEST-26", "KXTEST", "Who wins?", mutually_exclusive=True, settlement_sources=sources)
    found = to_event(exclusive, SERIES, [market])
    assert (found.at_most_one, found.at_least_one) == (True, False)
    assert (found.series, found.markets, found.closes_at) == ("KXTEST", (market.key.market,), market.closes_at)
    assert found.settlement_sources == ("AP", "https://only.example")
    assert not to_event(EVENT, SERIES, []).at_most_one


@pytest.mark.parametrize(
    ("fields", "resolution"),
    [
        ({}, None),
        ({"result": ""}, None),
        ({"result": "yes", "status": "determined"}, Resolution(ONE, False)),
        ({"result": "no", "status": "finalized"}, Resolution(Micros(0), True)),
        ({"result": "yes", "status": "disputed"}, Resolution(ONE, False)),
        ({"result": "scalar", "settlement_value_dollars": "0.3300", "status": "finalized"}, Resolution(Micros(330_000), True)),
        ({"result": "scalar", "status": "finalized"}, None),
        ({"result": "void", "status": "finalized"}, Resolution(None, True)),
        ({"result": "newly_invented", "status": "finalized"}, None),
    ],
)
def test_how_a_market_came_out_is_final_only_when_it_is_finalized(fields: dict[str, Any], resolution: Resolution | None) -> None:
    assert read(**fields).resolution == resolution


# -- fees fail closed --


def test_the_event_overrides_its_series_field_by_field() -> None:
    half = KalshiEvent("E", "KXTEST", fee_multiplier_override=Decimal("0.5"))
    makers = KalshiEvent("E", "KXTEST", fee_type_override="quadratic_with_maker_fees")
    free = KalshiEvent("E", "KXTEST", fee_multiplier_override=Decimal(0))
    assert fees() == KalshiFees(ONE, False)
    assert fees(half) == KalshiFees(Micros(500_000), False)
    assert fees(makers) == KalshiFees(ONE, True)
    assert fees(free) == KalshiFees(Micros(0), False), "an override of zero is an override"


@pytest.mark.parametrize(
    "series",
    [
        None,
        KalshiSeries("KXTEST"),
        KalshiSeries("KXTEST", fee_type="flat", fee_multiplier=Decimal(1)),
        KalshiSeries("KXTEST", fee_type="quadratic", fee_multiplier=None),
        KalshiSeries("KXTEST", fee_type="quadratic", fee_multiplier=Decimal(-1)),
        KalshiSeries("KXTEST", fee_type="quadratic", fee_multiplier=Decimal("NaN")),
        KalshiSeries("KXTEST", fee_type="quadratic", fee_multiplier=Decimal("1e999999")),
        KalshiSeries("KXTEST", fee_type="newly_invented", fee_multiplier=Decimal(1)),
    ],
)
def test_an_unknown_fee_type_or_multiplier_is_unknown_fees_and_never_zero(series: KalshiSeries | None) -> None:
    assert fees(series=series) is None


# -- what is listed --


def test_ranges_that_share_end_points_make_a_grid() -> None:
    ranges = [
        {"start": "0.0000", "end": "0.1000", "step": "0.0010"},
        {"start": "0.1000", "end": "0.9000", "step": "0.0100"},
        {"start": "0.9000", "end": "1.0000", "step": "0.0010"},
    ]
    market = read(price_ranges=ranges)
    assert [price for price in (1_000, 99_000, 100_000, 105_000, 110_000, 905_000, 999_000, 0, 1_000_000) if market.on_grid(price)] == [
        1_000, 99_000, 100_000, 110_000, 905_000, 999_000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fields", [{"market_type": "scalar"}, {"mve_collection_ticker": "KXMVE"}, {"price_ranges": None}, {"price_ranges": []}]
)
def test_scalars_combos_and_markets_without_a_grid_are_left_out(fields: dict[str, Any]) -> None:
    assert to_market(raw(**fields), EVENT, SERIES) is None


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("initialized", MarketStatus.UPCOMING),
        ("active", MarketStatus.OPEN),
        ("inactive", MarketStatus.PAUSED),
        ("closed", MarketStatus.CLOSED),
        ("determined", MarketStatus.CLOSED),
        ("finalized", MarketStatus.RESOLVED),
        ("newly_invented", MarketStatus.PAUSED),
        (None, MarketStatus.PAUSED),
    ],
)
def test_only_what_is_active_is_open(text: str | None, status: MarketStatus) -> None:
    assert read(status=text).status is status


def test_a_payout_other_than_one_dollar_is_kept_for_the_search_to_refuse() -> None:
    assert read(notional_value_dollars="100.0000").payout == 100_000_000
    assert read(notional_value_dollars=None).payout == ONE


def test_markets_of_one_event_are_told_apart_by_their_sub_title() -> None:
    assert read(yes_sub_title="Detroit").title == "Who wins? (Detroit)"
    assert read(title="Detroit at Boston: winner?", yes_sub_title="Boston").title == "Detroit at Boston: winner? (Boston)"
    assert read().title == "Who wins?"
    assert read(title="Will Detroit win?", yes_sub_title=" will DETROIT win?").title == "Will Detroit win?"


def test_the_only_market_of_an_event_keeps_its_title() -> None:
    alone = raw(title="Will Detroit win?", yes_sub_title="Detroit")
    market = to_market(alone, msgspec.structs.replace(EVENT, markets=[msgspec.Raw(alone)]), SERIES)
    assert market is not None
    assert market.title == "Will Detroit win?"


@pytest.mark.parametrize(
    ("yes", "no", "labels"),
    [
        ("Detroit", "Boston", ("Detroit", "Boston")),
        ("Detroit", None, ("Detroit", "No")),
        (None, None, ("Yes", "No")),
        ("", "", ("Yes", "No")),
        ("Detroit", "Detroit", ("Yes", "No")),
        ("Detroit", "detroit ", ("Yes", "No")),
        ("Who scores first?", "Who scores first?", ("Yes", "No")),
        ("Who scores first?", "Boston", ("Yes", "No")),
        ("Detroit", "Who scores first?", ("Yes", "No")),
        (None, "Yes", ("Yes", "No")),
    ],
)
def test_a_no_never_reads_as_its_yes_nor_as_the_market(yes: str | None, no: str | None, labels: tuple[str, str]) -> None:
    market = read(title="Who scores first?", yes_sub_title=yes, no_sub_title=no)
    assert (market.yes.label, market.no.label) == labels


@pytest.mark.parametrize(
    "fields",
    [
        {"price_ranges": [{"start": "0", "end": "1", "step": "0"}]},
        {"price_ranges": [{"start": "0", "end": "1", "step": "-0.01"}]},
        {"price_ranges": [{"start": "0.9", "end": "0.1", "step": "0.01"}]},
        {"price_ranges": [{"start": "0", "end": "1"}]},
        {"notional_value_dollars": "many"},
        {"ticker": None},
    ],
)
def test_an_odd_field_is_a_value_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        to_market(raw(**fields), EVENT, SERIES)


def test_numbers_are_taken_as_text_and_text_as_numbers_and_exactly() -> None:
    fields = {"settlement_timer_seconds": "1800", "exchange_index": "2", "volume_fp": 1000.25, "notional_value_dollars": 1.0, "title": 2026}
    market = read(**fields, price_ranges=[{"start": 0, "end": 1, "step": 0.001}], floor_strike="4180.5")
    assert (market.settlement_seconds, market.shard, market.volume, market.payout) == (1_800, 2, 1_000_250_000, ONE)
    assert market.ticks == (TickRange(Micros(0), ONE, Micros(1_000)),)
    assert market.title == "2026"
    event = read_event(
        json.dumps({"event_ticker": 7, "fee_multiplier_override": "0.5", "markets": [{"ticker": "A", "volume_fp": 0.1}]}).encode()
    )
    assert (event.event_ticker, event.fee_multiplier_override) == ("7", Decimal("0.5"))
    assert event.markets is not None
    assert read_market(event.markets[0]).volume_fp == Decimal("0.1")


_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.lists(st.integers(), max_size=2)
_names = ["ticker", "market_type", "title", "status", "notional_value_dollars", "price_ranges", "close_time", "yes_sub_title"]


@given(st.dictionaries(st.sampled_from(_names), _values, max_size=4))
def test_random_fields_give_a_market_or_none_or_a_value_error(fields: dict[str, Any]) -> None:
    try:
        market = to_market(raw(**fields), EVENT, SERIES)
    except ValueError:
        return
    assert market is None or all(each.step > 0 for each in market.ticks)

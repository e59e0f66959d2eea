"""Kalshi's catalogue read from pages that a test writes: paging, filters, what is left out, and what an odd row costs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from arbiter.domain.ids import KALSHI, EventId, MarketId
from arbiter.domain.market import KalshiFees, Market, MarketStatus, TickRange
from arbiter.domain.money import ONE, Micros
from arbiter.errors import NotFound, VenueRejected
from arbiter.runtime import Environment
from arbiter.venues.base import Selection
from arbiter.venues.kalshi.catalogue import EVENTS_PAGE, Catalogue
from arbiter.venues.kalshi.fee_rules import FeeRules
from arbiter.venues.tally import Tally

CENTS = [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]
TAPERED = [
    {"start": "0", "end": "0.1", "step": "0.001"},
    {"start": "0.1", "end": "0.9", "step": "0.01"},
    {"start": "0.9", "end": "1", "step": "0.001"},
]
UNIT = Micros(10_000)


def market(ticker: str, **fields: Any) -> dict[str, Any]:
    found = {"ticker": ticker, "event_ticker": ticker.rsplit("-", 1)[0], "market_type": "binary", "status": "active"}
    return {**found, "price_ranges": CENTS, "close_time": "2026-12-25T12:00:00Z", **fields}


def event(ticker: str, *markets: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"event_ticker": ticker, "series_ticker": ticker.split("-", maxsplit=1)[0], "markets": list(markets), **fields}


SERIES = {"ticker": "KXA", "fee_type": "quadratic", "fee_multiplier": 1}


class Pages:
    """A `RestClient` whose answers a test writes: of each path, by its cursor."""

    def __init__(self, **paths: Any) -> None:
        self.answers: dict[str, Any] = {"/series": {"series": [SERIES]}, **paths}
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def get(self, path: str, type_: Any, params: Any = ()) -> Any:
        asked = dict(params)
        self.asked.append((path, asked))
        if path not in self.answers:
            raise VenueRejected(KALSHI, "HTTP 404: not found", "not_found")
        answer = self.answers[path]
        if isinstance(answer, list):
            answer = answer[int(asked.get("cursor", 0))]
        return msgspec.json.decode(json.dumps(answer), type=type_)


class Reading:
    def __init__(self, pages: Pages) -> None:
        self.environment = Environment.simulated(1)
        self.tally = Tally(KALSHI, self.environment)
        self.fees = FeeRules(UNIT)
        self.catalogue = Catalogue(pages, self.fees, self.environment, self.tally)  # type: ignore[arg-type]

    async def all(self, **selection: Any) -> dict[str, Market]:
        return {each.key.market: each async for page in self.catalogue.pages(Selection(**selection)) for each in page.markets}


def events(*pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = len(pages) - 1
    return [{"events": page, "cursor": str(number + 1) if number < last else ""} for number, page in enumerate(pages)]


async def test_pages_are_followed_to_the_last(autojump_clock):
    pages = Pages(**{"/events": events([event("KXA-1", market("KXA-1-A"))], [], [event("KXA-2", market("KXA-2-A"), market("KXA-2-B"))])})
    assert list(await Reading(pages).all()) == ["KXA-1-A", "KXA-2-A", "KXA-2-B"]
    asked = [params for path, params in pages.asked if path == "/events"]
    assert [params.get("cursor") for params in asked] == [None, "1", "2"]
    assert {(params["limit"], params["status"], params["with_nested_markets"]) for params in asked} == {(str(EVENTS_PAGE), "open", "true")}


async def test_a_cursor_that_does_not_move_on_ends_the_reading(autojump_clock):
    answer = {"events": [event("KXA-1", market("KXA-1-A"))], "cursor": "0"}
    with pytest.raises(VenueRejected, match="cursor"):
        await Reading(Pages(**{"/events": [answer]})).all()


async def test_an_odd_event_market_or_series_hides_no_other(autojump_clock):
    odd = [{"event_ticker": None}, 7, event("KXA-1", {"ticker": None}, market("KXA-1-A", price_ranges=[{}]), market("KXA-1-B")), "x"]
    series = {"series": [{"ticker": None}, 3, {**SERIES, "settlement_sources": [{"url": [1]}], "ticker": "KXB"}, SERIES]}
    reading = Reading(Pages(**{"/events": events(odd), "/series": series}))
    found = await reading.all()
    assert list(found) == ["KXA-1-B"]
    assert found["KXA-1-B"].fees == KalshiFees(ONE, balance_unit=UNIT)
    counted = reading.tally.statistics()
    assert (counted["unreadable_markets"], counted["unknown unreadable series"]) == (5, 3)


async def test_null_arrays_are_empty_ones(autojump_clock):
    pages = Pages(**{"/events": [{"events": None, "cursor": None}], "/series": {"series": None}})
    assert await Reading(pages).all() == {}
    pages = Pages(**{"/events": events([{**event("KXA-1"), "markets": None, "settlement_sources": None}])})
    assert await Reading(pages).all() == {}


async def test_combos_scalars_and_markets_without_a_grid_are_left_out(autojump_clock):
    odd = [market("KXA-1-A", mve_collection_ticker="KXMVE"), market("KXA-1-B", market_type="scalar"), market("KXA-1-C", price_ranges=None)]
    assert list(await Reading(Pages(**{"/events": events([event("KXA-1", *odd, market("KXA-1-D"))])})).all()) == ["KXA-1-D"]


async def test_a_market_says_all_that_callers_need(autojump_clock):
    told = market(
        "KXA-1-A",
        title="Will it rain?",
        price_ranges=TAPERED,
        rules_primary="If it rains.",
        rules_secondary="Snow is no rain.",
        expected_expiration_time="2026-12-26T00:00:00Z",
        settlement_timer_seconds=1_800,
        exchange_index=3,
        fee_waiver_expiration_time="2020-01-01T00:00:00Z",
        some_new_field={"of": ["any", "kind"]},
    )
    source = {"name": "National Weather Service", "url": "https://weather.gov"}
    pages = Pages(**{"/events": events([event("KXA-1", told, mutually_exclusive=True, settlement_sources=[source], category="Climate")])})
    (found,) = (await Reading(pages).all()).values()
    assert (found.title, found.rules, found.category) == ("Will it rain?", "If it rains.\n\nSnow is no rain.", "Climate")
    assert found.settlement_sources == ("National Weather Service",)
    assert (found.closes_at, found.settlement_seconds, found.shard) == (datetime(2026, 12, 25, 12, tzinfo=UTC), 1_800, 3)
    assert found.resolves_at == datetime(2026, 12, 26, tzinfo=UTC)
    assert [(each.start, each.end, each.step) for each in found.ticks] == [
        (0, 100_000, 1_000),
        (100_000, 900_000, 10_000),
        (900_000, ONE, 1_000),
    ]
    assert all(isinstance(each, TickRange) for each in found.ticks)
    assert found.status is MarketStatus.OPEN


async def test_what_is_selected_is_asked_for_or_looked_for(autojump_clock):
    listed = [event("KXA-1", market("KXA-1-A"), market("KXA-1-B", status="closed"), market("KXA-1-C", close_time="2027-01-01T00:00:00Z"))]
    pages = Pages(**{"/events": events(listed)})
    assert list(await Reading(pages).all(series=("KXA", "KXB"))) == ["KXA-1-A", "KXA-1-C"]
    assert [params["series_ticker"] for path, params in pages.asked if path == "/events"] == ["KXA", "KXB"]
    assert list(await Reading(pages).all(closes_before=datetime(2026, 12, 31, tzinfo=UTC))) == ["KXA-1-A"]
    assert list(await Reading(pages).all(closes_after=datetime(2026, 12, 31, tzinfo=UTC))) == ["KXA-1-C"]
    assert list(await Reading(pages).all(ended=True)) == ["KXA-1-A", "KXA-1-B", "KXA-1-C"]
    assert "status" not in pages.asked[-1][1]
    assert list(await Reading(pages).all(limit=1)) == ["KXA-1-A"]


@pytest.mark.parametrize("beside", [False, True], ids=["nested", "beside, as in January"])
async def test_events_are_read_by_their_tickers_and_one_that_is_not_there_hides_no_other(autojump_clock, beside):
    one = event("KXA-1", market("KXA-1-A"))
    answer = {"event": {**one, "markets": None}, "markets": one["markets"]} if beside else {"event": one, "markets": []}
    pages = Pages(**{"/events/KXA-1": answer})
    assert list(await Reading(pages).all(events=(EventId("KXGONE-1"), EventId("KXA-1")))) == ["KXA-1-A"]


async def test_one_market_is_read_with_its_events_fees_and_one_that_is_not_there_is_not_found(autojump_clock):
    pages = Pages(
        **{
            "/markets/KXA-1-A": {"market": market("KXA-1-A")},
            "/events/KXA-1": {"event": event("KXA-1", fee_multiplier_override=0.5)},
            "/series/KXA": {"series": SERIES},
        }
    )
    reading = Reading(pages)
    assert (await reading.catalogue.market(MarketId("KXA-1-A"))).fees == KalshiFees(Micros(500_000), balance_unit=UNIT)
    with pytest.raises(NotFound):
        await reading.catalogue.market(MarketId("KXA-1-B"))
    assert await reading.catalogue.resolution(MarketId("KXA-1-B")) is None


async def test_a_series_that_the_list_left_out_is_read_by_itself_and_one_that_is_refused_gives_no_fees(autojump_clock):
    listed = events([event("KXB-1", market("KXB-1-A")), event("KXB-2", market("KXB-2-A")), event("KXC-1", market("KXC-1-A"))])
    pages = Pages(
        **{"/events": listed, "/series/KXB": {"series": {"ticker": "KXB", "fee_type": "quadratic_with_maker_fees", "fee_multiplier": 0}}}
    )
    found = await Reading(pages).all()
    assert found["KXB-1-A"].fees == found["KXB-2-A"].fees == KalshiFees(Micros(0), maker_fees=True, balance_unit=UNIT)
    assert found["KXC-1-A"].fees is None
    assert [path for path, _ in pages.asked if path.startswith("/series/")] == ["/series/KXB", "/series/KXC"]


async def test_an_odd_row_of_announced_fees_hides_no_other(autojump_clock):
    rows = [
        {"series_ticker": "KXA", "fee_type": [], "scheduled_ts": "2026-01-01T00:00:00Z"},
        {"series_ticker": "KXA", "fee_type": "quadratic", "fee_multiplier": "2", "scheduled_ts": "2025-12-31T00:00:00Z"},
        None,
    ]
    pages = Pages(**{"/series/fee_changes": {"series_fee_change_arr": rows}})
    reading = Reading(pages)
    reading.fees.learn_override("KXA-1", "KXA", None, None)
    await reading.catalogue.fee_changes()
    assert reading.fees.of("KXA-1-A", "KXA-1", reading.environment.unix_ms()) == KalshiFees(Micros(2 * ONE), balance_unit=UNIT)
    assert reading.tally.statistics()["unknown unreadable fee change"] == 2
    assert pages.asked[-1] == ("/series/fee_changes", {"show_historical": "true"})


async def test_recorded_answers_become_markets_where_today_says_what_was_not_told_then(autojump_clock, recording: Callable[[str], Path]):
    """January's market names no price ranges, and its series is not among those recorded; with these it is one to be followed."""

    def response(name: str) -> Any:
        return json.loads(recording(f"kalshi-rest/{name}_response.json").read_text())["response"]

    one = response("event_single")
    listed = response("events_list")
    series = response("series_list")
    series["series"].append({**response("series_single")["series"], "ticker": one["event"]["series_ticker"]})
    nested = {**one["event"], "markets": [{**each, "price_ranges": CENTS} for each in one["markets"] or one["event"]["markets"]]}
    pages = Pages(**{"/events": events([nested, *listed["events"]]), "/series": series})
    reading = Reading(pages)
    found = await reading.all(ended=True)
    assert found
    assert len(found) == len(nested["markets"])
    assert all(each.title and each.rules and each.closes_at and each.fees is not None for each in found.values())
    assert reading.tally.statistics()["unreadable_markets"] == 0

"""Polymarket's catalogue over a scripted Gamma: pages, filters, events with their groups, single markets, resolution fields."""

import json
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest

from arbiter.domain.ids import EventId, MarketId
from arbiter.domain.market import MarketStatus, Resolution
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.errors import NotFound, VenueRejected, VenueUnavailable
from arbiter.sandbox.http import Request, Response
from arbiter.venues.base import CataloguePage, Selection
from tests.polyvenue import PolyStage


def listed(number: int, event: str = "", **fields: Any) -> dict[str, Any]:
    """Market n as Gamma writes it."""
    market = {
        "id": str(number),
        "version": "v1",
        "conditionId": f"0x{number}",
        "question": f"Number {number}?",
        "description": "These are the rules.",
        "outcomes": '["Yes", "No"]',
        "outcomePrices": '["0.4", "0.6"]',
        "clobTokenIds": json.dumps([f"{number}001", f"{number}002"]),
        "active": True,
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "orderPriceMinTickSize": "0.001",
        "orderMinSize": 5,
        "feesEnabled": False,
        "endDate": "2026-12-01T00:00:00Z",
    }
    if event:
        market["events"] = [{"id": "1", "slug": event, "title": f"The {event}", "negRisk": fields.pop("event_neg_risk", None)}]
    return market | fields


class Gamma:
    """Answers in pages, and keeps what it was asked."""

    def __init__(self, stage: PolyStage, *pages: list[dict[str, Any]], path: str = "/markets/keyset") -> None:
        self.asked: list[Request] = []
        self._pages = pages
        self._name = path.split("/")[1]
        stage.venue.answers[path] = self._answer

    def _answer(self, request: Request) -> dict[str, Any]:
        self.asked.append(request)
        if request.first("closed") == "true" or not self._pages:
            return {self._name: None}
        number = int(request.first("after_cursor") or "0")
        more = {"next_cursor": str(number + 1)} if number + 1 < len(self._pages) else {}
        return {self._name: self._pages[number]} | more


async def read(stage: PolyStage, **selection: Any) -> list[CataloguePage]:
    async with stage.running(streaming=False), aclosing(stage.connector.catalogue(Selection(**selection))) as pages:
        return [page async for page in pages]


def names(pages: list[CataloguePage]) -> list[str]:
    return [market.key.market for page in pages for market in page.markets]


@pytest.fixture
async def stage() -> PolyStage:
    return PolyStage(1)


async def test_pages_are_followed_to_the_last_and_an_odd_market_hides_no_other(autojump_clock, stage):
    gamma = Gamma(
        stage,
        [listed(1), listed(2, active="perhaps"), {"conditionId": [7]}],
        [],
        [listed(3), listed(4, outcomes='["A","B","C"]'), listed(1)],
    )
    pages = await read(stage)
    assert names(pages) == ["0x1", "0x3"], "each once"
    assert stage.connector.statistics()["unreadable_markets"] == 2
    assert [request.first("after_cursor") for request in gamma.asked] == ["", "1", "2"]
    assert {request.first("limit") for request in gamma.asked} == {"100"}
    assert all("offset" not in request.query for request in gamma.asked)


async def test_a_cursor_that_does_not_move_on_ends_the_reading(autojump_clock, stage):
    stage.venue.answers["/markets/keyset"] = lambda request: {"markets": [listed(1)], "next_cursor": "same"}
    with pytest.raises(BaseExceptionGroup) as raised:
        await read(stage)
    assert raised.group_contains(VenueRejected, match="cursor", depth=1)


@pytest.mark.parametrize(
    ("answer", "error"), [(Response(503), VenueUnavailable), (Response(200, b"<html>"), VenueRejected), (Response(403), VenueRejected)]
)
async def test_a_catalogue_that_does_not_come_is_one_of_two_errors(autojump_clock, stage, answer, error):
    stage.venue.answers["/markets/keyset"] = lambda request: answer
    with pytest.raises(BaseExceptionGroup) as raised:
        await read(stage)
    assert raised.group_contains(error, depth=1)


async def test_what_is_selected_is_asked_for(autojump_clock, stage):
    gamma = Gamma(stage, [listed(1), listed(2, endDate="2027-01-01T00:00:00Z"), listed(3, endDate=None)])
    pages = await read(stage, closes_after=datetime(2026, 11, 1, tzinfo=UTC), closes_before=datetime(2026, 12, 31, tzinfo=UTC), limit=10)
    assert names(pages) == ["0x1"], "and what is answered all the same is left out"
    (request,) = gamma.asked
    assert (request.first("end_date_min"), request.first("end_date_max")) == ("2026-11-01T00:00:00Z", "2026-12-31T00:00:00Z")
    assert (request.first("order"), request.first("ascending"), request.first("closed")) == ("volumeNum", "false", "false")


async def test_a_limit_ends_the_reading_within_a_page(autojump_clock, stage):
    gamma = Gamma(stage, [listed(1), listed(2)], [listed(3), listed(4)], [listed(5)])
    assert names(await read(stage, limit=3)) == ["0x1", "0x2", "0x3"]
    assert len(gamma.asked) == 2


async def test_ended_markets_come_only_when_they_are_wanted_and_are_asked_for_by_themselves(autojump_clock, stage):
    Gamma(stage, [listed(1), listed(2, closed=True)])
    assert names(await read(stage)) == ["0x1"]
    stage = PolyStage(1)
    gamma = Gamma(stage, [listed(1), listed(2, closed=True)])
    assert names(await read(stage, ended=True)) == ["0x1", "0x2"]
    assert [request.first("closed") for request in gamma.asked] == ["false", "true"]


# -- events --


async def test_an_event_comes_again_with_more_of_its_markets(autojump_clock, stage):
    Gamma(stage, [listed(1, "race"), listed(2)], [listed(3, "race")])
    first, second = await read(stage)
    assert [(event.id, event.title, event.markets) for event in first.events] == [
        ("race", "The race", ("0x1",)),
        ("0x2", "Number 2?", ("0x2",)),
    ]
    assert [(event.id, event.markets) for event in second.events] == [("race", ("0x1", "0x3"))]


@pytest.mark.parametrize(
    ("event", "markets", "at_most_one"),
    [(True, True, True), (None, True, True), (None, False, False), (False, True, False), (None, None, False)],
)
async def test_a_neg_risk_event_says_at_most_one_and_never_at_least_one(autojump_clock, stage, event, markets, at_most_one):
    Gamma(stage, [listed(number, "race", negRisk=markets, event_neg_risk=event) for number in (1, 2)])
    (page,) = await read(stage)
    assert [(each.at_most_one, each.at_least_one) for each in page.events] == [(at_most_one, False)]
    assert {market.negative_risk for market in page.markets} == {markets is True}


async def test_events_and_tags_are_read_by_events_and_markets_need_not_name_theirs(autojump_clock, stage):
    whole = {
        "id": "9",
        "slug": "race",
        "title": "The race",
        "negRisk": True,
        "seriesSlug": "races",
        "resolutionSource": "https://example.test/results",
        "endDate": "2026-12-02T00:00:00Z",
        "tags": [{"id": "2", "label": "Sports", "slug": "sports"}],
        "markets": [listed(1), listed(2, closed=True), listed(3, version="v9")],
    }
    gamma = Gamma(stage, [whole, {"id": 7}], path="/events/keyset")
    pages = await read(stage, events=(EventId("race"), EventId("other")), series=("100", "sports"))
    assert names(pages) == ["0x1"]
    (event,) = pages[0].events
    assert (event.id, event.category, event.series, event.at_most_one) == ("race", "Sports", "races", True)
    assert event.settlement_sources == ("https://example.test/results",)
    (market,) = pages[0].markets
    assert (market.event, market.category, market.settlement_sources) == ("race", "Sports", ("https://example.test/results",))
    asked = [(request.every("slug"), request.first("tag_id"), request.first("tag_slug")) for request in gamma.asked]
    assert asked == [(["race", "other"], "", ""), ([], "100", ""), ([], "", "sports")]


# -- one market --


async def test_one_market_is_found_open_or_closed(autojump_clock, stage):
    def answer(request: Request) -> dict[str, Any]:
        closed = request.first("closed") == "true"
        return {"markets": [listed(7, closed=closed)] if closed == (request.first("condition_ids") == "0x7") else []}

    stage.venue.answers["/markets/keyset"] = answer
    async with stage.running(streaming=False):
        assert (await stage.connector.market(MarketId("0x7"))).status is MarketStatus.CLOSED
        with pytest.raises(NotFound, match="0x8"):
            await stage.connector.market(MarketId("0x8"))


async def test_one_market_that_cannot_be_read_is_refused(autojump_clock, stage):
    stage.venue.answers["/markets/keyset"] = lambda request: {"markets": [listed(7, secondsDelay="soon")]}
    async with stage.running(streaming=False):
        with pytest.raises(VenueRejected, match="cannot be read"):
            await stage.connector.market(MarketId("0x7"))


async def test_a_market_says_all_that_callers_need(autojump_clock, stage):
    fields = {"secondsDelay": 3, "volumeNum": 61531.93476599994, "startDate": "2026-03-21T07:58:17.582157Z", "resolutionSource": "a page"}
    Gamma(stage, [listed(1, "race", category="Crypto", negRisk=True, **fields)])
    ((page,), market) = (pages := await read(stage), pages[0].markets[0])
    assert page.markets == (market,)
    assert (market.rules, market.category, market.taker_delay_ms, market.volume) == ("These are the rules.", "Crypto", 3000, 61_531_934_765)
    assert market.opens_at == datetime(2026, 3, 21, 7, 58, 17, 582157, tzinfo=UTC)
    assert market.closes_at == market.resolves_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert (market.settlement_sources, market.generation, market.settlement_seconds) == (("a page",), "v1", 7200)


@pytest.mark.parametrize(
    ("fields", "resolution", "status"),
    [
        ({"outcomePrices": '["1", "0"]'}, Resolution(ONE, final=False), MarketStatus.CLOSED),
        ({"outcomePrices": '["0", "1"]', "umaResolutionStatus": "resolved"}, Resolution(ZERO, final=True), MarketStatus.RESOLVED),
        (
            {"outcomePrices": '["0.5", "0.5"]', "resolutionStatus": "resolved"},
            Resolution(Micros(500_000), final=True),
            MarketStatus.RESOLVED,
        ),
        ({"outcomePrices": '["0.5", "0.5"]', "umaResolutionStatus": "proposed"}, None, MarketStatus.CLOSED),
        ({"outcomePrices": '["0.9995", "0.0005"]'}, None, MarketStatus.CLOSED),
        ({"outcomePrices": '["1", "1"]'}, None, MarketStatus.CLOSED),
        ({"outcomePrices": '["x", "1"]'}, None, MarketStatus.CLOSED),
        ({"outcomePrices": None}, None, MarketStatus.CLOSED),
    ],
)
async def test_only_exact_prices_or_final_ones_are_an_outcome(autojump_clock, stage, fields, resolution, status):
    Gamma(stage, [listed(1, closed=True, **fields)])
    (page,) = await read(stage, ended=True)
    assert (page.markets[0].resolution, page.markets[0].status) == (resolution, status)


async def test_an_open_market_has_no_outcome_whatever_its_prices_are(autojump_clock, stage):
    Gamma(stage, [listed(1, outcomePrices='["1", "0"]', umaResolutionStatus="resolved")])
    (page,) = await read(stage)
    assert page.markets[0].resolution is None


_Ask = Callable[[Request], Any]


@pytest.mark.parametrize(
    ("data", "gamma", "clob", "found"),
    [
        ({"status": "resolved", "payouts": [0, 1_000_000]}, None, None, Resolution(ZERO, final=True)),
        (
            {"status": "Resolved", "payouts": ["500000", "500000"], "resolved_at": "2026-01-02T03:04:05Z"},
            None,
            None,
            Resolution(Micros(500_000), final=True, at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ),
        ({"status": "proposed", "payouts": [0, 1_000_000]}, None, None, None),
        ({"status": "resolved", "payouts": [1, 1]}, '["1", "0"]', None, Resolution(ONE, final=False)),
        (None, '["0", "1"]', "1001", Resolution(ZERO, final=False)),
        (None, '["0.3", "0.7"]', "1001", Resolution(ONE, final=False)),
        (None, None, "1002", Resolution(ZERO, final=False)),
        (None, None, "777", None),
        (None, None, None, None),
    ],
)
async def test_of_the_signals_the_best_that_says_something_counts(autojump_clock, stage, data, gamma, clob, found):
    market = stage.markets[0]
    row = [{"condition_id": market.key.market} | data] if data else []
    tokens = [{"token_id": token, "winner": token == clob} for token in ("1001", "1002", "777")]
    stage.venue.answers |= {
        "/v2/resolutions": lambda request: {"data": row},
        "/markets/keyset": lambda request: {
            "markets": [listed(1, conditionId=market.key.market, closed=True, outcomePrices=gamma)] if gamma else []
        },
        f"/markets/{market.key.market}": lambda request: {"closed": True, "tokens": tokens},
    }
    async with stage.running(streaming=False):
        assert await stage.connector.resolution(market) == found


async def test_a_source_that_is_away_does_not_hide_the_next_and_all_away_is_unavailable(autojump_clock, stage):
    market = stage.markets[0]
    away: _Ask = lambda request: Response(503)  # noqa: E731
    stage.venue.answers |= {"/v2/resolutions": away, "/markets/keyset": away}
    stage.venue.answers[f"/markets/{market.key.market}"] = lambda request: {
        "closed": True,
        "tokens": [{"token_id": "1001", "winner": True}],
    }
    async with stage.running(streaming=False):
        assert await stage.connector.resolution(market) == Resolution(ONE, final=False)
        stage.venue.answers[f"/markets/{market.key.market}"] = away
        with pytest.raises(VenueUnavailable):
            await stage.connector.resolution(market)

"""MarketFeed answers: markets and events by filter and page, and how the feed itself is; and what a narrowed catalogue leaves out."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.market_feed import CATALOGUE_AGE_SECONDS, FRESH_SECONDS, GetEvent, GetFeed, GetMarket, ListEvents, SearchMarkets
from arbiter.actors.market_search import EventFilter, MarketFilter, place_of_event, place_of_market
from arbiter.domain.ids import POLYMARKET, EventId, MarketId
from arbiter.domain.market import Event, MarketStatus, Resolution
from arbiter.domain.market_events import BooksInvalid, Connected, Disconnected, MarketListed, MarketResolved
from arbiter.domain.money import ONE
from arbiter.errors import NotFound
from arbiter.venues.base import Selection


@pytest.fixture
def ask(scene):
    async def ask(request):
        return await scene.feeds[POLYMARKET].ref.ask(request, timeout=5)

    return ask


@pytest.fixture
def tell(scene):
    async def tell(event):
        scene.polymarket.tell(event)
        await wait_all_tasks_blocked()

    return tell


def event(name, *markets, **changes):
    return msgspec.structs.replace(Event(POLYMARKET, EventId(name), f"Event {name}", markets=tuple(map(MarketId, markets))), **changes)


# -- markets --


async def test_pages_of_a_search_go_on_behind_a_place_and_miss_nothing_with_equal_titles(autojump_clock, scene, ask, new_market):
    names = [f"m{number:02}" for number in range(7)]
    scene.polymarket.markets = [msgspec.structs.replace(new_market(POLYMARKET, name), title="The same?") for name in reversed(names)]
    async with scene.running():
        found, after = [], None
        while page := await ask(SearchMarkets(limit=3, after=after)):
            found += [market.key.market for market in page]
            after = place_of_market(page[-1])
        assert found == names


async def test_what_has_ended_is_found_only_where_its_status_is_asked_for(autojump_clock, scene, ask, tell):
    async with scene.running():
        await tell(MarketResolved(scene.market.key, Resolution(ONE, final=True)))
        assert await ask(SearchMarkets()) == ()
        (found,) = await ask(SearchMarkets(MarketFilter(statuses=frozenset({MarketStatus.RESOLVED}))))
        assert found.resolution.yes_payout == ONE


async def test_markets_are_narrowed_by_event_category_and_end(autojump_clock, scene, ask, new_market):
    day = datetime(2027, 1, 1, tzinfo=UTC)
    one = msgspec.structs.replace(new_market(POLYMARKET, "one"), event=EventId("e"), category="Sports", closes_at=day)
    two = msgspec.structs.replace(new_market(POLYMARKET, "two"), event=EventId("e"), category="Politics")
    scene.polymarket.markets = [one, two]

    async def found(**wanted):
        return await ask(SearchMarkets(MarketFilter(**wanted)))

    async with scene.running():
        assert await found(event=EventId("e")) == (one, two)
        assert await found(event=EventId("other")) == ()
        assert await found(category="sPORTS") == (one,)
        assert await found(closes_after=day) == (one,)
        assert await found(closes_before=day) == ()
        assert await found(closes_before=day + timedelta(seconds=1)) == (one,)


async def test_a_large_search_lets_others_have_their_turn(autojump_clock, scene, ask, new_market):
    scene.polymarket.markets = [new_market(POLYMARKET, f"m{number}") for number in range(2_000)]
    async with scene.running():
        await trio.sleep(1)
        turns = 0

        async def count():
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            await ask(SearchMarkets(limit=5))
            nursery.cancel_scope.cancel()
        assert turns >= 4


# -- events --


async def test_events_are_found_by_id_words_and_category_in_title_order(autojump_clock, scene, ask):
    name = scene.market.key.market
    scene.polymarket.markets = [scene.market]
    known = scene.market.event
    wanted = event(known, name, title="The Cup final", category="Sports", at_most_one=True)
    scene.polymarket.events = [wanted]
    async with scene.running():
        assert await ask(GetEvent(known)) == wanted
        assert await ask(ListEvents(EventFilter("cup FINAL", "sports"))) == (wanted,)
        assert await ask(ListEvents(EventFilter("snow"))) == ()
        assert await ask(ListEvents(EventFilter(category="Weather"))) == ()
        assert await ask(ListEvents(after=place_of_event(wanted))) == ()
        with pytest.raises(NotFound, match="polymarket lists no event 'none'"):
            await ask(GetEvent(EventId("none")))


async def test_an_event_none_of_whose_markets_is_known_is_forgotten(autojump_clock, scene, ask):
    scene.polymarket.events = [event(scene.market.event, scene.market.key.market), event("empty")]
    async with scene.running():
        await trio.sleep(1)
        assert [each.id for each in await ask(ListEvents())] == [scene.market.event]


# -- the feed itself --


async def test_the_feed_says_how_many_books_can_be_acted_on_line_by_line(autojump_clock, scene, ask, tell):
    scene.polymarket.statistics = lambda: {"frames": 7}
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await scene.quote(scene.no, "0.55x10", "0.60x10")
        await tell(Connected(POLYMARKET, 1, (scene.no,)))
        await trio.sleep(3)
        report = await ask(GetFeed())
        assert (report.markets, report.followed, report.counters) == (1, 1, {"frames": 7, "crossings": 0})
        assert 2_000 < report.catalogue_age_ms < 5_000
        assert [(line.line, line.connected, line.books, line.trusted, line.fresh) for line in report.lines] == [
            (0, True, 1, 1, 1),
            (1, True, 1, 1, 1),
        ]
        assert report.lines[1].alive_age_ms == 3_000

        scene.polymarket.alive = False
        await tell(BooksInvalid("a gap", (scene.yes,)))
        await tell(Disconnected(POLYMARKET, 1, "cut"))
        await trio.sleep(FRESH_SECONDS)
        lines = (await ask(GetFeed())).lines
        assert [(line.connected, line.problem, line.trusted, line.fresh) for line in lines] == [(True, "", 0, 0), (False, "cut", 0, 0)]


async def test_a_line_that_was_given_up_is_not_one_that_is_down(autojump_clock, scene, ask, tell):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await tell(Connected(POLYMARKET, 1, (scene.no,)))
        await tell(Connected(POLYMARKET, 0, (scene.no,)))
        await tell(Disconnected(POLYMARKET, 1, "nothing is followed over it any more"))
        assert [(line.line, line.connected) for line in (await ask(GetFeed())).lines] == [(0, True)]


async def test_a_venue_that_was_never_reached_has_a_line_that_is_down(autojump_clock, scene, ask):
    scene.polymarket.problem = "no route"
    async with scene.running():
        (line,) = (await ask(GetFeed())).lines
        assert (line.line, line.connected, line.alive_age_ms) == (0, False, None)
        assert "no route" in line.problem


async def test_the_oldest_proof_is_of_the_book_that_was_proved_longest_ago(autojump_clock, scene, ask, tell):
    scene.polymarket.capabilities = msgspec.structs.replace(scene.polymarket.capabilities, line_proves_books=False)
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await scene.quote(scene.no, "0.55x10", "0.60x10")
        await trio.sleep(9)
        await tell(lambda listener: listener.proved((scene.yes,), trio.current_time()))
        (line,) = (await ask(GetFeed())).lines
        assert (line.fresh, line.oldest_proof_ms) == (2, 9_000)


async def test_one_report_serves_all_who_ask_within_two_seconds(autojump_clock, scene, ask):
    async with scene.running():
        first = await ask(GetFeed())
        await trio.sleep(1.9)
        assert await ask(GetFeed()) is first
        await trio.sleep(0.2)
        assert await ask(GetFeed()) is not first


async def test_why_the_catalogue_was_not_read_is_said_until_it_is(autojump_clock, scene, ask):
    scene.polymarket.problem = "HTML"
    async with scene.running():
        await trio.sleep(1)
        report = await ask(GetFeed())
        assert (report.catalogue_age_ms, "HTML" in report.catalogue_problem) == (None, True)
        scene.polymarket.problem = ""
        await trio.sleep(60)
        report = await ask(GetFeed())
        assert (report.catalogue_age_ms is not None, report.catalogue_problem) == (True, "")


# -- a narrowed catalogue --


async def test_what_falls_out_of_a_limited_catalogue_goes_on_and_is_read_by_itself(autojump_clock, scene, ask, new_market):
    stays, falls, over = (new_market(POLYMARKET, name) for name in ("stays", "falls", "over"))
    scene.polymarket.markets = [stays, falls, over]
    scene.selected = lambda _: Selection(limit=3)
    async with scene.running():
        await trio.sleep(1)
        scene.polymarket.markets = [stays, new_market(POLYMARKET, "hot"), new_market(POLYMARKET, "hotter")]
        scene.polymarket.unlisted = {
            MarketId("falls"): falls,
            MarketId("over"): msgspec.structs.replace(over, status=MarketStatus.CLOSED),
        }
        await trio.sleep(CATALOGUE_AGE_SECONDS + 1)
        status = {m.key.market: m.status for m in scene.data.markets.values() if m.key.venue == POLYMARKET}
        assert (status["falls"], status["over"]) == (MarketStatus.OPEN, MarketStatus.CLOSED)


async def test_so_many_more_than_the_limit_are_followed_and_no_others(autojump_clock, scene, ask, new_market):
    scene.polymarket.markets = [new_market(POLYMARKET, f"old{number}") for number in range(10)]
    scene.polymarket.unlisted = {market.key.market: market for market in scene.polymarket.markets}
    scene.selected = lambda _: Selection(limit=10)
    async with scene.running():
        await trio.sleep(1)
        newer = [new_market(POLYMARKET, f"new{number}") for number in range(4)]
        scene.polymarket.markets = [*scene.polymarket.markets[4:], *newer]
        await trio.sleep(CATALOGUE_AGE_SECONDS + 5)
        report = await ask(GetFeed())
        assert (report.followed, report.markets) == (12, 14)
        assert {f"old{number}" for number in range(2)}.isdisjoint(key.market for key in scene.polymarket.follow.markets)
        assert await ask(GetMarket(newer[0].key)) == newer[0]


async def test_an_announced_market_is_followed_only_where_the_selection_has_room_for_it(autojump_clock, scene, new_market):
    soon = datetime.fromtimestamp(scene.environment.unix_ms() / 1000 + 3_600, UTC)
    announced = msgspec.structs.replace(new_market(POLYMARKET, "announced"), closes_at=soon)
    scene.polymarket.unlisted = {announced.key.market: announced}
    answers = []
    selections = [
        Selection(),
        Selection(series=("sports",)),
        Selection(limit=1),
        Selection(limit=2),
        Selection(closes_before=soon - timedelta(seconds=1)),
        Selection(closes_before=soon),
    ]
    async with scene.running():
        for selection in selections:
            scene.selected = lambda _, selection=selection: selection
            await scene.crash(scene.feeds[POLYMARKET])  # which forgets it
            await trio.sleep(3)
            scene.polymarket.tell(MarketListed(POLYMARKET, announced.key.market))
            await trio.sleep(1)
            answers.append(announced.key in scene.polymarket.follow.markets)
    assert answers == [True, False, False, True, False, True]

"""MarketFeed: folds a venue's events into books, says when one cannot be trusted, and always comes back."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.market_feed import (
    CATALOGUE_AGE_SECONDS,
    CATALOGUE_SECONDS,
    FIRST_RETRY_SECONDS,
    FRESH_SECONDS,
    LONGEST_RETRY_SECONDS,
    RESOLUTION_SECONDS,
    GetMarket,
    SearchMarkets,
)
from arbiter.actors.market_search import MarketFilter
from arbiter.domain.book import BookSnapshot, LevelChange, PublicTrade, Side
from arbiter.domain.ids import KALSHI, POLYMARKET, MarketId, MarketKey, OutcomeId, OutcomeKey
from arbiter.domain.market import Event, KalshiFees, MarketStatus, Resolution, TickRange
from arbiter.domain.market_events import (
    BooksInvalid,
    Connected,
    Disconnected,
    FeesChanged,
    GridChanged,
    MarketListed,
    MarketResolved,
    StatusChanged,
    Ticker,
)
from arbiter.domain.money import Micros, parse_micros
from arbiter.errors import NotFound


@pytest.fixture
def tell(scene):
    async def tell(event):
        scene.polymarket.tell(event)
        await wait_all_tasks_blocked()

    return tell


def change(outcome, side, price, size, *, signed=False):
    return LevelChange(outcome, side, parse_micros(price), parse_micros(size), signed)


def fresh(scene, outcome) -> bool:
    book = scene.data.books.get(outcome)
    return book is not None and scene.data.fresh(book, scene.environment.monotonic())


# -- books --


async def test_a_snapshot_is_published_best_first_and_fresh(autojump_clock, scene, book_levels):
    async with scene.running():
        assert scene.data.books.get(scene.yes) is None
        await scene.quote(scene.yes, "0.40x1 0.42x2 0.41x3", "0.46x1 0.44x2 0.45x0")
        book = scene.data.books.get(scene.yes)
        assert book.bids == book_levels("0.42x2 0.41x3 0.40x1")
        assert book.asks == book_levels("0.44x2 0.46x1")
        assert book.trusted
        assert fresh(scene, scene.yes)


async def test_changes_set_add_and_remove_levels_and_those_of_one_delta_apply_together(autojump_clock, scene, tell, book_levels):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await scene.quote(scene.no, "0.55x10", "0.60x10")
        scene.polymarket.venue_ms = 77
        with scene.data.books.subscribe("backpressure") as (_, changes):
            await tell(
                (
                    change(scene.yes, Side.BUY, "0.40", "0"),
                    change(scene.yes, Side.BUY, "0.41", "7"),
                    change(scene.yes, Side.SELL, "0.45", "-4", signed=True),
                    change(scene.no, Side.BUY, "0.55", "2.5", signed=True),
                )
            )
            told = [await changes.receive(), await changes.receive()]
        assert [(book.outcome, book.bids, book.asks, book.venue_ms) for book in told] == [
            (scene.yes, book_levels("0.41x7"), book_levels("0.45x6"), 77),
            (scene.no, book_levels("0.55x12.5"), book_levels("0.60x10"), 77),
        ]


async def test_a_change_of_a_book_that_never_had_a_snapshot_is_ignored(autojump_clock, scene, tell):
    async with scene.running():
        await tell((change(scene.yes, Side.BUY, "0.41", "7"),))
        assert scene.data.books.get(scene.yes) is None


async def test_a_book_of_a_market_that_is_not_in_the_catalogue_is_ignored(autojump_clock, scene, tell):
    stranger = OutcomeKey(POLYMARKET, MarketId("stranger"), OutcomeId("yes"))
    async with scene.running():
        await tell(BookSnapshot(stranger, (), ()))
        await tell(GridChanged(stranger.market_key, ()))
        await tell(PublicTrade(stranger, Micros(1), Micros(1), Side.BUY))
        assert scene.data.books.get(stranger) is None


async def test_one_invalid_book_is_emptied_and_distrusted_until_its_next_snapshot_and_others_stay(autojump_clock, scene, tell):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await scene.quote(scene.no, "0.55x10", "0.60x10")
        await tell(BooksInvalid("a gap", (scene.yes,)))
        book = scene.data.books.get(scene.yes)
        assert (book.bids, book.asks, book.trusted) == ((), (), False)
        assert not fresh(scene, scene.yes)
        assert fresh(scene, scene.no)
        await tell((change(scene.yes, Side.BUY, "0.41", "7"),))
        assert not scene.data.books.get(scene.yes).trusted
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        assert fresh(scene, scene.yes)


async def test_another_price_grid_fee_schedule_and_status_are_the_markets_from_then_on(autojump_clock, scene, tell):
    key = scene.market.key
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await tell(GridChanged(key, (TickRange(Micros(1_000), Micros(999_000), Micros(1_000)),)))
        await tell(FeesChanged(key, KalshiFees()))
        await tell(StatusChanged(key, MarketStatus.PAUSED))
        market = scene.data.markets.get(key)
        assert market.ticks == (TickRange(Micros(1_000), Micros(999_000), Micros(1_000)),)
        assert (market.fees, market.status) == (KalshiFees(), MarketStatus.PAUSED)
        assert market.on_grid(401_000)
        assert scene.data.books.get(scene.yes).trusted  # whether the books go with the grid, the connector says
        assert await scene.feeds[POLYMARKET].ref.ask(GetMarket(key), timeout=5) == market


async def test_a_crossed_book_is_not_trusted_until_it_is_crossed_no_more(autojump_clock, scene, tell):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await tell((change(scene.yes, Side.BUY, "0.45", "1"),))
        assert not scene.data.books.get(scene.yes).trusted
        assert not fresh(scene, scene.yes)
        await tell((change(scene.yes, Side.SELL, "0.45", "0"), change(scene.yes, Side.SELL, "0.46", "2")))
        assert fresh(scene, scene.yes)


async def test_the_newest_trade_of_an_outcome_and_the_newest_ticker_of_a_market_can_be_read(autojump_clock, scene, tell):
    trade = PublicTrade(scene.yes, Micros(400_000), Micros(3), Side.BUY, 5, "t1")
    async with scene.running():
        await tell(trade)
        await tell(Ticker(scene.market.key, volume=Micros(7)))
        assert scene.data.trades.get(scene.yes) == trade
        assert scene.data.tickers.get(scene.market.key).volume == 7


# -- freshness --


async def test_an_unchanged_book_stays_fresh_while_its_connection_proves_alive(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await trio.sleep(600)
        assert fresh(scene, scene.yes)


async def test_without_proof_of_life_a_book_is_fresh_for_twelve_seconds_and_no_longer(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        scene.polymarket.alive = False
        alive_at = scene.data.status.get((POLYMARKET, 0)).alive_at
        await trio.sleep(alive_at + FRESH_SECONDS - trio.current_time() - 0.001)
        assert fresh(scene, scene.yes)
        await trio.sleep(0.002)
        assert not fresh(scene, scene.yes)
        assert FRESH_SECONDS == 12


async def test_one_connections_life_proves_nothing_for_the_books_of_another(autojump_clock, scene, tell):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await scene.quote(scene.no, "0.55x10", "0.60x10")
        scene.polymarket.alive = False  # only what is told here proves life
        await tell(Connected(POLYMARKET, 0, (scene.yes,)))
        await tell(Connected(POLYMARKET, 1, (scene.no,)))
        await scene.quote(scene.no, "0.55x11", "0.60x10")
        for _ in range(20):
            await trio.sleep(1)
            await tell((change(scene.yes, Side.BUY, "0.40", "1"),))
        assert (fresh(scene, scene.yes), fresh(scene, scene.no)) == (True, False)
        await tell(lambda listener: listener.alive(1))
        assert fresh(scene, scene.no)


async def test_where_a_lines_life_proves_nothing_each_book_needs_a_proof_of_its_own(autojump_clock, scene, tell):
    scene.polymarket.capabilities = msgspec.structs.replace(scene.polymarket.capabilities, line_proves_books=False)
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await scene.quote(scene.no, "0.55x10", "0.60x10")
        await trio.sleep(FRESH_SECONDS + 1)
        assert scene.data.status.get((POLYMARKET, 0)).connected  # and alive every two seconds
        assert (fresh(scene, scene.yes), fresh(scene, scene.no)) == (False, False)
        await tell(lambda listener: listener.proved((scene.yes,), trio.current_time()))
        assert (fresh(scene, scene.yes), fresh(scene, scene.no)) == (True, False)
        await tell((change(scene.no, Side.BUY, "0.55", "1"),))
        assert fresh(scene, scene.no)


async def test_a_proof_of_its_own_does_not_replace_the_life_of_the_line(autojump_clock, scene, tell):
    scene.polymarket.capabilities = msgspec.structs.replace(scene.polymarket.capabilities, line_proves_books=False)
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await tell(Disconnected(POLYMARKET, 0, "cut"))
        scene.polymarket.alive = False
        assert not fresh(scene, scene.yes)


async def test_a_proof_is_as_old_as_what_it_says_and_is_none_of_the_line(autojump_clock, scene, tell):
    scene.polymarket.capabilities = msgspec.structs.replace(scene.polymarket.capabilities, line_proves_books=False)
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await trio.sleep(FRESH_SECONDS - 1)
        await tell(lambda listener: listener.proved((scene.yes,), trio.current_time() - FRESH_SECONDS + 2))
        assert fresh(scene, scene.yes)
        await trio.sleep(3)
        assert not fresh(scene, scene.yes)
        scene.polymarket.alive = False
        for _ in range(20):
            await trio.sleep(1)
            await tell(lambda listener: listener.proved((scene.yes,), trio.current_time()))
        assert not fresh(scene, scene.yes), "the line has been silent for longer"


async def test_a_recording_that_was_sampled_seldom_counts_for_longer_whoever_asks(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        scene.polymarket.alive = False
        seldom = replace(scene.data, fresh_seconds=40.0)
        book = scene.data.books.get(scene.yes)
        alive_at = scene.data.status.get((POLYMARKET, 0)).alive_at
        assert [scene.data.fresh(book, alive_at + age) for age in (FRESH_SECONDS, FRESH_SECONDS + 0.1)] == [True, False]
        assert [seldom.fresh(book, alive_at + age) for age in (40, 40.1)] == [True, False]


async def test_proof_of_life_is_passed_on_at_most_once_a_second(autojump_clock, scene, tell):
    async with scene.running():
        with scene.data.status.subscribe("backpressure", capacity=10_000) as (_, changes):
            for _ in range(100):
                await scene.quote(scene.yes, "0.40x10", "0.45x10")
                await trio.sleep(0.1)
            count = 0
            with trio.move_on_after(0.01):
                while True:
                    count += (await changes.receive()).venue == POLYMARKET
        assert 8 <= count <= 11


# -- losing and finding the venue --


async def test_a_lost_connection_distrusts_every_book_tells_why_and_comes_back_with_new_ones(autojump_clock, scene, tell):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await tell("the cable was cut")
        status = scene.data.status.get((POLYMARKET, 0))
        assert not status.connected
        assert "the cable was cut" in status.problem
        assert not scene.data.books.get(scene.yes).trusted
        assert scene.data.status.get((KALSHI, 0)).connected
        await trio.sleep(1)
        assert scene.data.status.get((POLYMARKET, 0)).connected
        assert fresh(scene, scene.yes)


async def test_a_venue_that_stays_away_is_tried_with_growing_pauses_up_to_a_longest_one(autojump_clock, scene, tell):
    async with scene.running():
        scene.polymarket.problem = "maintenance"
        await tell("maintenance")
        scene.polymarket.attempts.clear()
        await trio.sleep(600)
        attempts = scene.polymarket.attempts
        pauses = [after - before for before, after in pairwise(attempts)]
        assert pauses[0] < 4 * FIRST_RETRY_SECONDS
        assert max(pauses) <= LONGEST_RETRY_SECONDS
        assert min(pauses[-5:]) >= LONGEST_RETRY_SECONDS / 2
        assert len(attempts) < 60

        scene.polymarket.problem = ""
        await trio.sleep(LONGEST_RETRY_SECONDS)
        assert scene.data.status.get((POLYMARKET, 0)).connected
        status = [s for s in scene.supervisor.statuses() if s.name.endswith("polymarket_feed")]
        assert [(s.state, s.restarts) for s in status] == [("running", 0)]


async def test_a_connection_that_lived_a_while_ends_the_backoff(autojump_clock, scene, tell):
    async with scene.running():
        scene.polymarket.problem = "maintenance"
        await tell("maintenance")
        await trio.sleep(300)
        scene.polymarket.problem = ""
        await trio.sleep(60)
        assert scene.data.status.get((POLYMARKET, 0)).connected
        lost_at = trio.current_time()
        await tell("once more")
        await trio.sleep(5)
        assert scene.polymarket.attempts[-1] - lost_at <= FIRST_RETRY_SECONDS


async def test_one_line_that_is_lost_distrusts_its_own_books_only(autojump_clock, scene, tell):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        await scene.quote(scene.no, "0.55x10", "0.60x10")
        await tell(Connected(POLYMARKET, 1, (scene.no,)))
        await tell(Disconnected(POLYMARKET, 1, "the cable was cut"))
        assert (fresh(scene, scene.yes), fresh(scene, scene.no)) == (True, False)
        assert scene.data.status.get((POLYMARKET, 1)).problem == "the cable was cut"
        assert scene.data.status.get((POLYMARKET, 0)).connected


async def test_the_catalogue_is_read_again_every_five_minutes_and_new_markets_are_followed(autojump_clock, scene, new_market):
    newer = new_market(POLYMARKET, "newer")
    async with scene.running():
        await trio.sleep(1)
        assert scene.polymarket.catalogues == 1
        scene.polymarket.markets.append(newer)
        await trio.sleep(CATALOGUE_AGE_SECONDS)
        assert scene.polymarket.catalogues == 2
        assert scene.data.markets.get(newer.key) == newer
        await scene.quote(newer.yes_key, "0.40x10", "0.45x10")
        assert fresh(scene, newer.yes_key)


async def test_a_market_that_the_catalogue_leaves_out_is_closed_and_its_books_end(autojump_clock, scene, tell, new_market):
    shorter = new_market(POLYMARKET, "shorter")
    scene.polymarket.markets.append(shorter)
    async with scene.running():
        await scene.quote(shorter.yes_key, "0.40x10", "0.45x10")
        late = scene.polymarket.follow.markets[shorter.key].yes
        scene.polymarket.markets.remove(shorter)
        del scene.polymarket.books[shorter.yes_key]
        with scene.data.books.subscribe("backpressure") as (_, changes):
            await trio.sleep(CATALOGUE_AGE_SECONDS + 1)
            ended = [await changes.receive() for _ in range(2)]
        assert {book.outcome: book.trusted for book in ended} == {shorter.yes_key: False, shorter.no_key: False}
        assert scene.data.books.get(shorter.yes_key) is None
        assert scene.data.markets.get(shorter.key).status is MarketStatus.CLOSED
        late.replace((), ())  # by a frame that the connector had in hand
        await tell(lambda listener: listener.changed(late, 0))
        assert scene.data.books.get(shorter.yes_key) is None

        scene.polymarket.markets.append(shorter)
        await trio.sleep(CATALOGUE_AGE_SECONDS)
        await scene.quote(shorter.yes_key, "0.40x10", "0.45x10")
        assert fresh(scene, shorter.yes_key)


async def test_a_catalogue_that_comes_back_empty_closes_nothing_and_is_read_again(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        scene.polymarket.markets = []
        await trio.sleep(CATALOGUE_AGE_SECONDS + 30)
        assert scene.polymarket.catalogues > 3
        assert fresh(scene, scene.yes)
        assert scene.data.markets.get(scene.market.key).status is MarketStatus.OPEN


async def test_a_market_that_is_announced_is_read_and_followed_at_once(autojump_clock, scene, tell, new_market):
    newer = new_market(POLYMARKET, "newer")
    scene.polymarket.unlisted[newer.key.market] = newer
    async with scene.running():
        await tell(MarketListed(POLYMARKET, MarketId("of another kind")))
        await tell(MarketListed(POLYMARKET, newer.key.market))
        await scene.quote(newer.yes_key, "0.40x10", "0.45x10")
        assert fresh(scene, newer.yes_key)


async def test_events_of_the_catalogue_can_be_read(autojump_clock, scene):
    scene.polymarket.events = [event := Event(POLYMARKET, scene.market.event, "Who?", at_most_one=True)]
    async with scene.running():
        assert scene.data.events.get((POLYMARKET, event.id)) == event


async def test_a_catalogue_that_never_comes_is_given_up_and_asked_for_again(autojump_clock, scene):
    asked = []

    async def hanging(selection):
        asked.append(trio.current_time())
        await trio.sleep_forever()
        yield

    scene.polymarket.catalogue = hanging
    async with scene.running():
        await trio.sleep(2.5 * CATALOGUE_SECONDS)
        assert len(asked) == 3
        assert "catalogue took longer" in scene.data.status.get((POLYMARKET, 0)).problem


# -- outcomes --


async def test_how_an_ended_market_came_out_is_asked_until_it_is_final(autojump_clock, scene, tell):
    key = scene.market.key
    async with scene.running():
        await tell(StatusChanged(key, MarketStatus.CLOSED))
        await trio.sleep(3 * RESOLUTION_SECONDS)
        assert 2 <= len(scene.polymarket.asked) <= 3
        scene.polymarket.resolutions[key] = Resolution(Micros(1_000_000), final=False)
        await trio.sleep(RESOLUTION_SECONDS)
        assert scene.data.markets.get(key).resolution.yes_payout == 1_000_000
        assert scene.data.markets.get(key).status is MarketStatus.CLOSED
        scene.polymarket.resolutions[key] = Resolution(Micros(0), final=True)
        await trio.sleep(RESOLUTION_SECONDS)
        asked = len(scene.polymarket.asked)
        assert scene.data.markets.get(key).status is MarketStatus.RESOLVED
        assert scene.data.markets.get(key).resolution == Resolution(Micros(0), final=True)
        await trio.sleep(10 * RESOLUTION_SECONDS)
        assert len(scene.polymarket.asked) == asked


async def test_a_market_past_its_end_is_asked_for_though_nobody_said_that_it_closed(autojump_clock, scene):
    soon = datetime.fromtimestamp(scene.environment.unix_ms() / 1000 + 10, UTC)
    scene.polymarket.markets = [msgspec.structs.replace(scene.market, closes_at=soon)]
    async with scene.running():
        await trio.sleep(5)
        assert scene.polymarket.asked == []
        scene.polymarket.resolutions[scene.market.key] = Resolution(Micros(1_000_000), final=True)
        await trio.sleep(2 * RESOLUTION_SECONDS)
        assert scene.data.markets.get(scene.market.key).status is MarketStatus.RESOLVED


async def test_a_final_outcome_that_the_stream_tells_is_not_asked_for(autojump_clock, scene, tell):
    async with scene.running():
        await tell(MarketResolved(scene.market.key, Resolution(Micros(500_000), final=True)))
        await trio.sleep(3 * RESOLUTION_SECONDS)
        assert scene.polymarket.asked == []
        assert scene.data.markets.get(scene.market.key).resolution.yes_payout == 500_000


# -- trouble --


async def test_a_crash_of_the_feed_leaves_no_trusted_book_behind_and_it_comes_back_by_itself(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x10", "0.45x10")
        with scene.data.books.subscribe("backpressure") as (_, changes):
            await scene.crash(scene.feeds[POLYMARKET])
            assert not (await changes.receive()).trusted
            assert (await changes.receive()).trusted
        assert fresh(scene, scene.yes)


async def test_a_bug_in_one_venue_parks_its_feed_and_nothing_else_notices(autojump_clock, scene):
    async def broken(follow, listener):
        raise KeyError("a bug")

    scene.polymarket.stream = broken
    async with scene.running():
        await trio.sleep(30)
        states = {status.name: status for status in scene.supervisor.statuses()}
        assert states["root/inputs/polymarket_feed"].state == "parked"
        assert "a bug" in states["root/inputs/polymarket_feed"].last_error
        assert states["root/inputs/kalshi_feed"].state == "running"
        assert states["root/trading/position_tracker"].restarts == 0


# -- questions --


async def test_markets_are_found_by_every_word_of_their_title_in_title_order(autojump_clock, scene, new_market):
    scene.polymarket.markets = [
        msgspec.structs.replace(new_market(POLYMARKET, f"m{n}"), title=title)
        for n, title in enumerate(["Will Ann win the Cup?", "Will Bob win the CUP?", "Will it rain?"])
    ]
    async with scene.running():
        ref = scene.feeds[POLYMARKET].ref
        found = await ref.ask(SearchMarkets(MarketFilter("cup WIN")), timeout=5)
        assert [market.title for market in found] == ["Will Ann win the Cup?", "Will Bob win the CUP?"]
        assert len(await ref.ask(SearchMarkets(limit=2), timeout=5)) == 2
        assert await ref.ask(SearchMarkets(MarketFilter("cup snow")), timeout=5) == ()


async def test_a_market_that_is_not_listed_is_not_found(autojump_clock, scene):
    async with scene.running():
        with pytest.raises(NotFound, match="polymarket lists no market"):
            await scene.feeds[POLYMARKET].ref.ask(GetMarket(MarketKey(POLYMARKET, MarketId("none"))), timeout=5)

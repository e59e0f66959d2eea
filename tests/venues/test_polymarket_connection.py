"""Polymarket's connector over the sandbox in memory: what it makes of a venue that stalls, breaks, repeats or says nothing."""

import msgspec
import pytest
import structlog.testing
import trio

from arbiter.actors.market_feed import FRESH_SECONDS
from arbiter.domain.book import BookDelta, BooksInvalid, BookSnapshot, Connected, ProofOfLife, Side, TickSizeChanged
from arbiter.domain.ids import POLYMARKET, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import Outcome
from arbiter.domain.money import parse_micros
from arbiter.venues.polymarket.client import PolymarketPace
from arbiter.venues.polymarket.connection import WATCH_SECONDS

PACE = PolymarketPace()
ROUND_TRIP = 0.1
"""The sandbox ticks every 20 ms."""
STALL_NOTICED = PACE.quiet + 2 * WATCH_SECONDS + PACE.recheck + ROUND_TRIP
MALFORMED = [
    b"",
    b"null",
    b"7",
    b'"text"',
    b"INVALID OPERATION",
    b"\xff\xfe",
    b"[" * 5000,
    b"[7]",
    b'{"event_type":7}',
    b'{"event_type":"book"}',
    b'{"event_type":"book","asset_id":"1001","bids":[{"price":"NaN","size":"1"}]}',
    b'{"event_type":"book","asset_id":"1001","bids":[{"price":1e999,"size":"1"}]}',
    b'{"event_type":"book","asset_id":"1001","bids":[{"price":"0.4","size":"-1"}]}',
    b'{"event_type":"price_change","price_changes":[{"asset_id":"1001","price":"0.4","size":"1","side":"HOLD"}]}',
    b'{"event_type":"tick_size_change","asset_id":"1001","new_tick_size":"0"}',
]


@pytest.fixture
def change(stage):
    """The world changes a level of the first market, and there is time for it to arrive."""

    async def change(price: str, size: str) -> None:
        stage.world.change(stage.world.polymarket[0], Side.BUY, price, size)
        await trio.sleep(ROUND_TRIP)

    return change


@pytest.mark.parametrize(("tokens_per_socket", "sockets"), [(400, 1), (4, 2), (1, 6)])
async def test_the_first_event_of_each_outcome_is_a_snapshot_and_changes_lead_to_the_books_of_the_venue(
    autojump_clock, stage, change, shown, tokens_per_socket, sockets
):
    async with stage.running():
        venue = stage.polymarket(tokens_per_socket=tokens_per_socket)
        follower = await stage.follow(venue)
        for price, size in [("0.41", "7"), ("0.42", "1.5"), ("0.40", "0")]:
            await change(price, size)
        assert set(follower.first.values()) == {BookSnapshot}
        assert shown(follower.books) == stage.truth(POLYMARKET)
        assert follower.error is None
        assert venue.statistics()["connections"] == sockets


@pytest.mark.parametrize("told_last", ["book", "price_change"])
async def test_a_socket_that_stalls_but_answers_pings_is_found_out_by_rest(autojump_clock, stage, change, told_last):
    async with stage.running():
        follower = await stage.follow(stage.polymarket())
        if told_last == "price_change":
            await change("0.43", "5")
        await trio.sleep(20)
        stage.sandbox.polymarket.fault_stall()
        await change("0.43", "0" if told_last == "price_change" else "9")
        assert "the socket is silent while the books move on" in await follower.lost(STALL_NOTICED)
        assert follower.longest_silence < FRESH_SECONDS


async def test_a_socket_that_stalls_while_no_book_moves_is_as_good_as_a_quiet_one(autojump_clock, stage, change):
    async with stage.running():
        follower = await stage.follow(stage.polymarket())
        stage.sandbox.polymarket.fault_stall()
        await trio.sleep(60)
        assert follower.error is None
        await change("0.43", "9")
        await follower.lost(STALL_NOTICED)


async def test_a_socket_that_stalls_before_its_first_book_is_lost_within_the_limits_of_the_pace(autojump_clock, stage):
    async with stage.running():
        venue = stage.polymarket()

        async def stall() -> None:
            while not stage.sandbox.polymarket.sessions:
                await trio.lowlevel.checkpoint()
            stage.sandbox.polymarket.fault_stall()

        stage.nursery.start_soon(stall)
        follower = await stage.follow(venue, stage.world.polymarket)
        assert "no book within 30 s" in await follower.lost(PACE.first_book + 2 * WATCH_SECONDS)
        assert follower.events == follower.of(Connected)


async def test_a_venue_that_falls_silent_without_a_word_proves_no_life_and_is_lost_within_the_limits_of_the_pace(autojump_clock, stage):
    async with stage.running():
        follower = await stage.follow(stage.polymarket())
        await trio.sleep(30)
        stage.network.inner.reachable = False
        stage.network.freeze()
        before = len(follower.events)
        assert "no PONG for 30 s" in await follower.lost(PACE.pong + PACE.ping + ROUND_TRIP)
        assert len(follower.events) == before


@pytest.mark.parametrize("frame", MALFORMED, ids=lambda frame: repr(frame[:60]))
async def test_a_frame_that_makes_no_sense_is_counted_and_ends_the_stream_with_nothing_but_venue_unavailable(autojump_clock, stage, frame):
    async with stage.running():
        venue = stage.polymarket()
        follower = await stage.follow(venue)
        stage.sandbox.polymarket.fault_send(frame)
        assert "a malformed frame" in await follower.lost(ROUND_TRIP)
        assert isinstance(follower.events[-1], BooksInvalid)
        assert follower.books == {}
        assert venue.statistics()["malformed_frames"] == 1


async def test_a_malformed_frame_on_one_of_several_sockets_invalidates_its_books_and_ends_them_all(autojump_clock, stage):
    async with stage.running():
        follower = await stage.follow(stage.polymarket(tokens_per_socket=2))
        session = next(iter(stage.sandbox.polymarket.sessions))
        session.push(b"{")
        await follower.lost(ROUND_TRIP)
        (invalid,) = follower.of(BooksInvalid)
        assert {key.outcome for key in invalid.outcomes} == session.assets
        await trio.sleep(ROUND_TRIP)
        assert not stage.sandbox.polymarket.sessions


async def test_malformed_frames_are_logged_once_a_minute_however_often_they_come(autojump_clock, stage):
    async with stage.running():
        venue = stage.polymarket()

        async def one() -> None:
            follower = await stage.follow(venue)
            stage.sandbox.polymarket.fault_malformed()
            await follower.lost(ROUND_TRIP)

        with structlog.testing.capture_logs() as logs:
            await one()
            await trio.sleep(50)
            await one()
            assert [(line["event"], line["venue"], line["log_level"]) for line in logs] == [("malformed frame", POLYMARKET, "warning")]
            await trio.sleep(10)
            await one()
        assert [line["event"] for line in logs] == ["malformed frame"] * 2
        assert venue.statistics()["malformed_frames"] == 3


async def test_events_and_fields_that_are_unknown_are_ignored_the_events_counted_and_books_go_on(autojump_clock, stage, change, shown):
    async with stage.running():
        venue = stage.polymarket()
        follower = await stage.follow(venue)
        for count in range(1, 4):
            stage.sandbox.polymarket.fault_unknown_event()
            stage.sandbox.polymarket.fault_unknown_fields()
            await change("0.41", str(count))
        assert venue.statistics()["unknown_events"] == 3
        assert shown(follower.books) == stage.truth(POLYMARKET)
        assert follower.error is None
        assert follower.of(BooksInvalid) == []


async def test_an_event_that_comes_twice_changes_nothing_since_sizes_are_absolute(autojump_clock, stage, change, shown):
    async with stage.running():
        follower = await stage.follow(stage.polymarket())
        stage.sandbox.polymarket.fault_duplicate()  # of the first books
        await change("0.41", "7")
        stage.sandbox.polymarket.fault_duplicate()
        await trio.sleep(ROUND_TRIP)
        assert len(follower.of(BookDelta)) == 2
        assert shown(follower.books) == stage.truth(POLYMARKET)
        assert follower.error is None


@pytest.mark.parametrize("fault", ["fault_drop", "fault_close"])
@pytest.mark.parametrize("tokens_per_socket", [400, 2])
async def test_a_connection_that_ends_is_noticed_at_once(autojump_clock, stage, fault, tokens_per_socket):
    async with stage.running():
        venue = stage.polymarket(tokens_per_socket=tokens_per_socket)
        follower = await stage.follow(venue)
        getattr(stage.sandbox.polymarket, fault)()
        await follower.lost(ROUND_TRIP)
        again = await stage.follow(venue)
        assert len(again.books) == len(stage.truth(POLYMARKET))


async def test_an_unreachable_venue_is_venue_unavailable(autojump_clock, stage):
    async with stage.running():
        stage.network.inner.reachable = False
        follower = await stage.follow(stage.polymarket(), stage.world.polymarket)
        assert "no route" in await follower.lost(ROUND_TRIP)


async def test_a_quiet_venue_keeps_proving_that_it_lives(autojump_clock, stage):
    async with stage.running():
        follower = await stage.follow(stage.polymarket())
        before = len(follower.events)
        await trio.sleep(120)
        assert follower.error is None
        assert {type(event) for event in follower.events[before:]} == {ProofOfLife}
        assert follower.longest_silence < PACE.quiet + 2 * WATCH_SECONDS < FRESH_SECONDS


async def test_each_socket_tells_whose_books_come_over_it_and_proves_its_own_life_alone(autojump_clock, stage, change):
    async with stage.running():
        follower = await stage.follow(stage.polymarket(tokens_per_socket=2))
        told = follower.of(Connected)
        assert sorted(event.line for event in told) == list(range(len(told)))
        assert sorted(key for event in told for key in event.outcomes) == sorted(stage.truth(POLYMARKET))
        assert max(len(event.outcomes) for event in told) == 2
        await trio.sleep(60)
        assert {event.line for event in follower.of(ProofOfLife)} == {event.line for event in told}


async def test_a_token_whose_book_does_not_come_is_subscribed_anew_and_the_others_are_none_the_worse(autojump_clock, stage, change, shown):
    stranger = msgspec.structs.replace(
        stage.world.polymarket[0],
        key=MarketKey(POLYMARKET, MarketId("0xff")),
        yes=Outcome(OutcomeId("9001"), "Yes"),
        no=Outcome(OutcomeId("9002"), "No"),
    )
    async with stage.running():
        venue = stage.polymarket()
        follower = await stage.follow(venue, [*stage.world.polymarket, stranger])
        await trio.sleep(PACE.first_book + 2 * WATCH_SECONDS)
        assert venue.statistics()["resubscribed"] == 2
        await change("0.41", "7")
        assert shown(follower.books) == stage.truth(POLYMARKET)
        assert follower.error is None


async def test_a_new_price_grid_invalidates_the_books_of_its_market_until_the_next_ones(autojump_clock, stage, shown):
    async with stage.running():
        follower = await stage.follow(stage.polymarket())
        market = stage.world.polymarket[0]
        stage.sandbox.polymarket.change_tick(market.key.market, parse_micros("0.001"), stage.environment.unix_ms())
        await trio.sleep(PACE.after_tick_change + 2 * WATCH_SECONDS)
        assert {event.market for event in follower.of(TickSizeChanged)} == {market.key}
        assert {key for event in follower.of(BooksInvalid) for key in event.outcomes} == {market.yes_key, market.no_key}
        assert shown(follower.books) == stage.truth(POLYMARKET)
        assert follower.error is None


@pytest.mark.parametrize("fault", ["fault_stall", "fault_malformed", "fault_drop", "fault_close"])
async def test_the_feed_distrusts_its_books_after_a_fault_and_trusts_them_again_after_the_backoff(autojump_clock, stage, until, fault):
    async with stage.running(), stage.feed(stage.polymarket()) as data:
        outcomes = list(stage.truth(POLYMARKET))

        def trusted() -> list[bool]:
            return [(book := data.books.get(outcome)) is not None and book.trusted for outcome in outcomes]

        await until(lambda: all(trusted()), 1)
        for size in range(1, 4):
            await trio.sleep(11)  # long enough to count as settled: the next retry is the first again
            getattr(stage.sandbox.polymarket, fault)()
            stage.world.change(stage.world.polymarket[0], Side.BUY, "0.41", str(size))
            await until(lambda: not any(trusted()), STALL_NOTICED if fault == "fault_stall" else ROUND_TRIP)
            assert not data.status.get((POLYMARKET, 0)).connected
            await until(lambda: all(trusted()), 0.25 + ROUND_TRIP)
            assert data.status.get((POLYMARKET, 0)).connected
            seen = {outcome: (data.books.get(outcome).bids, data.books.get(outcome).asks) for outcome in outcomes}
            assert seen == stage.truth(POLYMARKET)

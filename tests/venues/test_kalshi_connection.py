"""Kalshi's connector over the sandbox in memory: what it makes of a venue that loses, breaks, repeats or says nothing."""

import msgspec
import pytest
import structlog.testing
import trio

from arbiter.actors.market_feed import FRESH_SECONDS
from arbiter.domain.book import BookDelta, BooksInvalid, BookSnapshot, ProofOfLife, Side
from arbiter.domain.ids import KALSHI, MarketId, MarketKey
from arbiter.venues.kalshi.client import KalshiPace

PACE = KalshiPace()
ROUND_TRIP = 0.1
"""The sandbox ticks every 20 ms."""
MALFORMED = [
    b"",
    b"null",
    b"7",
    b"[]",
    b"\xff\xfe",
    b"[" * 5000,
    b'{"type":7}',
    b'{"type":"orderbook_delta","sid":1}',
    b'{"type":"orderbook_delta","sid":"one","seq":2,"msg":{}}',
    b'{"type":"orderbook_snapshot","sid":1,"seq":4,"msg":{"market_ticker":"KXTEST-26FEB01-1","yes_dollars_fp":[["NaN","1"]]}}',
    b'{"type":"orderbook_snapshot","sid":1,"seq":4,"msg":{"market_ticker":"KXTEST-26FEB01-1","yes_dollars_fp":[[1e999,"1"]]}}',
    b'{"type":"orderbook_delta","sid":1,"seq":4,"msg":{"market_ticker":"KXTEST-26FEB01-1","price_dollars":"0.4","delta_fp":"1","side":"up"}}',
    b'{"type":"orderbook_delta","sid":1,"seq":4,"msg":{"market_ticker":"KXTEST-26FEB01-1","price_dollars":"","delta_fp":"1","side":"no"}}',
]


@pytest.fixture
def change(stage):
    """The world changes a level of the first market, and there is time for it to arrive."""

    async def change(price: str, size: str) -> None:
        stage.world.change(stage.world.kalshi[0], Side.BUY, price, size)
        await trio.sleep(ROUND_TRIP)

    return change


@pytest.mark.parametrize("tickers_per_command", [1, 2, 500])
async def test_the_first_event_of_each_outcome_is_a_snapshot_and_changes_lead_to_the_books_of_the_venue(
    autojump_clock, stage, change, shown, tickers_per_command
):
    async with stage.running():
        follower = await stage.follow(stage.kalshi(tickers_per_command=tickers_per_command))
        for price, size in [("0.41", "7"), ("0.42", "1.5"), ("0.40", "0")]:
            await change(price, size)
        assert set(follower.first.values()) == {BookSnapshot}
        assert len(follower.of(BookDelta)) == 3
        assert shown(follower.books) == stage.truth(KALSHI)
        assert follower.error is None


async def test_a_lost_frame_invalidates_every_book_counts_as_a_gap_and_ends_the_stream(autojump_clock, stage, change):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        await change("0.41", "7")
        told = len(follower.of(BookDelta))
        stage.sandbox.kalshi.fault_gap()
        await trio.sleep(1)
        assert follower.error is None
        await change("0.41", "8")
        assert "sequence 6 of subscription 1, expected 5" in await follower.lost(ROUND_TRIP)
        assert len(follower.of(BookDelta)) == told
        assert isinstance(follower.events[-1], BooksInvalid)
        assert follower.books == {}
        assert venue.statistics()["gaps"] == 1


async def test_a_frame_that_comes_twice_is_a_gap_since_its_change_would_count_twice(autojump_clock, stage, change):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        await change("0.41", "7")
        (told,) = follower.of(BookDelta)
        body = {"market_ticker": stage.world.kalshi[0].key.market, "price_dollars": "0.4100", "delta_fp": "7.00", "side": "yes"}
        stage.sandbox.kalshi.fault_send(msgspec.json.encode({"type": "orderbook_delta", "sid": 1, "seq": 4, "msg": body}))
        assert "expected 5" in await follower.lost(ROUND_TRIP)
        assert follower.of(BookDelta) == [told]
        assert isinstance(follower.events[-1], BooksInvalid)
        assert venue.statistics()["gaps"] == 1


async def test_error_25_invalidates_every_book_and_ends_the_stream_though_the_socket_stays(autojump_clock, stage):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        stage.sandbox.kalshi.fault_overflow()
        assert "error 25" in await follower.lost(ROUND_TRIP)
        assert isinstance(follower.events[-1], BooksInvalid)
        assert follower.books == {}
        assert (venue.statistics()["gaps"], venue.statistics()["malformed_frames"]) == (0, 0)


async def test_a_subscription_that_the_venue_refuses_ends_the_stream(autojump_clock, stage):
    stranger = msgspec.structs.replace(stage.world.kalshi[0], key=MarketKey(KALSHI, MarketId("KXNONE-26FEB01-1")))
    async with stage.running():
        follower = await stage.follow(stage.kalshi(), [stranger])
        assert "error 16" in await follower.lost(ROUND_TRIP)


@pytest.mark.parametrize("frame", MALFORMED, ids=lambda frame: repr(frame[:60]))
async def test_a_frame_that_makes_no_sense_is_counted_and_ends_the_stream_with_nothing_but_venue_unavailable(autojump_clock, stage, frame):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        stage.sandbox.kalshi.fault_send(frame)
        assert "a malformed frame" in await follower.lost(ROUND_TRIP)
        assert isinstance(follower.events[-1], BooksInvalid)
        assert follower.books == {}
        assert venue.statistics()["malformed_frames"] == 1


async def test_malformed_frames_are_logged_once_a_minute_however_often_they_come(autojump_clock, stage):
    async with stage.running():
        venue = stage.kalshi()

        async def one() -> None:
            follower = await stage.follow(venue)
            stage.sandbox.kalshi.fault_malformed()
            await follower.lost(ROUND_TRIP)

        with structlog.testing.capture_logs() as logs:
            await one()
            await trio.sleep(50)
            await one()
            assert [(line["event"], line["venue"], line["log_level"]) for line in logs] == [("malformed frame", KALSHI, "warning")]
            await trio.sleep(10)
            await one()
        assert [line["event"] for line in logs] == ["malformed frame"] * 2
        assert venue.statistics()["malformed_frames"] == 3


async def test_a_message_of_an_unknown_type_is_counted_and_books_go_on(autojump_clock, stage, change, shown):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        for count in range(1, 4):
            stage.sandbox.kalshi.fault_unknown_type()
            await change("0.41", str(count))
        assert venue.statistics()["unknown_events"] == 3
        assert shown(follower.books) == stage.truth(KALSHI)
        assert follower.error is None
        assert follower.of(BooksInvalid) == []


@pytest.mark.parametrize("rest", [b'"sid":null', b'"sid":1,"seq":null', b'"sid":"1","seq":"one"', b'"sid":{},"seq":[1.5],"msg":7'])
async def test_a_message_of_an_unknown_type_may_have_any_fields(autojump_clock, stage, change, shown, rest):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        stage.sandbox.kalshi.fault_send(b'{"type":"moon_phase",' + rest + b"}")
        await change("0.41", "7")
        assert follower.error is None
        assert venue.statistics()["unknown_events"] == 1
        assert shown(follower.books) == stage.truth(KALSHI)


@pytest.mark.parametrize("fault", ["fault_drop", "fault_close"])
async def test_a_connection_that_ends_is_noticed_at_once(autojump_clock, stage, fault):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        getattr(stage.sandbox.kalshi, fault)()
        await follower.lost(ROUND_TRIP)
        again = await stage.follow(venue)
        assert len(again.books) == len(stage.truth(KALSHI))
        assert venue.statistics()["connections"] == 2


async def test_an_unreachable_venue_is_venue_unavailable(autojump_clock, stage):
    async with stage.running():
        stage.network.inner.reachable = False
        follower = await stage.follow(stage.kalshi(), stage.world.kalshi)
        assert "no route" in await follower.lost(ROUND_TRIP)


async def test_a_quiet_venue_keeps_proving_that_it_lives(autojump_clock, stage):
    async with stage.running():
        follower = await stage.follow(stage.kalshi())
        before = len(follower.events)
        await trio.sleep(120)
        assert follower.error is None
        assert {type(event) for event in follower.events[before:]} == {ProofOfLife}
        assert follower.longest_silence < PACE.ping + ROUND_TRIP < FRESH_SECONDS


async def test_a_socket_that_falls_silent_without_a_word_is_lost_within_the_limits_of_the_pace(autojump_clock, stage, change):
    async with stage.running():
        follower = await stage.follow(stage.kalshi())
        await trio.sleep(30)
        stage.network.freeze()
        before = len(follower.events)
        await change("0.41", "7")
        began = trio.current_time()
        assert "no sign of life for 12 s" in await follower.lost(PACE.dead + PACE.ping + ROUND_TRIP)
        assert follower.lost_at - began > PACE.dead - PACE.ping - ROUND_TRIP
        assert len(follower.events) == before


@pytest.mark.parametrize("fault", ["fault_gap", "fault_overflow", "fault_malformed", "fault_drop", "fault_close"])
async def test_the_feed_distrusts_its_books_after_a_fault_and_trusts_them_again_after_the_backoff(autojump_clock, stage, until, fault):
    async with stage.running(), stage.feed(stage.kalshi()) as data:
        outcomes = list(stage.truth(KALSHI))

        def trusted() -> list[bool]:
            return [(book := data.books.get(outcome)) is not None and book.trusted for outcome in outcomes]

        await until(lambda: all(trusted()), 1)
        for size in range(1, 4):
            await trio.sleep(11)  # long enough to count as settled: the next retry is the first again
            getattr(stage.sandbox.kalshi, fault)()
            stage.world.change(stage.world.kalshi[0], Side.BUY, "0.41", str(size))
            await until(lambda: not any(trusted()), ROUND_TRIP)
            assert not data.status.get((KALSHI, 0)).connected
            await until(lambda: all(trusted()), 0.25 + ROUND_TRIP)
            assert data.status.get((KALSHI, 0)).connected
            assert {outcome: (data.books.get(outcome).bids, data.books.get(outcome).asks) for outcome in outcomes} == stage.truth(KALSHI)

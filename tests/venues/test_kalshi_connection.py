"""Kalshi's connector over the sandbox in memory: what it makes of a venue that loses, breaks, repeats or says nothing."""

import msgspec
import pytest
import structlog.testing
import trio

from arbiter.actors.market_feed import FRESH_SECONDS
from arbiter.domain.book import PublicTrade, Side
from arbiter.domain.ids import KALSHI, MarketId, MarketKey
from arbiter.domain.market_events import BooksInvalid, Connected, Disconnected
from arbiter.venues.kalshi.client import KalshiPace

PACE = KalshiPace()
ROUND_TRIP = 0.1
"""The sandbox ticks every 20 ms."""
RETRY = 0.6
"""What the first retry of a lost connection takes at most, with its handshake."""
MALFORMED = [
    b"",
    b"null",
    b"7",
    b"[]",
    b"<html><body>502</body></html>",
    b"\xff\xfe",
    b"[" * 5000,
    b'{"type":7}',
    b'{"type":"orderbook_delta","sid":1}',
    b'{"type":"orderbook_delta","sid":"one","seq":2,"msg":{}}',
]
ONE_BOOK = [
    b'{"type":"orderbook_snapshot","sid":%d,"seq":%d,"msg":{"market_ticker":"KXTEST-26FEB01-1","yes_dollars_fp":[["NaN","1"]]}}',
    b'{"type":"orderbook_snapshot","sid":%d,"seq":%d,"msg":{"market_ticker":"KXTEST-26FEB01-1","yes_dollars_fp":[["0.4","-1"]]}}',
    b'{"type":"orderbook_delta","sid":%d,"seq":%d,"msg":{"market_ticker":"KXTEST-26FEB01-1","price_dollars":"0.4","delta_fp":"1","side":"up"}}',
    b'{"type":"orderbook_delta","sid":%d,"seq":%d,"msg":{"market_ticker":"KXTEST-26FEB01-1","price_dollars":"","delta_fp":"1","side":"no"}}',
    b'{"type":"orderbook_delta","sid":%d,"seq":%d,"msg":{"market_ticker":"KXTEST-26FEB01-1","price_dollars":"0.4","delta_fp":"-999","side":"yes"}}',
]


@pytest.fixture
def change(stage):
    """The world changes a level of the first market, and there is time for it to arrive."""

    async def change(price: str, size: str) -> None:
        stage.world.change(stage.world.kalshi[0], Side.BUY, price, size)
        await trio.sleep(ROUND_TRIP)

    return change


def books_subscription(stage) -> tuple[int, int]:
    """The number and the last sequence number of the only session's book subscription."""
    (session,) = stage.sandbox.kalshi.sessions
    (found,) = [each for each in session._by_sid.values() if each.channel == "orderbook_delta"]
    return found.sid, found.seq


@pytest.mark.parametrize("tickers_per_command", [1, 2, 500])
async def test_the_books_become_those_of_the_venue_and_follow_its_changes(autojump_clock, stage, change, shown, tickers_per_command):
    async with stage.running():
        follower = await stage.follow(stage.kalshi(tickers_per_command=tickers_per_command))
        for price, size in [("0.41", "7"), ("0.42", "1.5"), ("0.40", "0")]:
            await change(price, size)
        assert shown(follower.books) == stage.truth(KALSHI)
        assert follower.lost == []
        connected = {outcome for event in follower.of(Connected) for outcome in event.outcomes}
        assert connected == set(follower.books)


async def test_a_lost_frame_invalidates_every_book_and_they_are_subscribed_anew_on_the_connection(autojump_clock, stage, change, shown):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        await change("0.41", "7")
        stage.sandbox.kalshi.fault_gap()
        await trio.sleep(1)
        assert follower.of(BooksInvalid) == []
        before = len(follower.changes)
        await change("0.41", "8")
        (invalid,) = follower.of(BooksInvalid)
        assert "sequence" in invalid.reason
        assert set(invalid.outcomes) == set(stage.truth(KALSHI))
        await trio.sleep(ROUND_TRIP)
        assert len(follower.changes) == before + len(stage.truth(KALSHI)), "one snapshot of each, and nothing of the old subscription"
        assert shown(follower.books) == stage.truth(KALSHI)
        await change("0.41", "9")
        assert shown(follower.books) == stage.truth(KALSHI)
        assert (venue.statistics()["gaps"], venue.statistics()["connections"]) == (1, 1)


async def test_a_gap_among_the_trades_costs_no_book_and_is_counted_once(autojump_clock, stage, change, shown):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        (session,) = stage.sandbox.kalshi.sessions
        (trades,) = [each for each in session._by_sid.values() if each.channel == "trade"]
        trades.seq += 3
        for price in ("0.44", "0.45", "0.44"):
            stage.world.trade(stage.world.kalshi[0], price, "2", Side.BUY)
            await trio.sleep(ROUND_TRIP)
        assert len(follower.of(PublicTrade)) == 2, "the one that shows the gap is lost with what is missing"
        assert (venue.statistics()["gaps"], follower.of(BooksInvalid), follower.lost) == (1, [], [])
        assert shown(follower.books) == stage.truth(KALSHI)


async def test_a_frame_that_comes_twice_is_a_gap_since_its_change_would_count_twice(autojump_clock, stage, change, shown):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        await change("0.41", "7")
        sid, seq = books_subscription(stage)
        body = {"market_ticker": stage.world.kalshi[0].key.market, "price_dollars": "0.4100", "delta_fp": "7.00", "side": "yes"}
        stage.sandbox.kalshi.fault_send(msgspec.json.encode({"type": "orderbook_delta", "sid": sid, "seq": seq, "msg": body}))
        await trio.sleep(2 * ROUND_TRIP)
        assert venue.statistics()["gaps"] == 1
        assert shown(follower.books) == stage.truth(KALSHI)


async def test_gaps_that_come_again_and_again_are_answered_with_growing_pauses_and_no_trust_between(autojump_clock, stage, shown):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        for _ in range(600):
            stage.sandbox.kalshi.fault_malformed()
            await trio.sleep(0.1)
        resyncs = venue.statistics()["malformed_frames"]
        assert resyncs == 600
        snapshots = sum(trusted for _, _, trusted in follower.changes)
        assert snapshots < 15 * len(stage.truth(KALSHI))
        await trio.sleep(31)
        assert shown(follower.books) == stage.truth(KALSHI)


async def test_error_25_invalidates_every_book_and_subscribes_anew(autojump_clock, stage, shown):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        stage.sandbox.kalshi.fault_overflow()
        await trio.sleep(ROUND_TRIP / 2)
        assert "error 25" in (follower.lost + [event.reason for event in follower.of(BooksInvalid)])[0]
        await trio.sleep(RETRY)
        assert shown(follower.books) == stage.truth(KALSHI)


async def test_a_market_that_the_venue_refuses_costs_no_other_its_book(autojump_clock, stage, shown):
    stranger = msgspec.structs.replace(stage.world.kalshi[0], key=MarketKey(KALSHI, MarketId("KXNONE-26FEB01-1")))
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue, [*stage.world.kalshi, stranger])
        assert shown(follower.books) == stage.truth(KALSHI)
        assert follower.lost == []
        assert venue.statistics()["refused_subscriptions"] > 0


@pytest.mark.parametrize("frame", MALFORMED, ids=lambda frame: repr(frame[:60]))
async def test_a_frame_that_makes_no_sense_is_counted_and_all_books_are_fetched_anew(autojump_clock, stage, shown, frame):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        stage.sandbox.kalshi.fault_send(frame)
        await trio.sleep(2 * ROUND_TRIP)
        (invalid,) = follower.of(BooksInvalid)
        assert invalid.reason == "a malformed frame"
        assert set(invalid.outcomes) == set(stage.truth(KALSHI))
        assert venue.statistics()["malformed_frames"] == 1
        assert shown(follower.books) == stage.truth(KALSHI)


@pytest.mark.parametrize("frame", ONE_BOOK, ids=lambda frame: repr(frame[:60]))
async def test_a_frame_that_breaks_one_book_costs_no_other_and_that_one_is_asked_for_again(autojump_clock, stage, shown, frame):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        (session,) = stage.sandbox.kalshi.sessions
        sid, seq = books_subscription(stage)
        session.skip_sequence()  # what is sent here takes a number of its own
        stage.sandbox.kalshi.fault_send(frame % (sid, seq + 1))
        await trio.sleep(2 * ROUND_TRIP)
        (invalid,) = follower.of(BooksInvalid)
        assert invalid.outcomes == (stage.world.kalshi[0].yes_key, stage.world.kalshi[0].no_key)
        assert shown(follower.books) == stage.truth(KALSHI)
        assert (venue.statistics()["malformed_frames"], venue.statistics()["gaps"], follower.lost) == (1, 0, [])


async def test_malformed_frames_are_logged_once_a_minute_however_often_they_come(autojump_clock, stage):
    async with stage.running():
        venue = stage.kalshi()
        await stage.follow(venue)

        async def one() -> None:
            stage.sandbox.kalshi.fault_malformed()
            await trio.sleep(ROUND_TRIP)

        with structlog.testing.capture_logs() as logs:
            await one()
            await trio.sleep(50)
            await one()
            assert [(line["event"], line["venue"], line["log_level"]) for line in logs] == [("malformed frame", KALSHI, "warning")]
            await trio.sleep(10)
            await one()
        assert [line["event"] for line in logs] == ["malformed frame"] * 2
        assert venue.statistics()["malformed_frames"] == 3


async def test_a_message_of_an_unknown_type_is_counted_by_its_name_and_books_go_on(autojump_clock, stage, change, shown):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        for count in range(1, 4):
            stage.sandbox.kalshi.fault_unknown_type()
            await change("0.41", str(count))
        assert (venue.statistics()["unknown_events"], venue.statistics()["unknown moon_phase"]) == (3, 3)
        assert shown(follower.books) == stage.truth(KALSHI)
        assert (follower.lost, follower.of(BooksInvalid)) == ([], [])


@pytest.mark.parametrize("rest", [b'"sid":null', b'"sid":1,"seq":null', b'"sid":"1","seq":"one"', b'"sid":{},"seq":[1.5],"msg":7'])
async def test_a_message_of_an_unknown_type_may_have_any_fields(autojump_clock, stage, change, shown, rest):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        stage.sandbox.kalshi.fault_send(b'{"type":"moon_phase",' + rest + b"}")
        await change("0.41", "7")
        assert follower.lost == []
        assert venue.statistics()["unknown_events"] == 1
        assert shown(follower.books) == stage.truth(KALSHI)


async def test_a_book_that_stays_crossed_is_asked_for_again(autojump_clock, stage, shown):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        book = follower.list.markets[stage.world.kalshi[0].key].yes
        sid, seq = books_subscription(stage)
        (session,) = stage.sandbox.kalshi.sessions
        session.skip_sequence()
        body = {"market_ticker": stage.world.kalshi[0].key.market, "price_dollars": "0.9000", "delta_fp": "7.00", "side": "yes"}
        stage.sandbox.kalshi.fault_send(msgspec.json.encode({"type": "orderbook_delta", "sid": sid, "seq": seq + 1, "msg": body}))
        await trio.sleep(ROUND_TRIP)
        assert book.crossed
        await trio.sleep(PACE.crossed + 1 + ROUND_TRIP)
        assert shown(follower.books) == stage.truth(KALSHI)
        assert venue.statistics()["crossed_books"] == 1


async def test_a_market_that_is_followed_later_gets_its_book_and_one_that_is_not_any_more_gets_nothing(autojump_clock, stage, shown):
    first, second, third = stage.world.kalshi
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue, [first])
        assert set(follower.books) == {first.yes_key, first.no_key}
        follower.follow([first, second])
        await trio.sleep(ROUND_TRIP)
        assert set(follower.books) == {first.yes_key, first.no_key, second.yes_key, second.no_key}
        follower.follow([second, third])
        await trio.sleep(ROUND_TRIP)
        changes = len(follower.changes)
        stage.world.change(first, Side.BUY, "0.41", "7")
        await trio.sleep(ROUND_TRIP)
        assert len(follower.changes) == changes
        stage.world.change(third, Side.BUY, "0.41", "7")
        await trio.sleep(ROUND_TRIP)
        truth = stage.truth(KALSHI)
        wanted = [second.yes_key, second.no_key, third.yes_key, third.no_key]
        assert shown(follower.books) == {outcome: truth[outcome] for outcome in wanted}
        assert venue.statistics()["connections"] == 1


@pytest.mark.parametrize("fault", ["fault_drop", "fault_close"])
async def test_a_connection_that_ends_is_told_at_once_and_made_anew(autojump_clock, stage, shown, fault):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        getattr(stage.sandbox.kalshi, fault)()
        await trio.sleep(ROUND_TRIP)
        assert len(follower.lost) == 1
        assert follower.books == {}
        await trio.sleep(RETRY)
        assert shown(follower.books) == stage.truth(KALSHI)
        assert venue.statistics()["connections"] == 2


async def test_an_unreachable_venue_is_tried_again_and_again(autojump_clock, stage, shown):
    async with stage.running():
        stage.network.inner.reachable = False
        follower = await stage.follow(stage.kalshi(), stage.world.kalshi)
        await trio.sleep(300)
        assert 10 < len(follower.lost) < 25
        assert "no route" in follower.lost[0]
        stage.network.inner.reachable = True
        await trio.sleep(31)
        assert shown(follower.books) == stage.truth(KALSHI)


async def test_a_quiet_venue_keeps_proving_that_it_lives(autojump_clock, stage):
    async with stage.running():
        follower = await stage.follow(stage.kalshi())
        await trio.sleep(120)
        assert follower.lost == []
        assert follower.longest_silence < PACE.ping + ROUND_TRIP < FRESH_SECONDS


async def test_a_socket_that_falls_silent_without_a_word_is_lost_within_the_limits_of_the_pace(autojump_clock, stage, change, shown):
    async with stage.running():
        follower = await stage.follow(stage.kalshi(probe=0))
        await trio.sleep(30)
        stage.network.freeze()
        began = trio.current_time()
        await change("0.41", "7")
        await trio.sleep(PACE.dead + ROUND_TRIP)
        (lost_at,) = [at for at, event in follower.told if isinstance(event, Disconnected)]
        assert "no sign of life for 12 s" in follower.lost[0]
        assert lost_at - began > PACE.dead - PACE.ping - ROUND_TRIP
        await trio.sleep(RETRY)
        assert shown(follower.books) == stage.truth(KALSHI)


async def test_a_venue_that_never_tells_a_book_again_loses_two_connections_to_its_silence_and_no_more(
    autojump_clock, stage, shown, monkeypatch
):
    monkeypatch.setattr("arbiter.sandbox.kalshi.session.KalshiSession._update", lambda *_: None)  # it takes the command and says nothing
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        await trio.sleep(600)
        assert [reason.partition(": ")[2] for reason in follower.lost] == ["no answer within 5 s"] * 2
        assert venue.statistics()["connections"] == 3
        assert shown(follower.books) == stage.truth(KALSHI)


@pytest.mark.parametrize("fault", ["fault_gap", "fault_overflow", "fault_malformed", "fault_drop", "fault_close"])
async def test_the_feed_distrusts_its_books_after_a_fault_and_trusts_them_again(autojump_clock, stage, until, fault):
    async with stage.running(), stage.feed(stage.kalshi()) as data:
        outcomes = list(stage.truth(KALSHI))

        def trusted() -> list[bool]:
            return [(book := data.books.get(outcome)) is not None and book.trusted for outcome in outcomes]

        await until(lambda: all(trusted()), 1)
        for size in range(1, 4):
            await trio.sleep(11)  # long enough to count as settled: the next retry is the first again
            with data.books.subscribe("backpressure", capacity=1000) as (_, changes):
                getattr(stage.sandbox.kalshi, fault)()
                stage.world.change(stage.world.kalshi[0], Side.BUY, "0.41", str(size))
                distrusted = set()
                with trio.fail_after(RETRY):
                    while len(distrusted) < len(outcomes):
                        book = await changes.receive()
                        distrusted |= set() if book.trusted else {book.outcome}
            await until(lambda: all(trusted()), RETRY)
            assert data.status.get((KALSHI, 0)).connected
            assert {outcome: (data.books.get(outcome).bids, data.books.get(outcome).asks) for outcome in outcomes} == stage.truth(KALSHI)

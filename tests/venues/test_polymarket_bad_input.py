"""Garbage on the market socket: counted by kind, logged once a minute, and only the books concerned suffer."""

import gc
import json
import tracemalloc

import pytest
import structlog.testing
import trio

from arbiter.domain.book import Side
from arbiter.domain.ids import POLYMARKET
from arbiter.domain.market_events import BooksInvalid, Disconnected
from tests.polyvenue import PolyStage

ROUND_TRIP = 0.1


def change(**fields: object) -> bytes:
    whole = {"asset_id": "1001", "price": "0.41", "size": "1", "side": "BUY", **fields}
    return json.dumps({"event_type": "price_change", "price_changes": [whole]}).encode()


def book(**fields: object) -> bytes:
    return json.dumps({"event_type": "book", "asset_id": "1001", "bids": [], "asks": [], **fields}).encode()


NAMES_NOBODY = [
    (b"", "not_json"),
    (b"null", "no_event"),
    (b"7", "no_event"),
    (b'"text"', "no_event"),
    (b"INVALID OPERATION", "not_json"),
    (b"<html><body>502 Bad Gateway</body></html>", "not_json"),
    (b"\xff\xfe", "not_json"),
    (b"[" * 5000, "not_json"),
    (b"[7]", "no_event"),
    (b"[[]]", "no_event"),
    (b"PONG ", "not_json"),
    (b'{"event_type":7}', "no_event"),
    (b'{"event_type":"book"}', "bad_field"),
    (b'{"event_type":"book","asset_id":null}', "bad_field"),
    (b'{"event_type":"price_change","price_changes":[{"asset_id":"1001","price":"0.4', "not_json"),
    (b'{"event_type":"new","a":' + b"1" * 5_000 + b"}", "not_json"),
    (b'{"event_type":"new","a":"' + b"x" * 2_000_000 + b'"}', "too_large"),
    (b"x" * 2_000_000, "too_large"),
]
OF_ONE_TOKEN = [
    change(price="1.01"),
    change(price="-0.1"),
    change(price="nan"),
    change(price="1e-1"),
    change(size="-1"),
    change(size="1e3"),
    change(size="9" * 30),
    change(size=None),
    change(size="\u0663\u00b2"),
    change(side="HOLD"),
    change(side=None),
    change(side={}),
    book(bids=[{"price": "NaN", "size": "1"}]),
    book(bids=[{"price": "0.4", "size": "-1"}]),
    book(bids=[{"price": "0.4"}]),
    book(bids=7),
    book(bids=[{"price": "0.4", "size": "1"}] * 10_001),
    b'{"event_type":"book","asset_id":"1001","bids":[{"price":1e999,"size":"1"}]}',
    b'{"event_type":"book","asset_id":1001,"bids":[{"price":"0.4","size":{}}]}',
    b'{"event_type":"last_trade_price","asset_id":"1001","price":"7","size":"1","side":"BUY"}',
    b'{"event_type":"tick_size_change","asset_id":"1001","new_tick_size":"0"}',
    b'{"event_type":"best_bid_ask","asset_id":"1001","best_bid":"x"}',
]
HARMLESS = [
    b"[]",
    b'{"event_type":"moon_phase","phase":{"name":"full"}}',
    book(asset_id="9999", bids=[{"price": "NaN", "size": "1"}]),
    change(asset_id="9999", size="x"),
    b'{"event_type":"price_change","price_changes":null}',
    b'{"event_type":"price_change","price_changes":[],"timestamp":"yesterday"}',
    b'{"event_type":"last_trade_price","asset_id":"1001","price":"0.4","size":"1","side":""}',
    b'{"event_type":"market_resolved","assets_ids":null,"winning_asset_id":null}',
    b'{"event_type":"new_market","market":null}',
]


@pytest.mark.parametrize(("frame", "kind"), NAMES_NOBODY, ids=lambda value: repr(value[:60]))
async def test_a_frame_that_says_not_whose_it_is_costs_its_line_the_books_and_the_connection(autojump_clock, frame, kind):
    async with PolyStage(tokens_per_socket=2).running() as stage:
        stage.venue.session_of("1001").send(frame)
        await trio.sleep(ROUND_TRIP)
        assert stage.heard.losses == ["a malformed frame"]
        assert not stage.book(1).trusted
        assert stage.book(2).trusted
        assert stage.book(3).trusted
        statistics = stage.connector.statistics()
        assert (statistics["malformed_frames"], statistics[f"malformed {kind}"]) == (1, 1)
        await trio.sleep(0.6)
        assert stage.all_trusted
        assert stage.shown() == stage.truth()


async def test_a_message_of_five_megabytes_ends_its_line_and_no_other(autojump_clock):
    async with PolyStage(tokens_per_socket=2).running() as stage:
        stage.venue.session_of("1001").send(b"x" * 5_000_000)
        await trio.sleep(ROUND_TRIP)
        assert len(stage.heard.losses) == 1
        assert [stage.book(number).trusted for number in (1, 2, 3)] == [False, True, True]
        assert stage.connector.statistics()["large_messages"] == 1
        await trio.sleep(0.6)
        assert stage.all_trusted


@pytest.mark.parametrize("frame", OF_ONE_TOKEN, ids=lambda frame: repr(frame[:120]))
async def test_a_frame_whose_numbers_make_no_sense_costs_its_token_the_book_until_it_comes_anew(autojump_clock, frame):
    async with PolyStage(1, 2).running() as stage:
        stage.venue.tell_all(frame)
        await trio.sleep(0.05)
        assert [event.outcomes for event in stage.heard.of(BooksInvalid)] == [(stage.markets[0].yes_key,)]
        assert [book.trusted for book in stage.books.values()] == [False, True, True, True]
        await trio.sleep(1)
        assert stage.all_trusted
        assert stage.shown() == stage.truth()
        assert stage.heard.of(Disconnected) == []
        assert stage.connector.statistics()["malformed bad_field"] == stage.connector.statistics()["resubscribed"] == 1


@pytest.mark.parametrize("frame", HARMLESS, ids=lambda frame: repr(frame[:120]))
async def test_what_concerns_none_of_our_books_costs_none(autojump_clock, frame):
    async with PolyStage(1, 2).running() as stage:
        stage.venue.tell_all(frame)
        await trio.sleep(1)
        assert stage.heard.of(BooksInvalid) == stage.heard.of(Disconnected) == []
        assert stage.shown() == stage.truth()


async def test_one_bad_change_among_good_ones_costs_the_others_nothing(autojump_clock):
    async with PolyStage(1, 2).running() as stage:
        changes = [
            {"asset_id": "2001", "price": "0.41", "size": "5", "side": "BUY"},
            {"asset_id": "1001", "price": "0.41", "size": "5", "side": "HOLD"},
            {"asset_id": "2001", "price": "0.39", "size": "6", "side": "BUY"},
            {"asset_id": "unknown", "price": "0.39", "size": "6", "side": "BUY"},
        ]
        stage.venue.tell_all({"event_type": "price_change", "price_changes": changes})
        await trio.sleep(0.05)
        assert [event.outcomes for event in stage.heard.of(BooksInvalid)] == [(stage.markets[0].yes_key,)]
        assert {level.size for level in stage.book(2).bids()} >= {5_000_000, 6_000_000}


async def test_an_odd_event_in_an_array_does_not_hide_its_neighbours(autojump_clock):
    async with PolyStage(1, 2).running() as stage:
        good = {"event_type": "price_change", "price_changes": [{"asset_id": "2001", "price": "0.41", "size": "5", "side": "BUY"}]}
        odd = {"event_type": "book", "asset_id": "1001", "bids": 7}
        stage.venue.tell_all([odd, {"event_type": "moon_phase"}, good])
        await trio.sleep(0.05)
        assert not stage.book(1).trusted
        assert stage.book(2).bids()[1].size == 5_000_000


async def test_numbers_are_taken_as_json_numbers_too_and_exactly(autojump_clock):
    async with PolyStage(1).running() as stage:
        stage.venue.tell_all(
            b'{"event_type":"price_change","timestamp":1767225600200,"price_changes":[{"asset_id":"1001","price":0.41,"size":10,"side":"BUY"}]}'
        )
        stage.venue.tell_all(
            b'{"event_type":"book","asset_id":"1002","timestamp":5,"hash":"x","bids":[{"price":0.3,"size":7.5}],"asks":null}'
        )
        await trio.sleep(ROUND_TRIP)
        assert (410_000, 10_000_000) in stage.book(1).bids()
        assert stage.book(1, no=True).bids() == ((300_000, 7_500_000),)
        assert stage.heard.changes[-2][2] == 1767225600200
        assert stage.heard.of(BooksInvalid) == []


async def test_unknown_events_are_counted_by_name_and_names_are_bounded(autojump_clock):
    async with PolyStage(1).running() as stage:
        for number in range(200):
            stage.venue.tell_all({"event_type": f"moon_{number % 100}"})
        stage.venue.tell_all({"event_type": "<script>" * 100})
        await trio.sleep(ROUND_TRIP)
        statistics = stage.connector.statistics()
        assert statistics["unknown_events"] == 201
        assert statistics["unknown moon_3"] == 2
        assert sum(name.startswith("unknown ") for name in statistics) <= 51


async def test_each_kind_is_logged_once_a_minute_however_often_it_comes(autojump_clock):
    with structlog.testing.capture_logs() as logs:
        async with PolyStage(1).running() as stage:
            for _ in range(100):
                stage.venue.tell_all(change(side="HOLD"))
                stage.venue.tell_all(b"<html>")
                await trio.sleep(1.19)
    found = [(line["event"], line["kind"], line["venue"], line["log_level"]) for line in logs if line["event"] == "malformed frame"]
    assert found == [("malformed frame", kind, POLYMARKET, "warning") for kind in ("bad_field", "not_json")] * 2


async def test_bad_frames_of_one_token_make_it_subscribe_anew_ever_more_seldom(autojump_clock):
    async with PolyStage(1, 2).running() as stage:
        for _ in range(3000):
            stage.venue.tell_all(book(bids=[{"price": "NaN", "size": "1"}]))
            await trio.sleep(0.2)
        assert stage.connector.statistics()["malformed bad_field"] == 3000
        assert stage.connector.statistics()["resubscribed"] <= 16
        assert stage.heard.of(Disconnected) == []
        assert stage.book(2).trusted


async def test_garbage_without_end_costs_no_memory(autojump_clock):
    async with PolyStage(1, 2).running() as stage:

        async def some(rounds: int) -> None:
            for number in range(rounds):
                stage.venue.tell_all(change(side=f"HOLD{number}"))
                stage.venue.tell_all(book(bids=[{"price": "0.4", "size": f"{number}.x"}]))
                stage.venue.tell_all({"event_type": f"event{number}"})
                stage.venue.tell_all(change(asset_id=f"{number}"))
                stage.venue.change("2001", Side.BUY, "0.43", str(number + 1))
                if number % 300 == 0:
                    stage.venue.tell_all(b"<html>%d" % number)
                await trio.sleep(0.05)
            for told in (stage.heard.changes, stage.heard.told, stage.heard.lives, stage.heard.proofs, stage.venue.asked):
                told.clear()
            gc.collect()

        await some(300)
        tracemalloc.start()
        try:
            await some(300)
            before = tracemalloc.get_traced_memory()[0]
            await some(1000)
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 300_000, "the 1,000 sizes that are remembered, and that is all"
        assert stage.connector.statistics()["malformed_frames"] > 1000

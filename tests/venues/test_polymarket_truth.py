"""Is what the socket tells true? Silent stalls, single frozen tokens, contradictions, crossed books, wrong hashes, and proofs."""

import json

import pytest
import trio

from arbiter.domain.book import Side
from arbiter.domain.market_events import BooksInvalid, Disconnected
from arbiter.sandbox.http import Request, Response
from arbiter.venues.rest import RestClient
from tests.polyvenue import PolyStage, levels

FRESH_SECONDS = 12.0
ROUND_TRIP = 0.1
STALL_NOTICED = 6.0 + 0.5 + 1.0 + 0.5 + 3 * ROUND_TRIP
"""Silence, the next look, the second look, and what is on its way."""


# -- silence --


async def test_quiet_books_are_proved_in_time_and_told_to_be_so(autojump_clock):
    async with PolyStage().running() as stage:
        began = trio.current_time()
        changes = len(stage.heard.changes)
        await trio.sleep(120)
        assert max(stage.heard.oldest_proof(key, began) for key in stage.books) < 8
        assert len(stage.heard.changes) == changes
        assert stage.connector.statistics()["late_proofs"] == 0


async def test_a_proof_is_as_old_as_the_question_however_long_the_answer_takes(autojump_clock, monkeypatch):
    post = RestClient.post

    async def slow(self, *args, **options):
        answer = await post(self, *args, **options)
        await trio.sleep(5)
        return answer

    monkeypatch.setattr(RestClient, "post", slow)
    async with PolyStage(1).running() as stage:
        await trio.sleep(60)
        assert min(stage.heard.proof_ages) > 5


async def test_three_thousand_quiet_tokens_stay_fresh(autojump_clock):
    async with PolyStage(*range(1, 1_501)).running() as stage:
        began = trio.current_time()
        await trio.sleep(45)
        assert stage.all_trusted
        assert max(stage.heard.oldest_proof(key, began) for key in stage.books) < FRESH_SECONDS
        assert stage.connector.statistics()["late_proofs"] == 0
        assert {len(session.tokens) for session in stage.venue.sessions} == {400, 200}, "at most 400 a connection"


async def test_a_socket_that_stalls_but_answers_pings_is_found_out_and_made_anew(autojump_clock):
    async with PolyStage().running() as stage:
        await trio.sleep(20)
        stage.venue.sessions[0].silent = True
        stage.venue.change("1001", Side.BUY, "0.43", "9")
        await trio.sleep(STALL_NOTICED)
        assert stage.heard.losses == ["the socket is silent while the books move on"]
        await trio.sleep(0.5 + 2 * ROUND_TRIP)
        assert stage.all_trusted
        assert stage.shown() == stage.truth()
        assert stage.connector.statistics()["gaps"] == 1


async def test_a_socket_that_stalls_while_no_book_moves_is_as_good_as_a_quiet_one(autojump_clock):
    async with PolyStage().running() as stage:
        stage.venue.sessions[0].silent = True
        await trio.sleep(100)
        stage.venue.sessions[0].silent = False
        assert stage.heard.of(Disconnected) == []


async def test_a_token_that_freezes_alone_is_subscribed_anew_and_the_others_are_none_the_worse(autojump_clock):
    async with PolyStage().running() as stage:
        for second in range(20):
            await trio.sleep(1)
            stage.venue.change("2001", Side.BUY, "0.41", str(second + 1))
            if second == 3:
                stage.venue.change("1001", Side.BUY, "0.43", "9", tell=False)
        await trio.sleep(ROUND_TRIP)
        assert [event.outcomes for event in stage.heard.of(BooksInvalid)] == [(stage.markets[0].yes_key,)]
        assert stage.heard.of(Disconnected) == []
        assert stage.all_trusted
        assert stage.shown() == stage.truth()
        assert stage.connector.statistics()["resubscribed"] == 1


async def test_a_frame_that_was_only_late_is_no_stall(autojump_clock):
    async with PolyStage(1).running() as stage:
        await trio.sleep(5)
        stage.venue.change("1001", Side.BUY, "0.43", "9", tell=False)
        for _ in range(100):  # until REST has contradicted once
            await trio.sleep(0.1)
            if any(request.path == "/books" for request in stage.venue.asked):
                break
        await trio.sleep(0.2)
        stage.venue.change("1001", Side.BUY, "0.43", "9")
        await trio.sleep(20)
        assert stage.heard.of(Disconnected) == stage.heard.of(BooksInvalid) == []


@pytest.mark.parametrize("answer", [Response(503), Response(200, b"<html>"), Response(200, b"[{}]"), Response(200, b"[]"), Response(404)])
async def test_a_rest_that_answers_nothing_sensible_proves_neither_life_nor_death(autojump_clock, answer):
    stage = PolyStage(1)
    stage.venue.answers["/books"] = lambda request: answer
    async with stage.running():
        began = trio.current_time()
        stage.venue.sessions[0].silent = True
        await trio.sleep(60)
        assert stage.heard.of(Disconnected) == stage.heard.of(BooksInvalid) == []
        assert stage.heard.oldest_proof(stage.markets[0].yes_key, began) > 55, "books go stale, and nobody says otherwise"
        assert stage.connector.statistics()["late_proofs"] == 2


async def test_one_token_that_rest_refuses_or_garbles_costs_no_other_its_proof(autojump_clock):
    stage = PolyStage(1, 2, 3)

    def answer(request: Request) -> object:
        wanted = [each["token_id"] for each in json.loads(request.body)]
        if "1001" in wanted:
            return Response(400, b'{"error":"Invalid token id"}')
        return [stage.venue.book_object(token) | ({"bids": 7} if token == "2001" else {}) for token in wanted]

    stage.venue.answers["/books"] = answer
    async with stage.running():
        began = trio.current_time()
        await trio.sleep(120)
        ages = {key.outcome: stage.heard.oldest_proof(key, began) for key in stage.books}
        assert ages["1001"] > 100
        assert ages["2001"] > 100
        assert max(age for token, age in ages.items() if token not in ("1001", "2001")) < FRESH_SECONDS
        assert stage.heard.of(BooksInvalid) == stage.heard.of(Disconnected) == []


async def test_an_older_answer_of_rest_contradicts_nothing(autojump_clock):
    async with PolyStage(1).running() as stage:
        stage.venue.change("1001", Side.BUY, "0.43", "9")
        await trio.sleep(ROUND_TRIP)
        stage.venue.change("1001", Side.BUY, "0.43", "0", tell=False)
        stage.venue.changed_ms["1001"] -= 10_000
        await trio.sleep(60)
        assert stage.heard.of(Disconnected) == stage.heard.of(BooksInvalid) == []


async def test_comparisons_stay_within_the_rate_and_degrade_fairly_where_tokens_are_too_many(autojump_clock):
    stage = PolyStage(*range(1, 31), compared_at_once=4, between_comparisons=1.0, tokens_per_socket=20)
    async with stage.running():
        await trio.sleep(60)
        asked, began = len([request for request in stage.venue.asked if request.path == "/books"]), trio.current_time()
        await trio.sleep(100)
        assert 90 <= len([request for request in stage.venue.asked if request.path == "/books"]) - asked <= 101
        ages = [stage.heard.oldest_proof(key, began - 20) for key in stage.books]
        assert max(ages) - min(ages) < 8, "60 tokens at 4 a second: each about every 15 s"
        assert max(ages) < 24
        assert stage.connector.statistics()["oldest_proof_ms"] > 12_000
        assert stage.connector.statistics()["late_proofs"] > 0


# -- contradictions --


async def test_best_prices_that_the_venue_contradicts_for_too_long_cost_the_token_its_book(autojump_clock):
    async with PolyStage(1, 2).running() as stage:
        stage.venue.rest_away = True
        stage.venue.tell(
            "1001", {"event_type": "best_bid_ask", "asset_id": "1001", "best_bid": "0.43", "best_ask": "0.44", "timestamp": "1"}
        )
        await trio.sleep(2)
        assert stage.all_trusted
        await trio.sleep(1.2)
        assert [event.outcomes for event in stage.heard.of(BooksInvalid)] == [(stage.markets[0].yes_key,)]
        await trio.sleep(1)
        assert stage.all_trusted
        assert stage.connector.statistics()["contradicted"] == stage.connector.statistics()["resubscribed"] == 1


async def test_a_contradicted_book_that_rest_has_just_so_is_kept(autojump_clock):
    async with PolyStage(1).running() as stage:
        for _ in range(30):
            stage.venue.change("1001", Side.BUY, "0.41", "7", best_bid="0.43")
            await trio.sleep(3)
        assert stage.heard.of(BooksInvalid) == []
        assert stage.all_trusted
        assert stage.connector.statistics()["false_doubts"] >= 25


async def test_a_contradiction_that_the_next_frame_settles_costs_nothing(autojump_clock):
    async with PolyStage(1).running() as stage:
        stage.venue.change("1001", Side.BUY, "0.43", "1", best_bid="0.44")
        await trio.sleep(1)
        stage.venue.change("1001", Side.BUY, "0.43", "2")
        await trio.sleep(10)
        assert stage.heard.of(BooksInvalid) == []


async def test_an_empty_side_is_told_in_three_ways_and_contradicts_nothing(autojump_clock):
    async with PolyStage(1).running() as stage:
        stage.venue.put("1001", "", "")
        stage.venue.tell("1001", stage.venue.book_event("1001"))
        for bid, ask in (("0", "1"), ("", "0.00"), ("0", "0")):
            stage.venue.tell("1001", {"event_type": "best_bid_ask", "asset_id": "1001", "best_bid": bid, "best_ask": ask})
            await trio.sleep(3)
        assert stage.heard.of(BooksInvalid) == []


async def test_a_book_that_stays_crossed_is_subscribed_anew_and_one_that_uncrosses_is_not(autojump_clock):
    async with PolyStage(1).running() as stage:
        stage.venue.change("1001", Side.BUY, "0.50", "3")
        await trio.sleep(1.2)
        assert stage.book(1).crossed
        stage.venue.change("1001", Side.BUY, "0.50", "0")
        await trio.sleep(5)
        assert stage.heard.of(BooksInvalid) == []
        stage.venue.change("1001", Side.BUY, "0.50", "3")
        await trio.sleep(0.1)
        stage.venue.put("1001", "0.40x1", "0.44x1")
        await trio.sleep(3.5)
        assert [(event.reason, event.outcomes) for event in stage.heard.of(BooksInvalid)] == [
            ("the book stays crossed", (stage.markets[0].yes_key,))
        ]
        assert stage.all_trusted
        assert stage.book(1).bids() == levels("0.40x1")


async def test_a_book_that_comes_crossed_each_time_is_asked_for_ever_more_seldom(autojump_clock):
    async with PolyStage(1).running() as stage:
        stage.venue.put("1001", "0.60x1", "0.44x1")
        stage.venue.tell("1001", stage.venue.book_event("1001"))
        await trio.sleep(1200)
        assert 15 <= stage.connector.statistics()["resubscribed"] <= 30


# -- hashes --


async def test_a_wrong_hash_is_counted_and_rest_decides(autojump_clock):
    async with PolyStage(1).running() as stage:
        broken = stage.venue.book_event("1001") | {"bids": [{"price": "0.41", "size": "1"}]}
        stage.venue.tell("1001", broken)
        await trio.sleep(0.02)
        assert not stage.book(1).trusted
        await trio.sleep(ROUND_TRIP)
        assert [event.reason for event in stage.heard.of(BooksInvalid)] == ["the hash of the book is wrong"]
        assert stage.all_trusted
        assert stage.shown() == stage.truth()
        assert stage.connector.statistics()["hash_mismatches"] == 1
        assert stage.connector.statistics()["resubscribed"] == 0


async def test_where_rest_does_not_answer_a_wrong_hash_makes_the_token_subscribe_anew(autojump_clock):
    stage = PolyStage(1)
    stage.venue.answers["/books"] = lambda request: Response(503)
    async with stage.running():
        stage.venue.tell("1001", stage.venue.book_event("1001") | {"hash": "0" * 40})
        await trio.sleep(3)
        assert stage.all_trusted
        assert stage.connector.statistics()["resubscribed"] == 1


async def test_hashes_that_cry_wolf_are_not_listened_to_any_more(autojump_clock):
    async with PolyStage(1).running() as stage:
        stage.venue.wrong_hash.add("1001")
        for size in range(1, 6):
            stage.venue.put("1001", f"0.41x{size}", "0.44x1")
            stage.venue.tell("1001", stage.venue.book_event("1001"))
            await trio.sleep(1)
        assert stage.connector.statistics()["hash_mismatches"] == 5
        assert stage.connector.statistics()["hash_false_alarms"] == len(stage.heard.of(BooksInvalid)) == 3
        assert stage.shown() == stage.truth()


@pytest.mark.parametrize("field", ["tick_size", "last_trade_price", "neg_risk", "min_order_size", "market", "hash"])
async def test_a_book_without_a_field_that_the_hash_covers_is_taken_as_it_is(autojump_clock, field):
    async with PolyStage(1).running() as stage:
        event = stage.venue.book_event("1001") | {"hash": "1" * 40}
        del event[field]
        stage.venue.tell("1001", event)
        await trio.sleep(ROUND_TRIP)
        assert stage.all_trusted
        assert stage.connector.statistics()["hash_mismatches"] == 0

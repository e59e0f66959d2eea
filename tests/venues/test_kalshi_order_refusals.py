"""What each refusal of Kalshi's means for the order, from the body as it comes to what becomes of the order."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.order import OrderState
from arbiter.errors import ConfigError, OrderUncertain, VenueRejected, VenueUnavailable
from arbiter.venues.kalshi.order_refusals import TABLE, Meaning, becomes, meaning_of, meaning_of_error
from arbiter.venues.refusals import read_refusal


def nested(code, details=""):
    return json.dumps({"error": {"code": code, "message": code.replace("_", " "), "details": details, "service": "exchange"}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "meaning", "state"),
    [
        (400, nested("invalid_order", "post only cross"), Meaning.WOULD_CROSS, OrderState.REJECTED),
        (400, nested("invalid_order"), Meaning.REFUSED, OrderState.REJECTED),
        (400, nested("invalid_price"), Meaning.OFF_GRID, OrderState.REJECTED),
        (400, nested("insufficient_balance"), Meaning.FUNDS, OrderState.REJECTED),
        (400, nested("MARKET_INACTIVE"), Meaning.MARKET_CLOSED, OrderState.REJECTED),
        (404, nested("market_not_found"), Meaning.NO_MARKET, OrderState.REJECTED),
        (404, nested("not_found"), Meaning.GONE, OrderState.UNKNOWN),
        (404, b"", Meaning.GONE, OrderState.UNKNOWN),
        (400, b'{"code":"bad_request","message":"bad request","details":"json: cannot unmarshal"}', Meaning.REFUSED, OrderState.REJECTED),
        (400, b'{"msg":"limit: must be at most 1000"}', Meaning.REFUSED, OrderState.REJECTED),
        (401, nested("authentication_error", "INCORRECT_API_KEY_SIGNATURE"), Meaning.AUTH, OrderState.REJECTED),
        (401, b"", Meaning.AUTH, OrderState.REJECTED),
        (403, nested("something_new"), Meaning.NOT_ALLOWED, OrderState.REJECTED),
        (410, nested("deprecated_v1_order_endpoint"), Meaning.DEPRECATED, OrderState.REJECTED),
        (200, nested("deprecated_v1_order_endpoint"), Meaning.DEPRECATED, OrderState.REJECTED),
        (429, b'{"error":"too many requests"}', Meaning.RATE, None),
        (422, nested("something_new"), Meaning.REFUSED, OrderState.REJECTED),
        # one status, three meanings
        (409, nested("order_already_exists"), Meaning.DUPLICATE, OrderState.UNKNOWN),
        (409, nested("fill_or_kill_insufficient_resting_volume"), Meaning.NOT_FILLED, OrderState.CANCELLED),
        (409, nested("something_new"), Meaning.DUPLICATE, OrderState.UNKNOWN),
        # never a refusal, whatever they say
        (408, b"", Meaning.UNKNOWN, OrderState.UNKNOWN),
        (500, nested("invalid_order"), Meaning.UNKNOWN, OrderState.UNKNOWN),
        (502, b"<html><title>Bad Gateway</title></html>", Meaning.UNKNOWN, OrderState.UNKNOWN),
        (503, nested("insufficient_balance"), Meaning.UNKNOWN, OrderState.UNKNOWN),
        (200, nested("something_new"), Meaning.UNKNOWN, OrderState.UNKNOWN),
    ],
)
def test_what_an_answer_means_and_what_becomes_of_the_order(status, body, meaning, state):
    refusal = read_refusal(body)
    assert meaning_of(status, refusal.code, refusal.text) is meaning
    assert becomes(meaning) is state


def test_the_recorded_refusal_of_selling_more_than_is_held_speaks_of_the_balance(recording):
    lines = recording("orders/real_order_responses_redacted.jsonl").read_text().splitlines()
    (exchange,) = (each for each in map(json.loads, lines) if each["fixture"] == "kalshi_sell_insufficient_position_real.json")
    refusal = read_refusal(json.dumps(exchange["response"]).encode())
    assert exchange["request"]["action"] == "sell"
    assert (refusal.code, refusal.text) == ("insufficient_balance", "insufficient balance")
    assert meaning_of(exchange["status"], refusal.code, refusal.text) is Meaning.FUNDS


def test_what_the_client_raises_means_the_same_as_the_answer_that_it_comes_from():
    assert meaning_of_error(VenueRejected("kalshi", "HTTP 409: again", "order_already_exists", 409)) is Meaning.DUPLICATE
    assert meaning_of_error(VenueRejected("kalshi", "HTTP 401: who?", "401", 401)) is Meaning.AUTH
    assert (
        meaning_of_error(VenueRejected("kalshi", "HTTP 400: invalid order: post only cross", "invalid_order", 400)) is Meaning.WOULD_CROSS
    )
    assert meaning_of_error(VenueUnavailable("kalshi", "HTTP 429: too many requests")) is Meaning.RATE
    assert meaning_of_error(OrderUncertain("o")) is Meaning.UNKNOWN
    with pytest.raises(TypeError, match="ConfigError is no answer"):
        meaning_of_error(ConfigError("x"))


@given(st.one_of(st.sampled_from([408, 500, 599]), st.integers(500, 999)), st.sampled_from([row.code for row in TABLE]), st.text())
def test_no_word_makes_a_refusal_of_a_server_that_failed(status, code, text):
    assert becomes(meaning_of(status, code, text)) is OrderState.UNKNOWN


@given(st.integers(0, 999), st.text(), st.text())
def test_every_answer_means_something(status, code, text):
    assert isinstance(meaning_of(status, code, text), Meaning)


def test_each_code_of_the_table_can_be_reached():
    reached = {meaning_of(400, row.code, row.words) for row in TABLE}
    assert reached == {row.meaning for row in TABLE}
    assert len({(row.code, row.words) for row in TABLE}) == len(TABLE)

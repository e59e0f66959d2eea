"""The desk's orders as requests to Polymarket: what is posted for which, and what is refused before it is signed."""

import json
from typing import Any

import pytest

from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OrderId, OutcomeId, OutcomeKey, UserId, VenueId
from arbiter.domain.market import Market, Outcome, TickRange
from arbiter.domain.money import MICRO, ONE, Micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.contracts import POLYGON
from arbiter.venues.polymarket.l2 import ApiKey
from arbiter.venues.polymarket.new_order import NewOrder, Trader, new_order
from arbiter.venues.polymarket.order_rules import OrderRefused, OrderRule
from arbiter.venues.polymarket.order_terms import OrderType, Terms
from arbiter.venues.polymarket.signing_key import SigningKey
from arbiter.venues.polymarket.wallet import WalletKind, owned

TOKEN = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
POSITION = "611952677495007466622732687316135542423072062535834517853529104089849266433"
NOW_MS = 1_767_225_600_123
KEY = SigningKey(b"Arbiter test-only key: never use")
TRADER = Trader(KEY, owned(WalletKind.EOA, KEY.address, POLYGON), ApiKey("00000000-1111-2222-3333-444444444444"), POLYGON)


def market(tick: int = 10_000, token: str = TOKEN, venue: VenueId = POLYMARKET, **fields: Any) -> Market:
    ticks = (TickRange(Micros(tick), Micros(ONE - tick), Micros(tick)),)
    given: dict[str, Any] = {"ticks": ticks, "size_step": Micros(10_000), "min_size": Micros(5 * MICRO), "generation": "v1"} | fields
    yes, no = Outcome(OutcomeId(token), "Yes"), Outcome(OutcomeId(str(int(token) - 1)), "No")
    return Market(MarketKey(venue, MarketId("m")), EventId("event"), "title", yes, no, **given)


def order(where: Market, **fields: Any) -> Order:
    given: dict[str, Any] = {
        "id": OrderId("o1"),
        "user": UserId("u1"),
        "outcome": where.yes_key,
        "side": Side.BUY,
        "price": Micros(570_000),
        "size": Micros(100 * MICRO),
        "tif": TimeInForce.GTC,
        "idempotency_key": "k",
        "created_ms": 1,
    }
    return Order(**(given | fields))


def made(where: Market, terms: Terms | None = None, **fields: Any) -> NewOrder:
    return new_order(TRADER, where, order(where, **fields), 1_234_567_890_123, NOW_MS, terms)


def test_an_ordinary_order_is_the_golden_one(vectors: dict[str, Any]) -> None:
    golden = vectors["polymarket"]["orders_v2_v3"][0]
    assert golden["name"] == "v2_standard_eoa_buy_gtc"
    ours = made(market())
    assert ours.signed.id == golden["orderHash_eip712Digest"]
    assert ours.body.decode() == golden["postBody_polymarket_client"]


@pytest.mark.parametrize(("tif", "word"), [(TimeInForce.GTC, "GTC"), (TimeInForce.IOC, "FAK"), (TimeInForce.FOK, "FOK")])
@pytest.mark.parametrize(("side", "amounts"), [(Side.BUY, ("57000000", "100000000")), (Side.SELL, ("100000000", "57000000"))])
def test_time_in_force_and_side_are_said_in_the_venues_words(tif: TimeInForce, word: str, side: Side, amounts: tuple[str, str]) -> None:
    body = json.loads(made(market(), tif=tif, side=side).body)
    assert (body["orderType"], body["order"]["side"]) == (word, side.name)
    assert (body["order"]["makerAmount"], body["order"]["takerAmount"]) == amounts


def test_the_market_decides_which_exchange_the_signature_is_for() -> None:
    ids = {made(where).signed.id for where in (market(), market(negative_risk=True), market(token=POSITION, generation="v2"))}
    assert len(ids) == 3


def test_terms_add_what_the_time_in_force_does_not_say() -> None:
    body = json.loads(made(market(), Terms(OrderType.GTD, post_only=True, expires_s=NOW_MS // 1000 + 180)).body)
    assert (body["orderType"], body["postOnly"], body["order"]["expiration"]) == ("GTD", True, str(NOW_MS // 1000 + 180))


@pytest.mark.parametrize(
    ("rule", "field", "fields", "terms"),
    [
        (OrderRule.OFF_GRID, "price", {"price": Micros(575_000)}, None),
        (OrderRule.PRICE_OUT_OF_RANGE, "price", {"price": ONE}, None),
        (OrderRule.PRICE_OUT_OF_RANGE, "price", {"price": Micros(0), "tif": TimeInForce.FOK}, None),
        (OrderRule.BELOW_MINIMUM_SIZE, "size", {"size": Micros(4_990_000)}, None),
        (OrderRule.TOO_FINE, "size", {"size": Micros(5_005_000)}, None),
        (OrderRule.TOO_FINE, "size", {"size": Micros(5_005_000), "tif": TimeInForce.IOC}, None),
        (OrderRule.PART_OF_A_CENT, "size", {"size": Micros(33_330_000), "tif": TimeInForce.IOC}, None),
        (OrderRule.BELOW_MINIMUM_VALUE, "amount", {"size": ONE, "tif": TimeInForce.FOK}, None),
        (OrderRule.POST_ONLY_NEVER_RESTS, "post_only", {"tif": TimeInForce.FOK}, Terms(OrderType.FOK, post_only=True)),
        (OrderRule.EXPIRES_TOO_SOON, "expires", {}, Terms(OrderType.GTD, expires_s=NOW_MS // 1000 + 179)),
    ],
)
def test_what_the_venue_would_refuse_is_refused_by_rule_and_field(
    rule: OrderRule, field: str, fields: dict[str, Any], terms: Terms | None
) -> None:
    with pytest.raises(OrderRefused) as caught:
        made(market(), terms, **fields)
    assert (caught.value.rule, caught.value.field) == (rule, field)


@pytest.mark.parametrize(
    ("tif", "kind"), [(TimeInForce.FOK, OrderType.GTC), (TimeInForce.IOC, OrderType.GTD), (TimeInForce.GTC, OrderType.FAK)]
)
def test_what_must_not_rest_never_does_and_the_reverse(tif: TimeInForce, kind: OrderType) -> None:
    with pytest.raises(InvalidInput, match="cannot be sent as") as caught:
        made(market(), Terms(kind, expires_s=NOW_MS), tif=tif)
    assert caught.value.field == "time_in_force"


@pytest.mark.parametrize(
    "outcome",
    [
        OutcomeKey(POLYMARKET, MarketId("m"), OutcomeId("123")),
        OutcomeKey(POLYMARKET, MarketId("other"), OutcomeId(TOKEN)),
        OutcomeKey(KALSHI, MarketId("m"), OutcomeId(TOKEN)),
    ],
)
def test_an_order_for_something_else_than_its_market_is_refused(outcome: OutcomeKey) -> None:
    with pytest.raises(InvalidInput, match="is not an outcome") as caught:
        made(market(), outcome=outcome)
    assert caught.value.field == "outcome"


@pytest.mark.parametrize(
    ("field", "fields"), [("generation", {"generation": ""}), ("token", {"generation": "v2"}), ("market", {"ticks": ()})]
)
def test_a_market_of_which_not_all_is_known_gets_no_order(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        made(market(**fields))
    assert caught.value.field == field


def test_a_market_of_another_venue_gets_no_order() -> None:
    with pytest.raises(InvalidInput, match="on Polymarket"):
        made(market(venue=KALSHI))


def test_the_builders_code_is_signed_and_said() -> None:
    where, code = market(), bytes.fromhex("be" * 32)
    built = new_order(TRADER._replace(builder=code), where, order(where), 1_234_567_890_123, NOW_MS)
    assert built.signed.id != made(where).signed.id
    assert json.loads(built.body)["order"]["builder"] == "0x" + code.hex()

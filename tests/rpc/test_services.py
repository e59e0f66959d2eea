"""The services over the whole composed tree, called by the official client: what each method answers and refuses."""

import grpc
import pytest

from arbiter.v1 import market_pb2, strategy_pb2, trading_pb2, user_pb2

MICRO = 1_000_000
REPLIES = {
    "UserService/Authenticate": user_pb2.AuthResponse,
    "UserService/GetProfile": user_pb2.ProfileResponse,
    "UserService/UpdateSettings": user_pb2.SettingsResponse,
    "TradingService/GetPositions": trading_pb2.PositionsResponse,
    "TradingService/PlaceOrder": trading_pb2.OrderResponse,
    "TradingService/CancelOrder": trading_pb2.CancelResponse,
    "StrategyService/ListStrategies": strategy_pb2.StrategiesResponse,
    "StrategyService/EnableStrategy": strategy_pb2.StrategyResponse,
    "StrategyService/DisableStrategy": strategy_pb2.StrategyResponse,
    "MarketService/SearchMarkets": market_pb2.SearchMarketsResponse,
    "MarketService/GetMarket": market_pb2.Market,
    "MarketService/GetBook": market_pb2.Book,
}


class Caller:
    """One account's calls through the official client."""

    def __init__(self, program, official, user):
        self._program, self._official = program, official
        self.metadata = program.bearer(user)

    async def ask(self, path, request):
        return await self._official.call(f"arbiter.v1.{path}", request, REPLIES[path], metadata=self.metadata)

    async def refused(self, path, request):
        """Status, reason trailer and text of a call that must fail."""
        error = await self._official.refusal(f"arbiter.v1.{path}", request, REPLIES[path], metadata=self.metadata)
        return error.code(), dict(error.trailing_metadata()).get("arbiter-reason"), error.details()

    def stream(self, path, request, reply):
        return self._official.stream(f"arbiter.v1.{path}", request, reply, metadata=self.metadata)

    async def first(self, call):
        return await self._official.first(call)


@pytest.fixture
def caller(program, make_official):
    official = make_official(program.address)
    return lambda user="pro": Caller(program, official, user)


def ref(outcome):
    return market_pb2.OutcomeRef(venue=outcome.venue, market_id=outcome.market, outcome_id=outcome.outcome)


def order(key, **changes):
    body = {
        "idempotency_key": "k1",
        "outcome": ref(key),
        "side": market_pb2.SIDE_BUY,
        "price_micros": 460_000,
        "size_micros": 10 * MICRO,
        "time_in_force": market_pb2.TIME_IN_FORCE_IOC,
    }
    return trading_pb2.OrderRequest(**{**body, **changes})


# -- users --


async def test_an_api_key_gives_a_token_that_works(program, make_official):
    official = make_official(program.address)
    request = user_pb2.AuthRequest(api_key=program.api_keys["pro"])
    reply = await official.call("arbiter.v1.UserService/Authenticate", request)
    assert reply.user_id == "pro"
    metadata = (("authorization", f"Bearer {reply.access_token}"),)
    profile = await official.call(
        "arbiter.v1.UserService/GetProfile", user_pb2.ProfileRequest(), user_pb2.ProfileResponse, metadata=metadata
    )
    assert (profile.user_id, profile.tier) == ("pro", "pro")


async def test_a_wrong_api_key_is_refused_without_saying_why(program, caller):
    right = program.api_keys["pro"]
    prefix, key_id, secret = right.split("_", 2)
    wrong = [
        "",
        "x",
        f"{prefix}_{key_id}_{secret}x",
        f"{prefix}_{'0' * 16}_{secret}",
        program.api_keys["free"].rpartition("_")[0] + "_" + secret,
    ]
    answers = {await caller().refused("UserService/Authenticate", user_pb2.AuthRequest(api_key=key)) for key in wrong}
    assert answers == {(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", "the API key is not valid")}


async def test_a_profile_says_who_one_is_and_what_the_tier_allows(caller):
    profile = await caller("free").ask("UserService/GetProfile", user_pb2.ProfileRequest())
    assert (profile.user_id, profile.name, profile.tier, profile.role, profile.suspended) == ("free", "Fay", "free", "trader", False)
    limits = profile.limits
    assert (limits.requests_per_second, limits.orders_per_minute, limits.open_positions, limits.copy_trades, limits.streams) == (
        10,
        10,
        5,
        1,
        2,
    )
    assert (limits.largest_position_micros, limits.arbitrage_execution) == (100 * MICRO, False)


async def test_settings_are_replaced_and_last(caller):
    me = caller()
    settings = user_pb2.UserSettings(min_edge_micros=25_000, totp_threshold=user_pb2.TotpThreshold(above_micros=7))
    assert (await me.ask("UserService/UpdateSettings", user_pb2.SettingsRequest(settings=settings))).settings == settings
    assert (await me.ask("UserService/GetProfile", user_pb2.ProfileRequest())).settings == settings
    edge_alone = user_pb2.UserSettings(min_edge_micros=1)
    reply = await me.ask("UserService/UpdateSettings", user_pb2.SettingsRequest(settings=edge_alone))
    assert (reply.settings.min_edge_micros, reply.settings.totp_threshold.above_micros) == (1, 7)


@pytest.mark.parametrize("edge", [-1, MICRO + 1])
async def test_settings_out_of_range_are_refused_naming_the_field(caller, edge):
    request = user_pb2.SettingsRequest(settings=user_pb2.UserSettings(min_edge_micros=edge))
    assert await caller().refused("UserService/UpdateSettings", request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_INPUT",
        "settings.min_edge_micros: must be from 0 to 1,000,000",
    )


async def test_settings_must_be_given(caller):
    code, _, text = await caller().refused("UserService/UpdateSettings", user_pb2.SettingsRequest())
    assert (code, text) == (grpc.StatusCode.INVALID_ARGUMENT, "settings: is required")


# -- markets --


async def test_markets_are_found_on_both_venues_by_every_word(program, caller):
    me = caller()
    both = await me.ask("MarketService/SearchMarkets", market_pb2.SearchMarketsRequest(words="final REDS"))
    assert {market.venue for market in both.markets} == {"polymarket", "kalshi"}
    assert [market.title for market in both.markets] == sorted(market.title for market in both.markets)
    assert not (await me.ask("MarketService/SearchMarkets", market_pb2.SearchMarketsRequest(words="final blues"))).markets


@pytest.mark.parametrize(("request_", "field"), [({"limit": -1}, "limit"), ({"limit": 201}, "limit"), ({"words": "x" * 201}, "words")])
async def test_a_search_out_of_range_is_refused_naming_the_field(caller, request_, field):
    code, _, text = await caller().refused("MarketService/SearchMarkets", market_pb2.SearchMarketsRequest(**request_))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(f"{field}: ")


async def test_a_market_is_told_in_the_common_form(program, caller):
    market = await caller().ask(
        "MarketService/GetMarket", market_pb2.GetMarketRequest(venue="polymarket", market_id=program.poly.key.market)
    )
    assert (market.title, market.yes.label, market.no.label, market.status) == (program.poly.title, "Yes", "No", "open")
    assert market.tradable
    assert market.closes_unix_ms == int(program.poly.closes_at.timestamp()) * 1000
    assert market.min_size_micros == 5 * MICRO


@pytest.mark.parametrize("venue", ["kalshi", "polymarket", "elsewhere"])
async def test_an_unknown_market_or_venue_is_not_found(caller, venue):
    code, reason, _ = await caller().refused("MarketService/GetMarket", market_pb2.GetMarketRequest(venue=venue, market_id="nothing"))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


@pytest.mark.parametrize("missing", ["venue", "market_id"])
async def test_a_market_needs_both_parts_of_its_key(caller, missing):
    parts = {"venue": "kalshi", "market_id": "x"} | {missing: ""}
    assert (await caller().refused("MarketService/GetMarket", market_pb2.GetMarketRequest(**parts)))[2] == f"{missing}: is required"


async def test_a_book_is_told_best_first_and_fresh(program, caller):
    book = await caller().ask("MarketService/GetBook", market_pb2.GetBookRequest(outcome=ref(program.kalshi.no_key)))
    assert (book.bids[0].price_micros, book.asks[0].price_micros) == (540_000, 560_000)
    assert book.fresh


async def test_a_book_that_nobody_saw_is_not_found(caller):
    request = market_pb2.GetBookRequest(outcome=market_pb2.OutcomeRef(venue="kalshi", market_id="x", outcome_id="yes"))
    assert (await caller().refused("MarketService/GetBook", request))[0] is grpc.StatusCode.NOT_FOUND


# -- orders and positions --


async def test_an_order_is_filled_against_the_book_and_becomes_a_position(program, caller):
    me = caller()
    placed = (await me.ask("TradingService/PlaceOrder", order(program.poly.yes_key))).order
    assert (placed.state, placed.filled_micros, placed.price_micros) == (trading_pb2.ORDER_STATE_FILLED, 10 * MICRO, 460_000)
    (position,) = (await me.ask("TradingService/GetPositions", trading_pb2.PositionsRequest())).positions
    assert position.outcome == ref(program.poly.yes_key)
    assert (position.size_micros, position.cost_micros, position.title, position.label) == (
        10 * MICRO,
        4_600_000,
        program.poly.title,
        "Yes",
    )
    assert position.marked
    assert not (await caller("enterprise").ask("TradingService/GetPositions", trading_pb2.PositionsRequest())).positions


async def test_the_same_key_gives_the_same_order_and_another_body_a_conflict(program, caller):
    me = caller()
    first = (await me.ask("TradingService/PlaceOrder", order(program.poly.yes_key))).order
    again = (await me.ask("TradingService/PlaceOrder", order(program.poly.yes_key))).order
    assert first == again
    code, reason, _ = await me.refused("TradingService/PlaceOrder", order(program.poly.yes_key, size_micros=20 * MICRO))
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "CONFLICT")


async def test_a_resting_order_is_cancelled_by_its_owner_alone(program, caller):
    me = caller()
    resting = order(program.poly.yes_key, price_micros=400_000, time_in_force=market_pb2.TIME_IN_FORCE_GTC)
    placed = (await me.ask("TradingService/PlaceOrder", resting)).order
    assert placed.state == trading_pb2.ORDER_STATE_OPEN
    request = trading_pb2.CancelRequest(order_id=placed.order_id)
    assert (await caller("enterprise").refused("TradingService/CancelOrder", request))[0] is grpc.StatusCode.NOT_FOUND
    assert (await me.ask("TradingService/CancelOrder", request)).order.state == trading_pb2.ORDER_STATE_CANCELLED
    assert (await me.ask("TradingService/CancelOrder", request)).order.state == trading_pb2.ORDER_STATE_CANCELLED


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "k" * 101}, "idempotency_key"),
        ({"idempotency_key": "k\0"}, "idempotency_key"),
        ({"idempotency_key": "k\n"}, "idempotency_key"),
        ({"outcome": market_pb2.OutcomeRef()}, "outcome.venue"),
        ({"outcome": market_pb2.OutcomeRef(venue="kalshi")}, "outcome.market_id"),
        ({"outcome": market_pb2.OutcomeRef(venue="kalshi", market_id="x")}, "outcome.outcome_id"),
        ({"outcome": market_pb2.OutcomeRef(venue="k" * 201, market_id="x", outcome_id="y")}, "outcome.venue"),
        ({"side": 0}, "side"),
        ({"side": 99}, "side"),
        ({"price_micros": 0}, "price_micros"),
        ({"price_micros": -1}, "price_micros"),
        ({"price_micros": MICRO}, "price_micros"),
        ({"price_micros": 2 * MICRO}, "price_micros"),
        ({"size_micros": 0}, "size_micros"),
        ({"size_micros": 2**63 - 1}, "size_micros"),
        ({"time_in_force": 0}, "time_in_force"),
        ({"time_in_force": 99}, "time_in_force"),
    ],
)
async def test_an_order_with_a_wrong_field_is_refused_naming_it(program, caller, changes, field):
    code, reason, text = await caller().refused("TradingService/PlaceOrder", order(program.poly.yes_key, **changes))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")
    assert text.startswith(f"{field}: ")


async def test_the_risk_gate_refuses_by_name(program, caller):
    code, reason, _ = await caller().refused("TradingService/PlaceOrder", order(program.poly.yes_key, price_micros=465_000))
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PRICE_OFF_GRID")
    code, reason, _ = await caller("free").refused("TradingService/PlaceOrder", order(program.poly.yes_key, size_micros=400 * MICRO))
    assert code is grpc.StatusCode.FAILED_PRECONDITION


async def test_an_order_on_an_unknown_market_is_not_found(program, caller):
    unknown = market_pb2.OutcomeRef(venue="kalshi", market_id="nothing", outcome_id="yes")
    assert (await caller().refused("TradingService/PlaceOrder", order(program.poly.yes_key, outcome=unknown)))[
        0
    ] is grpc.StatusCode.NOT_FOUND


async def test_an_operator_does_not_trade(program, caller):
    operator = caller("operator")
    switch = strategy_pb2.StrategyRequest(name="arbitrage")
    for path, request in (("TradingService/PlaceOrder", order(program.poly.yes_key)), ("StrategyService/EnableStrategy", switch)):
        code, reason, text = await operator.refused(path, request)
        assert (code, reason, text) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED", "an operator's account does not trade")


async def test_too_many_orders_a_minute_are_refused_with_the_wait(program, make_official):
    official = make_official(program.address)
    call = ("arbiter.v1.TradingService/PlaceOrder",)
    orders = [
        order(program.poly.yes_key, idempotency_key=f"k{number}", price_micros=400_000, size_micros=5 * MICRO) for number in range(11)
    ]
    for each in orders[:10]:
        await official.call(*call, each, trading_pb2.OrderResponse, metadata=program.bearer("free"))
    error = await official.refusal(*call, orders[10], trading_pb2.OrderResponse, metadata=program.bearer("free"))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 1 <= int(dict(error.trailing_metadata())["retry-after-ms"]) <= 6_000


async def test_positions_stream_as_a_snapshot_and_then_each_change_of_ones_own(program, caller):
    me, other = caller(), caller("enterprise")
    await me.ask("TradingService/PlaceOrder", order(program.poly.yes_key))
    call = me.stream("TradingService/StreamPositions", trading_pb2.PositionsRequest(), trading_pb2.PositionUpdate)
    first = await me.first(call)
    assert (first.snapshot, first.sequence, len(first.positions)) == (True, 1, 1)
    await other.ask("TradingService/PlaceOrder", order(program.kalshi.no_key, price_micros=560_000))
    await me.ask("TradingService/PlaceOrder", order(program.poly.yes_key, idempotency_key="k2"))
    change = await me.first(call)
    while change.positions[0].size_micros == 10 * MICRO:  # it may be valued anew meanwhile
        change = await me.first(call)
    assert (change.snapshot, change.positions[0].outcome, change.positions[0].size_micros) == (False, ref(program.poly.yes_key), 20 * MICRO)
    sell = order(program.poly.yes_key, idempotency_key="k3", side=market_pb2.SIDE_SELL, price_micros=440_000, size_micros=20 * MICRO)
    await me.ask("TradingService/PlaceOrder", sell)
    while change.positions[0].size_micros:
        change = await me.first(call)
    assert change.positions[0].realised_pnl_micros < 0
    call.cancel()


# -- strategies --


async def test_a_strategy_is_switched_on_and_off(caller):
    me = caller()
    (listed,) = (await me.ask("StrategyService/ListStrategies", strategy_pb2.ListRequest())).strategies
    assert (listed.name, listed.enabled) == ("arbitrage", False)
    request = strategy_pb2.StrategyRequest(name="arbitrage")
    assert (await me.ask("StrategyService/EnableStrategy", request)).strategy.enabled
    assert (await me.ask("StrategyService/ListStrategies", strategy_pb2.ListRequest())).strategies[0].enabled
    assert not (await me.ask("StrategyService/DisableStrategy", request)).strategy.enabled


async def test_executing_arbitrage_is_refused_by_tier_naming_those_that_have_it(caller):
    free = caller("free")
    code, reason, text = await free.refused("StrategyService/EnableStrategy", strategy_pb2.StrategyRequest(name="arbitrage"))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED")
    assert text.endswith("it is in: pro, enterprise")
    assert not (await free.ask("StrategyService/DisableStrategy", strategy_pb2.StrategyRequest(name="arbitrage"))).strategy.enabled


@pytest.mark.parametrize("verb", ["Enable", "Disable"])
async def test_an_unknown_strategy_is_not_found_and_an_empty_name_invalid(caller, verb):
    path = f"StrategyService/{verb}Strategy"
    assert (await caller().refused(path, strategy_pb2.StrategyRequest(name="nothing")))[0] is grpc.StatusCode.NOT_FOUND
    assert (await caller().refused(path, strategy_pb2.StrategyRequest()))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_opportunity_is_told_from_its_opening_to_its_end(program, caller):
    me = caller("free")
    call = me.stream("StrategyService/GetArbOpportunities", strategy_pb2.ArbRequest(), strategy_pb2.ArbOpportunity)
    program.world.open_gap()
    opened = await me.first(call)
    assert (opened.state, opened.pair_id, opened.title, opened.sequence) == (1, "final", "The Reds win the final", 1)
    assert [leg.outcome for leg in opened.legs] == [ref(program.poly.yes_key), ref(program.kalshi.no_key)]
    assert opened.gross_micros > opened.net_micros > 0
    program.world.open_gap("0.58", "0.60")
    updated = await me.first(call)
    assert (updated.state, updated.opportunity_id) == (strategy_pb2.OPPORTUNITY_STATE_UPDATED, opened.opportunity_id)
    assert updated.net_per_contract_micros < opened.net_per_contract_micros
    program.world.close_gap()
    closed = await me.first(call)
    while closed.state != strategy_pb2.OPPORTUNITY_STATE_CLOSED:
        closed = await me.first(call)
    assert closed.opportunity_id == opened.opportunity_id
    assert closed.reason
    call.cancel()


async def test_a_stream_begins_with_what_is_open_and_leaves_out_what_is_not_worth_it(program, caller, eventually):
    me = caller()
    program.world.open_gap()
    await eventually(lambda: len(program.arbiter.core.opportunities))
    path = "StrategyService/GetArbOpportunities"
    late = me.stream(path, strategy_pb2.ArbRequest(), strategy_pb2.ArbOpportunity)
    first = await me.first(late)
    assert first.state == strategy_pb2.OPPORTUNITY_STATE_OPENED
    picky = strategy_pb2.ArbRequest(min_net_per_contract_micros=first.net_per_contract_micros + 1)
    choosy = me.stream(path, picky, strategy_pb2.ArbOpportunity)
    await eventually(lambda: program.arbiter.front.server.calls == 2)
    program.world.open_gap("0.70", "0.72")
    better = await me.first(choosy)
    assert (better.state, better.sequence) == (strategy_pb2.OPPORTUNITY_STATE_OPENED, 1)
    assert better.net_per_contract_micros >= picky.min_net_per_contract_micros
    program.world.open_gap()
    ended = await me.first(choosy)
    assert (ended.state, ended.opportunity_id) == (strategy_pb2.OPPORTUNITY_STATE_CLOSED, better.opportunity_id)
    late.cancel()
    choosy.cancel()
    await eventually(lambda: program.arbiter.core.opportunities.subscribers == 0)


async def test_one_that_falls_below_the_readers_least_edge_says_so_with_the_last_figures_that_were_worth_it(program, caller, eventually):
    me = caller()
    path = "StrategyService/GetArbOpportunities"
    program.world.open_gap("0.70", "0.72")
    await eventually(lambda: len(program.arbiter.core.opportunities))
    (now,) = program.arbiter.core.opportunities.values()
    picky = strategy_pb2.ArbRequest(min_net_per_contract_micros=now.opportunity.net_per_contract)
    choosy = me.stream(path, picky, strategy_pb2.ArbOpportunity)
    opened = await me.first(choosy)
    program.world.open_gap()
    ended = await me.first(choosy)
    assert (ended.state, ended.reason) == (strategy_pb2.OPPORTUNITY_STATE_CLOSED, "below_min_edge")
    assert (ended.net_micros, ended.net_per_contract_micros, ended.legs) == (opened.net_micros, opened.net_per_contract_micros, opened.legs)
    assert (ended.duration_ms, ended.at_unix_ms) >= (opened.duration_ms, opened.at_unix_ms)
    program.world.open_gap("0.70", "0.72")
    again = await me.first(choosy)
    assert (again.state, again.opportunity_id, again.reason) == (strategy_pb2.OPPORTUNITY_STATE_OPENED, opened.opportunity_id, "")
    program.world.close_gap()
    closed = await me.first(choosy)
    assert closed.state == strategy_pb2.OPPORTUNITY_STATE_CLOSED
    assert closed.reason not in ("", "below_min_edge")
    assert [each.sequence for each in (opened, ended, again, closed)] == [1, 2, 3, 4]
    choosy.cancel()


@pytest.mark.parametrize("least", [-1, MICRO + 1])
async def test_a_least_profit_out_of_range_is_refused_naming_the_field(caller, least):
    me = caller()
    call = me.stream(
        "StrategyService/GetArbOpportunities", strategy_pb2.ArbRequest(min_net_per_contract_micros=least), strategy_pb2.ArbOpportunity
    )
    with pytest.raises(grpc.RpcError, match="min_net_per_contract_micros: must be from 0 to 1,000,000"):
        await me.first(call)
    assert call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_streams_share_one_subscription_and_the_last_that_is_cancelled_ends_it(program, caller, eventually):
    me = caller()
    before = program.arbiter.core.position_changes.subscribers
    calls = [me.stream("TradingService/StreamPositions", trading_pb2.PositionsRequest(), trading_pb2.PositionUpdate) for _ in range(10)]
    for call in calls:
        await me.first(call)
    assert program.arbiter.core.position_changes.subscribers == before + 1
    for call in calls:
        call.cancel()
    await eventually(lambda: program.arbiter.core.position_changes.subscribers == before)
    assert program.arbiter.front.server.calls == 0

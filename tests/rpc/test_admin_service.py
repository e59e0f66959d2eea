"""What operators do: users made, moved and suspended, trading stopped for everybody; each call is theirs alone and audited."""

from contextlib import asynccontextmanager

import grpc
import pytest

from arbiter.actors.paper_desk import PaperDesk
from arbiter.domain.book import Side
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.domain.trading_state import TradingState
from arbiter.errors import StoreError
from arbiter.rpc.client import ArbiterClient, AuthenticationError, NotPermittedError, RefusedError
from arbiter.v1 import admin_pb2, market_pb2, trading_pb2, user_pb2

MICRO = 1_000_000
CREDENTIAL = "credential of the bridge"
PHONE = 4711
HALTED, ACTIVE = trading_pb2.TRADING_STATE_HALTED, trading_pb2.TRADING_STATE_ACTIVE


@pytest.fixture
def ask(program, make_official):
    """Calls a method of the AdminService, as an operator unless told otherwise."""
    official = make_official(program.address)

    async def ask(method, request=None, user="operator", metadata=None):
        reply = getattr(admin_pb2, f"{method}Response")
        request = request or getattr(admin_pb2, f"{method}Request")()
        return await official.call(f"arbiter.v1.AdminService/{method}", request, reply, metadata=metadata or program.bearer(user))

    return ask


@pytest.fixture
def refused(ask):
    """Status and text of a call that must fail."""

    async def refused(*call, **options):
        with pytest.raises(grpc.RpcError) as caught:
            await ask(*call, **options)
        return caught.value.code(), caught.value.details()

    return refused


@pytest.fixture
def connect(program):
    @asynccontextmanager
    async def connect(user=None):
        async with ArbiterClient.open(program.address, token=program.token(user) if user else "") as client:
            yield client

    return connect


def buy(client, program, key, price=450_000):
    return client.place_order(program.poly.yes_key, Side.BUY, price, 10 * MICRO, idempotency_key=key, tif=TimeInForce.GTC)


METHODS = ("ListActors", "CreateUser", "SetTier", "ListUsers", "SuspendUser", "ForgetAuthenticator", "HaltAll", "ResumeAll")


@pytest.mark.parametrize("method", METHODS)
async def test_each_method_is_for_operators_alone_and_changes_nothing_for_others(program, refused, method):
    requests = {
        "CreateUser": admin_pb2.CreateUserRequest(user_id="mallory", name="M", role="operator"),
        "SetTier": admin_pb2.SetTierRequest(user_id="free", tier="enterprise"),
        "SuspendUser": admin_pb2.SuspendUserRequest(user_id="pro", suspended=True),
        "ForgetAuthenticator": admin_pb2.ForgetAuthenticatorRequest(user_id="pro"),
        "ResumeAll": admin_pb2.ResumeAllRequest(confirm=True),
    }
    for user in ("free", "enterprise"):
        code, text = await refused(method, requests.get(method), user=user)
        assert (code, text) == (grpc.StatusCode.PERMISSION_DENIED, "this needs the role operator")
    accounts = {change.account.user: change.account for change in program.arbiter.core.account_changes.values()}
    assert accounts.keys() == {"free", "pro", "enterprise", "operator"}
    assert (accounts["free"].tier.value, accounts["pro"].suspended) == ("free", False)


# -- users --


async def test_a_new_user_signs_in_with_the_key_that_is_shown_once(ask, program, connect):
    made = await ask("CreateUser", admin_pb2.CreateUserRequest(name="Ned", tier="pro"))
    assert (made.user.name, made.user.tier, made.user.role, made.user.suspended) == ("Ned", "pro", "trader", False)
    async with connect() as client:
        await client.authenticate(made.api_key)
        profile = await client.get_profile()
    assert (profile.user, profile.name) == (made.user.user_id, "Ned")
    listed = await ask("ListUsers")
    assert made.user in listed.users
    secret = made.api_key.split("_", 2)[2]
    assert secret not in str(listed)
    assert secret not in str(program.arbiter.core.account_changes.values())


async def test_a_user_id_that_is_taken_is_told_and_its_key_stays(ask, refused, program, connect):
    await ask("CreateUser", admin_pb2.CreateUserRequest(user_id="ned", name="Ned"))
    again = await refused("CreateUser", admin_pb2.CreateUserRequest(user_id="ned", name="Other"))
    assert again == (grpc.StatusCode.ALREADY_EXISTS, "user ned exists already")
    assert (await refused("CreateUser", admin_pb2.CreateUserRequest(user_id="pro", name="Pat")))[0] is grpc.StatusCode.ALREADY_EXISTS
    async with connect() as client:
        await client.authenticate(program.api_keys["pro"])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "name: is required"),
        *(
            ({"name": name}, "name: must be text that can be read, in one line")
            for name in (" ", "a\nb", "\0", "\u202eoperator", "a\x1b[2J")
        ),
        ({"name": "x" * 101}, "name: has 101 characters, at most 100 are allowed"),
        ({"user_id": "*"}, "user_id: may have 1 to 64 letters, digits and ._-"),
        ({"user_id": "a b"}, "user_id: may have 1 to 64 letters, digits and ._-"),
        ({"user_id": "x" * 65}, "user_id: may have 1 to 64 letters, digits and ._-"),
        ({"tier": "gold"}, "tier: must be free or pro or enterprise"),
        ({"role": "root"}, "role: must be trader or operator"),
    ],
)
async def test_a_new_user_with_a_wrong_field_is_refused_naming_it(refused, changes, text):
    request = admin_pb2.CreateUserRequest(**{"name": "Ned", **changes})
    assert await refused("CreateUser", request) == (grpc.StatusCode.INVALID_ARGUMENT, text)


async def test_another_tier_holds_from_the_next_call_on(ask, refused, connect):
    async with connect("free") as client:
        with pytest.raises(NotPermittedError):
            await client.set_arb_enabled(True)
        assert (await ask("SetTier", admin_pb2.SetTierRequest(user_id="free", tier="pro"))).user.tier == "pro"
        assert await client.set_arb_enabled(True)
        lower = (await ask("SetTier", admin_pb2.SetTierRequest(user_id="free", tier="free"))).user
        assert (lower.tier, list(lower.strategies)) == ("free", [])  # switched off, and no position closed
        assert (await client.get_profile()).tier == "free"
    for request, code in (
        (admin_pb2.SetTierRequest(user_id="free"), grpc.StatusCode.INVALID_ARGUMENT),
        (admin_pb2.SetTierRequest(tier="pro"), grpc.StatusCode.INVALID_ARGUMENT),
        (admin_pb2.SetTierRequest(user_id="nobody", tier="pro"), grpc.StatusCode.NOT_FOUND),
    ):
        assert (await refused("SetTier", request))[0] is code


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("SetTier", admin_pb2.SetTierRequest(user_id="pro", tier="free"), "tier"),
        ("SuspendUser", admin_pb2.SuspendUserRequest(user_id="pro", suspended=True), "suspended"),
    ],
)
async def test_who_loses_tier_or_standing_sees_arbitrage_off_and_why(ask, program, connect, method, request_, reason):
    async with connect("pro") as client:
        await client.set_arb_enabled(True)
        assert list((await ask("ListUsers")).users[-1].strategies) == ["arbitrage"]
    assert not (await ask(method, request_)).user.strategies
    async with connect() as client:
        await client.authenticate(program.api_keys["pro"])
        overview = await client.get_overview()
        assert (overview.strategies, overview.withdrawn) == ({"arbitrage": False}, {"arbitrage": reason})
        assert await client.list_strategies() == {"arbitrage": False}
        with pytest.raises(NotPermittedError):
            await client.set_arb_enabled(True)


async def test_users_are_listed_page_by_page(ask, refused):
    found, token = [], ""
    while True:
        page = await ask("ListUsers", admin_pb2.ListUsersRequest(page_size=3, page_token=token))
        found += [user.user_id for user in page.users]
        token = page.next_page_token
        if not token:
            break
    assert found == ["enterprise", "free", "operator", "pro"]
    for size in (-1, 201):
        assert (await refused("ListUsers", admin_pb2.ListUsersRequest(page_size=size)))[1] == "page_size: must be from 0 to 200"


async def test_a_suspended_user_reads_cancels_and_reduces_and_enters_nothing(ask, refused, program, connect):
    async with connect("pro") as client:
        await buy(client, program, "held", 460_000)
        resting = await buy(client, program, "rests", 400_000)
        for _ in range(2):
            assert (await ask("SuspendUser", admin_pb2.SuspendUserRequest(user_id="pro", suspended=True))).user.suspended
        with pytest.raises(AuthenticationError, match="sign-in has ended"):
            await client.get_profile()
        await client.authenticate(program.api_keys["pro"])
        assert (await client.get_profile()).suspended
        with pytest.raises(RefusedError, match="suspended"):
            await buy(client, program, "more", 460_000)
        with pytest.raises(NotPermittedError, match="suspended"):
            await client.set_arb_enabled(True)
        assert (await client.cancel_order(resting.order_id)).state is OrderState.CANCELLED
        sold = await client.place_order(program.poly.yes_key, Side.SELL, 440_000, 10 * MICRO, idempotency_key="sell")
        assert sold.state is OrderState.FILLED
        await ask("SuspendUser", admin_pb2.SuspendUserRequest(user_id="pro"))
        assert (await buy(client, program, "again", 460_000)).state is OrderState.FILLED
    own = await refused("SuspendUser", admin_pb2.SuspendUserRequest(user_id="operator", suspended=True))
    assert own == (grpc.StatusCode.INVALID_ARGUMENT, "user_id: is your own: another operator must do that")


async def test_a_suspended_operator_reads_and_stops_and_does_nothing_else(ask, refused, program):
    made = await ask("CreateUser", admin_pb2.CreateUserRequest(user_id="second", name="Two", role="operator"))
    assert made.user.role == "operator"
    await ask("SuspendUser", admin_pb2.SuspendUserRequest(user_id="second", suspended=True))
    assert (await ask("ListUsers", user="second")).users
    for method, request in (
        ("CreateUser", admin_pb2.CreateUserRequest(name="x")),
        ("SetTier", admin_pb2.SetTierRequest(user_id="free", tier="pro")),
        ("SuspendUser", admin_pb2.SuspendUserRequest(user_id="second")),
        ("ResumeAll", admin_pb2.ResumeAllRequest(confirm=True)),
    ):
        assert await refused(method, request, user="second") == (grpc.StatusCode.PERMISSION_DENIED, "the account is suspended")
    assert (await ask("HaltAll", user="second")).state == HALTED


# -- stopping everybody --


async def test_a_halt_of_everybody_cancels_what_rests_and_only_a_confirmed_resume_of_everybody_lifts_it(ask, refused, program, connect):
    async with connect("pro") as pro, connect("enterprise") as other:
        await pro.set_arb_enabled(True)
        resting = [await buy(client, program, "rests") for client in (pro, other)]
        report = await ask("HaltAll", admin_pb2.HaltAllRequest(reason="a drill"))
        assert (report.state, report.durable, report.cancelled_orders, report.uncertain_orders) == (HALTED, True, 2, 0)
        assert list(report.unconfirmed_venues) == []
        for client, order in zip((pro, other), resting, strict=True):
            assert (await client.cancel_order(order.order_id)).state is OrderState.CANCELLED
            with pytest.raises(RefusedError, match="for everybody by an operator") as error:
                await buy(client, program, "more")
            assert error.value.reason == "TRADING_HALTED_FOR_ALL"
            state = await client.get_trading_state()
            assert (state.state, state.reason, state.by_operator, state.own) == (TradingState.HALTED, "a drill", True, TradingState.ACTIVE)
        await other.emergency_stop("mine too")
        await pro.resume_trading()  # nothing of its own is stopped, and strategies stay
        assert (await pro.get_trading_state()).state is TradingState.HALTED
        assert await pro.list_strategies() == {"arbitrage": True}
        again = await ask("HaltAll", admin_pb2.HaltAllRequest(reason="another"))
        assert (again.durable, again.cancelled_orders) == (True, 0)
        assert (await pro.get_trading_state()).reason == "a drill"
        assert (await refused("ResumeAll"))[1] == "confirm: must be true: trading goes on for everybody after this"
        resumed = await ask("ResumeAll", admin_pb2.ResumeAllRequest(confirm=True))
        assert (resumed.state, resumed.still_halted) == (ACTIVE, 1)
        assert (await buy(pro, program, "again", 460_000)).state is OrderState.FILLED
        assert (await other.get_trading_state()).reason == "mine too"
        with pytest.raises(RefusedError, match="ResumeTrading"):
            await buy(other, program, "again")


async def test_a_trading_state_says_whose_stop_it_is(ask, program, make_official):
    official = make_official(program.address)

    async def state():
        request = trading_pb2.TradingStateRequest()
        path = "arbiter.v1.TradingService/GetTradingState"
        return await official.call(path, request, trading_pb2.TradingStateResponse, metadata=program.bearer("pro"))

    assert ((await state()).by_operator, (await state()).own_state) == (False, ACTIVE)
    await ask("HaltAll")
    told = await state()
    assert (told.state, told.by_operator, told.own_state) == (HALTED, True, ACTIVE)


async def test_a_halt_holds_and_names_the_venue_whose_desk_does_not_answer(ask, program, connect, monkeypatch):
    async def fail(*_: object) -> None:
        raise StoreError("a fault on purpose")

    async with connect("pro") as client:
        resting = await buy(client, program, "rests")
        with monkeypatch.context() as broken:
            broken.setattr(PaperDesk, "_end_all_stopped", fail)
            report = await ask("HaltAll")
        assert (report.state, sorted(report.unconfirmed_venues)) == (HALTED, ["kalshi", "polymarket"])
        with pytest.raises(RefusedError):
            await buy(client, program, "more")
        assert list((await ask("HaltAll")).unconfirmed_venues) == []
        assert (await client.cancel_order(resting.order_id)).state is OrderState.CANCELLED


async def test_a_halt_is_never_refused_because_of_what_was_asked_before_or_for_its_reason(ask, refused):
    await ask("SetTier", admin_pb2.SetTierRequest(user_id="operator", tier="free"))
    code = None
    for _ in range(300):
        try:
            await ask("ListUsers")
        except grpc.RpcError as error:
            code = error.code()
            break
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await ask("HaltAll", admin_pb2.HaltAllRequest(reason="x" * 5000))).state == HALTED


async def test_an_operator_halts_everybody_from_telegram_and_nobody_else_does(ask, refused, program, connect):
    for user, phone in (("operator", PHONE), ("enterprise", PHONE + 1)):
        async with connect(user) as client, connect() as bridge:
            made = await client.create_link_code()
            await bridge.redeem_link_code(CREDENTIAL, made.code, phone, "phone")
            token, _ = await bridge.authenticate_bot(CREDENTIAL, phone)
        metadata = (("authorization", f"Bearer {token}"),)
        if user == "operator":
            assert (await ask("HaltAll", metadata=metadata)).state == HALTED
            code, text = await refused("ResumeAll", admin_pb2.ResumeAllRequest(confirm=True), metadata=metadata)
            assert (code, text) == (grpc.StatusCode.PERMISSION_DENIED, "this cannot be done from Telegram")
        else:
            assert (await refused("HaltAll", metadata=metadata))[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_what_operators_do_is_in_the_audit(ask, refused, program):
    made = await ask("CreateUser", admin_pb2.CreateUserRequest(name="Ned"))
    await ask("SetTier", admin_pb2.SetTierRequest(user_id="free", tier="pro"))
    await ask("SuspendUser", admin_pb2.SuspendUserRequest(user_id="free", suspended=True))
    await ask("HaltAll")
    await refused("SetTier", admin_pb2.SetTierRequest(user_id="nobody", tier="pro"))
    records = [each.record for each in await program.store.audit_after(0, 100)]
    found = [(each.who, each.method.rpartition("/")[2], each.target, each.outcome) for each in records]
    assert [each for each in found if each[1] in METHODS] == [
        ("operator", "CreateUser", made.user.user_id, "OK"),
        ("operator", "SetTier", "free", "OK"),
        ("operator", "SuspendUser", "free", "OK"),
        ("operator", "HaltAll", "", "OK"),
        ("operator", "SetTier", "nobody", "NOT_FOUND"),
    ]


# -- what everybody may list --


async def test_orders_are_listed_by_state_page_by_page_and_each_can_be_asked_for(program, connect, make_official):
    official, metadata = make_official(program.address), program.bearer("pro")

    async def listed(**request):
        path = "arbiter.v1.TradingService/ListOrders"
        return await official.call(path, trading_pb2.ListOrdersRequest(**request), trading_pb2.ListOrdersResponse, metadata=metadata)

    async with connect("pro") as client, connect("enterprise") as other:
        placed = [(await buy(client, program, f"{n}", 400_000)).order_id for n in range(5)]
        theirs = await buy(other, program, "theirs")
        await client.cancel_order(placed[0])
    found, token = [], ""
    for _ in range(3):
        page = await listed(page_size=2, page_token=token)
        found += [order.order_id for order in page.orders]
        token = page.next_page_token
    assert (found, token) == (placed[::-1], "")
    cancelled = (await listed(states=[trading_pb2.ORDER_STATE_CANCELLED])).orders
    assert [order.order_id for order in cancelled] == placed[:1]
    assert cancelled[0].idempotency_key == "0"
    path = "arbiter.v1.TradingService/GetOrder"
    one = await official.call(path, trading_pb2.GetOrderRequest(order_id=placed[0]), trading_pb2.OrderResponse, metadata=metadata)
    assert one.order == cancelled[0]
    for request, code in (
        (trading_pb2.GetOrderRequest(order_id=theirs.order_id), grpc.StatusCode.NOT_FOUND),
        (trading_pb2.GetOrderRequest(), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        error = await official.refusal(path, request, trading_pb2.OrderResponse, metadata=metadata)
        assert error.code() is code
    for wrong, field in (
        ({"page_size": 201}, "page_size"),
        ({"page_token": "x"}, "page_token"),
        ({"page_token": f"{10**18}.x"}, "page_token"),
        ({"page_token": "-1.x"}, "page_token"),
        ({"states": [0]}, "states"),
        ({"states": [99]}, "states"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            await listed(**wrong)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details().startswith(f"{field}: ")


async def test_pairs_are_listed_with_what_equals_what_in_words(program, make_official):
    official, metadata = make_official(program.address), program.bearer("free")
    path = "arbiter.v1.MarketService/ListPairs"

    async def listed(**request):
        return await official.call(path, market_pb2.ListPairsRequest(**request), market_pb2.ListPairsResponse, metadata=metadata)

    (pair,) = (await listed()).pairs
    assert (pair.pair_id, pair.title, pair.title_a, pair.title_b) == (
        "final",
        "The Reds win the final",
        program.poly.title,
        program.kalshi.title,
    )
    assert [(each.label, each.same_label, each.outcome.venue, each.same_as.venue) for each in pair.outcomes] == [
        ("Yes", "Yes", "polymarket", "kalshi"),
        ("No", "No", "polymarket", "kalshi"),
    ]
    full = await listed(page_size=1)
    assert full.next_page_token == "final"
    assert not (await listed(page_size=1, page_token=full.next_page_token)).pairs
    error = await official.refusal(path, market_pb2.ListPairsRequest(page_size=-1), user_pb2.AuthResponse, metadata=metadata)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT

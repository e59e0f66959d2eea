"""Each method of the API has one in both faces of the client, and what it returns is typed."""

import inspect
import re
import typing
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from arbiter.domain.book import Side
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.domain.trading_state import TradingState
from arbiter.rpc.client import ArbiterClient, NotFoundError, NotPermittedError, RefusedError
from arbiter.rpc.sync_client import SyncArbiterClient

ROOT = Path(__file__).resolve().parents[2]
MICRO = 1_000_000
SECONDS = 20


@pytest.fixture
def open_client(program):
    @asynccontextmanager
    async def open_as(user="pro"):
        with trio.fail_after(SECONDS):
            async with ArbiterClient.open(program.address) as client:
                await client.authenticate(program.api_keys[user])
                yield client

    return open_as


# -- that there is one for each --


def public(kind):
    return {name: each for name, each in inspect.getmembers(kind) if not name.startswith("_") and callable(each)}


def test_each_method_of_the_api_is_called_by_one_of_the_client():
    text = "".join(path.read_text() for path in (ROOT / "arbiter" / "rpc").glob("client_*.py"))
    called = set(re.findall(r'"([A-Z]\w+Service/\w+)"', text))
    offered = set()
    for path in (ROOT / "proto" / "arbiter" / "v1").glob("*.proto"):
        for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", path.read_text(), re.DOTALL | re.MULTILINE):
            offered |= {f"{service}/{name}" for name in re.findall(r"^  rpc (\w+)\(", body, re.MULTILINE)}
    assert len(offered) > 35
    assert called == offered


def test_both_faces_have_the_same_methods_with_the_same_parameters_and_words():
    ours, theirs = public(ArbiterClient), public(SyncArbiterClient)
    assert set(ours) == set(theirs)
    for name in set(theirs) - {"open", "acting_as", "with_code"}:
        here, there = inspect.signature(ours[name]), inspect.signature(theirs[name])
        assert here.parameters == there.parameters, name
        assert ours[name].__doc__.splitlines()[0] == theirs[name].__doc__.splitlines()[0], name


def test_what_a_method_returns_is_the_same_in_both_faces():
    ours, theirs = public(ArbiterClient), public(SyncArbiterClient)
    for name in theirs:
        here, there = (typing.get_type_hints(inspect.unwrap(face[name]))["return"] for face in (ours, theirs))
        if name.startswith(("stream_", "list_")) and typing.get_origin(here) is not None:
            assert str(there).startswith(("collections.abc.Iterator", "contextlib.AbstractContextManager", "list", "dict")), name
        elif name not in ("open", "acting_as", "with_code"):
            assert here == there, name


# -- what they return --


async def test_an_order_is_found_by_its_id_with_all_that_was_asked(open_client, program):
    async with open_client() as client:
        placed = await client.place_order(program.kalshi.yes_key, Side.BUY, 300_000, MICRO, idempotency_key="mine", tif=TimeInForce.GTC)
        order = await client.get_order(placed.order_id)
        assert (order.idempotency_key, order.tif, order.strategy, order.is_final) == ("mine", TimeInForce.GTC, "manual", False)
        assert 0 < order.created_ms <= order.updated_ms
        with pytest.raises(NotFoundError):
            await client.get_order("nothing")


async def test_orders_come_newest_first_over_as_many_pages_as_it_takes(open_client, program):
    async with open_client() as client:
        for number in range(5):
            await client.place_order(program.kalshi.yes_key, Side.BUY, 300_000, MICRO, idempotency_key=f"{number}", tif=TimeInForce.GTC)
        keys = [order.idempotency_key async for order in client.list_orders(page_size=2)]
        assert keys == ["4", "3", "2", "1", "0"]
        first = await anext(client.list_orders(page_size=2))  # left half read
        await client.cancel_order(first.order_id)
        assert [order.order_id async for order in client.list_orders([OrderState.CANCELLED])] == [first.order_id]
        assert [order async for order in client.list_orders([OrderState.FILLED])] == []


async def test_pairs_say_what_equals_what(open_client, program):
    async with open_client() as client:
        (pair,) = [pair async for pair in client.list_pairs()]
    assert (pair.id, pair.title, pair.titles) == ("final", "The Reds win the final", (program.poly.title, program.kalshi.title))
    assert pair.equals == ((program.poly.yes_key, program.kalshi.yes_key), (program.poly.no_key, program.kalshi.no_key))


async def test_a_strategy_is_switched_by_its_name(open_client):
    async with open_client() as client:
        assert await client.enable_strategy("arbitrage") is True
        assert await client.disable_strategy("arbitrage") is False
        with pytest.raises(NotFoundError):
            await client.enable_strategy("alchemy")


async def test_the_threshold_for_codes_is_set_and_seen(open_client):
    async with open_client() as client:
        await client.update_settings(min_edge=1_000, totp_threshold=20 * MICRO)
        assert (await client.get_profile()).totp_threshold == 20 * MICRO
        await client.update_settings(min_edge=2_000)
        assert (await client.get_profile()).totp_threshold == 20 * MICRO


async def test_an_operator_makes_changes_and_suspends_accounts(open_client, program):
    async with open_client("operator") as operator:
        new = await operator.create_user("Nina", user="nina")
        assert (new.user.user, new.user.tier, new.user.role, new.user.own_state) == ("nina", "free", "trader", TradingState.ACTIVE)
        assert new.api_key not in repr(new)
        assert (await operator.set_tier("nina", "enterprise")).tier == "enterprise"
        assert [user.user async for user in operator.list_users(page_size=2)] == sorted([*program.api_keys, "nina"])
        async with ArbiterClient.open(program.address) as client:
            await client.authenticate(new.api_key)
            assert (await operator.suspend_user("nina")).suspended
            assert (await client.get_profile()).suspended  # signed in again, with its key
            assert not (await operator.suspend_user("nina", suspended=False)).suspended
        with pytest.raises(RefusedError):
            await operator.create_user("Nina", user="nina")


async def test_an_operator_stops_everybody_and_lifts_that(open_client, program):
    async with open_client("operator") as operator, open_client() as client:
        order = await client.place_order(program.kalshi.yes_key, Side.BUY, 300_000, MICRO, idempotency_key="k", tif=TimeInForce.GTC)
        report = await operator.halt_all("a test")
        assert (report.state, report.durable, report.cancelled, report.unconfirmed_venues) == (TradingState.HALTED, True, 1, ())
        state = await client.get_trading_state()
        assert (state.state, state.by_operator, state.own, state.reason) == (TradingState.HALTED, True, TradingState.ACTIVE, "a test")
        assert (await client.get_order(order.order_id)).state is OrderState.CANCELLED
        await client.emergency_stop()
        assert await operator.resume_all() == 1
        for refused in (client.halt_all, client.resume_all, lambda: client.create_user("x")):
            with pytest.raises(NotPermittedError):
                await refused()

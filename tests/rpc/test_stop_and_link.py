"""The calls that the Telegram bridge is made of: linking, its own credential, the wallet, the emergency stop."""

from contextlib import asynccontextmanager

import pytest
import trio

from arbiter.actors.accounts import Accounts
from arbiter.actors.brake import DURABLE_SECONDS, MARKER_SECONDS
from arbiter.actors.user_session import CANCEL_ALL_SECONDS, UserSession
from arbiter.bot.backend import CALL_SECONDS
from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, POLYMARKET
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.domain.trading_state import TradingState
from arbiter.domain.wallet import PAPER_CASH
from arbiter.rpc.client import (
    ArbiterClient,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    RateLimitError,
    RefusedError,
)
from arbiter.rpc.core import HALT_SECONDS, STOP_SECONDS

MICRO = 1_000_000
CREDENTIAL = "credential of the bridge"
PHONE = 4711


@pytest.fixture
def connect(program):
    @asynccontextmanager
    async def connect(user=None):
        async with ArbiterClient.open(program.address, token=program.token(user) if user else "") as client:
            yield client

    return connect


async def linked(client, user, phone=PHONE):
    """A client that acts as the bot does for this user, on the bridge's connection."""
    made = await user.create_link_code()
    await client.redeem_link_code(CREDENTIAL, made.code, phone, "Pat's phone")
    token, _ = await client.authenticate_bot(CREDENTIAL, phone)
    return client.acting_as(token)


async def test_a_code_links_and_the_bridge_gets_a_short_token_for_that_user(connect, program):
    async with connect("pro") as user, connect() as bridge:
        made = await user.create_link_code()
        assert await bridge.redeem_link_code(CREDENTIAL, made.code, PHONE, "Pat's phone") == "Pat"
        token, expires = await bridge.authenticate_bot(CREDENTIAL, PHONE)
        assert 0 < expires - program.arbiter.core.environment.unix_ms() <= 5 * 60 * 1000
        profile = await bridge.acting_as(token).get_profile()
        assert (profile.user, profile.telegram_name) == ("pro", "Pat's phone")


async def test_a_wrong_credential_opens_nothing_whatever_else_is_right(connect):
    async with connect("pro") as user, connect() as bridge:
        made = await user.create_link_code()
        for wrong in ("", "wrong", CREDENTIAL[:-1], CREDENTIAL + "x"):
            with pytest.raises(AuthenticationError):
                await bridge.redeem_link_code(wrong, made.code, PHONE, "x")
        await bridge.redeem_link_code(CREDENTIAL, made.code, PHONE, "x")
        with pytest.raises(AuthenticationError):
            await bridge.authenticate_bot("wrong", PHONE)


async def test_who_is_not_linked_gets_no_token_and_no_telegram_id_is_refused(connect):
    async with connect("pro") as user, connect() as bridge:
        with pytest.raises(NotFoundError, match="not linked"):
            await bridge.authenticate_bot(CREDENTIAL, PHONE)
        made = await user.create_link_code()
        with pytest.raises(InvalidRequestError, match="telegram_id"):
            await bridge.redeem_link_code(CREDENTIAL, made.code, 0, "x")


async def test_a_token_of_the_bot_makes_no_link_codes(connect):
    async with connect("pro") as user, connect() as bridge:
        acting = await linked(bridge, user)
        with pytest.raises(NotPermittedError, match="Telegram"):
            await acting.create_link_code()


async def test_an_operators_methods_are_closed_to_the_bot(connect):
    async with connect("operator") as user, connect() as bridge:
        assert await user.list_actors()
        acting = await linked(bridge, user)
        with pytest.raises(NotPermittedError, match="Telegram"):
            await acting.list_actors()


async def test_five_wrong_codes_hold_up_the_sixth_try(connect):
    async with connect("pro") as user, connect() as bridge:
        for number in range(5):
            with pytest.raises(NotFoundError):
                await bridge.redeem_link_code(CREDENTIAL, f"GUESS{number}", PHONE, "guesser")
        made = await user.create_link_code()
        with pytest.raises(RateLimitError) as refused:
            await bridge.redeem_link_code(CREDENTIAL, made.code, PHONE, "guesser")
        assert refused.value.retry_after_ms > 0


async def test_unlinking_ends_what_the_bot_may_do(connect):
    async with connect("pro") as user, connect() as bridge:
        acting = await linked(bridge, user)
        assert await user.unlink() is True
        with pytest.raises(AuthenticationError, match="not linked"):
            await acting.get_profile()
        with pytest.raises(NotFoundError):
            await bridge.authenticate_bot(CREDENTIAL, PHONE)
        assert await user.unlink() is False
        assert (await user.get_profile()).telegram_name is None


async def test_a_telegram_account_that_another_took_the_place_of_steers_nothing_from_its_next_call_on(connect):
    async with connect("pro") as user, connect() as bridge:
        first = await linked(bridge, user)
        assert (await first.get_profile()).user == "pro"
        second = await linked(bridge, user, PHONE + 1)
        for call in (first.get_profile, first.resume_trading, first.unlink):
            with pytest.raises(AuthenticationError, match="not linked"):
                await call()
        with pytest.raises(NotFoundError, match="not linked"):
            await bridge.authenticate_bot(CREDENTIAL, PHONE)
        assert (await second.get_profile()).user == "pro"


async def test_a_stop_cancels_what_rests_switches_strategies_off_and_holds_until_a_resume(connect, program):
    yes = program.poly.yes_key

    def buy(client, price, key):
        return client.place_order(yes, Side.BUY, price, 10 * MICRO, idempotency_key=key, tif=TimeInForce.GTC)

    async with connect("pro") as client:
        await client.set_arb_enabled(True)
        resting = await buy(client, 450_000, "rests")
        assert resting.state is OrderState.OPEN
        report = await client.emergency_stop("enough for today")
        assert (report.state, report.durable, report.cancelled, report.uncertain) == (TradingState.HALTED, True, 1, ())
        assert report.disabled_strategies == ("arbitrage",)
        state = await client.get_trading_state()
        assert (state.state, state.reason) == (TradingState.HALTED, "enough for today")
        with pytest.raises(RefusedError, match="trading is stopped"):
            await buy(client, 460_000, "refused")
        again = await client.emergency_stop("again")
        assert (again.cancelled, again.disabled_strategies) == (0, ())
        assert (await client.get_trading_state()).reason == "enough for today"
        await client.resume_trading()
        assert (await client.get_trading_state()).state is TradingState.ACTIVE
        assert (await buy(client, 460_000, "again")).state is OrderState.FILLED
        assert await client.list_strategies() == {"arbitrage": False}


async def test_while_trading_is_stopped_no_strategy_goes_on_and_any_goes_off(connect):
    async with connect("pro") as client:
        await client.emergency_stop()
        with pytest.raises(RefusedError, match="trading is stopped; it goes on only after ResumeTrading") as refused:
            await client.set_arb_enabled(True)
        assert refused.value.reason == "TRADING_HALTED"
        assert await client.set_arb_enabled(False) is False
        assert await client.list_strategies() == {"arbitrage": False}
        await client.resume_trading()
        assert await client.set_arb_enabled(True) is True


async def test_strategies_stay_off_after_a_resume_also_where_the_stop_could_not_switch_them_off(connect, monkeypatch):
    async def crash(*_: object) -> None:
        raise RuntimeError("a fault on purpose")

    async with connect("pro") as client:
        await client.set_arb_enabled(True)
        with monkeypatch.context() as broken:
            broken.setattr(Accounts, "_switch_all_off", crash)
            assert (await client.emergency_stop()).strategies_unconfirmed
        await client.resume_trading()
        assert await client.list_strategies() == {"arbitrage": False}


async def test_a_resume_where_nothing_was_stopped_leaves_strategies_as_they_are(connect):
    async with connect("pro") as client:
        await client.set_arb_enabled(True)
        await client.resume_trading()
        assert await client.list_strategies() == {"arbitrage": True}


def test_a_stop_reports_well_within_the_patience_of_the_bot():
    assert DURABLE_SECONDS + MARKER_SECONDS <= HALT_SECONDS / 2
    assert CANCEL_ALL_SECONDS < STOP_SECONDS
    assert HALT_SECONDS + STOP_SECONDS <= CALL_SECONDS - 1


async def test_a_stop_is_never_refused_because_of_what_was_asked_before(connect):
    async with connect("free") as client:
        with pytest.raises(RateLimitError):  # noqa: PT012 one of many is
            for _ in range(100):
                await client.get_profile()
        assert (await client.emergency_stop()).state is TradingState.HALTED


async def test_an_unlinking_stands_in_the_audit_once(connect, program):
    async with connect("pro") as user, connect() as bridge:
        await linked(bridge, user)
        for _ in range(2):
            await user.unlink()
    kept = [(each.record.who, each.record.method) for each in await program.store.audit_after(0, 100)]
    assert kept.count(("pro", "Telegram account unlinked")) == 1


async def test_a_stop_is_not_refused_because_of_cancels_reads_and_stops_without_number(connect):
    refused = []

    async def ask(call, *args):
        try:
            await call(*args)
        except RateLimitError:
            refused.append(call)
        except NotFoundError:
            pass

    async with connect("pro") as client:
        client_calls = (client.get_trading_state, ()), (client.cancel_order, ("none",)), (client.emergency_stop, ())
        async with trio.open_nursery() as nursery:
            for call, args in client_calls:
                for _ in range(70):
                    nursery.start_soon(ask, call, *args)
        assert client.cancel_order in refused
        assert client.emergency_stop not in refused
        assert (await client.emergency_stop()).state is TradingState.HALTED


async def test_a_stop_with_a_reason_that_is_no_line_stops_and_keeps_what_can_be_read(connect):
    async with connect("pro") as client:
        assert (await client.emergency_stop("for\ntoday\0\u202e")).state is TradingState.HALTED
        assert (await client.get_trading_state()).reason == "for today??"


@pytest.mark.parametrize("reason", ["x" * 201, "x" * 10_000])
async def test_a_stop_with_too_long_a_reason_stops_and_keeps_its_beginning(connect, reason):
    async with connect("pro") as client:
        assert (await client.emergency_stop(reason)).state is TradingState.HALTED
        assert (await client.get_trading_state()).reason == reason[:200]


async def test_nobody_stops_or_resumes_for_somebody_else(connect):
    async with connect("pro") as pro, connect("enterprise") as other:
        await pro.emergency_stop()
        assert (await other.get_trading_state()).state is TradingState.ACTIVE
        await other.resume_trading()
        assert (await pro.get_trading_state()).state is TradingState.HALTED


async def test_the_wallet_tells_cash_by_venue_and_what_positions_are_worth(connect, program):
    async with connect("pro") as client:
        before = await client.get_wallet()
        assert [(pool.venue, pool.cash, pool.available) for pool in before.pools] == [
            (KALSHI, PAPER_CASH, PAPER_CASH),
            (POLYMARKET, PAPER_CASH, PAPER_CASH),
        ]
        order = await client.place_order(program.poly.yes_key, Side.BUY, 460_000, 10 * MICRO, idempotency_key="a")
        assert order.state is OrderState.FILLED
        await client.place_order(program.poly.yes_key, Side.BUY, 440_000, 10 * MICRO, idempotency_key="b", tif=TimeInForce.GTC)
        (position,) = await client.get_positions()
        after = await client.get_wallet()
        (pool,) = [pool for pool in after.pools if pool.venue == POLYMARKET]
        assert pool.cash == PAPER_CASH - position.cost - position.fees
        assert (pool.reserved, pool.available) == (4_400_000, pool.cash - 4_400_000)
        assert (after.positions_exit, after.realised_pnl, after.unmarked) == (4_400_000, -position.fees, 0)
        assert after.cash == pool.cash + PAPER_CASH


async def test_an_overview_is_what_the_single_calls_say(connect, program):
    async with connect("pro") as client:
        await client.place_order(program.poly.yes_key, Side.BUY, 460_000, 10 * MICRO, idempotency_key="a")
        await client.set_arb_enabled(True)
        overview = await client.get_overview()
        assert overview.profile == await client.get_profile()
        assert overview.trading == await client.get_trading_state()
        assert overview.strategies == await client.list_strategies() == {"arbitrage": True}
        assert overview.wallet == await client.get_wallet()
        assert list(overview.positions) == await client.get_positions() != []


@pytest.mark.parametrize("part", ["orders", "strategies"])
async def test_a_stop_holds_and_is_reported_also_where_a_part_of_it_does_not_answer(connect, program, monkeypatch, part):
    async def crash(*_: object) -> None:
        raise RuntimeError("a fault on purpose")

    async with connect("pro") as client:
        await client.set_arb_enabled(True)
        resting = await client.place_order(program.poly.yes_key, Side.BUY, 440_000, 10 * MICRO, idempotency_key="a", tif=TimeInForce.GTC)
        with monkeypatch.context() as broken:
            broken.setattr(*{"orders": (UserSession, "_cancel_all"), "strategies": (Accounts, "_switch_all_off")}[part], crash)
            report = await client.emergency_stop()
        assert (report.state, report.orders_unconfirmed, report.strategies_unconfirmed) == (
            TradingState.HALTED,
            part == "orders",
            part == "strategies",
        )
        assert (report.cancelled, report.disabled_strategies) == ((0, ("arbitrage",)) if part == "orders" else (1, ()))
        with pytest.raises(RefusedError):
            await client.place_order(program.poly.yes_key, Side.BUY, 460_000, MICRO, idempotency_key="b")
        again = await client.emergency_stop()
        assert (again.orders_unconfirmed, again.strategies_unconfirmed) == (False, False)
        assert (await client.cancel_order(resting.order_id)).state is OrderState.CANCELLED
        assert await client.list_strategies() == {"arbitrage": False}


async def test_a_stop_that_two_clients_ask_for_at_once_is_one_stop(connect):
    async with connect("pro") as one, connect("pro") as two, trio.open_nursery() as nursery:
        for client in (one, two):
            nursery.start_soon(client.emergency_stop)
    async with connect("pro") as client:
        assert (await client.get_trading_state()).state is TradingState.HALTED

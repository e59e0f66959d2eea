"""Accounts: durable before acknowledged, the same after a restart, credentials that stop working at once."""

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.accounts import (
    ARBITRAGE,
    ChangeSettings,
    FindApiKey,
    GetAccount,
    PutNewAccount,
    ReplaceApiKey,
    SwitchAllOff,
    SwitchStrategy,
)
from arbiter.actors.brake import Halt, Resume
from arbiter.domain.account import Account, ApiKey, Tier, UserSettings
from arbiter.domain.ids import UserId
from arbiter.domain.money import Micros
from arbiter.errors import AskTimeout, InvalidInput, NotAllowed, NotFound, RefusedByRisk, StoreError
from arbiter.store.sqlite import InlineRunner, SqliteStore

BOB = UserId("bob")


@pytest.fixture
def ask(scene):
    async def ask(request):
        return await scene.accounts.ref.ask(request, timeout=60)

    return ask


async def test_a_new_account_can_be_read_and_the_same_id_again_is_invalid(autojump_clock, scene, ask):
    bob = Account(BOB, "Bob", Tier.FREE)
    async with scene.running():
        assert await ask(PutNewAccount(bob)) == bob
        assert await ask(GetAccount(BOB)) == bob
        with pytest.raises(InvalidInput, match="exists already"):
            await ask(PutNewAccount(msgspec.structs.replace(bob, name="Other")))
        assert await ask(GetAccount(BOB)) == bob


async def test_who_has_no_account_and_a_key_that_nobody_has_are_not_found(autojump_clock, scene, ask):
    async with scene.running():
        for request in (GetAccount(BOB), FindApiKey("nothing"), FindApiKey(""), ChangeSettings(BOB, UserSettings())):
            with pytest.raises(NotFound):
                await ask(request)


async def test_nothing_is_acknowledged_or_told_before_it_is_durable(autojump_clock, scene, ask):
    async with scene.running(), trio.open_nursery() as nursery:
        with scene.account_changes.subscribe() as (_, changes):
            scene.store.gate = trio.Event()
            nursery.start_soon(ask, PutNewAccount(Account(BOB, "Bob")))
            await trio.sleep(1)
            with trio.move_on_after(1) as too_early:
                await changes.receive()
            assert too_early.cancelled_caught
            scene.store.gate.set()
            assert (await changes.receive()).account == Account(BOB, "Bob")


async def test_a_change_that_the_store_could_not_keep_reaches_the_asker_and_changes_nothing(autojump_clock, scene, ask):
    async with scene.running():
        scene.store.failures = 1
        with pytest.raises(StoreError, match="disk is full"):
            await ask(ChangeSettings(UserId("ann"), UserSettings(Micros(9))))
        assert (await ask(GetAccount(UserId("ann")))).settings == UserSettings()
        assert (await ask(ChangeSettings(UserId("ann"), UserSettings(Micros(9))))).settings == UserSettings(Micros(9))


async def test_a_replaced_api_key_stops_working_at_once(autojump_clock, scene, ask):
    ann = UserId("ann")
    async with scene.running():
        await ask(ReplaceApiKey(ann, ApiKey("first", b"1")))
        assert (await ask(FindApiKey("first"))).user == ann
        await ask(ReplaceApiKey(ann, ApiKey("second", b"2")))
        assert (await ask(FindApiKey("second"))).api_key == ApiKey("second", b"2")
        with pytest.raises(NotFound):
            await ask(FindApiKey("first"))


async def test_strategies_are_switched_on_and_off_each_once(autojump_clock, scene, ask):
    ann = UserId("ann")
    async with scene.running():
        for _ in range(2):
            assert (await ask(SwitchStrategy(ann, ARBITRAGE, True))).strategies == (ARBITRAGE,)
        for _ in range(2):
            assert (await ask(SwitchStrategy(ann, ARBITRAGE, False))).strategies == ()
        with pytest.raises(NotFound, match="there are: arbitrage"):
            await ask(SwitchStrategy(ann, "martingale", True))


async def test_a_suspended_account_may_switch_off_but_not_on(autojump_clock, scene, ask):
    scene.add_accounts.append(Account(BOB, "Bob", suspended=True, strategies=(ARBITRAGE,)))
    async with scene.running():
        assert (await ask(SwitchStrategy(BOB, ARBITRAGE, False))).strategies == ()
        with pytest.raises(NotAllowed):
            await ask(SwitchStrategy(BOB, ARBITRAGE, True))


@pytest.mark.parametrize("on_disk", [False, True])
async def test_accounts_are_the_same_after_a_restart_of_the_program(autojump_clock, scene, ask, tmp_path, on_disk):
    if on_disk:
        scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    ann = UserId("ann")
    async with scene.running():
        await ask(PutNewAccount(Account(BOB, "Bob")))
        await ask(ReplaceApiKey(ann, ApiKey("old", b"1")))
        await ask(ReplaceApiKey(ann, ApiKey("new", b"2")))
        await ask(SwitchStrategy(ann, ARBITRAGE, True))
        before = [await ask(GetAccount(user)) for user in (ann, BOB)]
    scene.add_accounts = []
    async with scene.running():
        assert [await ask(GetAccount(user)) for user in (ann, BOB)] == before
        assert (await ask(FindApiKey("new"))).user == ann
        with pytest.raises(NotFound):
            await ask(FindApiKey("old"))


async def test_after_a_crash_the_topic_has_every_account_again_in_a_new_epoch(autojump_clock, scene, ask):
    async with scene.running():
        await ask(PutNewAccount(Account(BOB, "Bob")))
        epoch = scene.account_changes.epoch
        await scene.crash(scene.accounts)
        assert scene.account_changes.epoch == epoch + 1
        assert {change.account.user for change in scene.account_changes.values()} == {UserId("ann"), BOB}
        assert (await ask(GetAccount(BOB))).name == "Bob"
        await wait_all_tasks_blocked()


async def test_while_trading_is_stopped_no_strategy_is_switched_on_and_any_is_switched_off(autojump_clock, scene, ask):
    ann = UserId("ann")
    async with scene.running():
        await ask(SwitchStrategy(ann, ARBITRAGE, True))
        await scene.brake.ref.ask(Halt(ann, "enough"), timeout=60)
        assert (await ask(SwitchStrategy(ann, ARBITRAGE, False))).strategies == ()
        with pytest.raises(RefusedByRisk, match="trading is stopped") as refused:
            await ask(SwitchStrategy(ann, ARBITRAGE, True))
        assert refused.value.code == "TRADING_HALTED"
        assert (await ask(GetAccount(ann))).strategies == ()
        await scene.brake.ref.ask(Resume(ann), timeout=60)
        assert (await ask(SwitchStrategy(ann, ARBITRAGE, True))).strategies == (ARBITRAGE,)


async def test_switching_all_off_also_ends_what_was_switched_on_without_an_answer(autojump_clock, scene, ask):
    ann = UserId("ann")
    async with scene.running():
        scene.store.gate = trio.Event()
        with pytest.raises(AskTimeout):
            await ask(SwitchStrategy(ann, ARBITRAGE, True))
        scene.store.gate.set()
        await wait_all_tasks_blocked()
        assert [account.strategies for account in await scene.store.accounts()] == [(ARBITRAGE,)]
        assert await ask(SwitchAllOff(ann)) == ()
        assert [account.strategies for account in await scene.store.accounts()] == [()]

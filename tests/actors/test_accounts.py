"""Accounts: durable before acknowledged, the same after a restart, credentials that stop working at once."""

from contextlib import suppress

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.accounts import (
    ARBITRAGE,
    ChangeSettings,
    FindApiKey,
    FindTelegram,
    GetAccount,
    ListAccounts,
    PutNewAccount,
    ReplaceApiKey,
    SetSuspended,
    SetTier,
    SwitchAllOff,
    SwitchStrategy,
    Unlink,
)
from arbiter.actors.brake import Halt, Resume
from arbiter.domain.account import Account, ApiKey, TelegramLink, Tier, UserSettings, Withdrawn
from arbiter.domain.ids import UserId
from arbiter.domain.money import Micros
from arbiter.errors import AskTimeout, Conflict, NotAllowed, NotFound, RefusedByRisk, StoreError
from arbiter.store.sqlite import InlineRunner, SqliteStore

BOB = UserId("bob")


@pytest.fixture
def ask(scene):
    async def ask(request):
        return await scene.accounts.ref.ask(request, timeout=60)

    return ask


async def test_a_new_account_can_be_read_and_the_same_id_again_is_a_conflict(autojump_clock, scene, ask):
    bob = Account(BOB, "Bob", Tier.FREE)
    async with scene.running():
        assert await ask(PutNewAccount(bob)) == bob
        assert await ask(GetAccount(BOB)) == bob
        with pytest.raises(Conflict, match="exists already"):
            await ask(PutNewAccount(msgspec.structs.replace(bob, name="Other")))
        assert await ask(GetAccount(BOB)) == bob


async def test_who_has_no_account_and_a_key_that_nobody_has_are_not_found(autojump_clock, scene, ask):
    async with scene.running():
        for request in (GetAccount(BOB), FindApiKey("nothing"), FindApiKey(""), ChangeSettings(BOB, UserSettings())):
            with pytest.raises(NotFound):
                await ask(request)


async def test_tier_and_suspension_are_changed_kept_and_told(autojump_clock, scene, ask):
    async with scene.running():
        await ask(PutNewAccount(Account(BOB, "Bob", Tier.FREE)))
        with scene.account_changes.subscribe("backpressure") as (_, changes):
            assert (await ask(SetTier(BOB, Tier.ENTERPRISE))).tier is Tier.ENTERPRISE
            assert (await ask(SetSuspended(BOB, True))).suspended
            assert [(await changes.receive()).account for _ in range(2)][-1] == await ask(GetAccount(BOB))
        with pytest.raises(NotAllowed, match="suspended"):
            await ask(SwitchStrategy(BOB, ARBITRAGE, True))
        assert not (await ask(SetSuspended(BOB, False))).suspended
        assert (await scene.store.account(BOB)).tier is Tier.ENTERPRISE
        for request in (SetTier(UserId("nobody"), Tier.PRO), SetSuspended(UserId("nobody"), True)):
            with pytest.raises(NotFound):
                await ask(request)


async def test_accounts_are_listed_by_their_ids_page_by_page(autojump_clock, scene, ask):
    scene.add_accounts = [Account(UserId(name), name) for name in ("d", "a", "c")]
    async with scene.running():
        await ask(PutNewAccount(Account(BOB, "Bob")))
        await ask(SetTier(UserId("c"), Tier.PRO))  # keeps its place
        assert [account.user for account in await ask(ListAccounts(3))] == ["a", "bob", "c"]
        assert [account.user for account in await ask(ListAccounts(3, "c"))] == ["d"]
        assert [account.user for account in await ask(ListAccounts(3, "b"))] == ["bob", "c", "d"]
        assert await ask(ListAccounts(3, "d")) == ()


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
@pytest.mark.parametrize(
    ("change", "reason"), [(SetTier(UserId("ann"), Tier.FREE), "tier"), (SetSuspended(UserId("ann"), True), "suspended")]
)
async def test_who_may_not_run_a_strategy_any_more_has_it_off_with_the_reason_also_after_a_restart(
    autojump_clock, scene, ask, tmp_path, on_disk, change, reason
):
    if on_disk:
        scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    ann = UserId("ann")
    async with scene.running():
        await ask(SwitchStrategy(ann, ARBITRAGE, True))
        changed = await ask(change)
        assert (changed.strategies, changed.withdrawn) == ((), (Withdrawn(ARBITRAGE, reason),))
        assert await scene.store.account(ann) == changed
        with pytest.raises(NotAllowed):
            await ask(SwitchStrategy(ann, ARBITRAGE, True))
    scene.add_accounts = []
    async with scene.running():
        assert await ask(GetAccount(ann)) == changed
        await ask(SetSuspended(ann, False))
        lifted = await ask(SetTier(ann, Tier.ENTERPRISE))
        assert (lifted.strategies, lifted.withdrawn) == ((), (Withdrawn(ARBITRAGE, reason),)), "nobody but its owner switches it on"
        on = await ask(SwitchStrategy(ann, ARBITRAGE, True))
        assert (on.strategies, on.withdrawn) == ((ARBITRAGE,), ())


async def test_an_account_stored_with_a_strategy_that_it_may_not_run_has_it_off(autojump_clock, scene, ask):
    scene.add_accounts.append(Account(BOB, "Bob", Tier.FREE, strategies=(ARBITRAGE,)))
    async with scene.running():
        assert (await ask(GetAccount(BOB))).withdrawn == (Withdrawn(ARBITRAGE, "tier"),)
        off = await ask(SwitchStrategy(BOB, ARBITRAGE, False))
        assert (off.strategies, off.withdrawn) == ((), ())


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
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, SwitchAllOff(ann))
            await wait_all_tasks_blocked()
            scene.store.gate.set()
        await trio.sleep(10)
        assert [account.strategies for account in await scene.store.accounts()] == [()]
        assert (await ask(GetAccount(ann))).strategies == ()


# -- a change of which it stayed unknown whether it became durable --


async def in_doubt(scene, ask, request, seconds=0) -> None:
    """The change takes longer than its asker waits; the journal can write again so many seconds after that."""
    scene.store.gate = trio.Event()
    with pytest.raises(AskTimeout):
        await ask(request)
    await trio.sleep(seconds)
    scene.store.gate.set()
    await wait_all_tasks_blocked()


@pytest.mark.parametrize("seconds", [0, 60])
async def test_a_change_that_became_durable_after_its_asker_left_holds_as_soon_as_the_journal_answers(autojump_clock, scene, ask, seconds):
    ann, link = UserId("ann"), TelegramLink(7, "Ann", 1)
    scene.add_accounts = [Account(ann, "Ann", api_key=ApiKey("old", b"1"), telegram=link)]
    async with scene.running():
        with scene.account_changes.subscribe() as (_, changes):
            await in_doubt(scene, ask, ReplaceApiKey(ann, ApiKey("new", b"2")), seconds)
            with trio.fail_after(5):
                assert (await changes.receive()).account.api_key == ApiKey("new", b"2")
        assert (await ask(FindApiKey("new"))).user == ann
        with pytest.raises(NotFound):
            await ask(FindApiKey("old"))
        await in_doubt(scene, ask, Unlink(ann), seconds)
        await trio.sleep(5)
        with pytest.raises(NotFound):
            await ask(FindTelegram(7))
        await in_doubt(scene, ask, PutNewAccount(Account(BOB, "Bob")), seconds)
        await trio.sleep(5)
        accounts = [await ask(GetAccount(user)) for user in (ann, BOB)]
        assert accounts == await scene.store.accounts()


async def test_a_change_that_the_store_refused_after_its_asker_left_never_holds(autojump_clock, scene, ask):
    ann = UserId("ann")
    async with scene.running():
        scene.store.refuse = any
        await in_doubt(scene, ask, ChangeSettings(ann, UserSettings(Micros(9))))
        scene.store.refuse = lambda groups: False
        await trio.sleep(10)
        assert (await ask(GetAccount(ann))).settings == UserSettings()
        assert await scene.store.accounts() == [await ask(GetAccount(ann))]


async def test_after_two_changes_in_doubt_memory_and_store_agree(autojump_clock, scene, ask):
    ann = UserId("ann")
    scene.add_accounts = [Account(ann, "Ann", telegram=TelegramLink(7, "Ann", 1))]
    async with scene.running(), trio.open_nursery() as nursery:
        scene.store.gate = trio.Event()
        # the second waits in the mailbox until the first is given up, and both are written before the second is
        nursery.start_soon(in_doubt_for_ever, ask, Unlink(ann))
        await wait_all_tasks_blocked()
        nursery.start_soon(in_doubt_for_ever, ask, ReplaceApiKey(ann, ApiKey("new", b"2")))
        await trio.sleep(6)
        scene.store.gate.set()
        await trio.sleep(10)
        await ask(ChangeSettings(ann, UserSettings(Micros(9))))
        assert await scene.store.accounts() == [await ask(GetAccount(ann))]


async def in_doubt_for_ever(ask, request) -> None:
    with suppress(AskTimeout):
        await ask(request)


async def test_an_account_that_cannot_be_read_again_at_once_is_read_later(autojump_clock, scene, ask):
    ann, failures = UserId("ann"), ["once", "twice"]
    async with scene.running():
        real = scene.store.account

        async def account(user):
            if failures:
                failures.pop()
                raise StoreError("the store could not read: the disk is gone")
            return await real(user)

        scene.store.account = account
        await in_doubt(scene, ask, ChangeSettings(ann, UserSettings(Micros(9))))
        await trio.sleep(5)
        assert (await ask(GetAccount(ann))).settings == UserSettings(Micros(9))
        assert all(status.restarts == 0 for status in scene.supervisor.statuses())

"""Linking a Telegram account: by a code, to one account at a time, durable, gone at once when unlinked."""

import pytest
import trio

from arbiter.actors.accounts import CreateLinkCode, FindTelegram, GetAccount, RedeemLinkCode, Unlink
from arbiter.domain.account import Account, Tier
from arbiter.domain.ids import UserId
from arbiter.domain.link_codes import CODE_MS, TRIES
from arbiter.errors import LimitExceeded, NotFound, StoreError
from arbiter.store.sqlite import InlineRunner, SqliteStore

ANN, BOB = UserId("ann"), UserId("bob")
PHONE = 777


@pytest.fixture
def ask(scene):
    scene.add_accounts.append(Account(BOB, "Bob", Tier.FREE))

    async def ask(request):
        return await scene.accounts.ref.ask(request, timeout=60)

    return ask


async def link(ask, user=ANN, telegram_id=PHONE, name="Ann's phone"):
    made = await ask(CreateLinkCode(user))
    return await ask(RedeemLinkCode(made.code, telegram_id, name))


async def test_a_code_links_and_the_link_finds_the_account(autojump_clock, scene, ask):
    async with scene.running():
        with pytest.raises(NotFound):
            await ask(FindTelegram(PHONE))
        account = await link(ask)
        assert (account.user, account.telegram.telegram_id, account.telegram.name) == (ANN, PHONE, "Ann's phone")
        assert (await ask(FindTelegram(PHONE))).user == ANN


async def test_a_link_outlives_a_restart_and_an_open_code_does_not(autojump_clock, scene, ask, tmp_path):
    scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    async with scene.running():
        await link(ask)
        made = await ask(CreateLinkCode(BOB))
    scene.add_accounts = []
    async with scene.running():
        assert (await ask(FindTelegram(PHONE))).user == ANN
        with pytest.raises(NotFound, match="not valid"):
            await ask(RedeemLinkCode(made.code, 888, "late"))


async def test_a_telegram_account_that_links_elsewhere_leaves_the_first_account(autojump_clock, scene, ask):
    async with scene.running():
        await link(ask)
        await link(ask, BOB)
        assert (await ask(FindTelegram(PHONE))).user == BOB
        assert (await ask(GetAccount(ANN))).telegram is None


async def test_an_account_that_links_another_phone_leaves_the_first_one_with_nothing(autojump_clock, scene, ask):
    async with scene.running():
        await link(ask)
        await link(ask, telegram_id=888)
        with pytest.raises(NotFound):
            await ask(FindTelegram(PHONE))


async def test_unlinking_works_at_once_and_withdraws_an_open_code(autojump_clock, scene, ask):
    async with scene.running():
        await link(ask)
        made = await ask(CreateLinkCode(ANN))
        assert await ask(Unlink(ANN)) is True
        assert await ask(Unlink(ANN)) is False
        with pytest.raises(NotFound):
            await ask(FindTelegram(PHONE))
        with pytest.raises(NotFound):
            await ask(RedeemLinkCode(made.code, PHONE, "again"))


async def test_a_wrong_a_used_and_an_expired_code_are_refused_in_the_same_words(autojump_clock, scene, ask):
    problems = set()
    async with scene.running():
        used, expired = await ask(CreateLinkCode(ANN)), await ask(CreateLinkCode(BOB))
        await ask(RedeemLinkCode(used.code, PHONE, "first"))
        await trio.sleep(CODE_MS / 1000)
        for code in ("WRONG", used.code, expired.code):
            with pytest.raises(NotFound) as refused:
                await ask(RedeemLinkCode(code, 888, "second"))
            problems.add(str(refused.value))
    assert len(problems) == 1


async def test_who_guesses_is_held_up_and_told_for_how_long(autojump_clock, scene, ask):
    async with scene.running():
        for number in range(TRIES):
            with pytest.raises(NotFound):
                await ask(RedeemLinkCode(f"GUESS{number}", PHONE, "guesser"))
        with pytest.raises(LimitExceeded) as refused:
            await link(ask)
        assert 0 < refused.value.retry_after_ms <= CODE_MS


async def test_a_link_that_did_not_become_durable_is_none(autojump_clock, scene, ask):
    async with scene.running():
        scene.store.failures = 1
        with pytest.raises(StoreError):
            await link(ask)
        with pytest.raises(NotFound):
            await ask(FindTelegram(PHONE))

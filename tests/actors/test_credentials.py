"""Credentials: durable before given out, ended in memory before anything else, the same after a restart."""

from contextlib import asynccontextmanager

import pytest
import trio

from arbiter.actors.accounts import EndSessions, PutNewAccount, ReplaceApiKey
from arbiter.actors.credentials import (
    PRUNE_SECONDS,
    Credentials,
    EndFamiliesOf,
    EndFamily,
    LiveFamilies,
    OpenFamily,
    RefreshFamily,
)
from arbiter.domain.account import Account, ApiKey
from arbiter.domain.families import GRACE_MS, MOST_A_USER, REFRESH_MS
from arbiter.domain.ids import UserId
from arbiter.errors import StoreError, Unauthenticated
from arbiter.runtime import Child, Group, Supervisor
from arbiter.store.sqlite import InlineRunner, SqliteStore

ANN, BOB = UserId("ann"), UserId("bob")


class House:
    """Journal, accounts and credentials on the scene's store. No brake: it looks every second, which makes a week long."""

    def __init__(self, scene):
        self.scene = scene

    @asynccontextmanager
    async def running(self):
        scene = self.scene
        await scene.store.open()
        scene._build()
        self.live = LiveFamilies()
        make = lambda: Credentials(scene.store, scene.journal.ref, scene.account_changes, self.live, scene.environment)  # noqa: E731
        self.credentials = Child("credentials", make)
        supervisor = Supervisor(Group("root", [scene.journal, scene.accounts, self.credentials]), scene.environment)
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            if not await scene.store.accounts():
                for user in (ANN, BOB):
                    await scene.accounts.ref.ask(PutNewAccount(Account(user, user)), timeout=5)
            try:
                yield
            finally:
                supervisor.stop()
        await scene.store.close()

    async def ask(self, request):
        return await self.credentials.ref.ask(request, timeout=30)

    async def open(self, name, user=ANN):
        return await self.ask(OpenFamily(user, name, f"handle of {name}", f"{name} 0".encode()))

    async def refresh(self, name, given, new):
        return await self.ask(RefreshFamily(f"handle of {name}", f"{name} {given}".encode(), f"{name} {new}".encode()))

    async def stored(self):
        return [family.id for family in await self.scene.store.families()]


@pytest.fixture
def house(scene, tmp_path):
    scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    return House(scene)


@pytest.fixture
def moody(scene):
    """On a store that a test can let fail."""
    return House(scene)


async def test_a_family_goes_on_over_restarts_and_a_used_token_stays_used(autojump_clock, house):
    async with house.running():
        await house.open("f")
        assert not (await house.refresh("f", 0, 1)).reused
    async with house.running():
        assert house.live.loaded
        assert house.live.get("f").current == (b"f 1",)
        assert not (await house.refresh("f", 1, 2)).reused
    await trio.sleep(GRACE_MS / 1000 + 1)
    async with house.running():
        assert (await house.refresh("f", 1, 3)).reused
        assert house.live.get("f") is None
    async with house.running():
        assert len(house.live) == 0
        with pytest.raises(Unauthenticated, match="refresh token is not valid"):
            await house.refresh("f", 2, 3)


async def test_an_answer_that_a_restart_ate_can_be_asked_for_again(autojump_clock, house):
    async with house.running():
        await house.open("f")
        await house.refresh("f", 0, 1)
    async with house.running():
        assert not (await house.refresh("f", 0, "1 again")).reused
        assert not (await house.refresh("f", "1 again", 2)).reused


async def test_an_ended_family_is_gone_at_once_and_for_good(autojump_clock, house):
    async with house.running():
        await house.open("f")
        await house.open("g")
        with house.live.ended.subscribe() as (_, ended):
            assert await house.ask(EndFamily("f")) is True
            assert (await ended.receive()).id == "f"
        assert await house.ask(EndFamily("f")) is False
        assert house.live.by_handle("handle of f") is None
        assert await house.stored() == ["g"]


async def test_all_of_a_users_end_but_the_kept_one_and_nobody_elses(autojump_clock, house):
    async with house.running():
        for name in ("f", "g", "h"):
            await house.open(name)
        await house.open("bobs", BOB)
        assert await house.ask(EndFamiliesOf(ANN, "g")) == 2
        assert await house.stored() == ["bobs", "g"]
        assert await house.ask(EndFamiliesOf(ANN)) == 1
        assert await house.stored() == ["bobs"]


async def test_one_sign_in_too_many_ends_the_one_not_refreshed_for_the_longest(autojump_clock, house):
    async with house.running():
        for number in range(MOST_A_USER):
            await house.open(f"f{number:02}")
            await trio.sleep(1)
        await house.refresh("f00", 0, 1)
        await house.open("new")
        await trio.sleep(1)
        assert len(house.live) == MOST_A_USER == len(await house.stored())
        assert house.live.get("f01") is None
        assert house.live.get("f00") is not None


async def test_what_an_account_ended_no_refresh_brings_back(autojump_clock, house, scene):
    async with house.running():
        await house.open("f")
        await house.open("g")
        await scene.accounts.ref.ask(ReplaceApiKey(ANN, ApiKey("k", b"d"), "g"), timeout=5)
        with pytest.raises(Unauthenticated):
            await house.refresh("f", 0, 1)
        assert not (await house.refresh("g", 0, 1)).reused
        await scene.accounts.ref.ask(EndSessions(ANN), timeout=5)
        with pytest.raises(Unauthenticated):
            await house.refresh("g", 1, 2)
        await trio.sleep(PRUNE_SECONDS + 1)
        assert await house.stored() == []


async def test_the_expired_are_pruned_from_memory_and_store(autojump_clock, house, scene):
    scene.polymarket.ping_seconds = scene.kalshi.ping_seconds = 3_600  # a week of the usual ones takes long
    async with house.running():
        await house.open("f")
        await trio.sleep(REFRESH_MS / 1000 + PRUNE_SECONDS)
        assert len(house.live) == 0
        assert await house.stored() == []


async def test_what_the_store_does_not_take_is_not_given_out_and_uses_nothing_up(autojump_clock, moody, scene):
    async with moody.running():
        await moody.open("f")
        scene.store.failures = 1
        with pytest.raises(StoreError):
            await moody.open("g")
        assert moody.live.get("g") is None
        scene.store.failures = 1
        with pytest.raises(StoreError):
            await moody.refresh("f", 0, 1)
        assert not (await moody.refresh("f", 0, 1)).reused


async def test_an_end_bites_also_while_the_store_takes_nothing_and_holds_over_a_crash(autojump_clock, moody, scene):
    async with moody.running():
        await moody.open("f")
        scene.store.failures = 1
        with pytest.raises(StoreError):
            await moody.ask(EndFamily("f"))
        assert moody.live.get("f") is None
        await scene.crash(moody.credentials)
        assert moody.live.loaded
        assert moody.live.get("f") is None
        await trio.sleep(PRUNE_SECONDS + 1)
        assert await moody.stored() == []


async def test_reuse_ends_the_family_also_while_the_store_takes_nothing(autojump_clock, moody, scene):
    async with moody.running():
        await moody.open("f")
        await moody.refresh("f", 0, 1)
        scene.store.failures = 1
        assert (await moody.refresh("f", "stolen", 2)).reused
        assert moody.live.get("f") is None
        await trio.sleep(PRUNE_SECONDS + 1)
        assert await moody.stored() == []

"""Second factors: a code counts once, over restarts too; guessing is throttled; secrets are sealed in the store."""

import base64
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from arbiter.actors import second_factors as module
from arbiter.actors.journal import Journal
from arbiter.actors.second_factors import (
    ENROL_MS,
    WRONG_A_MINUTE,
    Confirm,
    Disable,
    Enrol,
    FactorStatus,
    Forget,
    GetFactor,
    SecondFactors,
    Verify,
)
from arbiter.domain import totp
from arbiter.domain.ids import UserId
from arbiter.errors import Conflict, LimitExceeded, NotAllowed, NotFound, StoreError
from arbiter.runtime import Child, Environment, Group, Supervisor
from arbiter.secret_box import SecretBox
from arbiter.store.sqlite import InlineRunner, SqliteStore

ANN, BOB = UserId("ann"), UserId("bob")


class House:
    def __init__(self, store):
        self.store = store
        self.environment = Environment.simulated(1)
        self.box = SecretBox(b"master")
        self.secret = b""

    @asynccontextmanager
    async def running(self):
        await self.store.open()
        journal = Child("journal", lambda: Journal(self.store))
        self.factors = Child("second_factors", lambda: SecondFactors(self.store, journal.ref, self.box, self.environment))
        supervisor = Supervisor(Group("root", [journal, self.factors]), self.environment)
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            try:
                yield
            finally:
                supervisor.stop()
        await self.store.close()

    async def ask(self, request):
        return await self.factors.ref.ask(request, timeout=30)

    async def enrol(self, user=ANN):
        """Enrolled and confirmed; the recovery codes."""
        made = await self.ask(Enrol(user, "Ann & Co"))
        self.secret = base64.b32decode(made.secret)
        codes = await self.ask(Confirm(user, self.code()))
        await trio.sleep(30)
        return codes

    def code(self, steps=0):
        return totp.code_at(self.secret, totp.step_at(self.environment.unix_ms()) + steps)

    def wrong(self):
        near = {self.code(steps) for steps in (-1, 0, 1)}
        return next(text for text in ("000000", "000001", "000002", "000003") if text not in near)


@pytest.fixture
def house(tmp_path):
    return House(SqliteStore(tmp_path / "arbiter.db", InlineRunner))


@pytest.fixture
def moody(scene):
    return House(scene.store)


async def refused(house, request, reason="TOTP_WRONG"):
    with pytest.raises(NotAllowed) as caught:
        await house.ask(request)
    assert caught.value.reason == reason


async def test_a_secret_counts_once_its_first_code_came_and_over_restarts(autojump_clock, house):
    async with house.running():
        made = await house.ask(Enrol(ANN, "Ann & Co"))
        assert made.address.startswith("otpauth://totp/Arbiter:Ann%20%26%20Co?secret=")
        assert made.secret in made.address
        assert made.secret not in repr(made)
        assert await house.ask(GetFactor(ANN)) == FactorStatus(False, 0, 0)
        await refused(house, Verify(ANN, "123456"), "TOTP_NOT_ENROLLED")
        codes = await house.enrol()
        assert len(codes) == 10
        await house.ask(Verify(ANN, house.code()))
    async with house.running():
        status = await house.ask(GetFactor(ANN))
        assert (status.enrolled, status.recovery_codes_left) == (True, 10)
        await refused(house, Verify(ANN, house.code()))  # used before the restart
        await trio.sleep(30)
        await house.ask(Verify(ANN, house.code()))
        with pytest.raises(Conflict, match="enrolled already"):
            await house.ask(Enrol(ANN, "Ann"))


async def test_the_store_holds_no_secret_and_no_recovery_code(autojump_clock, house, tmp_path):
    async with house.running():
        codes = await house.enrol()
        (factor,) = await house.store.second_factors()
        assert house.box.open(ANN, "totp", factor.sealed) == house.secret
        assert house.box.open(BOB, "totp", factor.sealed) is None
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (house.secret, base64.b64encode(house.secret), totp.spelt(house.secret).encode(), codes[0].encode()):
        assert secret not in raw


async def test_a_code_counts_once_and_none_before_it_after_it(autojump_clock, house):
    async with house.running():
        await house.enrol()
        early, now = house.code(-1), house.code()
        await house.ask(Verify(ANN, now))
        await refused(house, Verify(ANN, now))
        await refused(house, Verify(ANN, early))
        await house.ask(Verify(ANN, house.code(1)))


async def test_a_recovery_code_works_once_in_the_place_of_a_code(autojump_clock, house):
    async with house.running():
        codes = await house.enrol()
        await house.ask(Verify(ANN, codes[3].lower().replace("-", " ")))
        assert (await house.ask(GetFactor(ANN))).recovery_codes_left == 9
    async with house.running():
        await refused(house, Verify(ANN, codes[3]))
        await house.ask(Disable(ANN, codes[4]))
        assert not (await house.ask(GetFactor(ANN))).enrolled
    async with house.running():
        assert not (await house.ask(GetFactor(ANN))).enrolled


async def test_after_five_wrong_codes_a_minute_none_is_looked_at_and_others_are_not_held_up(autojump_clock, house):
    async with house.running():
        await house.enrol(BOB)
        bobs = house.secret
        await house.enrol()
        for _ in range(WRONG_A_MINUTE):
            await refused(house, Verify(ANN, house.wrong()))
        for code in (house.code(), house.wrong(), "AAAA-BBBB-CCCC-DDDD"):
            with pytest.raises(LimitExceeded, match="too many wrong codes") as caught:
                await house.ask(Verify(ANN, code))
        await trio.sleep(caught.value.retry_after_ms / 1000)
        await house.ask(Verify(ANN, house.code()))
        house.secret = bobs
        await house.ask(Verify(BOB, house.code()))


async def test_right_codes_are_not_counted(autojump_clock, house):
    async with house.running():
        await house.enrol()
        for _ in range(3 * WRONG_A_MINUTE):
            await house.ask(Verify(ANN, house.code()))
            await trio.sleep(30)


async def test_guessing_the_first_code_is_throttled_too_and_a_new_secret_does_not_help(autojump_clock, house):
    async with house.running():
        await house.ask(Enrol(ANN, "Ann"))
        house.secret = b"another"
        for _ in range(WRONG_A_MINUTE):
            await refused(house, Confirm(ANN, "12345x"))
        await house.ask(Enrol(ANN, "Ann"))
        with pytest.raises(LimitExceeded):
            await house.ask(Confirm(ANN, "12345x"))


async def test_a_secret_that_is_not_confirmed_in_time_is_forgotten_and_memory_is_bounded(autojump_clock, house, monkeypatch):
    monkeypatch.setattr(module, "MOST_ENROLLING", 2)
    async with house.running():
        made = await house.ask(Enrol(ANN, "Ann"))
        house.secret = base64.b32decode(made.secret)
        await trio.sleep(ENROL_MS / 1000)
        with pytest.raises(NotFound, match="within 10 minutes"):
            await house.ask(Confirm(ANN, house.code()))
        made = await house.ask(Enrol(ANN, "Ann"))
        house.secret = base64.b32decode(made.secret)
        for user in ("bob", "cid"):
            await house.ask(Enrol(UserId(user), user))
        with pytest.raises(NotFound):
            await house.ask(Confirm(ANN, house.code()))


async def test_an_operator_can_forget_what_a_user_lost(autojump_clock, house):
    async with house.running():
        await house.enrol()
        assert await house.ask(Forget(ANN)) is True
        assert await house.ask(Forget(ANN)) is False
        await house.enrol()


async def test_a_code_that_the_store_did_not_take_does_not_count_and_is_not_used_up(autojump_clock, moody, scene):
    async with moody.running():
        await moody.enrol()
        scene.store.failures = 1
        with pytest.raises(StoreError):
            await moody.ask(Verify(ANN, moody.code()))
        await moody.ask(Verify(ANN, moody.code()))


async def test_a_secret_under_another_master_key_is_refused_in_words_and_crashes_nothing(autojump_clock, house):
    async with house.running():
        await house.enrol()
        code = house.code()
    house.box = SecretBox(b"another")
    async with house.running():
        await refused(house, Verify(ANN, code), "TOTP_UNREADABLE")
        assert (await house.ask(GetFactor(ANN))).enrolled


def test_no_message_shows_a_code():
    for message in (Confirm(ANN, "123456"), Verify(ANN, "123456"), Disable(ANN, "123456")):
        assert "123456" not in repr(message)
        assert msgspec.json.decode(msgspec.json.encode(message), type=type(message)) == message

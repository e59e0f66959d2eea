"""Codes of the authenticator through the real server: what asks for one in which mode, and that stopping never does."""

import base64
from contextlib import asynccontextmanager

import pytest

from arbiter.domain import totp
from arbiter.domain.book import Side
from arbiter.domain.money import MICRO
from arbiter.rpc.client import ArbiterClient, InvalidRequestError, NotFoundError, NotPermittedError, RateLimitError, RefusedError
from arbiter.rpc.totp_policy import TotpPolicy
from arbiter.store.sqlite import InlineRunner, SqliteStore


class Site:
    """The program on a file, and a client with an authenticator."""

    def __init__(self, start, path, later):
        self._start, self._path, self.later = start, path, later
        self.secret = b""

    @asynccontextmanager
    async def client(self, mode="sandbox", key=""):
        async with self._start(SqliteStore(self._path, InlineRunner), later=self.later, totp=TotpPolicy(mode)) as program:
            self.program = program
            async with ArbiterClient.open(program.address) as client:
                await client.authenticate(key or program.api_keys["pro"])
                yield client

    async def enrol(self, client):
        self.secret = base64.b32decode((await client.enrol_totp()).secret)
        return await client.confirm_totp(self.code())

    def code(self):
        """One that was not used yet."""
        self.later.seconds += 30
        return totp.code_at(self.secret, totp.step_at(self.program.arbiter.core.environment.unix_ms()))


@pytest.fixture
def site(start_program, tmp_path, later):
    return Site(start_program, tmp_path / "arbiter.db", later)


async def refused(reason, call, *args, **named):
    with pytest.raises(NotPermittedError) as caught:
        await call(*args, **named)
    assert caught.value.reason == reason


def order(client, site, dollars, key):
    """An order that may cost so much, far below the market."""
    outcome = site.program.poly.yes_key
    return client.place_order(outcome, Side.BUY, 100_000, dollars * 10 * MICRO, idempotency_key=key)


async def test_in_the_sandbox_nobody_is_asked_who_has_no_authenticator(site):
    async with site.client() as client:
        await client.set_arb_enabled(True)
        await order(client, site, 60, "large")
        await client.emergency_stop()
        await client.resume_trading()
        assert not (await client.get_totp_status()).enrolled


async def test_who_enrolled_one_is_asked_for_what_can_cost_money_and_never_for_stopping(site):
    async with site.client() as client:
        codes = await site.enrol(client)
        assert len(codes) == 10
        await refused("TOTP_NEEDED", client.set_arb_enabled, True)
        await refused("TOTP_NEEDED", order, client, site, 51, "large")
        await order(client, site, 50, "small")
        assert await client.with_code(site.code()).set_arb_enabled(True)
        await order(client.with_code(site.code()), site, 51, "large")
        assert not await client.set_arb_enabled(False)
        await client.emergency_stop()
        await refused("TOTP_NEEDED", client.resume_trading)
        assert (await client.get_trading_state()).state.value == "halted"
        await client.with_code(codes[0]).resume_trading()
        assert (await client.get_totp_status()).recovery_codes_left == 9
        await refused("TOTP_NEEDED", client.rotate_api_key)
        key = await client.with_code(site.code()).rotate_api_key()
    async with site.client(key=key) as client:
        await refused("TOTP_WRONG", client.with_code(codes[0]).set_arb_enabled, True)
        await client.with_code(codes[1]).set_arb_enabled(True)


async def test_a_code_works_once(site):
    async with site.client() as client:
        await site.enrol(client)
        code = site.code()
        await client.with_code(code).set_arb_enabled(True)
        await refused("TOTP_WRONG", client.with_code(code).set_arb_enabled, True)


async def test_in_live_mode_everybody_is_asked_and_who_has_none_is_told_to_enrol(site):
    async with site.client("live") as client:
        await refused("TOTP_NOT_ENROLLED", client.set_arb_enabled, True)
        await refused("TOTP_NOT_ENROLLED", order, client, site, 51, "large")
        await client.emergency_stop()
        await refused("TOTP_NOT_ENROLLED", client.resume_trading)
        await site.enrol(client)
        await client.with_code(site.code()).resume_trading()


async def test_wrong_codes_are_throttled_and_stopping_goes_on(site):
    async with site.client() as client:
        await site.enrol(client)
        for _ in range(5):
            await refused("TOTP_WRONG", client.with_code("not a code").set_arb_enabled, True)
        with pytest.raises(RateLimitError, match="too many wrong codes"):
            await client.with_code(site.code()).set_arb_enabled(True)
        placed = await order(client, site, 1, "small")
        assert (await client.cancel_order(placed.order_id)).state.is_final
        assert not await client.set_arb_enabled(False)
        await client.emergency_stop()
        assert (await client.get_trading_state()).state.value == "halted"


async def test_raising_the_threshold_needs_a_code_and_lowering_it_does_not(site):
    from arbiter.v1 import user_pb2

    async def set_to(client, dollars):
        settings = user_pb2.UserSettings(totp_threshold=user_pb2.TotpThreshold(above_micros=dollars * MICRO))
        request = user_pb2.SettingsRequest(settings=settings)
        await client._unary("UserService/UpdateSettings", request, user_pb2.SettingsResponse)

    async with site.client() as client:
        await site.enrol(client)
        await set_to(client, 10)
        await refused("TOTP_NEEDED", set_to, client, 11)
        await refused("TOTP_NEEDED", order, client, site, 11, "large")
        await set_to(client.with_code(site.code()), 100)
        await order(client, site, 60, "large")


async def test_an_authenticator_is_disabled_by_a_code_alone_and_it_stands_in_the_audit(site):
    async with site.client() as client:
        await refused("TOTP_NOT_ENROLLED", client.disable_totp, "123456")
        await site.enrol(client)
        with pytest.raises(RefusedError, match="enrolled already"):
            await client.enrol_totp()
        await refused("TOTP_WRONG", client.disable_totp, "12345x")
        await client.disable_totp(site.code())
        await client.set_arb_enabled(True)
        assert await recorded(site) == [
            ("token issued", "OK"),
            ("secret of an authenticator shown", "OK"),
            ("authenticator enrolled", "OK"),
            ("wrong code of the authenticator", "TOTP_WRONG"),
            ("authenticator disabled", "OK"),
        ]


async def test_wrong_codes_and_recovery_codes_that_are_used_stand_in_the_audit_without_the_codes(site):
    async with site.client() as client:
        codes = await site.enrol(client)
        await refused("TOTP_WRONG", client.with_code("000000").set_arb_enabled, True)
        await client.with_code(codes[0]).set_arb_enabled(True)
        await refused("TOTP_WRONG", client.with_code(codes[0]).set_arb_enabled, True)
        await client.with_code(codes[1]).rotate_api_key()
        assert (await recorded(site))[3:] == [
            ("wrong code of the authenticator", "TOTP_WRONG"),
            ("recovery code used", "OK"),
            ("wrong code of the authenticator", "TOTP_WRONG"),
            ("recovery code used", "OK"),
            ("API key rotated", "OK"),
        ]
        kept = repr([(each.record.method, each.record.target) for each in await site.program.store.audit_after(0, 100)])
        assert not any(each in kept for each in (*codes, "000000"))


async def recorded(site):
    return [(each.record.method, each.record.outcome) for each in await site.program.store.audit_after(0, 100)]


async def test_nothing_secret_is_logged(site, logged):
    async with site.client() as client:
        codes = await site.enrol(client)
        await client.with_code(site.code()).set_arb_enabled(True)
        await client.refresh()
        text = str(logged)
        for secret in (
            totp.spelt(site.secret),
            codes[0],
            client._calls.session.token,
            client._calls.session.refresh_token,
            site.program.api_keys["pro"],
        ):
            assert secret not in text


# -- lost ones --


async def test_an_operator_resets_a_lost_authenticator_and_the_user_enrols_anew_also_after_a_restart(site):
    async with site.client() as client:
        await site.enrol(client)
        await refused("TOTP_NEEDED", client.set_arb_enabled, True)
        async with ArbiterClient.open(site.program.address, token=site.program.token("operator")) as operator:
            assert await operator.forget_authenticator("pro")
            assert not await operator.forget_authenticator("pro")
            with pytest.raises(NotFoundError):
                await operator.forget_authenticator("nobody")
            with pytest.raises(InvalidRequestError, match="user_id: is your own"):
                await operator.forget_authenticator("operator")
        await client.set_arb_enabled(True)
        assert not (await client.get_totp_status()).enrolled
        records = [each.record for each in await site.program.store.audit_after(0, 100)]
        told = [(each.who, each.target, each.outcome) for each in records if each.method.endswith("/ForgetAuthenticator")]
        assert told == [
            ("operator", "pro", "OK"),
            ("operator", "pro", "OK"),
            ("operator", "nobody", "NOT_FOUND"),
            ("operator", "operator", "INVALID_INPUT"),
        ]
        key = site.program.api_keys["pro"]
    async with site.client(key=key) as client:
        assert not (await client.get_totp_status()).enrolled
        await site.enrol(client)
        assert (await client.get_totp_status()).enrolled


async def test_an_operator_who_has_an_authenticator_resets_others_with_a_code_of_it(site):
    async with site.client() as client:
        operator_key = site.program.api_keys["operator"]
        await site.enrol(client)
        async with ArbiterClient.open(site.program.address) as operator:
            await operator.authenticate(operator_key)
            await site.enrol(operator)
            await refused("TOTP_NEEDED", operator.forget_authenticator, "pro")
            await refused("TOTP_WRONG", operator.with_code("000000").forget_authenticator, "pro")
            assert (await client.get_totp_status()).enrolled
            assert await operator.with_code(site.code()).forget_authenticator("pro")
        assert not (await client.get_totp_status()).enrolled

"""Signing in and out through the real server, on the real store, over restarts: refresh, reuse, revocation, key rotation."""

import base64
import json
from contextlib import asynccontextmanager

import jwt
import pytest
import trio

from arbiter.actors.accounts import CreateLinkCode, RedeemLinkCode, SetSuspended
from arbiter.domain.families import GRACE_MS, MOST_A_USER, REFRESH_MS
from arbiter.domain.ids import UserId
from arbiter.errors import StoreError
from arbiter.rpc.client import ArbiterClient, AuthenticationError, InvalidRequestError, NotPermittedError, RateLimitError
from arbiter.rpc.failures import FAILURES_A_MINUTE
from arbiter.rpc.sign_in import SIGN_INS_PER_MINUTE
from arbiter.rpc.tokens import ACCESS_MS
from arbiter.store.base import PutAccount
from arbiter.store.sqlite import InlineRunner, SqliteStore

SECONDS = 10
PHONE = 4711
CREDENTIAL = "credential of the bridge"


class Site:
    """The program on a file, started as often as a test likes; API keys of the first start."""

    def __init__(self, start, path, later):
        self._start, self._path, self.later = start, path, later
        self.api_keys = {}

    @asynccontextmanager
    async def running(self):
        async with self._start(SqliteStore(self._path, InlineRunner), later=self.later) as program:
            self.program = program
            self.api_keys = program.api_keys or self.api_keys
            yield program

    @asynccontextmanager
    async def client(self, user=None):
        async with ArbiterClient.open(self.program.address, persistent=False) as client:
            if user:
                await client.authenticate(self.api_keys[user])
            yield client

    async def audit(self, what=""):
        kept = await self.program.store.audit_after(0, 1_000)
        return [(each.record.who, each.record.method, each.record.outcome) for each in kept if what in each.record.method]


@pytest.fixture
def site(start_program, tmp_path, later):
    return Site(start_program, tmp_path / "arbiter.db", later)


def take_over(client, other):
    """`client` becomes a second holder of what `other` has."""
    client._calls.session.token, client._calls.session.refresh_token = other._calls.session.token, other._calls.session.refresh_token


# -- refreshing --


async def test_a_sign_in_goes_on_by_refresh_over_expiry_and_restart(site):
    async with site.running(), site.client("pro") as client:
        first = client._calls.session.token
        kept = client._calls.session.refresh_token
        assert kept.startswith("arr_")
        site.later.seconds += ACCESS_MS / 1000
        with pytest.raises(AuthenticationError):
            await client.get_profile()
        assert await client.refresh() != first
        assert client._calls.session.refresh_token != kept
        kept, token = client._calls.session.refresh_token, client._calls.session.token
        assert (await client.get_profile()).user == "pro"
    async with site.running(), site.client() as client:
        client._calls.session.token, client._calls.session.refresh_token = token, kept
        assert (await client.get_profile()).user == "pro"
        await client.refresh()
        assert (await client.get_profile()).user == "pro"


async def test_a_refresh_token_lives_seven_days_and_ends_then(site):
    async with site.running(), site.client("pro") as client:
        site.later.seconds += REFRESH_MS / 1000 - 60
        await client.refresh()
        site.later.seconds += REFRESH_MS / 1000
        with pytest.raises(AuthenticationError, match="refresh token is not valid"):
            await client.refresh()
        await client.authenticate(site.api_keys["pro"])
        assert (await client.get_profile()).user == "pro"


async def test_a_refresh_token_used_twice_ends_the_whole_sign_in_at_once_and_no_other(site):
    async with site.running(), site.client("pro") as owner, site.client("pro") as other, site.client() as thief:
        take_over(thief, owner)
        await owner.refresh()
        site.later.seconds += GRACE_MS / 1000 + 1
        with pytest.raises(AuthenticationError):
            await thief.refresh()
        for each in (owner.get_profile, owner.refresh, thief.get_profile):
            with pytest.raises(AuthenticationError):
                await each()
        assert (await other.get_profile()).user == "pro"
        await other.refresh()
        assert ("pro", "refresh token used twice: sign-in ended", "UNAUTHENTICATED") in await site.audit()
        token, refresh = owner._calls.session.token, owner._calls.session.refresh_token
    async with site.running(), site.client() as client:
        client._calls.session.token, client._calls.session.refresh_token = token, refresh
        for each in (client.get_profile, client.refresh):
            with pytest.raises(AuthenticationError):
                await each()


async def test_a_lost_answer_can_be_asked_for_again_within_the_grace_and_locks_nobody_out(site):
    async with site.running(), site.client("pro") as client, site.client() as lost:
        take_over(lost, client)
        await lost.refresh()  # this answer never came
        await client.refresh()
        site.later.seconds += GRACE_MS / 1000 + 1
        await client.refresh()
        assert (await client.get_profile()).user == "pro"
        # the lost one is worth nothing now, and whoever shows it gives the theft away
        with pytest.raises(AuthenticationError):
            await lost.refresh()
        with pytest.raises(AuthenticationError):
            await client.refresh()


async def test_two_refreshes_at_the_same_moment_both_get_an_answer(site):
    async with site.running(), site.client("pro") as client, site.client() as twin:
        take_over(twin, client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.refresh)
            nursery.start_soon(twin.refresh)
        assert client._calls.session.refresh_token != twin._calls.session.refresh_token
        await client.refresh()


@pytest.mark.parametrize("text", ["", "arr", "arr__", "arr_" + "0" * 32, "arr_" + "0" * 97, "x" * 8_000, "arb_0_0", "arr_" + "ü" * 97])
async def test_what_is_no_refresh_token_is_unauthenticated_and_ends_nothing(site, text):
    async with site.running(), site.client("pro") as client:
        kept, client._calls.session.refresh_token = client._calls.session.refresh_token, text
        with pytest.raises(AuthenticationError):
            await client.refresh()
        client._calls.session.refresh_token = kept[:-1]
        with pytest.raises(AuthenticationError):
            await client.refresh()
        client._calls.session.refresh_token = kept
        await client.refresh()


async def test_the_store_holds_no_token_and_no_key(site, tmp_path):
    async with site.running(), site.client("pro") as client:
        await client.refresh()
        secrets = (
            client._calls.session.refresh_token,
            client._calls.session.refresh_token[-64:],
            client._calls.session.token,
            site.api_keys["pro"].split("_", 2)[2],
        )
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in secrets:
        assert secret.encode() not in raw
        assert base64.b64encode(secret.encode()) not in raw


async def test_a_user_has_at_most_so_many_sign_ins(site):
    async with site.running(), site.client("pro") as first, site.client() as others:
        for _ in range(MOST_A_USER):
            await others.authenticate(site.api_keys["pro"])
        with pytest.raises(AuthenticationError):
            await first.get_profile()
        assert (await others.get_profile()).user == "pro"


async def test_without_a_store_one_still_signs_in_for_a_while(site, monkeypatch):
    async with site.running() as program, site.client() as client:

        async def full(_groups):
            raise StoreError("the store could not write: database or disk is full")

        monkeypatch.setattr(program.store, "commit", full)
        await client.authenticate(site.api_keys["pro"])
        assert client._calls.session.refresh_token == ""
        assert (await client.emergency_stop()).durable is False


# -- revoking --


async def ends(updates):
    """The stream ends with the error it is given."""
    with trio.fail_after(SECONDS), pytest.raises(AuthenticationError, match="sign-in has ended"):
        async for _ in updates:
            pass


@pytest.mark.parametrize("how", ["this", "all", "reuse", "suspended"])
async def test_a_revocation_bites_at_once_open_streams_too(site, how):
    async with site.running() as program, site.client("pro") as client, site.client("enterprise") as neighbour:
        stolen = client._calls.session.refresh_token
        async with (
            client.stream_positions() as positions,
            client.stream_opportunities() as opportunities,
            neighbour.stream_positions() as untouched,
        ):
            await anext(positions)
            await anext(untouched)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ends, positions)
                nursery.start_soon(ends, opportunities)
                await trio.sleep(0.05)
                if how == "reuse":
                    await client.refresh()
                    site.later.seconds += GRACE_MS / 1000 + 1
                    client._calls.session.refresh_token = stolen
                    with pytest.raises(AuthenticationError):
                        await client.refresh()
                elif how == "suspended":
                    await program.arbiter.core.accounts.ask(SetSuspended(UserId("pro"), True), timeout=5)
                else:
                    assert await client.revoke_tokens(how) == 1
            for each in (client.get_profile, client.refresh):
                with pytest.raises(AuthenticationError):
                    await each()
            with trio.move_on_after(0.1) as still:
                await anext(untouched)
            assert still.cancelled_caught
            assert (await neighbour.get_profile()).user == "enterprise"
        assert program.arbiter.front.server.calls <= 1
        await client.authenticate(site.api_keys["pro"])
        assert (await client.get_profile()).suspended is (how == "suspended")


async def test_all_others_end_and_mine_goes_on(site):
    async with site.running() as program, site.client("pro") as mine, site.client("pro") as other, site.client() as plain:
        plain._calls.session.token = program.token("pro")
        assert (await plain.get_profile()).user == "pro"
        assert await mine.revoke_tokens("others") == 1
        for each in (other.get_profile, other.refresh, plain.get_profile):
            with pytest.raises(AuthenticationError):
                await each()
        assert (await mine.get_profile()).user == "pro"
        await mine.refresh()
        assert (await mine.get_profile()).user == "pro"


async def test_a_revoked_sign_in_stays_ended_over_a_restart(site):
    async with site.running() as program, site.client("pro") as first, site.client("free") as second, site.client() as third:
        await first.revoke_tokens("this")
        await second.revoke_tokens("all")
        third._calls.session.token = program.token("enterprise")
        await third.revoke_tokens("all")
        ended = [(each._calls.session.token, each._calls.session.refresh_token) for each in (first, second, third)]
    async with site.running(), site.client() as client:
        for client._calls.session.token, client._calls.session.refresh_token in ended:
            for each in (client.get_profile, client.refresh):
                with pytest.raises(AuthenticationError):
                    await each()


async def test_a_token_without_a_sign_in_of_its_own_cannot_end_this(site):
    async with site.running() as program, site.client() as client:
        client._calls.session.token = program.token("pro")
        with pytest.raises(InvalidRequestError, match="scope: this token has no sign-in of its own to end; end ALL"):
            await client.revoke_tokens("this")
        assert await client.revoke_tokens("all") == 0
        with pytest.raises(AuthenticationError, match="sign-in has ended"):
            await client.get_profile()


# -- API keys --


async def test_a_rotated_api_key_is_shown_once_and_the_old_one_and_other_sign_ins_end_at_once(site):
    async with site.running() as program, site.client("pro") as mine, site.client("pro") as other, site.client() as late:
        async with mine.stream_positions() as still_open, other.stream_positions() as updates:
            await anext(still_open)
            await anext(updates)
            new = await mine.rotate_api_key()
            await ends(updates)
            with trio.move_on_after(0.1) as still:
                await anext(still_open)
            assert still.cancelled_caught
        with pytest.raises(AuthenticationError, match="API key is not valid"):
            await late.authenticate(site.api_keys["pro"])
        for each in (other.get_profile, other.refresh):
            with pytest.raises(AuthenticationError):
                await each()
        # the answer was lost: the same sign-in can ask again, also after its token expired
        site.later.seconds += ACCESS_MS / 1000
        await mine.refresh()
        newer = await mine.rotate_api_key()
        with pytest.raises(AuthenticationError):
            await late.authenticate(new)
        await late.authenticate(newer)
        assert (await late.get_profile()).user == "pro"
        assert [what for _, what, _ in await site.audit("API key")] == ["API key rotated"] * 2
        assert newer not in str(await program.store.audit_after(0, 100))
    async with site.running(), site.client() as client:
        await client.authenticate(newer)


# -- the bot --


async def linked(program, user="pro"):
    code = (await program.arbiter.core.accounts.ask(CreateLinkCode(UserId(user)), timeout=5)).code
    await program.arbiter.core.accounts.ask(RedeemLinkCode(code, PHONE, "phone"), timeout=5)


async def test_the_bots_token_has_no_refresh_touches_no_credential_and_each_use_is_audited(site):
    async with site.running() as program, site.client() as bridge:
        await linked(program)
        token, _ = await bridge.authenticate_bot(CREDENTIAL, PHONE)
        me = bridge.acting_as(token)
        assert (await me.get_profile()).user == "pro"
        for refused in (me.revoke_tokens, me.rotate_api_key, me.enrol_totp, me.get_totp_status, me.create_link_code, me.list_actors):
            with pytest.raises(NotPermittedError, match="cannot be done from Telegram"):
                await refused()
        for refused in (me.confirm_totp, me.disable_totp):
            with pytest.raises(NotPermittedError, match="cannot be done from Telegram"):
                await refused("123456")
        assert await site.audit("bot") == [("bot", "token issued to the bot", "OK")]


async def test_unlinking_ends_the_streams_that_the_bot_holds_open(site):
    async with site.running() as program, site.client() as bridge, site.client("pro") as owner:
        await linked(program)
        token, _ = await bridge.authenticate_bot(CREDENTIAL, PHONE)
        async with bridge.acting_as(token).stream_positions() as updates, owner.stream_positions() as own:
            await anext(updates)
            await anext(own)
            assert await owner.unlink()
            await ends(updates)
            assert (await owner.get_profile()).telegram_name is None


async def test_revoking_all_ends_the_bots_tokens_and_it_can_sign_in_anew(site):
    async with site.running() as program, site.client() as bridge, site.client("pro") as owner:
        await linked(program)
        token, _ = await bridge.authenticate_bot(CREDENTIAL, PHONE)
        await owner.revoke_tokens("all")
        with pytest.raises(AuthenticationError):
            await bridge.acting_as(token).get_profile()
        token, _ = await bridge.authenticate_bot(CREDENTIAL, PHONE)
        assert (await bridge.acting_as(token).get_profile()).user == "pro"


# -- abuse --


async def test_failures_are_throttled_and_whoever_brings_something_valid_always_passes(site):
    async with site.running() as program, site.client("pro") as client, site.client() as attacker:
        for _ in range(FAILURES_A_MINUTE):
            with pytest.raises(AuthenticationError):
                await attacker.authenticate("arb_0011223344556677_" + "x" * 43)
        attempts = (
            lambda: attacker.authenticate("arb_0011223344556677_" + "x" * 43),
            lambda: attacker.authenticate(site.api_keys["pro"][:-1]),
            lambda: attacker.authenticate_bot("wrong", PHONE),
            lambda: attacker.redeem_link_code("wrong", "code", PHONE, "name"),
            attacker.refresh,
        )
        for attempt in attempts:
            with pytest.raises(RateLimitError) as caught:
                await attempt()
            assert 0 < caught.value.retry_after_ms <= 60_000
        assert (await client.get_profile()).user == "pro"
        await client.refresh()
        await client.authenticate(site.api_keys["pro"])
        plain = client.acting_as(program.token("free"))
        assert (await plain.get_profile()).user == "free"


async def test_forged_tokens_are_refused_however_they_are_made(site):
    async with site.running() as program, site.client("pro") as client:
        good = client._calls.session.token
        header, claims, signature = good.split(".")
        kid = jwt.get_unverified_header(good)["kid"]
        body = jwt.decode(good, options={"verify_signature": False})

        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

        forged = [
            f"{part({'alg': 'none', 'kid': kid})}.{claims}.",
            f"{part({'alg': 'HS256', 'kid': kid})}.{claims}.{signature}",
            f"{header}.{part({**body, 'sub': 'operator'})}.{signature}",
            f"{header}.{part({**body, 'exp': body['exp'] + 9})}.{signature}",
            f"{header}.{claims}.{signature[:-4]}AAAA",
            f"{header}.{claims}",
            good + "x" * 100_00,
            "x" * 7_000,
            "a.b.c",
        ]
        for token in forged:
            with pytest.raises((AuthenticationError, RateLimitError)):
                await client.acting_as(token).get_profile()
        assert (await client.get_profile()).user == "pro"
        # signed by this very instance, for a family of somebody else
        family = jwt.decode(good, options={"verify_signature": False})["fid"]
        token, _ = program.arbiter.front.tokens.issue(UserId("operator"), family=family)
        with pytest.raises(AuthenticationError, match="sign-in has ended"):
            await client.acting_as(token).get_profile()


async def test_one_user_cannot_fill_the_store_with_sign_ins(site):
    async def sign_in_for_ever(client):
        while True:
            await client.authenticate(site.api_keys["pro"])

    async with site.running(), site.client() as client, site.client("free") as other:
        with trio.fail_after(SECONDS), pytest.raises(RateLimitError, match=f"more than {SIGN_INS_PER_MINUTE} sign-ins"):
            await sign_in_for_ever(client)
        assert (await client.get_profile()).user == "pro"
        await other.refresh()


async def test_every_sign_in_is_audited(site):
    async with site.running(), site.client("pro") as client:
        await client.revoke_tokens("this")
        assert await site.audit() == [("pro", "token issued", "OK"), ("pro", "tokens revoked", "OK")]


async def test_an_account_of_an_earlier_version_still_signs_in(site):
    async with site.running():
        pass
    store = SqliteStore(site._path, InlineRunner)
    await store.open()
    for account in await store.accounts():
        await store.commit([(PutAccount(account),)])
        raw = store._writer.execute("SELECT body FROM accounts WHERE user = ?", (account.user,)).fetchone()[0]
        old = {name: value for name, value in json.loads(raw).items() if name not in ("session_epoch", "kept_family")}
        old["settings"].pop("totp_above")
        store._writer.execute("UPDATE accounts SET body = ? WHERE user = ?", (json.dumps(old).encode(), account.user))
    await store.close()
    async with site.running(), site.client("pro") as client:
        assert (await client.get_profile()).user == "pro"

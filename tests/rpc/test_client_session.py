"""A client's sign-in: renewed ahead of its end and when it is refused, once for all who wait; a secret is never shown."""

import base64
import json
from contextlib import asynccontextmanager

import pytest
import trio

from arbiter.domain.families import GRACE_MS
from arbiter.rpc.client import ArbiterClient, AuthenticationError, NotConnected, RateLimitError, UnavailableError, UncertainError
from arbiter.rpc.client_session import LIFE_SECONDS, RENEW_AT, REPEAT_SECONDS, Grant, Session, life_of
from arbiter.rpc.tokens import ACCESS_MS
from arbiter.store.memory import MemoryStore
from tests.rpc.shaky_proxy import ShakyProxy

SECONDS = 20
LIFE = 900


def token(number, life=LIFE):
    claims = base64.urlsafe_b64encode(json.dumps({"iat": 1_000, "exp": 1_000 + life, "n": number}).encode()).rstrip(b"=").decode()
    return f"head.{claims}.signature{number}"


class Issuer:
    """Counts, and fails as it is told. A refresh token is good once, as on a server."""

    def __init__(self):
        self.signed_in, self.exchanged = [], []
        self.failures = []
        self.seconds = 0.0
        self.forgets = False

    async def sign_in(self, api_key):
        self.signed_in.append(api_key)
        return await self._grant()

    async def exchange(self, refresh_token):
        self.exchanged.append(refresh_token)
        return await self._grant()

    async def _grant(self):
        await trio.sleep(self.seconds)
        if self.failures:
            raise self.failures.pop(0)
        number = len(self.signed_in) + len(self.exchanged)
        return Grant(token(number), "" if self.forgets else f"refresh{number}")


@pytest.fixture
def issuer():
    return Issuer()


async def signed_in(issuer, *, keep_key=True):
    session = Session()
    await session.sign_in(issuer, "key", keep_key=keep_key)
    return session


REFUSED = AuthenticationError("no", "UNAUTHENTICATED")


# -- ahead of its end --


async def test_a_token_is_used_until_most_of_its_life_is_over_and_renewed_then(issuer, autojump_clock):
    session = await signed_in(issuer)
    await trio.sleep(RENEW_AT * LIFE - 1)
    assert await session.current(issuer) == token(1)
    await trio.sleep(2)
    assert await session.current(issuer) == token(2)
    assert issuer.exchanged == ["refresh1"]
    await trio.sleep(RENEW_AT * LIFE + 1)
    assert await session.current(issuer) == token(3)
    assert issuer.exchanged == ["refresh1", "refresh2"]


async def test_only_the_length_of_its_life_counts_not_what_the_servers_clock_shows(issuer, autojump_clock):
    assert life_of(token(1, 300)) == 300
    for odd in ("", "a.b.c", "no token", "a." + base64.urlsafe_b64encode(b"[]").decode() + ".c", "a.e30.c", "x" * 10_000):
        assert life_of(odd) == LIFE_SECONDS


async def test_all_who_need_it_at_once_share_one_renewal(issuer, autojump_clock):
    session = await signed_in(issuer)
    await trio.sleep(LIFE)
    issuer.seconds = 1
    got = []

    async def need():
        got.append(await session.current(issuer))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(need)
    assert got == [token(2)] * 20
    assert issuer.exchanged == ["refresh1"]


async def test_while_renewing_ahead_fails_the_token_goes_on_and_calls_are_not_held_up(issuer, autojump_clock):
    session = await signed_in(issuer)
    await trio.sleep(RENEW_AT * LIFE)
    issuer.seconds = 3_600
    began = trio.current_time()
    for _ in range(3):
        assert await session.current(issuer) == token(1)
    assert trio.current_time() - began < 5
    issuer.seconds, issuer.failures = 0, [NotConnected("gone")]
    await trio.sleep(6)
    assert await session.current(issuer) == token(1)
    await trio.sleep(6)
    assert await session.current(issuer) != token(1)


# -- when it is refused --


async def test_a_refused_token_is_renewed_once_for_all_who_were_refused(issuer, autojump_clock):
    session = await signed_in(issuer)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(session.renew, issuer, token(1))
    assert (session.token, issuer.exchanged) == (token(2), ["refresh1"])
    assert await session.renew(issuer, token(1))
    assert issuer.exchanged == ["refresh1"]


async def test_a_sign_in_that_was_ended_begins_anew_with_the_key(issuer, autojump_clock):
    session = await signed_in(issuer)
    issuer.failures = [REFUSED]
    assert await session.renew(issuer, session.token)
    assert (issuer.exchanged, issuer.signed_in) == (["refresh1"], ["key", "key"])


async def test_without_the_key_an_ended_sign_in_stays_ended(issuer, autojump_clock):
    session = await signed_in(issuer, keep_key=False)
    issuer.failures = [REFUSED]
    with pytest.raises(AuthenticationError):
        await session.renew(issuer, session.token)
    assert not await session.renew(issuer, session.token)
    assert issuer.signed_in == ["key"]


async def test_a_key_that_is_refused_is_forgotten(issuer, autojump_clock):
    session = await signed_in(issuer)
    issuer.failures = [REFUSED, REFUSED]
    with pytest.raises(AuthenticationError):
        await session.renew(issuer, session.token)
    assert not await session.renew(issuer, session.token)
    assert issuer.signed_in == ["key", "key"]


async def test_a_sign_in_without_refresh_token_begins_anew_with_the_key_ahead_of_its_end(issuer, autojump_clock):
    """A server whose store takes nothing gives none."""
    issuer.forgets = True
    session = await signed_in(issuer)
    await trio.sleep(RENEW_AT * LIFE)
    assert await session.current(issuer) == token(2)
    assert issuer.signed_in == ["key", "key"]


@pytest.mark.parametrize("lost", [NotConnected("lost"), UncertainError("late", "DEADLINE_EXCEEDED"), UnavailableError("busy", "STORE")])
async def test_a_lost_answer_is_asked_for_again_with_the_same_refresh_token_while_the_server_allows_it(issuer, autojump_clock, lost):
    session = await signed_in(issuer)
    issuer.failures = [lost]
    with pytest.raises(UnavailableError, match="could not be renewed") as caught:
        await session.renew(issuer, session.token)
    assert not caught.value.begun
    await trio.sleep(REPEAT_SECONDS - 1)
    assert await session.renew(issuer, session.token)
    assert (issuer.exchanged, issuer.signed_in) == (["refresh1", "refresh1"], ["key"])
    assert REPEAT_SECONDS * 1000 < GRACE_MS


async def test_after_that_it_would_look_like_a_theft_so_the_key_is_used(issuer, autojump_clock):
    session = await signed_in(issuer)
    issuer.failures = [NotConnected("lost")]
    with pytest.raises(UnavailableError):
        await session.renew(issuer, session.token)
    await trio.sleep(REPEAT_SECONDS)
    assert await session.renew(issuer, session.token)
    assert (issuer.exchanged, issuer.signed_in) == (["refresh1"], ["key", "key"])


async def test_without_a_key_a_token_that_still_works_is_not_risked_for_it(issuer, autojump_clock):
    session = await signed_in(issuer, keep_key=False)
    await trio.sleep(RENEW_AT * LIFE)
    issuer.failures = [NotConnected("lost")]
    await session.current(issuer)
    await trio.sleep(REPEAT_SECONDS)
    assert await session.current(issuer) == token(1)
    assert issuer.exchanged == ["refresh1"]


async def test_a_renewal_that_is_cancelled_is_taken_up_by_the_next(issuer, autojump_clock):
    session = await signed_in(issuer)
    issuer.seconds = 5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.renew, issuer, session.token)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert await session.renew(issuer, session.token)
    assert issuer.exchanged == ["refresh1", "refresh1"]


async def test_a_limit_on_renewing_is_told_as_one(issuer, autojump_clock):
    session = await signed_in(issuer)
    issuer.failures = [RateLimitError("slow down", "LIMIT_EXCEEDED", 700)]
    with pytest.raises(RateLimitError) as caught:
        await session.renew(issuer, session.token)
    assert caught.value.retry_after_ms == 700


async def test_a_sign_in_that_was_ended_on_purpose_is_not_renewed(issuer, autojump_clock):
    session = await signed_in(issuer)
    session.end()
    await trio.sleep(LIFE)
    assert await session.current(issuer) == token(1)
    assert not await session.renew(issuer, token(1))
    assert (issuer.exchanged, issuer.signed_in) == ([], ["key"])


async def test_nothing_that_prints_shows_a_secret(issuer, autojump_clock):
    session = await signed_in(issuer)
    client = ArbiterClient("127.0.0.1:1", token=session.token)
    shown = f"{session!r} {client!r} {client._calls.session!r} {Grant('secret', 'refresh')!r} {Grant('secret', 'refresh')}"
    for secret in ("key", "secret", "refresh1", session.token):
        assert secret not in shown.replace("Session", "")


# -- on the real server --


@pytest.fixture
async def signed(start_program, later):
    """A program whose time of day can be set forward, and a client of it behind a proxy."""

    @asynccontextmanager
    async def opened(user="pro", **options):
        async with ShakyProxy(program.port).running() as proxy, ArbiterClient.open(proxy.address) as client:
            await client.authenticate(program.api_keys[user], **options)
            yield client, proxy, program

    with trio.fail_after(SECONDS):
        async with start_program(MemoryStore(), later=later) as program:
            yield opened


async def test_an_expired_token_is_replaced_within_the_call_also_for_many_at_once(signed, later):
    async with signed(keep_key=False) as (client, _, _):
        first = client._calls.session.token
        later.seconds += ACCESS_MS / 1000
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(client.get_profile)
        assert client._calls.session.token != first
        later.seconds += ACCESS_MS / 1000
        assert (await client.get_profile()).user == "pro"


async def test_a_sign_in_ended_from_elsewhere_begins_anew_where_the_key_was_kept(signed):
    async with (
        signed() as (client, proxy, program),
        ArbiterClient.open(proxy.address, token=program.token("pro")) as owner,
        client.stream_positions() as changes,
    ):
        await anext(changes)
        await owner.revoke_tokens("all")
        assert (await client.get_profile()).user == "pro"
        assert (await anext(changes)).resumed


async def test_a_sign_in_ended_from_elsewhere_is_an_error_where_it_was_not(signed):
    async with signed(keep_key=False) as (client, proxy, program), ArbiterClient.open(proxy.address, token=program.token("pro")) as owner:
        async with client.stream_positions() as changes:
            await anext(changes)
            await owner.revoke_tokens("all")
            with pytest.raises(AuthenticationError):
                await anext(changes)
        with pytest.raises(AuthenticationError):
            await client.get_profile()


async def test_signing_out_stays_signed_out(signed):
    async with signed() as (client, _, program):
        await client.revoke_tokens("this")
        with pytest.raises(AuthenticationError):
            await client.get_profile()
        await client.authenticate(program.api_keys["pro"])
        assert (await client.get_profile()).user == "pro"


async def test_the_new_key_takes_the_place_of_the_old(signed):
    async with signed() as (client, _, _):
        key = await client.rotate_api_key()
        assert client._calls.session._api_key == key
        client._calls.session.refresh_token = "arr_" + "0" * 97
        assert await client._calls.session.renew(client._calls, client._calls.session.token)
        assert (await client.get_profile()).user == "pro"


async def test_an_answer_that_was_lost_on_the_way_costs_no_sign_in(signed, later):
    async with signed(keep_key=False) as (client, proxy, _), trio.open_nursery() as nursery:
        later.seconds += ACCESS_MS / 1000
        refreshed = client._calls.session.refresh_token
        proxy.hold_answers()
        nursery.start_soon(client.refresh)
        await trio.sleep(0.2)
        proxy.cut()
        proxy.release()
        assert (await client.get_profile()).user == "pro"
        assert client._calls.session.refresh_token != refreshed

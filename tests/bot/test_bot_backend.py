"""The connection to the core and the users' tokens, against a real server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio

from arbiter.bot.backend import Backend
from arbiter.bot.faults import NotLinked
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import AuthenticationError, NotConnected, RateLimitError, RefusedError
from arbiter.runtime import Environment

CREDENTIAL = "credential of the bot tests"
ANN = 42


class Clock:
    """The time of day, turned by hand."""

    def __init__(self) -> None:
        self.ms = Environment.real().unix_ms()

    @property
    def environment(self) -> Environment:
        return Environment(lambda: self.ms, trio.current_time, Random(1))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connected(clock: Clock) -> Callable[[str], Any]:
    @asynccontextmanager
    async def run(server: str, credential: str = CREDENTIAL) -> AsyncIterator[Backend]:
        backend = Backend(server, credential, clock.environment)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backend.keep_connected)
            yield backend
            nursery.cancel_scope.cancel()

    return run


class Proxy:
    """Passes bytes on, and hangs up when told."""

    def __init__(self, port: int) -> None:
        self.port, self.target, self.connections = 0, port, 0
        self._scope = trio.CancelScope()

    async def serve(self, task_status: trio.TaskStatus[None]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self._pass_on, [listener])
            task_status.started()

    def hang_up(self) -> None:
        self._scope.cancel()
        self._scope = trio.CancelScope()

    async def _pass_on(self, client: trio.SocketStream) -> None:
        self.connections += 1
        with self._scope:
            async with client, await trio.open_tcp_stream("127.0.0.1", self.target) as server, trio.open_nursery() as nursery:
                nursery.start_soon(_pump, client, server)
                await _pump(server, client)
                nursery.cancel_scope.cancel()


async def _pump(source: trio.SocketStream, target: trio.SocketStream) -> None:
    try:
        async for data in source:
            await target.send_all(data)
    except trio.BrokenResourceError:
        pass


async def link(program: Any, backend: Backend) -> None:
    await backend.redeem(await program.code(), ANN, "Ann")


async def test_a_token_is_asked_for_once_and_renewed_before_it_expires(program: Any, connected: Any, clock: Clock) -> None:
    async with connected(program.address) as backend:
        await link(program, backend)
        tokens = []
        for passed in (0, 60_000, 180_000, 40_000):
            clock.ms += passed
            tokens.append(await backend.ask(ANN, _token))
    assert tokens[0] == tokens[1] == tokens[2]
    assert tokens[3] != tokens[0]


async def _token(client: ArbiterClient) -> str:
    return client._calls.session.token


async def test_a_refused_token_is_dropped_and_the_call_made_again(program: Any, connected: Any) -> None:
    async with connected(program.address) as backend:
        await link(program, backend)
        backend._tokens[ANN] = ("no token", 10**15)
        assert (await backend.ask(ANN, ArbiterClient.get_profile)).tier == "pro"


async def test_a_refusal_is_made_only_once(program: Any, connected: Any) -> None:
    calls = 0

    async def refuse(client: ArbiterClient) -> None:
        nonlocal calls
        calls += 1
        raise RefusedError("no", "NO")

    async with connected(program.address) as backend:
        await link(program, backend)
        with pytest.raises(RefusedError):
            await backend.ask(ANN, refuse)
    assert calls == 1


async def test_a_lost_connection_is_made_anew_within_the_call(program: Any, connected: Any) -> None:
    proxy = Proxy(program.port)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        async with connected(f"127.0.0.1:{proxy.port}") as backend:
            await link(program, backend)
            for _ in range(3):
                proxy.hang_up()
                assert (await backend.ask(ANN, ArbiterClient.get_profile)).tier == "pro"
            assert proxy.connections == 4
        nursery.cancel_scope.cancel()


async def test_many_askers_share_one_connection(program: Any, connected: Any) -> None:
    proxy = Proxy(program.port)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        async with connected(f"127.0.0.1:{proxy.port}") as backend:
            async with trio.open_nursery() as askers:
                for user in range(1, 20):
                    askers.start_soon(_is_stranger, backend, user)
            assert proxy.connections == 1
        nursery.cancel_scope.cancel()


async def _is_stranger(backend: Backend, user: int) -> None:
    with pytest.raises(NotLinked):
        await backend.require_linked(user)


async def test_strangers_cost_one_sign_in_in_a_while(program: Any, connected: Any, clock: Clock) -> None:
    async with connected(program.address) as backend:
        for _ in range(200):  # more than the core lets sign in at once
            await _is_stranger(backend, ANN)
        await link(program, backend)
        await backend.require_linked(ANN)


async def test_without_a_core_the_answer_comes_soon(connected: Any, logged: list[Any]) -> None:
    async with connected("127.0.0.1:1") as backend:
        began = trio.current_time()
        for _ in range(5):
            with pytest.raises(NotConnected):
                await backend.require_linked(ANN)
        assert trio.current_time() - began < 3
    assert len([line for line in logged if line["event"] == "the core cannot be reached"]) <= 1


async def test_a_core_that_never_answers_is_given_up(connected: Any, autojump_clock: Any) -> None:
    async with connected("no port") as backend:
        with pytest.raises(NotConnected):
            await backend.require_linked(ANN)


async def test_a_wrong_credential_is_an_authentication_error(program: Any, connected: Any) -> None:
    async with connected(program.address, credential="wrong") as backend:
        with pytest.raises(AuthenticationError):
            await backend.require_linked(ANN)
        with pytest.raises(AuthenticationError):
            await backend.redeem("CODE", ANN, "Ann")


async def test_at_the_start_it_is_said_whether_the_core_is_there_and_takes_the_credential(
    program: Any, connected: Any, logged: list[Any]
) -> None:
    for server, credential in ((program.address, CREDENTIAL), (program.address, "wrong"), ("127.0.0.1:1", CREDENTIAL)):
        async with connected(server, credential) as backend:
            await backend.check()
    told = [(line["log_level"], line["event"]) for line in logged if "credential" in line["event"] or "yet" in line["event"]]
    assert [level for level, _ in told] == ["info", "error", "warning"]
    assert "takes the bot's credential" in told[0][1]
    assert "does not take" in told[1][1]
    assert "goes on and tries again" in told[2][1]
    assert CREDENTIAL not in str(logged)


async def test_guessing_codes_meets_the_limit(program: Any, connected: Any) -> None:
    async with connected(program.address) as backend:
        for _ in range(5):
            with pytest.raises(Exception, match="not valid"):
                await backend.redeem("WRONG", ANN, "Ann")
        with pytest.raises(RateLimitError) as caught:
            await backend.redeem("WRONG", ANN, "Ann")
    assert caught.value.retry_after_ms > 60_000

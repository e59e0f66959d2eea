"""The shells: sockets and memory carry the same bytes, and a peer that hangs or leaves holds nothing up."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import trio
import trio.testing
from trio.testing import lockstep_stream_pair, memory_stream_pair

from arbiter.domain.book import LevelChange, PublicTrade, Side
from arbiter.domain.money import parse_micros
from arbiter.sandbox import shells
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.http import Connection
from arbiter.sandbox.shells import CLOSE_SECONDS, WRITE_SECONDS, MemoryNetwork, Ports, Shell, Wake, serve_sandbox, serve_sockets

NOW = 1_767_225_600_123
GET = b"GET /time HTTP/1.1\r\nhost: v\r\n\r\n"
UPGRADE = (
    "GET {path} HTTP/1.1\r\nhost: v\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-extensions: permessage-deflate\r\n{headers}\r\n"
)


def still(sandbox: Sandbox) -> Shell:
    """A shell whose clock stands still; nothing ticks but by the test."""
    return Shell(sandbox, lambda: NOW, Wake())


@pytest.fixture
def shell(sandbox):
    return still(sandbox)


def text_frame(text: bytes) -> bytes:
    """A masked frame with a mask of zero."""
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


@dataclass(frozen=True)
class Step:
    """What a client sends, or what the world tells, and the answer is awaited in full."""

    send: bytes = b""
    events: Callable[[Sandbox], None] | None = None


def polymarket_script(world) -> list[Step]:
    market = world.markets[0]
    change = LevelChange(market.yes_key, Side.BUY, parse_micros("0.43"), parse_micros("12"))
    return [
        Step(b"GET /markets/keyset?limit=2 HTTP/1.1\r\nhost: v\r\n\r\n" + GET),
        Step(b"GET /nowhere HTTP/1.1\r\nhost: v\r\n\r\n"),
        Step(UPGRADE.format(path="/ws/market", headers="").encode()),
        Step(text_frame(b'{"type":"market","assets_ids":["1001","1002"]}')),
        Step(events=lambda sandbox: sandbox.polymarket.apply(change, NOW + 20)),
        Step(text_frame(b"PING")),
        Step(events=lambda sandbox: sandbox.polymarket.fault_close()),
    ]


def kalshi_script(world, signed) -> list[Step]:
    market = next(m for m in world.markets if m.key.market == "KXGAME-26FEB01-A")
    trade = PublicTrade(market.yes_key, parse_micros("0.44"), parse_micros("1"), Side.BUY)
    headers = "".join(f"{name}: {value}\r\n" for name, value in signed().items())
    return [
        Step(b"GET /trade-api/v2/markets?limit=1 HTTP/1.1\r\nhost: v\r\n\r\n"),
        Step(UPGRADE.format(path="/trade-api/ws/v2", headers="").encode()),
        Step(UPGRADE.format(path="/trade-api/ws/v2", headers=headers).encode()),
        Step(text_frame(b'{"id":1,"cmd":"subscribe","params":{"channels":["trade","ticker"]}}')),
        Step(events=lambda sandbox: sandbox.kalshi.apply(trade, NOW + 20)),
        Step(events=lambda sandbox: sandbox.kalshi.tick(NOW + 10_000)),
    ]


def expected(sandbox, app, script: list[Step]) -> list[bytes]:
    """What the engine answers to each step, with no shell at all."""
    connection, answers = Connection(app), []
    for step in script:
        if step.events:
            step.events(sandbox)
        else:
            connection.receive(step.send, NOW)
        answers.append(connection.data_to_send())
    connection.end()
    return answers


async def play(shell: Shell, stream: trio.abc.Stream, script: list[Step], lengths: list[int]) -> list[bytes]:
    """The same through a stream; each answer is read to its expected length."""
    answers = []
    with trio.fail_after(5):
        for step, length in zip(script, lengths, strict=True):
            if step.events:
                step.events(shell.sandbox)
                shell.wake.all()
            else:
                await stream.send_all(step.send)
            answer = b""
            while len(answer) < length:
                chunk = await stream.receive_some(length - len(answer))
                assert chunk, "the server hung up"
                answer += chunk
            answers.append(answer)
    return answers


@pytest.mark.parametrize("venue", ["polymarket", "kalshi"])
async def test_memory_and_sockets_carry_the_very_bytes_of_the_engine(venue, make_sandbox, world, signed, nursery):
    script = polymarket_script(world) if venue == "polymarket" else kalshi_script(world, signed)
    pure, by_memory, by_socket = make_sandbox(), still(make_sandbox()), still(make_sandbox())
    answers = expected(pure, getattr(pure, venue), script)
    assert all(answers)
    lengths = [len(answer) for answer in answers]

    network = MemoryNetwork(by_memory, {"venue": getattr(by_memory.sandbox, venue)}, nursery)
    async with await network.connect("venue", 443, tls=True) as stream:
        assert await play(by_memory, stream, script, lengths) == answers

    port = await nursery.start(serve_sockets, by_socket, getattr(by_socket.sandbox, venue), 0)
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        assert await play(by_socket, stream, script, lengths) == answers
    nursery.cancel_scope.cancel()


async def test_a_served_sandbox_tells_its_ports_ticks_and_pushes_by_itself(sandbox, world, nursery):
    shell = Shell(sandbox, lambda: NOW, Wake())
    ports = await nursery.start(serve_sandbox, shell)
    assert isinstance(ports, Ports)
    assert 0 < ports.polymarket != ports.kalshi > 0
    with trio.fail_after(5):
        async with await trio.open_tcp_stream("127.0.0.1", ports.kalshi) as stream:
            await stream.send_all(b"GET /trade-api/v2/exchange/status HTTP/1.1\r\nhost: v\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        async with await trio.open_tcp_stream("127.0.0.1", ports.polymarket) as stream:
            await stream.send_all(UPGRADE.format(path="/ws/market", headers="").encode())
            await stream.receive_some()
            await stream.send_all(text_frame(b'{"type":"market","assets_ids":["1001"]}'))
            await stream.receive_some()
            world.write(LevelChange(world.markets[0].yes_key, Side.BUY, parse_micros("0.43"), parse_micros("12")))
            assert await stream.receive_some()
    nursery.cancel_scope.cancel()


async def test_a_busy_port_raises_the_error_of_the_system(shell, nursery):
    ports = await nursery.start(serve_sandbox, shell)
    with pytest.raises(OSError, match="in use"):
        await serve_sandbox(shell, kalshi_port=ports.kalshi)
    with pytest.raises(OSError, match="in use"):
        await serve_sockets(shell, shell.sandbox.polymarket, ports.polymarket)
    nursery.cancel_scope.cancel()


async def test_the_servers_listen_on_one_loopback_address_only(shell, nursery):
    ports = await nursery.start(serve_sandbox, shell)
    for port in ports:
        with pytest.raises(OSError), trio.fail_after(5):  # noqa: PT011 refused or unreachable: systems differ in words
            await trio.open_tcp_stream("127.0.0.2", port)
    nursery.cancel_scope.cancel()


async def test_one_connection_above_the_cap_is_closed_at_once_and_a_place_that_is_left_is_free(shell, monkeypatch, nursery):
    monkeypatch.setattr(shells, "CONNECTION_CAP", 2)
    port = await nursery.start(serve_sockets, shell, shell.sandbox.polymarket, 0)

    async def answer(stream: trio.SocketStream) -> bytes:
        try:
            await stream.send_all(GET)
            return await stream.receive_some()
        except trio.BrokenResourceError:
            return b""

    with trio.fail_after(5):
        first, second = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(2)]
        assert await answer(first)
        assert await answer(second)
        async with await trio.open_tcp_stream("127.0.0.1", port) as third:
            assert await answer(third) == b""
        await first.aclose()
        while True:  # the server needs a moment to see that the first has left
            async with await trio.open_tcp_stream("127.0.0.1", port) as fourth:
                if await answer(fourth):
                    break
        await second.aclose()
    nursery.cancel_scope.cancel()


async def test_memory_knows_its_hosts_only_and_can_be_cut_off(shell, nursery):
    network = MemoryNetwork(shell, {"clob": shell.sandbox.polymarket}, nursery)
    with pytest.raises(OSError, match="no route to nowhere:443"):
        await network.connect("nowhere", 443, tls=True)
    stream = await network.connect("clob", 443, tls=True)
    network.reachable = False
    with pytest.raises(OSError, match="no route to clob:443"):
        await network.connect("clob", 443, tls=True)
    await stream.send_all(GET)
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
    await stream.aclose()


# -- peers that hang or leave --


async def open_socket(stream: trio.abc.Stream) -> None:
    await stream.send_all(UPGRADE.format(path="/ws/market", headers="").encode())
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")


async def test_a_peer_that_leaves_is_forgotten_by_the_engine(shell, nursery):
    ours, theirs = memory_stream_pair()
    nursery.start_soon(shell.serve_stream, shell.sandbox.polymarket, theirs)
    await open_socket(ours)
    assert len(shell.sandbox.polymarket.sessions) == 1
    await ours.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert not shell.sandbox.polymarket.sessions


async def test_a_peer_that_does_not_read_is_dropped_after_a_while(shell, autojump_clock):
    ours, theirs = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shell.serve_stream, shell.sandbox.polymarket, theirs)
        await open_socket(ours)
        shell.sandbox.polymarket.fault_malformed()
        shell.wake.all()
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(WRITE_SECONDS)
    assert not shell.sandbox.polymarket.sessions


async def test_a_drop_cuts_a_connection_whose_reader_hangs(shell, autojump_clock):
    ours, theirs = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shell.serve_stream, shell.sandbox.polymarket, theirs)
        await open_socket(ours)
        shell.sandbox.polymarket.fault_malformed()
        shell.wake.all()
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        shell.sandbox.polymarket.fault_drop()
        shell.wake.all()
    assert trio.current_time() == began
    assert not shell.sandbox.polymarket.sessions


async def test_a_close_that_is_never_answered_ends_after_a_while(shell, autojump_clock):
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shell.serve_stream, shell.sandbox.polymarket, theirs)
        await open_socket(ours)
        shell.sandbox.polymarket.fault_close()
        shell.wake.all()
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(CLOSE_SECONDS)


async def test_garbage_is_answered_and_the_connection_closed(shell, nursery):
    ours, theirs = memory_stream_pair()
    nursery.start_soon(shell.serve_stream, shell.sandbox.kalshi, theirs)
    await ours.send_all(b"\x16\x03\x01 no http\r\n\r\n")
    assert (await ours.receive_some()).startswith(b"HTTP/1.1 400 ")
    assert await ours.receive_some() == b""

"""Clients that behave as clients on a bad network do, as a process of their own, so that the server's memory is seen alone.

python soak_load.py official|ours|rude ADDRESS SECONDS SEED, and one access token a line on standard input. It ends by itself and
tells as JSON how often what came of what it did, and what was left of it.
"""

import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.settings
import trio

from arbiter.rpc.channel import Channel
from arbiter.rpc.client_errors import ArbiterClientError, NotConnected
from arbiter.rpc.dial import connect
from arbiter.v1 import market_pb2, strategy_pb2, trading_pb2

WORKERS = {"official": 6, "ours": 12, "rude": 8}
PAUSE = 0.02
"""Seconds between what one worker does, at most."""
SECONDS = 30.0
"""Longer than any call may take here."""
STOLEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJlbnRlcnByaXNlIn0."
UNARY = (
    ("arbiter.v1.TradingService/GetPositions", trading_pb2.PositionsRequest(), trading_pb2.PositionsResponse),
    ("arbiter.v1.StrategyService/ListStrategies", strategy_pb2.ListRequest(), strategy_pb2.StrategiesResponse),
    ("arbiter.v1.MarketService/SearchMarkets", market_pb2.SearchMarketsRequest(words="reds"), market_pb2.SearchMarketsResponse),
)
STREAMS = (
    ("arbiter.v1.TradingService/StreamPositions", trading_pb2.PositionsRequest(), trading_pb2.PositionUpdate),
    ("arbiter.v1.TradingService/StreamOrders", trading_pb2.StreamOrdersRequest(), trading_pb2.OrderUpdate),
    ("arbiter.v1.StrategyService/GetArbOpportunities", strategy_pb2.ArbRequest(), strategy_pb2.ArbOpportunity),
)

Seen = Counter[str]


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


# -- the official client, in threads --


def official(address: str, seconds: float, random: Random, tokens: list[str]) -> Seen:
    seen: Seen = Counter()
    ends = time.monotonic() + seconds
    seeds = [random.random() for _ in range(WORKERS["official"])]
    workers = [threading.Thread(target=official_worker, args=(address, ends, Random(seed), tokens, seen)) for seed in seeds]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    return seen


def official_worker(address: str, ends: float, random: Random, tokens: list[str], seen: Seen) -> None:
    steps = (official_unary, official_late, official_stolen, official_reads_some, official_reads_until_late, official_drops)
    while time.monotonic() < ends:
        # a subchannel that another channel of this process shares is not closed with this one
        with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            for _ in range(random.randint(1, 30)):
                step = random.choice(steps)
                if time.monotonic() >= ends:
                    break
                seen[f"{step.__name__}: {outcome_of(step, channel, random, bearer(random.choice(tokens)))}"] += 1
                time.sleep(random.random() * PAUSE)
                if step is official_drops:
                    break


def outcome_of(step: Callable[..., Any], *arguments: Any) -> str:
    try:
        return str(step(*arguments) or "OK")
    except grpc.RpcError as error:
        return str(error.code().name)


def official_call(channel: grpc.Channel, kind: str, method: Any, metadata: Any, timeout: float) -> Any:
    path, request, reply = method
    call = getattr(channel, kind)(f"/{path}", request_serializer=type(request).SerializeToString, response_deserializer=reply.FromString)
    return call(request, metadata=metadata, timeout=timeout)


def official_unary(channel: grpc.Channel, random: Random, metadata: Any) -> None:
    official_call(channel, "unary_unary", random.choice(UNARY), metadata, SECONDS)


def official_late(channel: grpc.Channel, random: Random, metadata: Any) -> None:
    official_call(channel, "unary_unary", random.choice(UNARY), metadata, 0.001 * random.random())


def official_stolen(channel: grpc.Channel, random: Random, metadata: Any) -> None:
    official_call(channel, "unary_unary", random.choice(UNARY), bearer(STOLEN), SECONDS)


def official_stream(channel: grpc.Channel, random: Random, metadata: Any, timeout: float) -> Any:
    return official_call(channel, "unary_stream", random.choice(STREAMS), metadata, timeout)


def official_reads_some(channel: grpc.Channel, random: Random, metadata: Any) -> None:
    call = official_stream(channel, random, metadata, SECONDS)
    if random.random() < 0.5:
        call.cancel()
        return
    threading.Timer(random.random() / 2, call.cancel).start()
    try:
        for _ in call:
            time.sleep(random.random() * PAUSE)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.CANCELLED:
            raise


def official_reads_until_late(channel: grpc.Channel, random: Random, metadata: Any) -> None:
    for _ in official_stream(channel, random, metadata, random.random() / 2):
        pass


def official_drops(channel: grpc.Channel, random: Random, metadata: Any) -> None:
    """Streams that are under way when their channel goes."""
    calls = [official_stream(channel, random, metadata, SECONDS) for _ in range(random.randint(1, 5))]
    time.sleep(random.random() * PAUSE)
    channel.close()
    for call in calls:
        with suppress(grpc.RpcError):
            next(call)


# -- our own client --


async def ours(address: str, seconds: float, random: Random, tokens: list[str]) -> Seen:
    seen: Seen = Counter()
    host, _, port = address.rpartition(":")
    before = tasks()
    ends = trio.current_time() + seconds
    async with trio.open_nursery() as nursery:
        for _ in range(WORKERS["ours"]):
            nursery.start_soon(our_worker, host, int(port), ends, Random(random.random()), tokens, seen)
    seen["left over: tasks"] = tasks() - before
    return seen


def tasks() -> int:
    """All that live."""
    found, waiting = 0, [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        if task is not None:
            found += 1
            waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


async def our_worker(host: str, port: int, ends: float, random: Random, tokens: list[str], seen: Seen) -> None:
    steps = (our_unary, our_late, our_stolen, our_reads_some, our_reads_nothing, our_is_cancelled)
    while trio.current_time() < ends:
        async with connect(host, port) as channel, trio.open_nursery() as nursery:
            for _ in range(random.randint(1, 30)):
                if trio.current_time() >= ends:
                    break
                step = random.choice(steps)
                nursery.start_soon(our_step, step, channel, random, bearer(random.choice(tokens)), seen)
                await trio.sleep(random.random() * PAUSE)
            if random.random() < 0.3:
                nursery.cancel_scope.cancel()
        seen["left over: calls"] += len(channel.wire.streams)


async def our_step(step: Callable[..., Any], channel: Channel, random: Random, metadata: Any, seen: Seen) -> None:
    try:
        outcome = await step(channel, random, metadata) or "OK"
    except NotConnected as error:
        outcome = str(error)
    except ArbiterClientError as error:
        outcome = error.reason
    seen[f"{step.__name__}: {outcome}"] += 1


async def our_unary(channel: Channel, random: Random, metadata: Any) -> None:
    await channel.unary(*random.choice(UNARY), metadata, SECONDS)


async def our_late(channel: Channel, random: Random, metadata: Any) -> None:
    await channel.unary(*random.choice(UNARY), metadata, 0.001 * random.random())


async def our_stolen(channel: Channel, random: Random, metadata: Any) -> None:
    await channel.unary(*random.choice(UNARY), bearer(STOLEN), SECONDS)


async def our_reads_some(channel: Channel, random: Random, metadata: Any) -> None:
    with trio.move_on_after(random.random() / 2):
        async with channel.stream(*random.choice(STREAMS), metadata, str) as replies:
            async for _ in replies:
                await trio.sleep(random.random() * PAUSE)


async def our_reads_nothing(channel: Channel, random: Random, metadata: Any) -> None:
    async with channel.stream(*random.choice(STREAMS), metadata, str):
        await trio.sleep(random.random() / 2)


async def our_is_cancelled(channel: Channel, random: Random, metadata: Any) -> None:
    with trio.move_on_after(random.random() * 0.002):
        await our_unary(channel, random, metadata)


# -- peers that keep no rules --


async def rude(address: str, seconds: float, random: Random, tokens: list[str]) -> Seen:
    seen: Seen = Counter()
    host, _, port = address.rpartition(":")
    ends = trio.current_time() + seconds
    async with trio.open_nursery() as nursery:
        for _ in range(WORKERS["rude"]):
            nursery.start_soon(rude_worker, host, int(port), ends, Random(random.random()), tokens, seen)
        nursery.start_soon(says_nothing, host, int(port), ends, seen)
    return seen


async def says_nothing(host: str, port: int, ends: float, seen: Seen) -> None:
    """Connections that are opened, and that is all: the server has to let them go."""
    while trio.current_time() < ends:
        async with await trio.open_tcp_stream(host, port) as stream:
            with trio.move_on_at(max(ends, trio.current_time() + 1)) as scope:
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
            seen["says_nothing: was kept to the end" if scope.cancelled_caught else "says_nothing: was let go"] += 1


async def rude_worker(host: str, port: int, ends: float, random: Random, tokens: list[str], seen: Seen) -> None:
    steps = (sends_junk, breaks_off_in_a_frame, asks_and_vanishes, never_finishes_a_request, gives_no_window, resets_what_it_asks)
    while trio.current_time() < ends:
        step = random.choice(steps)
        outcome = "OK"
        with trio.move_on_after(SECONDS) as scope:
            try:
                async with await trio.open_tcp_stream(host, port) as stream:
                    await step(stream, random, random.choice(tokens))
                    if random.random() < 0.3:  # a reset instead of an end
                        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except trio.BrokenResourceError:
                outcome = "the server hung up"
        seen[f"{step.__name__}: {'too late' if scope.cancelled_caught else outcome}"] += 1
        await trio.sleep(random.random() * PAUSE)


def greeted(window: int = 65_535) -> h2.connection.H2Connection:
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    peer.initiate_connection()
    peer.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    return peer


def ask(peer: h2.connection.H2Connection, method: Any, token: str, *, end: bool = True) -> int:
    path, request, _ = method
    number = peer.get_next_available_stream_id()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", f"/{path}"), (":authority", "soak"), ("te", "trailers")]
    peer.send_headers(number, [*headers, ("content-type", "application/grpc"), *bearer(token)])
    body = request.SerializeToString()
    message = b"\0" + len(body).to_bytes(4, "big") + body
    peer.send_data(number, message if end else message[:3], end_stream=end)
    return int(number)


async def sends_junk(stream: trio.SocketStream, random: Random, token: str) -> None:
    await stream.send_all((b"" if random.random() < 0.5 else greeted().data_to_send()) + random.randbytes(random.randint(1, 2000)))
    with suppress(trio.BrokenResourceError), trio.move_on_after(1):
        while await stream.receive_some():
            pass


async def breaks_off_in_a_frame(stream: trio.SocketStream, random: Random, token: str) -> None:
    peer = greeted()
    ask(peer, random.choice(STREAMS), token)
    data = peer.data_to_send()
    await stream.send_all(data[: random.randint(1, len(data))])
    await trio.sleep(random.random() * PAUSE)


async def asks_and_vanishes(stream: trio.SocketStream, random: Random, token: str) -> None:
    peer = greeted()
    for _ in range(random.randint(1, 20)):
        ask(peer, random.choice(STREAMS + UNARY), token)
    await stream.send_all(peer.data_to_send())
    await trio.sleep(random.random() * PAUSE)


async def never_finishes_a_request(stream: trio.SocketStream, random: Random, token: str) -> None:
    peer = greeted()
    for _ in range(random.randint(1, 20)):
        ask(peer, random.choice(UNARY), token, end=False)
    await stream.send_all(peer.data_to_send())
    await trio.sleep(random.random())


async def gives_no_window(stream: trio.SocketStream, random: Random, token: str) -> None:
    """Asks for streams, takes next to nothing of them, and often does not even read."""
    peer = greeted(window=random.randint(0, 100))
    for _ in range(random.randint(1, 10)):
        ask(peer, random.choice(STREAMS + UNARY), token)
    await stream.send_all(peer.data_to_send())
    if random.random() < 0.5:
        await trio.sleep(random.random())
        return
    with trio.move_on_after(random.random()):
        while data := await stream.receive_some():
            peer.receive_data(bytes(data))
            await stream.send_all(peer.data_to_send())


async def resets_what_it_asks(stream: trio.SocketStream, random: Random, token: str) -> None:
    peer = greeted()
    for _ in range(random.randint(1, 50)):
        number = ask(peer, random.choice(STREAMS + UNARY), token)
        if random.random() < 0.8:
            peer.reset_stream(number)
    await stream.send_all(peer.data_to_send())
    await trio.sleep(random.random() * PAUSE)


if __name__ == "__main__":
    what, address, seconds, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    arguments = (address, seconds, Random(seed), sys.stdin.read().split())
    told = official(*arguments) if what == "official" else trio.run({"ours": ours, "rude": rude}[what], *arguments)
    print(json.dumps(told))

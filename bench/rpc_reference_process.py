"""The reference: an official `grpc.aio` server with the same handlers, in a process of its own.

    python -m bench.rpc_reference_process

Handlers are coroutines and asynchronous generators on the event loop, as its documentation advises; no thread pool, no
interceptor, no compression, no bound on concurrent calls, the channel argument `grpc.optimization_target` at throughput
(at latency it is slower in every part; `context.write` is no faster than `yield`). It checks no token and keeps no limits.
Each stream of opportunities has an `asyncio.Queue`; an update is made and serialised once, and every stream sends those
bytes (its handler has no serialiser). Orders as in `rpc_core_process.py`.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from arbiter.actors.market_feed import MarketData
from arbiter.rpc import codec
from arbiter.v1 import strategy_pb2, trading_pb2
from bench import rpc_work

OPTIONS = (("grpc.so_reuseport", 0), ("grpc.optimization_target", "throughput"))


class Reference(rpc_work.Work):
    """The handlers, and the task that answers what goes through a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: asyncio.Queue[asyncio.Future[tuple[Any, ...]]] = asyncio.Queue()
        self.readers: set[asyncio.Queue[bytes]] = set()

    async def held(self) -> tuple[Any, ...]:
        answer: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
        await self.asked.put(answer)
        return await answer

    async def answer(self) -> None:
        """The other side of the queue."""
        while True:
            (await self.asked.get()).set_result(())

    async def GetArbOpportunities(self, message: Any, request: Any) -> AsyncIterator[bytes]:  # noqa: N802 the contract's name
        changes: asyncio.Queue[bytes] = asyncio.Queue()
        self.readers.add(changes)
        self.running += 1
        try:
            while True:
                yield await changes.get()
        finally:
            self.running -= 1
            self.readers.remove(changes)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        def unary(handler: Any, request: Any) -> Any:
            # a message's own method serialises it, as in generated code
            return grpc.unary_unary_rpc_method_handler(handler, request.FromString, lambda reply: reply.SerializeToString())

        trading = {
            "GetWallet": unary(self.GetWallet, trading_pb2.WalletRequest),
            "GetPositions": unary(self.GetPositions, trading_pb2.PositionsRequest),
            "StreamPositions": grpc.unary_stream_rpc_method_handler(
                self.StreamPositions, trading_pb2.PositionsRequest.FromString, trading_pb2.PositionUpdate.SerializeToString
            ),
        }
        strategy = {
            "GetArbOpportunities": grpc.unary_stream_rpc_method_handler(self.GetArbOpportunities, strategy_pb2.ArbRequest.FromString)
        }
        return [
            grpc.method_handlers_generic_handler(rpc_work.TRADING, trading),
            grpc.method_handlers_generic_handler(rpc_work.STRATEGY, strategy),
        ]


class Orders:
    """What this process is told to do."""

    def __init__(self, work: Reference) -> None:
        self._work = work
        self._data = MarketData()
        self._changes = 0
        rpc_work.load_markets(self._data)

    def carry_out(self, do: str, **details: Any) -> dict[str, Any]:
        return getattr(self, do)(**details)

    def counts(self) -> dict[str, Any]:
        return {"ok": self._work.ok, "messages": self._work.messages, "running": self._work.running}

    def settle(self) -> dict[str, Any]:
        gc.collect()
        return {}

    def flood(self, count: int) -> dict[str, Any]:
        self._work.flood = count
        return {}

    def publish(self) -> dict[str, Any]:
        changed = rpc_work.change(self._changes)
        self._changes += 1
        at_ns = time.monotonic_ns()
        update = codec.opportunity_out(changed, self._data)
        update.sequence = self._changes
        sent = update.SerializeToString()
        for reader in self._work.readers:
            reader.put_nowait(sent)
        return {"at_ns": at_ns}

    def over(self) -> dict[str, Any]:
        """Nothing is kept here of what was published."""
        return {}


async def main() -> None:
    work = Reference()
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers(tuple(work.handlers()))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    answering = asyncio.create_task(work.answer())
    print(json.dumps({"port": port}), flush=True)
    orders, loop = Orders(work), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(orders.carry_out(**json.loads(line))), flush=True)
    answering.cancel()
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main())

"""Ours: Arbiter's server with its gate, over the real tree of actors, in a process of its own.

    python -m bench.rpc_core_process

Prints its port, and the tokens of the user who is measured and of the neighbour; then does what it is told on standard input, one JSON
object a line, and answers with one line.
"""

import bench.rpc_tiers  # first of all: it raises the limits  # isort: skip

import gc
import json
import sys
import time
from typing import Any

import msgspec
import structlog
import trio

from arbiter.actors.accounts import PutNewAccount
from arbiter.actors.position_tracker import GetPositions
from arbiter.app import compose
from arbiter.domain.account import Account, Tier
from arbiter.domain.ids import UserId
from arbiter.rpc.core import ASK_SECONDS, Core
from arbiter.rpc.front import correlation_ids
from arbiter.rpc.gate import Gate
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.request import Request
from arbiter.rpc.server import Server
from arbiter.rpc.strategy_service import StrategyService
from arbiter.rpc.tokens import Keys, TokenAuthority, make_signing_key
from arbiter.runtime import Environment
from arbiter.store.memory import MemoryStore
from arbiter.v1.trading_grpc import TradingServiceServicer
from bench import rpc_work

MEASURED = UserId("bench-measured-018f0000-0000-7000-8000-000000000001")
NEIGHBOUR = UserId("bench-neighbour-018f0000-0000-7000-8000-000000000002")
AUDIENCE = "arbiter/paper/" + "a-long-name-makes-a-token-of-600-bytes/" * 4


class Trading(rpc_work.Work, TradingServiceServicer):  # type: ignore[misc]  # generated, without types
    """The bench's handlers under the contract's names."""

    def __init__(self, core: Core) -> None:
        super().__init__()
        self._core = core

    async def held(self) -> tuple[Any, ...]:
        return await self._core.tracker.ask(GetPositions(MEASURED), timeout=ASK_SECONDS)


def make_server(core: Core, tokens: TokenAuthority, trading: Trading) -> Server:
    """As the front makes it, with the bench's TradingService."""
    gate = Gate(core, tokens)
    services = [trading.service, StrategyService(core, gate).service]

    def admit(call: Request) -> object:
        return gate.admit(call.service_name, call.method_name, call.custom_metadata)

    return Server(services, admit, correlation_ids(core.environment))


class Orders:
    """What this process is told to do."""

    def __init__(self, core: Core, trading: Trading, served: Server) -> None:
        self._core = core
        self._trading = trading
        self._server = served
        self._changes = 0

    def carry_out(self, do: str, **details: Any) -> dict[str, Any]:
        return getattr(self, do)(**details)

    def counts(self) -> dict[str, Any]:
        return {"ok": self._trading.ok, "messages": self._trading.messages, "running": self._server.calls}

    def settle(self) -> dict[str, Any]:
        gc.collect()
        return {}

    def flood(self, count: int) -> dict[str, Any]:
        self._trading.flood = count
        return {}

    def publish(self) -> dict[str, Any]:
        changed = rpc_work.change(self._changes)
        self._changes += 1
        at_ns = time.monotonic_ns()
        self._core.opportunities.publish(changed.id, changed)
        return {"at_ns": at_ns}

    def over(self) -> dict[str, Any]:
        """The opportunity is gone, so that the next streams begin with none."""
        self._core.opportunities.publish_passing(rpc_work.FOUND, msgspec.structs.replace(rpc_work.change(self._changes), state="closed"))
        return {}


async def main() -> None:
    environment = Environment.real()
    keys = Keys(make_signing_key(), b"pepper of the rpc bench", AUDIENCE)
    async with await open_listener("localhost", 0) as unused, await open_listener("localhost", 0) as listener:
        arbiter = compose(environment, MemoryStore(), [], (), keys, unused)
        core, tokens = arbiter.core, TokenAuthority(keys, environment)
        rpc_work.load_markets(core.data)
        trading = Trading(core)
        served = make_server(core, tokens, trading)
        async with trio.open_nursery() as nursery:
            await nursery.start(arbiter.supervisor.run)
            await open_account(core, MEASURED, bench.rpc_tiers.MEASURED)
            await open_account(core, NEIGHBOUR, bench.rpc_tiers.NEIGHBOUR)
            nursery.start_soon(served.serve, listener)
            reached = {"port": port_of(listener), "token": tokens.issue(MEASURED)[0], "neighbour": tokens.issue(NEIGHBOUR)[0]}
            print(json.dumps(reached), flush=True)
            orders = Orders(core, trading, served)
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                print(json.dumps(orders.carry_out(**json.loads(line))), flush=True)
            arbiter.supervisor.stop()
            nursery.cancel_scope.cancel()


async def open_account(core: Core, user: UserId, tier: Tier) -> None:
    await core.accounts.ask(PutNewAccount(Account(user, user, tier)), timeout=30.0)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    trio.run(main)

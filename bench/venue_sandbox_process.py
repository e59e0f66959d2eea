"""Both sandbox venues in a process of their own, on loopback, with so many markets each.

    python -m bench.venue_sandbox_process MARKETS

The first line of its input is Kalshi's public key, that of its output the ports. Then each line of input names what goes
wrong; the answer holds the monotonic nanosecond just before it did.
"""

import json
import sys
import time

import structlog
import trio

from arbiter.domain.book import LevelChange, Side
from arbiter.domain.money import Micros
from arbiter.runtime import Environment
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.generated import GeneratedWorld
from arbiter.sandbox.shells import Shell, Wake, serve_sandbox

KEY_ID = "bench-key"
SEED = 20_260_901
CENT = Micros(10_000)


class Orders:
    """What this process is told to do. Every open socket has it."""

    def __init__(self, sandbox: Sandbox, shell: Shell[Sandbox]) -> None:
        self._sandbox = sandbox
        self._shell = shell
        self._size = 1

    def carry_out(self, do: str) -> dict[str, int]:
        at_ns = time.monotonic_ns()
        getattr(self, do)()
        self._shell.wake.all()
        return {"at_ns": at_ns, "kalshi": len(self._sandbox.kalshi.sessions), "polymarket": len(self._sandbox.polymarket.sessions)}

    def nothing(self) -> None:
        """Only look at the clock."""

    def cut_polymarket(self) -> None:
        self._sandbox.polymarket.fault_drop()

    def cut_kalshi(self) -> None:
        self._sandbox.kalshi.fault_drop()

    def gap_kalshi(self) -> None:
        """A frame is lost, and the next one shows it."""
        self._sandbox.kalshi.fault_gap()
        book = next(iter(self._sandbox.kalshi.books.values()))
        self._size += 1
        self._sandbox.kalshi.apply(LevelChange(book.market.yes_key, Side.BUY, CENT, Micros(self._size * 1_000_000)), self._shell.unix_ms())


async def main() -> None:
    environment = Environment.real()
    public: str = json.loads(await trio.to_thread.run_sync(sys.stdin.readline))
    sandbox = Sandbox(GeneratedWorld(SEED, environment.unix_ms(), events=int(sys.argv[1])), {KEY_ID: public.encode()})
    shell = Shell(sandbox, environment.unix_ms, Wake())
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(serve_sandbox, shell)
        print(json.dumps(ports._asdict()), flush=True)
        orders = Orders(sandbox, shell)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            print(json.dumps(orders.carry_out(**json.loads(line))), flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    trio.run(main)

"""What these tests share: the sandbox recorded in memory, on time that jumps."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from trio.testing import MockClock

from arbiter.actors.arb_scanner import ArbScanner, OpportunityChanged, mailbox_key
from arbiter.actors.market_feed import MarketData, MarketFeed
from arbiter.domain.ids import OpportunityId
from arbiter.frames.file import FrameWriter
from arbiter.frames.lines import Header
from arbiter.frames.tap import Tap
from arbiter.runtime import Child, Conflate, Environment, Group, Supervisor, Topic
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.generated import GeneratedWorld
from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts

KEY_ID = "hush-key-id"
Disturb = Callable[[Shell[Sandbox]], Awaitable[object]]


class Live:
    """A run of the sandbox that was recorded: what the program found while it ran."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.changes: list[OpportunityChanged] = []
        self.statistics: list[dict[str, int]] = []


async def record_live(path: Path, seconds: float, *, events: int = 6, seed: int = 3, disturb: Disturb | None = None) -> Live:
    """The generated world through the production connectors, feeds and scanner, every byte of it also into a file."""
    environment = Environment.simulated(seed)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    world = GeneratedWorld(seed, environment.unix_ms(), events=events, rate=10)
    shell = Shell(Sandbox(world, {KEY_ID: public}), environment.unix_ms, Wake())
    polymarket_hosts = PolymarketHosts("http://polymarket", "http://polymarket", "ws://polymarket")
    kalshi_hosts = KalshiHosts("http://kalshi/trade-api/v2", "ws://kalshi")
    hosts = {"polymarket": msgspec.to_builtins(polymarket_hosts), "kalshi": msgspec.to_builtins(kalshi_hosts)}
    live = Live(path)
    data, opportunities = MarketData(), Topic[OpportunityId, OpportunityChanged]("opportunities")
    writer = FrameWriter(path, Header("arbiter-frames-1", environment.unix_ms(), hosts, list(world.pairs)))
    try:
        async with trio.open_nursery() as nursery:
            tap = Tap(environment.monotonic, environment.unix_ms)
            tap.start(writer)
            network = MemoryNetwork(shell, {"polymarket": shell.sandbox.polymarket, "kalshi": shell.sandbox.kalshi}, nursery)
            venues = [
                Polymarket(polymarket_hosts, tap.on("polymarket", network), environment),
                Kalshi(kalshi_hosts, KalshiSigner(KEY_ID, private), tap.on("kalshi", network), environment),
            ]
            scanner = Child(
                "arb_scanner",
                lambda: ArbScanner(world.pairs, data, opportunities, environment),
                mailbox=Conflate(mailbox_key),
            )
            feeds = [Child(f"{venue.name}_feed", lambda venue=venue: MarketFeed(venue, data, environment)) for venue in venues]
            nursery.start_soon(shell.tick_for_ever)
            with opportunities.deliver_to(live.changes.append):
                async with trio.open_nursery() as program:
                    program.start_soon(Supervisor(Group("root", [*feeds, scanner]), environment).run)
                    if disturb is not None:
                        program.start_soon(disturb, shell)
                    await trio.sleep(seconds)
                    tap.stop()
                    program.cancel_scope.cancel()
            live.statistics = [venue.statistics() for venue in venues]
            nursery.cancel_scope.cancel()
    finally:
        writer.close()
    return live


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Live]:
    """Records a run of so many seconds, which pass at once."""

    def run(seconds: float, **how: object) -> Live:
        return trio.run(partial(record_live, tmp_path / "live.zst", seconds, **how), clock=MockClock(autojump_threshold=0))

    return run

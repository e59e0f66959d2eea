"""`reconnect_s` and `resync_s`: from a lost connection, or a gap, to fresh books of 1,000 markets.

The production feeds and connectors on real sockets; the sandbox's venues are another process. From the nanosecond before the
fault, over noticing it, the backoff, connecting and subscribing, until the last book of both outcomes of all markets is
fresh again. Between two faults a connection lives for longer than the backoff remembers.
"""

import statistics
import time
from contextlib import ExitStack
from typing import Any

import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter.actors.market_feed import MarketData, MarketFeed
from arbiter.domain.ids import KALSHI, POLYMARKET, OutcomeKey, VenueId
from arbiter.runtime import Child, Environment, Group, Supervisor
from arbiter.venues.base import Venue
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.network import SocketNetwork
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts
from bench.process import Process
from bench.venue_sandbox_process import KEY_ID

TARGETS = {"reconnect_s": "<= 1", "resync_s": "<= 0.5"}
MARKETS = 1_000
ROUNDS, QUICK_ROUNDS = 7, 1
SETTLED_SECONDS = 11.0
POLL_SECONDS = 0.002
DEADLINE_SECONDS = 60.0
FAULTS = {"polymarket": ("cut_polymarket", POLYMARKET), "kalshi": ("cut_kalshi", KALSHI), "gap": ("gap_kalshi", KALSHI)}


def measure(*, quick: bool) -> dict[str, Any]:
    """The figures, medians of the rounds; `reconnect_s` is the slower venue's."""
    with ExitStack() as stack:
        other = Process(stack, "venue_sandbox_process", MARKETS)
        return trio.run(_measure, other, QUICK_ROUNDS if quick else ROUNDS)


async def _measure(other: Process, rounds: int) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    venues = await _venues(other, key)
    data, environment = MarketData(), Environment.real()
    children = [Child(venue.name, lambda venue=venue: MarketFeed(venue, data, environment)) for venue in venues]  # type: ignore[misc]
    supervisor = Supervisor(Group("root", children), environment)
    seconds: dict[str, list[float]] = {name: [] for name in FAULTS}
    cpu: dict[str, list[float]] = {name: [] for name in FAULTS}
    async with trio.open_nursery() as nursery:
        began = time.monotonic_ns()
        await nursery.start(supervisor.run)
        for venue in (POLYMARKET, KALSHI):
            await _fresh(data, venue)
        first = (time.monotonic_ns() - began) / 1e9
        for number in range(rounds):
            for name, (fault, venue) in FAULTS.items():
                await trio.sleep(SETTLED_SECONDS if name != "kalshi" else 0.0)  # the other venue has settled meanwhile
                used = time.process_time()
                seconds[name].append(await _recover(data, other, fault, venue))
                cpu[name].append(time.process_time() - used)
            line = ", ".join(f"{name} {seconds[name][-1]:.3f} s ({cpu[name][-1]:.3f} s of CPU here)" for name in FAULTS)
            print(f"  round {number + 1}: {line}", flush=True)
        supervisor.stop()
    median = {name: round(statistics.median(each), 3) for name, each in seconds.items()}
    return {
        "reconnect_s": max(median["polymarket"], median["kalshi"]),
        "reconnect_polymarket_s": median["polymarket"],
        "reconnect_kalshi_s": median["kalshi"],
        "resync_s": median["gap"],
        "first_books_s": round(first, 3),
        "rounds": rounds,
        "cpu_s": {name: round(statistics.median(each), 3) for name, each in cpu.items()},
        "worst_s": {name: round(max(each), 3) for name, each in seconds.items()},
    }


async def _venues(other: Process, key: rsa.RSAPrivateKey) -> list[Venue]:
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    ports = await trio.to_thread.run_sync(_introduce, other, public.decode())
    http, ws = (f"{scheme}://127.0.0.1:{ports['polymarket']}" for scheme in ("http", "ws"))
    kalshi = KalshiHosts(f"http://127.0.0.1:{ports['kalshi']}/trade-api/v2", f"ws://127.0.0.1:{ports['kalshi']}")
    network, environment = SocketNetwork(), Environment.real()
    return [
        Polymarket(PolymarketHosts(http, http, ws), network, environment),
        Kalshi(kalshi, KalshiSigner(KEY_ID, private), network, environment),
    ]


def _introduce(other: Process, public: str) -> Any:
    other.say(public)
    return other.heard()


async def _recover(data: MarketData, other: Process, fault: str, venue: VenueId) -> float:
    """Seconds from the fault until every book is fresh again."""
    outcomes = _outcomes(data, venue)
    said = await trio.to_thread.run_sync(lambda: other.ask(do=fault))
    with trio.fail_after(DEADLINE_SECONDS):
        while _is_fresh(data, outcomes[0]):  # noqa: ASYNC110 what is waited for has no event
            await trio.sleep(POLL_SECONDS)
    return (await _fresh(data, venue) - said["at_ns"]) / 1e9


async def _fresh(data: MarketData, venue: VenueId) -> int:
    """The monotonic nanosecond at which the last book of the venue was fresh."""
    with trio.fail_after(DEADLINE_SECONDS):
        while len(remaining := _outcomes(data, venue)) < 2 * MARKETS:  # noqa: ASYNC110 the same
            await trio.sleep(POLL_SECONDS)
        while remaining:
            while remaining and _is_fresh(data, remaining[-1]):
                remaining.pop()
            if not remaining:
                at = time.monotonic_ns()
                remaining = [outcome for outcome in _outcomes(data, venue) if not _is_fresh(data, outcome)]
            if remaining:
                await trio.sleep(POLL_SECONDS)
    return at


def _outcomes(data: MarketData, venue: VenueId) -> list[OutcomeKey]:
    return [key for market in data.markets.values() if market.key.venue == venue for key in (market.yes_key, market.no_key)]


def _is_fresh(data: MarketData, outcome: OutcomeKey) -> bool:
    book = data.books.get(outcome)
    return book is not None and data.fresh(book, trio.current_time())

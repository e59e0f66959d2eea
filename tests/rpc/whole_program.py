"""The composed tree on a scripted world: everything but sockets to the venues and a database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import trio

from arbiter.actors.accounts import PutNewAccount
from arbiter.app import Arbiter, compose
from arbiter.domain.account import Account, Role, Tier
from arbiter.domain.book import BookSnapshot, Level
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey, PairId, UserId
from arbiter.domain.market import KalshiFees, Market, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import ONE, ZERO, Micros, parse_micros
from arbiter.domain.pair import pair_markets
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.tokens import Keys, make_api_key
from arbiter.rpc.totp_policy import DEFAULT_POLICY, TotpPolicy
from arbiter.runtime import Environment
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake
from arbiter.sandbox.world import WorldEvent
from arbiter.store.base import Store
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts
from tests.rpc.patience import SECONDS, until

KEY_ID = "rpc-tests"
PEPPER = b"pepper of the rpc tests"
CREDENTIAL = "credential of the bridge"
CENT = Micros(10_000)
POLY = Market(
    MarketKey(POLYMARKET, MarketId(f"0x{1:064x}")),
    EventId("final"),
    "Will the Reds win the final?",
    Outcome(OutcomeId("1001"), "Yes"),
    Outcome(OutcomeId("1002"), "No"),
    (TickRange(CENT, Micros(ONE - CENT), CENT),),
    CENT,
    min_size=parse_micros("5"),
    fees=PolymarketFees(parse_micros("0.05")),
    rules="By the official result.",
    closes_at=datetime(2027, 2, 1, 12, tzinfo=UTC),
)
KALS = Market(
    MarketKey(KALSHI, MarketId("KXFINAL-27FEB01-RED")),
    EventId("KXFINAL-27FEB01"),
    "Reds to win the final?",
    Outcome(OutcomeId("yes"), "Yes"),
    Outcome(OutcomeId("no"), "No"),
    (TickRange(ZERO, ONE, CENT),),
    CENT,
    fees=KalshiFees(),
    rules="By the official result.",
    closes_at=datetime(2027, 2, 1, 12, tzinfo=UTC),
)


def book(outcome: OutcomeKey, bid: str, ask: str, size: str = "500") -> BookSnapshot:
    level = lambda price: (Level(parse_micros(price), parse_micros(size)),)  # noqa: E731
    return BookSnapshot(outcome, level(bid), level(ask))


class ScriptedWorld:
    """One proposition on both venues, without arbitrage until `open_gap`."""

    markets = (POLY, KALS)
    pairs = (pair_markets(PairId("final"), "The Reds win the final", POLY, KALS, inverted=False),)
    sample_interval_ms = None

    def __init__(self) -> None:
        self._due: list[WorldEvent] = [book(POLY.yes_key, "0.44", "0.46"), book(KALS.yes_key, "0.44", "0.46")]

    def advance(self, now_ms: int) -> list[WorldEvent]:
        due, self._due = self._due, []
        return due

    def write(self, *events: WorldEvent) -> None:
        self._due += events

    def open_gap(self, bid: str = "0.60", ask: str = "0.62") -> None:
        """Kalshi's YES becomes dear: buying YES here and NO there pays."""
        self.write(book(KALS.yes_key, bid, ask))

    def close_gap(self) -> None:
        self.write(book(KALS.yes_key, "0.44", "0.46"))


ACCOUNTS = {
    "free": Account(UserId("free"), "Fay", Tier.FREE),
    "pro": Account(UserId("pro"), "Pat", Tier.PRO),
    "enterprise": Account(UserId("enterprise"), "Eve", Tier.ENTERPRISE),
    "operator": Account(UserId("operator"), "Oz", Tier.PRO, Role.OPERATOR),
}


class Program:
    """The composed tree, serving, with one account of each kind."""

    def __init__(self, arbiter: Arbiter, world: ScriptedWorld, port: int, api_keys: dict[str, str], store: Store) -> None:
        self.arbiter = arbiter
        self.store = store
        self.world = world
        self.port = port
        self.api_keys = api_keys
        self.poly, self.kalshi = POLY, KALS

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def token(self, user: str) -> str:
        account = self.arbiter.core.account_changes.get(UserId(user))
        return self.arbiter.front.tokens.issue(UserId(user), epoch=account.account.session_epoch if account else 0)[0]

    def bearer(self, user: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token(user)}"),)


class Later:
    """The real clocks, and so many seconds more on the one that tells the time of day."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def environment(self) -> Environment:
        real = Environment.real()
        return Environment(lambda: real.unix_ms() + round(self.seconds * 1000), real.monotonic, real.random)


@asynccontextmanager
async def run_program(
    store: Store, keys: Keys, kalshi_key: tuple[bytes, bytes], *, totp: TotpPolicy = DEFAULT_POLICY, later: Later | None = None
) -> AsyncIterator[Program]:
    environment, world = (later or Later()).environment(), ScriptedWorld()
    private, public = kalshi_key
    sandbox = Sandbox(world, {KEY_ID: public})
    shell = Shell(sandbox, environment.unix_ms, Wake())
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(shell.tick_for_ever)
        network = MemoryNetwork(shell, {"polymarket": sandbox.polymarket, "kalshi": sandbox.kalshi}, nursery)
        hosts = PolymarketHosts("http://polymarket", "http://polymarket", "ws://polymarket")
        kalshi_hosts = KalshiHosts("http://kalshi/trade-api/v2", "ws://kalshi")
        venues = [
            Polymarket(hosts, network, environment),
            Kalshi(kalshi_hosts, KalshiSigner(KEY_ID, private), network, environment),
        ]
        await store.open()
        arbiter = compose(environment, store, venues, world.pairs, keys, listener, totp=totp)
        server = arbiter.front.server
        server.limits = msgspec.structs.replace(server.limits, overloaded_seconds=SECONDS)  # this machine may have other work too
        await nursery.start(arbiter.supervisor.run)
        api_keys = {}
        for user, account in ACCOUNTS.items() if not await store.accounts() else ():
            api_keys[user], stored = make_api_key(PEPPER)
            await arbiter.core.accounts.ask(PutNewAccount(msgspec.structs.replace(account, api_key=stored)), timeout=5)
        books = arbiter.core.data.books
        await until(lambda: all(books.get(m.yes_key) and books.get(m.no_key) for m in world.markets))
        await until(lambda: all(each.state in ("running", "passive") for each in arbiter.core.statuses()))
        yield Program(arbiter, world, port_of(listener), api_keys, store)
        arbiter.supervisor.stop()
        with trio.move_on_after(SECONDS):
            while any(status.state == "running" for status in arbiter.core.statuses()):  # noqa: ASYNC110 it tells nobody
                await trio.sleep(0.002)
        nursery.cancel_scope.cancel()
    await store.close()

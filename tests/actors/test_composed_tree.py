"""The whole tree as the program composes it, over the sandbox's venues in memory: opportunities live, orders become positions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter.actors.accounts import PutNewAccount
from arbiter.actors.position_tracker import GetPositions
from arbiter.actors.user_session import GetOrders, PlaceOrder
from arbiter.app import Arbiter, compose
from arbiter.domain.account import Account, Tier
from arbiter.domain.book import BookSnapshot, Side
from arbiter.domain.ids import KALSHI, POLYMARKET, PairId, UserId
from arbiter.domain.ledger import LedgerFold
from arbiter.domain.market import KalshiFees, PolymarketFees
from arbiter.domain.money import parse_micros
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.domain.pair import pair_markets
from arbiter.rpc.listener import open_listener
from arbiter.rpc.tokens import Keys, make_signing_key
from arbiter.runtime import Environment
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.generated import GeneratedWorld
from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake
from arbiter.sandbox.world import WorldEvent
from arbiter.store.memory import MemoryStore
from arbiter.store.sqlite import InlineRunner, SqliteStore
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts

START_MS = 1_767_225_600_000
KEY_ID = "test-key"
ANN = UserId("ann")


class TwoMarkets:
    """A world of one pair whose books are what a test writes."""

    sample_interval_ms = None

    def __init__(self, new_market, book_levels) -> None:
        polymarket = msgspec.structs.replace(new_market(POLYMARKET, "0x01"), fees=PolymarketFees(parse_micros("0.04")))
        polymarket = msgspec.structs.replace(
            polymarket,
            yes=msgspec.structs.replace(polymarket.yes, id="11"),
            no=msgspec.structs.replace(polymarket.no, id="12"),
            min_size=parse_micros("5"),
        )
        kalshi = msgspec.structs.replace(new_market(KALSHI, "KXP-26FEB01-A"), fees=KalshiFees(), event="KXP-26FEB01")
        self.markets = (polymarket, kalshi)
        self.pairs = (pair_markets(PairId("p"), "P", polymarket, kalshi, inverted=False),)
        self._levels = book_levels
        self._due: list[WorldEvent] = []
        self.show(0, "0.48x100", "0.50x100")
        self.show(1, "0.48x100", "0.50x100")

    def show(self, number: int, bids: str, asks: str) -> None:
        self._due.append(BookSnapshot(self.markets[number].yes_key, self._levels(bids), self._levels(asks)))

    def advance(self, now_ms: int) -> list[WorldEvent]:
        due, self._due = self._due, []
        return due


class Program:
    """What `arbiter run` makes of the sandbox, with memory in place of sockets."""

    def __init__(self, world, store, private: rsa.RSAPrivateKey) -> None:
        self.world, self.store = world, store
        self.environment = Environment.simulated(3, START_MS)
        public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.sandbox = Sandbox(world, {KEY_ID: public})
        self._keys = Keys(make_signing_key(), b"pepper", "arbiter:test")
        self.arbiter: Arbiter
        self.network: MemoryNetwork

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.store.open()
        async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
            shell = Shell(self.sandbox, self.environment.unix_ms, Wake())
            nursery.start_soon(shell.tick_for_ever)
            hosts = {"polymarket": self.sandbox.polymarket, "kalshi": self.sandbox.kalshi}
            self.network = MemoryNetwork(shell, hosts, nursery)
            polymarket = PolymarketHosts("http://polymarket", "http://polymarket", "ws://polymarket")
            kalshi = KalshiHosts("http://kalshi/trade-api/v2", "ws://kalshi")
            venues = [
                Polymarket(polymarket, self.network, self.environment),
                Kalshi(kalshi, KalshiSigner(KEY_ID, self._pem), self.network, self.environment),
            ]
            self.arbiter = compose(self.environment, self.store, venues, self.world.pairs, self._keys, listener)
            async with trio.open_nursery() as tree:
                await tree.start(self.arbiter.supervisor.run)
                await trio.sleep(2)
                yield
                self.arbiter.supervisor.stop()
            nursery.cancel_scope.cancel()
        await self.store.close()

    async def place(self, key: str, outcome, side: Side, price: str, size: str, tif=TimeInForce.IOC):
        wanted = PlaceOrder(key, outcome, side, parse_micros(price), parse_micros(size), tif)
        return await self.arbiter.core.session(ANN).ask(wanted, timeout=10)

    async def positions(self):
        changes = await self.arbiter.core.tracker.ask(GetPositions(ANN), timeout=10)
        return {(c.position.user, c.position.outcome): c.position for c in changes}

    async def fold_of_the_stored_ledger(self):
        fold = LedgerFold()
        for numbered in await self.store.ledger_after(0, 100_000):
            fold.apply(numbered.entry)
        return {key: position for key, position in fold.positions.items() if position.size}


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(params=["memory", "sqlite"])
def program(request, tmp_path, private_key, new_market, book_levels) -> Program:
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    return Program(TwoMarkets(new_market, book_levels), store, private_key)


async def test_an_opportunity_opens_and_closes_and_an_order_becomes_a_position_that_is_the_fold_of_the_ledger(autojump_clock, program):
    world = program.world
    async with program.running():
        core = program.arbiter.core
        assert {key: core.data.status.get((key, 0)).connected for key in (POLYMARKET, KALSHI)} == {POLYMARKET: True, KALSHI: True}
        await core.accounts.ask(PutNewAccount(Account(ANN, "Ann", Tier.PRO)), timeout=10)
        with core.opportunities.subscribe("backpressure") as (snapshot, changes), trio.fail_after(60):
            assert snapshot == []
            world.show(1, "0.58x100", "0.60x100")  # Kalshi's NO can be had for 42 cents
            opened = await changes.receive()
            assert (opened.state, opened.pair) == ("opened", "p")
            legs = opened.opportunity.legs
            assert [leg.outcome for leg in legs] == [world.markets[0].yes_key, world.markets[1].no_key]
            orders = [
                await program.place(f"leg {n}", leg.outcome, Side.BUY, str(leg.limit / 1_000_000), "10") for n, leg in enumerate(legs)
            ]
            assert [order.state for order in orders] == [OrderState.FILLED] * 2
            await trio.sleep(3)
            world.show(1, "0.48x100", "0.50x100")
            while (closed := await changes.receive()).state != "closed":
                pass
            assert closed.id == opened.id
            assert 3_000 <= closed.duration_ms < 5_000
        positions = await program.positions()
        assert {key[1]: position.size for key, position in positions.items()} == {leg.outcome: parse_micros("10") for leg in legs}
        assert positions == await program.fold_of_the_stored_ledger()
        sold = await program.place("sale", legs[0].outcome, Side.SELL, "0.48", "6")
        assert sold.state is OrderState.FILLED
        assert await program.positions() == await program.fold_of_the_stored_ledger() != positions
        assert [status for status in program.arbiter.supervisor.statuses() if status.restarts] == []


async def test_a_restart_of_the_program_keeps_positions_resting_orders_and_keys(autojump_clock, program):
    yes = program.world.markets[0].yes_key
    async with program.running():
        await program.arbiter.core.accounts.ask(PutNewAccount(Account(ANN, "Ann", Tier.PRO)), timeout=10)
        bought = await program.place("buy", yes, Side.BUY, "0.50", "20")
        resting = await program.place("rest", yes, Side.BUY, "0.45", "10", TimeInForce.GTC)
        positions = await program.positions()
    async with program.running():
        assert await program.positions() == positions == await program.fold_of_the_stored_ledger()
        kept = await program.arbiter.core.session(ANN).ask(GetOrders(), timeout=10)
        assert {order.id: order for order in kept} == {order.id: order for order in (bought, resting)}  # of one millisecond: in any order
        assert await program.place("buy", yes, Side.BUY, "0.50", "20") == bought
        program.world.show(0, "0.40x100", "0.44x100")
        await trio.sleep(1)
        states = [order.state for order in await program.arbiter.core.session(ANN).ask(GetOrders(), timeout=10)]
        assert states == [OrderState.FILLED, OrderState.FILLED]
        assert await program.positions() == await program.fold_of_the_stored_ledger() != positions


async def test_an_outage_of_both_venues_closes_what_is_open_refuses_entries_and_heals(autojump_clock, program):
    world = program.world
    async with program.running():
        core = program.arbiter.core
        await core.accounts.ask(PutNewAccount(Account(ANN, "Ann", Tier.PRO)), timeout=10)
        world.show(1, "0.58x100", "0.60x100")
        await trio.sleep(1)
        assert len(core.opportunities) == 1
        program.network.reachable = False
        program.sandbox.polymarket.fault_drop()
        program.sandbox.kalshi.fault_drop()
        await trio.sleep(1)
        assert len(core.opportunities) == 0
        assert not core.data.status.get((POLYMARKET, 0)).connected
        order = None
        with pytest.raises(Exception, match="not available or not fresh"):
            order = await program.place("buy", world.markets[0].yes_key, Side.BUY, "0.50", "20")
        assert order is None
        program.network.reachable = True
        await trio.sleep(30)
        assert len(core.opportunities) == 1
        assert (await program.place("buy", world.markets[0].yes_key, Side.BUY, "0.50", "20")).state is OrderState.FILLED


async def test_half_a_minute_of_the_generated_world_opens_and_closes_and_every_reader_sees_whole_lives(autojump_clock, private_key):
    program = Program(GeneratedWorld(5, START_MS, events=6, rate=20), MemoryStore(), private_key)
    async with program.running():
        core = program.arbiter.core
        lives: dict[str, list[str]] = {}
        with core.opportunities.subscribe("backpressure", capacity=100_000) as (snapshot, changes):
            for change in snapshot:
                lives[change.id] = ["opened"]
            with trio.move_on_after(30):
                while True:
                    change = await changes.receive()
                    lives.setdefault(change.id, []).append(change.state)
                    assert change.opportunity.net > 0
                    assert change.duration_ms == change.at_ms - change.opened_ms
        whole = [states for states in lives.values() if states[-1] == "closed"]
        assert len(whole) >= 5
        assert all(states[0] == "opened" and "opened" not in states[1:] for states in lives.values())
        assert [status for status in program.arbiter.supervisor.statuses() if status.restarts] == []

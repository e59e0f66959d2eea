"""Starting and stopping the program: the data folder and its secrets, the sandbox, the tree, the signals, the words."""

import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter import __version__
from arbiter.actors.accounts import GetAccount, PutNewAccount, ReplaceApiKey
from arbiter.actors.market_feed import FRESH_SECONDS
from arbiter.app import Arbiter, compose
from arbiter.config import Settings
from arbiter.data_folder import RUNNING, DataFolder
from arbiter.domain.account import Account, Tier
from arbiter.domain.ids import UserId
from arbiter.errors import ConfigError, NotFound
from arbiter.rpc.server import open_listener, port_of
from arbiter.rpc.tokens import Keys, make_api_key, make_signing_key
from arbiter.runtime import Environment
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.generated import GeneratedWorld
from arbiter.sandbox.recording import RecordedWorld, Recording
from arbiter.sandbox.shells import Shell, Wake, serve_sockets
from arbiter.sandbox.world import World
from arbiter.store.sqlite import SqliteStore
from arbiter.venues.base import Venue
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.network import SocketNetwork
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts

SANDBOX_USER = UserId("sandbox")
API_KEY_FILE = "sandbox_api_key"
KALSHI_KEY_ID = "sandbox-key"
ACCOUNT_SECONDS = 10.0


async def run(settings: Settings) -> None:
    """The whole life of the program. Raises ConfigError where it cannot start, SupervisorExhausted where it gave up."""
    environment = Environment.real()
    world = await _make_world(settings, environment.unix_ms())
    folder = DataFolder(_path(settings.data))
    with folder.hold(settings.mode):
        listener = await open_listener(settings.grpc_host, settings.grpc_port)
        keys = _load_keys(folder, settings.mode)
        store = SqliteStore(folder.database)
        await store.open()
        try:
            async with listener, trio.open_nursery() as nursery:
                venues = await _start_sandbox(world, environment, nursery)
                fresh = _fresh_seconds(world, settings)
                arbiter = compose(environment, store, venues, world.pairs, keys, listener, fresh_seconds=fresh)
                await _live(arbiter, folder, keys, settings, port_of(listener))
                nursery.cancel_scope.cancel()
        finally:
            folder.remove(RUNNING)
            await store.close()


async def _live(arbiter: Arbiter, folder: DataFolder, keys: Keys, settings: Settings, port: int) -> None:
    """Run the tree, say how it can be reached, stop it on a signal."""
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            nursery.start_soon(_stop_on_signal, signals, arbiter.supervisor.stop)
            await nursery.start(_run_tree, arbiter, nursery.cancel_scope)
            await _ensure_sandbox_account(arbiter, folder, keys)
            token, _ = arbiter.front.tokens.issue(SANDBOX_USER)
            address = f"127.0.0.1:{port}"
            folder.write_private(RUNNING, json.dumps({"grpc": address, "pid": os.getpid()}))
            _greet(settings, folder.path, address, token)
            await trio.sleep_forever()


async def _run_tree(arbiter: Arbiter, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    await arbiter.supervisor.run(task_status)
    scope.cancel()


async def _stop_on_signal(signals: AsyncIterator[int], stop: Callable[[], None]) -> None:
    async for _ in signals:
        stop()


# -- secrets of the instance --


def _load_keys(folder: DataFolder, mode: str) -> Keys:
    """The sandbox makes its own secrets at the first start; they live in the data folder, for its owner alone."""
    signing = folder.read_text("token_key.pem")
    if signing is None:
        signing = make_signing_key().decode()
        folder.write_private("token_key.pem", signing)
    pepper = folder.read_text("api_key_pepper")
    if pepper is None:
        pepper = secrets.token_hex(32)
        folder.write_private("api_key_pepper", pepper)
    instance = folder.read_text("instance")
    if instance is None:
        instance = secrets.token_hex(8)
        folder.write_private("instance", instance)
    return Keys(signing.encode(), pepper.encode(), f"arbiter:{mode}:{instance}")


async def _ensure_sandbox_account(arbiter: Arbiter, folder: DataFolder, keys: Keys) -> None:
    """The sandbox has one account; its API key lies in the data folder, and is made anew where that file is gone."""
    accounts = arbiter.core.accounts
    try:
        await accounts.ask(GetAccount(SANDBOX_USER), timeout=ACCOUNT_SECONDS)
        if folder.read_text(API_KEY_FILE) is not None:
            return
    except NotFound:
        await accounts.ask(PutNewAccount(Account(SANDBOX_USER, "Sandbox user", Tier.PRO)), timeout=ACCOUNT_SECONDS)
    text, stored = make_api_key(keys.pepper)
    await accounts.ask(ReplaceApiKey(SANDBOX_USER, stored), timeout=ACCOUNT_SECONDS)
    folder.write_private(API_KEY_FILE, text)


# -- the sandbox --


async def _make_world(settings: Settings, now_ms: int) -> World:
    if not settings.recording:
        return GeneratedWorld(settings.sandbox_seed, now_ms)
    recording = await trio.to_thread.run_sync(Recording.load, _path(settings.recording))
    return RecordedWorld(recording, now_ms, speed=settings.recording_speed)


def _fresh_seconds(world: World, settings: Settings) -> float:
    """A recording proves its books only as often as it sampled them."""
    if world.sample_interval_ms is None:
        return FRESH_SECONDS
    return max(FRESH_SECONDS, 2 * world.sample_interval_ms / 1000 / settings.recording_speed)


async def _start_sandbox(world: World, environment: Environment, nursery: trio.Nursery) -> list[Venue]:
    """Serve both venues on loopback and connect the production connectors to them: only the addresses differ."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    sandbox = Sandbox(world, {KALSHI_KEY_ID: public})
    shell = Shell(sandbox, environment.unix_ms, Wake())
    nursery.start_soon(shell.tick_for_ever)
    polymarket_port = await nursery.start(serve_sockets, shell, sandbox.polymarket, 0)
    kalshi_port = await nursery.start(serve_sockets, shell, sandbox.kalshi, 0)
    network = SocketNetwork()
    http, ws = f"http://127.0.0.1:{polymarket_port}", f"ws://127.0.0.1:{polymarket_port}"
    kalshi_hosts = KalshiHosts(f"http://127.0.0.1:{kalshi_port}/trade-api/v2", f"ws://127.0.0.1:{kalshi_port}")
    return [
        Polymarket(PolymarketHosts(http, http, ws), network, environment),
        Kalshi(kalshi_hosts, KalshiSigner(KALSHI_KEY_ID, private), network, environment),
    ]


def _path(text: str) -> Path:
    return Path(text).expanduser()


# -- words --


def _greet(settings: Settings, folder: Path, address: str, token: str) -> None:
    """What a person needs to begin, on standard output."""
    source = f"recording {settings.recording}" if settings.recording else f"generated markets, seed {settings.sandbox_seed}"
    lines = [
        f"Arbiter {__version__} is running in sandbox mode ({source}; data in {folder})",
        "",
        f"  gRPC     {address}",
        f"  account  {SANDBOX_USER}; its API key lies in {folder / API_KEY_FILE}",
        f"  token    {token}",
        "           (15 minutes; Authenticate with the API key gives new ones)",
        "",
        "  Look     ./just watch                                  opportunities and positions, live",
        f"  Call     .venv/bin/python examples/place_order.py --server {address} --data {folder}",
        "  Stop     Ctrl-C",
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 this is the program's greeting


@dataclass(frozen=True)
class Reached:
    """Where a running program on this data folder can be reached, and with which key."""

    address: str
    api_key: str


def find_running(settings: Settings) -> Reached:
    """The program that runs on the settings' data folder. Raises ConfigError where there is none."""
    folder = DataFolder(_path(settings.data))
    running, key = folder.read_text(RUNNING), folder.read_text(API_KEY_FILE)
    if running is None or key is None:
        raise ConfigError(
            f"no Arbiter is running on the data folder {folder.path}", "start it with ./just run, or name its folder with --data"
        )
    return Reached(str(json.loads(running)["grpc"]), key)


def configure_logging(level: str) -> None:
    """One readable line for each event, on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )

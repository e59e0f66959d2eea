"""The sandbox, started: both venues on loopback with the production connectors on them, and the chat page for the bot."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path

import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter.actors.market_feed import FRESH_SECONDS, Wanted
from arbiter.config import Settings
from arbiter.data_folder import DataFolder, Secret
from arbiter.domain.ids import KALSHI, POLYMARKET, VenueId
from arbiter.errors import ConfigError
from arbiter.following import balance_unit, kalshi_pace, wanted_markets
from arbiter.frames.file import is_frames_file
from arbiter.played import RecordedFrames
from arbiter.runtime import Environment
from arbiter.sandbox.exchange import REAL, Sandbox
from arbiter.sandbox.faults import Script
from arbiter.sandbox.living import LivingWorld
from arbiter.sandbox.recording import RecordedWorld, Recording
from arbiter.sandbox.shells import Shell, Wake, serve_sockets
from arbiter.sandbox.telegram.engine import TelegramEngine
from arbiter.sandbox.world import World
from arbiter.venues.base import Network, Venue
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.network import SocketNetwork
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts

KALSHI_KEY_ID = "sandbox-key"
BOT_TOKEN = Secret(
    "sandbox_bot_token",
    re.compile(r"\d{10}:[\w-]{35}", re.ASCII).fullmatch,
    "remove it and start again: a new one is made, and a bot that runs elsewhere needs it",
)


async def make_world(settings: Settings, now_ms: int) -> World | RecordedFrames:
    """What happens on the venues: generated, or played from a recording of books or of frames. Raises ConfigError for a bad one."""
    if not settings.recording:
        return LivingWorld(settings.sandbox_seed, now_ms)
    # abandoned: a signal does not wait for the end of a long recording, and the thread only reads
    recording = await trio.to_thread.run_sync(_load, settings.recording, abandon_on_cancel=True)
    if isinstance(recording, RecordedFrames):
        return recording
    return RecordedWorld(recording, now_ms, speed=settings.recording_speed)


def _load(text: str) -> Recording | RecordedFrames:
    path = Path(text).expanduser()
    return RecordedFrames(path) if is_frames_file(path) else Recording.load(path)


def load_script(settings: Settings) -> Script:
    """What goes wrong at the venues, and when. Raises ConfigError for a bad file."""
    return Script.load(Path(settings.sandbox_script).expanduser()) if settings.sandbox_script else Script()


def fresh_seconds(world: World | RecordedFrames, settings: Settings) -> float:
    """A recording proves its books only as often as it sampled them."""
    if world.sample_interval_ms is None:
        return FRESH_SECONDS
    return max(FRESH_SECONDS, 2 * world.sample_interval_ms / 1000 / settings.recording_speed)


def followed(world: World | RecordedFrames, settings: Settings) -> dict[VenueId, Wanted]:
    """Which markets are followed: of recorded frames those that were, as nothing else was recorded."""
    return {} if isinstance(world, RecordedFrames) else wanted_markets(settings)


Wrap = Callable[[VenueId, object, Network], Network]
"""Gives a venue's connector another network in place of the usual one; it is told the venue's hosts."""


async def start_venues(
    world: World | RecordedFrames,
    script: Script,
    environment: Environment,
    nursery: trio.Nursery,
    settings: Settings,
    *,
    wrap: Wrap = lambda _venue, _hosts, network: network,
) -> list[Venue]:
    """Serve both venues on loopback, or play recorded frames, with the production connectors on them: only the addresses differ."""
    unit = balance_unit(settings)
    if isinstance(world, RecordedFrames):
        venues = world.venues(environment, unit)
        nursery.start_soon(world.play, settings.recording_speed)
        return venues
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    details = world.details if isinstance(world, LivingWorld) else {}
    sandbox = Sandbox(world, {KALSHI_KEY_ID: public}, script=script, details=details, habits=REAL)
    shell = Shell(sandbox, environment.unix_ms, Wake())
    nursery.start_soon(shell.tick_for_ever)
    polymarket_port = await nursery.start(serve_sockets, shell, sandbox.polymarket, 0)
    kalshi_port = await nursery.start(serve_sockets, shell, sandbox.kalshi, 0)
    http, ws = f"http://127.0.0.1:{polymarket_port}", f"ws://127.0.0.1:{polymarket_port}"
    polymarket_hosts = PolymarketHosts(http, http, ws)
    kalshi_hosts = KalshiHosts(f"http://127.0.0.1:{kalshi_port}/trade-api/v2", f"ws://127.0.0.1:{kalshi_port}")
    signer = KalshiSigner(KALSHI_KEY_ID, private)
    return [
        Polymarket(polymarket_hosts, wrap(POLYMARKET, polymarket_hosts, SocketNetwork()), environment),
        Kalshi(kalshi_hosts, signer, wrap(KALSHI, kalshi_hosts, SocketNetwork()), environment, kalshi_pace(settings), unit),
    ]


def bot_token(folder: DataFolder) -> str:
    """The token of the bot at the sandbox's Bot API, the same at each start. Raises ConfigError where its file is damaged."""
    return folder.read_or_make(BOT_TOKEN, lambda: f"{secrets.randbelow(10**9) + 10**9}:{secrets.token_urlsafe(26)}")


async def start_chat(port: int, token: str, environment: Environment, nursery: trio.Nursery) -> str:
    """Serve a Bot API for that token, with its chat page, on loopback; its address. Raises ConfigError."""
    engine = TelegramEngine(token)
    shell = Shell(engine, environment.unix_ms, Wake())
    try:
        actual = await nursery.start(serve_sockets, shell, engine, port)
    except OSError as error:
        raise ConfigError(
            f"port {port} for the chat page cannot be used ({error.strerror or error})", "choose another with --chat-port"
        ) from None
    nursery.start_soon(shell.tick_for_ever)
    return f"http://127.0.0.1:{actual}"

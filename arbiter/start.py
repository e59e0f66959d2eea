"""Starting and stopping the program: the data folder, the sandbox, the tree, the signals.

A signal ends the program with status 0 whenever it comes. Before `run` it leaves at once (`__main__.py`); while `run` begins things, it
gives up the start and ends what was begun; once there is a tree, the tree stops in order.
"""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
import trio

from arbiter.app import Arbiter, compose
from arbiter.config import Settings, allowed_users
from arbiter.data_folder import RUNNING, SOCKET, DataFolder
from arbiter.errors import ConfigError, StoreError
from arbiter.greeting import Started, greeting
from arbiter.instance import BOT_CREDENTIAL_FILE, SANDBOX_USER, ensure_operator, ensure_sandbox_account, load_keys, new_link_code
from arbiter.reach import require_address, tls_of
from arbiter.rpc.client_address import LOCAL_PREFIX, is_loopback
from arbiter.rpc.client_tls import ClientTls
from arbiter.rpc.front import Access
from arbiter.rpc.listener import address_of, open_listener, open_local_listener, port_of
from arbiter.rpc.proxies import read_proxies
from arbiter.rpc.server_limits import ServerLimits
from arbiter.rpc.tls import PemFiles, ServerTls
from arbiter.rpc.tokens import Keys
from arbiter.rpc.totp_policy import TotpPolicy
from arbiter.runtime import Actor, Child, Environment, Group, Supervisor
from arbiter.runtime.collector import settle_later
from arbiter.runtime.correlation import add_correlation
from arbiter.simulated import BOT_TOKEN, bot_token, followed, fresh_seconds, load_script, make_world, start_chat, start_venues
from arbiter.store.sqlite import SqliteStore
from arbiter.store.stop_marker import STOP_MARKER_FILE, FileStopMarker


class Stop:
    """What a signal does now. It changes as the program comes up."""

    def __init__(self, now: Callable[[], None]) -> None:
        self.now = now


async def run(settings: Settings) -> None:
    """The whole life of the program. Raises ConfigError where it cannot start, SupervisorExhausted where it gave up."""
    if settings.bot and settings.telegram_api_url and not settings.telegram_bot_token:
        raise ConfigError("telegram_api_url is set, but no telegram_bot_token", "set both, or neither for the sandbox's own Bot API")
    async with _signals_stop() as stop:
        await _serve(settings, stop)


async def _serve(settings: Settings, stop: Stop) -> None:
    environment = Environment.real()
    script = load_script(settings)
    world = await make_world(settings, environment.unix_ms())
    folder = _folder(settings)
    async with _taken(folder, settings.mode) as store:
        keys, credential = load_keys(folder, settings.mode)
        tls = server_tls(settings, environment)
        async with (
            await open_listener(settings.grpc_host, settings.grpc_port, tls=tls is not None) as listener,
            _local(folder, wanted=tls is not None) as local,
            trio.open_nursery() as nursery,
        ):
            chat, token = "", settings.telegram_bot_token
            if not token:
                token = bot_token(folder)
                chat = await start_chat(settings.chat_port, token, environment, nursery)
            server = address_of(listener) if local is None else f"{LOCAL_PREFIX}{local.socket.getsockname()}"
            api_url = chat or settings.telegram_api_url
            make_bot = _bot_maker(settings, token, credential, server, api_url, folder.path, environment) if settings.bot else None
            venues = await start_venues(world, script, environment, nursery, settings)
            fresh = fresh_seconds(world, settings)
            marker = await _readable(FileStopMarker(folder.path / STOP_MARKER_FILE))
            arbiter = compose(
                *(environment, store, venues, world.pairs, keys, listener),
                fresh_seconds=fresh,
                make_bot=make_bot,
                stop_marker=marker,
                access=Access(tls, local, limits_of(settings), read_proxies(settings.grpc_proxies)),
                reflection=offers_reflection(settings),
                totp=TotpPolicy(settings.mode),
                wanted=followed(world, settings),
            )
            public = "" if tls is None else _public(settings, port_of(listener))
            await _live(arbiter, folder, keys, settings, server, public, chat, stop)
            nursery.cancel_scope.cancel()


def offers_reflection(settings: Settings) -> bool:
    """By itself only where nobody but this machine's users can ask."""
    return settings.grpc_reflection == "on" or (settings.grpc_reflection == "auto" and is_loopback(settings.grpc_host))


def server_tls(settings: Settings, environment: Environment) -> ServerTls | None:
    """None where nothing of it is set. Raises ConfigError."""
    cert, key, client_ca = settings.grpc_tls_cert, settings.grpc_tls_key, settings.grpc_tls_client_ca
    if not (cert or key or client_ca):
        return None
    if not (cert and key):
        missing = "grpc_tls_cert" if key or not cert else "grpc_tls_key"
        raise ConfigError(f"TLS is half set: there is no {missing}", "set grpc_tls_cert and grpc_tls_key; ./just certs makes such files")
    return ServerTls(PemFiles(_path(cert), _path(key), _path(client_ca) if client_ca else None), environment.unix_ms)


def limits_of(settings: Settings) -> ServerLimits:
    """What the operator may set of them."""
    return ServerLimits(
        connections=settings.grpc_connections,
        connections_from_one_address=settings.grpc_connections_per_address,
        streams=settings.grpc_streams_per_connection,
        idle_seconds=float(settings.grpc_idle_seconds),
        silent_seconds=float(settings.grpc_keepalive_seconds),
    )


def _public(settings: Settings, port: int) -> str:
    host = f"[{settings.grpc_host}]" if ":" in settings.grpc_host else settings.grpc_host
    return f"{host}:{port} (TLS{', with client certificates' if settings.grpc_tls_client_ca else ''})"


@asynccontextmanager
async def _local(folder: DataFolder, *, wanted: bool) -> AsyncIterator[trio.SocketListener | None]:
    """The socket file for this machine's own commands, where the address that all have speaks TLS."""
    if not wanted:
        yield None
        return
    async with open_local_listener(folder.path.absolute() / SOCKET) as listener:
        try:
            yield listener
        finally:
            folder.remove(SOCKET)


async def _readable(marker: FileStopMarker) -> FileStopMarker:
    """Raises ConfigError for a marker that does not say whose trading is stopped."""
    try:
        await marker.read()
    except StoreError as error:
        cure = "put back what it held; without it nobody's trading stays stopped but by the database, so remove it only if that is right"
        raise ConfigError(str(error), cure) from None
    return marker


@asynccontextmanager
async def _taken(folder: DataFolder, mode: str) -> AsyncIterator[SqliteStore]:
    """The data folder held and its store open; at the end neither, and nothing in it says that a program runs."""
    with folder.hold(mode):
        store = SqliteStore(folder.database)
        await store.open()
        try:
            yield store
        finally:
            folder.remove(RUNNING)
            await store.close()


async def run_bot(settings: Settings, server: str, credential_file: str) -> None:
    """The Telegram bridge as a service of its own. Raises ConfigError where it cannot start."""
    tls = tls_of(settings)
    require_address(server, tls)
    if not settings.telegram_bot_token:
        raise ConfigError("telegram_bot_token is not set", "set TELEGRAM_BOT_TOKEN to the token that BotFather gave you")
    path = _path(credential_file) if credential_file else _path(settings.data) / BOT_CREDENTIAL_FILE
    credential = DataFolder(path.parent).read_text(path.name)
    if not credential:
        raise ConfigError(f"there is no bot credential in {path}", "copy it from the server's data folder and name it with --credential")
    environment = Environment.real()
    token, api_url = settings.telegram_bot_token, settings.telegram_api_url
    make_bot = _bot_maker(settings, token, credential, server, api_url, _path(settings.data), environment, tls, check=True)
    supervisor = Supervisor(Group("root", [Child("bot", make_bot)]), environment)
    async with _signals_stop() as stop:
        stop.now = supervisor.stop
        await supervisor.run()


def _bot_maker(
    settings: Settings,
    token: str,
    credential: str,
    server: str,
    api_url: str,
    folder: Path,
    environment: Environment,
    tls: ClientTls = ClientTls(),  # noqa: B008 it is frozen
    *,
    check: bool = False,
) -> Callable[[], Actor[Any]]:
    allowed = allowed_users(settings)

    def make() -> Actor[Any]:
        # imported here: who runs no bot does not wait for its library
        from arbiter.bot.bridge import BotBridge, BotSettings

        return BotBridge(
            BotSettings(
                token=token,
                credential=credential,
                server=server,
                tls=tls,
                api_url=api_url or None,
                allowed_users=allowed,
                state_folder=folder,
                environment=environment,
                check=check,
            )
        )

    return make


@asynccontextmanager
async def _signals_stop() -> AsyncIterator[Stop]:
    """Within, a signal does what the Stop says: at first, end what runs within as if it were done."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            stop = Stop(nursery.cancel_scope.cancel)
            nursery.start_soon(_stop_on_signal, signals, stop)
            yield stop
            nursery.cancel_scope.cancel()


async def _stop_on_signal(signals: AsyncIterator[int], stop: Stop) -> None:
    async for _ in signals:
        stop.now()


async def _live(
    arbiter: Arbiter, folder: DataFolder, keys: Keys, settings: Settings, address: str, public: str, chat: str, stop: Stop
) -> None:
    """Run the tree, say how it can be reached; a signal stops it."""
    telling = trio.CancelScope()

    def stop_tree() -> None:
        telling.cancel()  # it asks actors, which are about to go
        arbiter.supervisor.stop()

    stop.now = stop_tree
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle_later)
        await nursery.start(_run_tree, arbiter, nursery.cancel_scope)
        with telling:
            await _tell(arbiter, folder, keys, settings, address, public, chat)
        await trio.sleep_forever()


async def _tell(arbiter: Arbiter, folder: DataFolder, keys: Keys, settings: Settings, address: str, public: str, chat: str) -> None:
    """See to the first accounts, and say how the program can be reached."""
    await trio.lowlevel.checkpoint()  # the tree may have been stopped while it started
    accounts = arbiter.core.accounts
    account = await ensure_sandbox_account(accounts, folder, keys)
    await ensure_operator(accounts, folder, keys)
    token, _ = arbiter.front.tokens.issue(SANDBOX_USER, epoch=account.session_epoch)
    code = "" if account.telegram is not None and not chat else await new_link_code(accounts)
    folder.write_private(RUNNING, json.dumps({"grpc": address, "chat": chat, "pid": os.getpid()}))
    started = Started(folder.path, address, SANDBOX_USER, token, chat, code, folder.path / BOT_TOKEN.name, public)
    print(greeting(settings, started), flush=True)  # noqa: T201


async def _run_tree(arbiter: Arbiter, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    await arbiter.supervisor.run(task_status)
    scope.cancel()


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _folder(settings: Settings) -> DataFolder:
    return DataFolder(_path(settings.data))


def configure_logging(level: str) -> None:
    """One readable line for each event, on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_correlation,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
            # plain: the renderer's own choice shows local variables, and with them secrets
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )

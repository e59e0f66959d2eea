"""The bot on the sandbox's Bot API in memory, before a core that a test scripts: one task tree on one clock, which may jump."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio
from telegram.request import BaseRequest

from arbiter.bot.backend import Backend
from arbiter.bot.buttons import Buttons
from arbiter.bot.poller import Poller
from arbiter.bot.router import Router
from arbiter.bot.sender import Sender
from arbiter.bot.stops import Stops
from arbiter.bot.telegram_bot import TelegramBot
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import ArbiterClientError, NotFoundError
from arbiter.runtime import Environment
from arbiter.sandbox.http import Deferred, Request
from arbiter.sandbox.telegram.engine import TelegramEngine
from arbiter.sandbox.telegram.limits import SendLimits
from arbiter.sandbox.telegram.people import person
from arbiter.v1 import market_pb2, strategy_pb2, trading_pb2, user_pb2

TOKEN = "123456:bot-token-of-the-tests"
TRAVEL_SECONDS = 0.01
"""What each call of Telegram or of the core takes."""
LOOK_SECONDS = 0.05


class MemoryApi(BaseRequest):
    """python-telegram-bot's seam for requests, with the sandbox's engine behind it."""

    def __init__(self, engine: TelegramEngine, now_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._now_ms = now_ms
        self.calls: list[str] = []

    @property
    def read_timeout(self) -> float:
        return 5.0

    async def initialize(self) -> None:
        """Nothing is opened."""

    async def shutdown(self) -> None:
        """Nothing is open."""

    async def do_request(self, url: str, method: str, request_data: Any = None, *timeouts: Any, **named: Any) -> tuple[int, bytes]:
        path = urlsplit(url).path
        self.calls.append(path.rpartition("/")[2])
        body = json.dumps(request_data.parameters).encode() if request_data else b""
        await trio.sleep(TRAVEL_SECONDS)
        answer = self._engine.handle(Request(method, path, {}, {"content-type": "application/json"}, body), self._now_ms())
        if isinstance(answer, Deferred):
            answer = await self._later(answer)
        return answer.status, answer.body

    async def _later(self, answer: Deferred) -> Any:
        try:
            while answer.response is None:
                await trio.sleep(LOOK_SECONDS)
                self._engine.tick(self._now_ms())
        finally:
            answer.abandon()
        return answer.response


class ScriptedCore:
    """What answers the bot's calls. By method: `failures` are what the next calls raise, `gates` hold them before they do anything."""

    def __init__(self) -> None:
        self.linked: set[int] = set()
        self.halted = False
        self.arbitrage = False
        self.part_unconfirmed = False
        self.calls: list[str] = []
        self.failures: dict[str, list[ArbiterClientError]] = {}
        self.gates: dict[str, trio.Event] = {}

    async def answer(self, method: str, request: Any) -> Any:
        self.calls.append(method)
        await trio.sleep(TRAVEL_SECONDS)
        if method in self.gates:
            await self.gates[method].wait()
        if self.failures.get(method):
            raise self.failures[method].pop(0)
        match method:
            case "Authenticate":
                if request.bot.telegram_id not in self.linked:
                    raise NotFoundError("this Telegram account is not linked", "NOT_FOUND")
                return user_pb2.AuthResponse(access_token="a token", expires_unix_ms=10**15)
            case "RedeemLinkCode":
                raise NotFoundError("not valid", "NOT_FOUND")
            case "EmergencyStop":
                self.halted = True
                return trading_pb2.EmergencyStopResponse(
                    state=trading_pb2.TRADING_STATE_HALTED, durable=True, orders_unconfirmed=self.part_unconfirmed
                )
            case "ResumeTrading":
                self.halted = False
                return trading_pb2.ResumeTradingResponse(state=trading_pb2.TRADING_STATE_ACTIVE)
            case "GetTradingState":
                return self._state()
            case "EnableStrategy" | "DisableStrategy":
                self.arbitrage = method == "EnableStrategy"
                return strategy_pb2.StrategyResponse(strategy=strategy_pb2.Strategy(name="arbitrage", enabled=self.arbitrage))
            case "GetOverview":
                profile = user_pb2.ProfileResponse(name="Somebody", tier="pro", role="trader")
                return trading_pb2.OverviewResponse(profile=profile, trading=self._state())
            case "GetWallet":
                return trading_pb2.WalletResponse()
            case "ListFeeds":
                return market_pb2.ListFeedsResponse()
        raise AssertionError(f"{method} is not scripted")

    def _state(self) -> Any:
        state = trading_pb2.TRADING_STATE_HALTED if self.halted else trading_pb2.TRADING_STATE_ACTIVE
        return trading_pb2.TradingStateResponse(state=state)


class ScriptedClient(ArbiterClient):
    """The production client, but for the connection."""

    def __init__(self, core: ScriptedCore) -> None:
        super().__init__("nowhere:1")
        self._core = core

    def acting_as(self, token: str) -> ArbiterClient:
        return self

    async def _unary(self, path: str, request: Any, reply: Any, **options: Any) -> Any:
        return await self._core.answer(path.rpartition("/")[2], request)


class MemoryBackend(Backend):
    """The production one on a scripted connection."""

    client: Any = None

    async def _connected(self) -> Any:
        return self.client

    def _drop(self, client: Any) -> None:
        """There is no other connection."""


class BotWorld:
    """Who writes, and what they see. People are linked by `link`."""

    def __init__(self, limits: SendLimits) -> None:
        self.environment = Environment.simulated(5)
        self.core = ScriptedCore()
        self.engine = TelegramEngine(TOKEN, limits=limits)
        self.api = MemoryApi(self.engine, self.environment.unix_ms)

    def link(self, *names: str) -> None:
        self.core.linked |= {person(name).id for name in names}

    def say(self, text: str, by: str = "Ann", **where: Any) -> Any:
        return self.engine.people.say(text, self.environment.unix_ms(), by=by, **where)

    def seen(self, by: str = "Ann") -> list[str]:
        """What the bot wrote to that person."""
        log = self.engine.people.chat_of(by, self.environment.unix_ms())
        return [message.text for message in log.messages.values() if message.from_ and message.from_.is_bot]

    def waiting(self) -> list[Any]:
        """The updates that the bot has not confirmed, as they are sent."""
        request = Request("POST", f"/bot{TOKEN}/getUpdates", {}, {}, b"")
        answer = self.engine.handle(request, self.environment.unix_ms())
        assert not isinstance(answer, Deferred)
        updates: list[Any] = json.loads(answer.body)["result"]
        return updates

    async def until(self, condition: Callable[[], object], seconds: float) -> None:
        """Raises TooSlowError where that does not come true in time."""
        with trio.fail_after(seconds):
            while not condition():  # noqa: ASYNC110 what is looked at has no event
                await trio.sleep(LOOK_SECONDS)

    async def ask(self, text: str, by: str = "Ann", seconds: float = 60) -> str:
        """Write, and wait for the next answer."""
        before = len(self.seen(by))
        self.say(text, by)
        await self.until(lambda: len(self.seen(by)) > before, seconds)
        return self.seen(by)[-1]

    @asynccontextmanager
    async def bot(self, file: Path | None = None, allowed: frozenset[int] = frozenset()) -> AsyncIterator[None]:
        """The bot runs, put together as the bridge does it; at the end it is killed."""
        bot = TelegramBot(TOKEN, request=self.api, get_updates_request=self.api)
        await bot.initialize()
        environment, buttons = self.environment, Buttons(TOKEN)
        backend = MemoryBackend("nowhere:1", "credential", environment)
        backend.client = ScriptedClient(self.core)
        async with trio.open_nursery() as nursery:
            sender = Sender(bot, buttons, environment, nursery)
            stops = Stops(backend, sender, environment, nursery)
            router = Router(backend, sender, stops, buttons, allowed, environment, lambda: bot.username)
            nursery.start_soon(Poller(bot, router, file, environment).run)
            yield
            nursery.cancel_scope.cancel()

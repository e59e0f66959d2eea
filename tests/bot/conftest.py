"""What the bot's tests share: the whole program on a scripted world, and a Bot API in memory that a test scripts."""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog.testing
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from telegram import Update
from telegram.request import BaseRequest

from arbiter.actors.accounts import CreateLinkCode, PutNewAccount
from arbiter.app import Arbiter, compose
from arbiter.bot.backend import Backend
from arbiter.bot.buttons import Buttons
from arbiter.bot.chats import Lane, Received
from arbiter.bot.router import Router
from arbiter.bot.sender import Sender
from arbiter.bot.stops import Stops
from arbiter.bot.telegram_bot import TelegramBot
from arbiter.domain.account import Account, Tier
from arbiter.domain.book import BookSnapshot, Level
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey, PairId, UserId
from arbiter.domain.market import KalshiFees, Market, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import ONE, ZERO, Micros, parse_micros
from arbiter.domain.pair import pair_markets
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.tokens import Keys, digest, make_signing_key
from arbiter.runtime import Environment
from arbiter.runtime.correlation import add_correlation
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake
from arbiter.sandbox.world import WorldEvent
from arbiter.store.memory import MemoryStore
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts

SECONDS = 10
"""The longest that anything here may take; passing tests wait for events."""
TOKEN = "123456:bot-token-of-the-tests"
CREDENTIAL = "credential of the bot tests"
PEPPER = b"pepper of the bot tests"
KEY_ID = "bot-tests"
BOT_NAME = "arbiter_test_bot"


async def until(condition: Callable[[], object]) -> None:
    """Wait for something in this process that tells nobody."""
    with trio.fail_after(SECONDS):
        while not condition():  # noqa: ASYNC110 what is looked at has no event
            await trio.sleep(0.002)


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Any]:
    return until


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What is logged, as dictionaries, with the correlation id where there is one."""
    with structlog.testing.capture_logs([add_correlation]) as lines:
        yield lines


# -- a Bot API in memory --


class ScriptedApi(BaseRequest):
    """A Bot API behind python-telegram-bot's own seam for requests. Answers as Telegram does, or as `failures` say."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failures: dict[str, deque[Any]] = {}
        """By method: for the next calls a (status, body), an exception, or None for a good answer."""
        self.waiting: list[dict[str, Any]] = []
        self.confirmed = 0
        self.news = trio.Event()
        self.open = False
        self._message = 1000

    @property
    def read_timeout(self) -> float:
        return 5.0

    async def initialize(self) -> None:
        self.open = True

    async def shutdown(self) -> None:
        self.open = False

    def push(self, *updates: dict[str, Any]) -> None:
        self.waiting += updates
        self.news.set()
        self.news = trio.Event()

    def fail(self, method: str, *failures: Any) -> None:
        self.failures.setdefault(method, deque()).extend(failures)

    def of(self, method: str) -> list[dict[str, Any]]:
        """The parameters of each call of a method."""
        return [params for name, params in self.calls if name == method]

    @property
    def texts(self) -> list[str]:
        return [params["text"] for params in self.of("sendMessage")]

    async def do_request(self, url: str, method: str, request_data: Any = None, *timeouts: Any, **named: Any) -> tuple[int, bytes]:
        name = url.rpartition("/")[2]
        params = dict(request_data.parameters) if request_data else {}
        self.calls.append((name, params))
        await trio.lowlevel.checkpoint()
        failure = self.failures[name].popleft() if self.failures.get(name) else None
        if isinstance(failure, Exception):
            raise failure
        if failure is not None:
            return failure[0], json.dumps(failure[1]).encode()
        return 200, json.dumps({"ok": True, "result": await self._result(name, params)}).encode()

    async def _result(self, name: str, params: dict[str, Any]) -> Any:
        match name:
            case "getMe":
                return {"id": 123456, "is_bot": True, "first_name": "Arbiter", "username": BOT_NAME}
            case "getUpdates":
                return await self._updates(params)
            case "sendMessage" | "editMessageText":
                self._message += 1
                return {"message_id": self._message, "date": 1, "chat": {"id": int(params["chat_id"]), "type": "private"}, "text": "sent"}
            case _:
                return True

    async def _updates(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        offset = int(params.get("offset") or 0)
        self.confirmed = max(self.confirmed, offset)
        self.waiting = [update for update in self.waiting if update["update_id"] >= offset]
        if not self.waiting:
            with trio.move_on_after(int(params.get("timeout") or 0)):
                await self.news.wait()
        return self.waiting[: int(params.get("limit") or 100)]


@pytest.fixture
def api() -> ScriptedApi:
    return ScriptedApi()


@pytest.fixture
async def bot(api: ScriptedApi) -> TelegramBot:
    bot = TelegramBot(TOKEN, request=api, get_updates_request=api)
    await bot.initialize()
    api.calls.clear()
    return bot


# -- updates as Telegram sends them --


class Updates:
    """Makes updates, with identifiers that go up."""

    def __init__(self, now_s: Callable[[], int]) -> None:
        self._last = 700
        self.now_s = now_s

    def update(self, **content: Any) -> dict[str, Any]:
        self._last += 1
        return {"update_id": self._last, **content}

    def message(self, text: str | None, user: int = 42, *, age: int = 0, **fields: Any) -> dict[str, Any]:
        """A message in the private chat of `user`, `age` seconds old; `fields` come over it."""
        message: dict[str, Any] = {
            "message_id": self._last + 10_000,
            "date": self.now_s() - age,
            "chat": {"id": user, "type": "private", "first_name": "Ann"},
            "from": {"id": user, "is_bot": False, "first_name": "Ann"},
        }
        if text is not None:
            message["text"] = text
            if text.startswith("/"):
                message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
        return self.update(message=message | fields)

    def press(self, data: str, user: int = 42, *, age: int = 0, chat: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """A button pressed by `user` under a message that is `age` seconds old."""
        message = {
            "message_id": 555,
            "date": self.now_s() - age,
            "chat": chat or {"id": user, "type": "private", "first_name": "Ann"},
            "text": "dashboard",
        }
        presser = {"id": user, "is_bot": False, "first_name": "Ann"}
        query = {"id": f"query-{self._last}", "from": presser, "chat_instance": "1", "data": data, "message": message}
        return self.update(callback_query=query | fields)


@pytest.fixture
def updates() -> Updates:
    environment = Environment.real()
    return Updates(lambda: environment.unix_ms() // 1000)


# -- the whole program --

CENT = Micros(10_000)
TITLE = "Will the *Reds* <b>win</b> [the](http://x) _final_ & more?"
POLY = Market(
    MarketKey(POLYMARKET, MarketId(f"0x{1:064x}")),
    EventId("final"),
    TITLE,
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
    pairs = (pair_markets(PairId("final"), TITLE, POLY, KALS, inverted=False),)
    sample_interval_ms = None

    def __init__(self) -> None:
        self._due: list[WorldEvent] = [book(POLY.yes_key, "0.44", "0.46"), book(KALS.yes_key, "0.44", "0.46")]

    def advance(self, now_ms: int) -> list[WorldEvent]:
        due, self._due = self._due, []
        return due

    def open_gap(self) -> None:
        """Kalshi's YES becomes dear: buying YES here and NO there pays."""
        self._due.append(book(KALS.yes_key, "0.60", "0.62"))


class Program:
    """The composed tree, serving, with an account of tier pro and one of tier free."""

    def __init__(self, arbiter: Arbiter, world: ScriptedWorld, port: int) -> None:
        self.arbiter = arbiter
        self.world = world
        self.port = port
        self.poly = POLY

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def code(self, user: str = "pro") -> str:
        """A link code of that account."""
        return (await self.arbiter.core.accounts.ask(CreateLinkCode(UserId(user)), timeout=5)).code

    @asynccontextmanager
    async def client(self, user: str = "pro") -> AsyncIterator[ArbiterClient]:
        """A client of the account itself, beside the bot."""
        async with ArbiterClient.open(self.address, token=self.arbiter.front.tokens.issue(UserId(user))[0]) as client:
            yield client


@pytest.fixture(scope="session")
def kalshi_key() -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys(make_signing_key(), PEPPER, "arbiter:sandbox:bot-tests", digest(CREDENTIAL, PEPPER))


@pytest.fixture
async def program(keys: Keys, kalshi_key: tuple[bytes, bytes]) -> AsyncIterator[Program]:
    """Everything but sockets to the venues and a database: those are in memory. The clock is the real one."""
    environment, world = Environment.real(), ScriptedWorld()
    private, public = kalshi_key
    sandbox = Sandbox(world, {KEY_ID: public})
    shell = Shell(sandbox, environment.unix_ms, Wake())
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(shell.tick_for_ever)
        network = MemoryNetwork(shell, {"polymarket": sandbox.polymarket, "kalshi": sandbox.kalshi}, nursery)
        venues = [
            Polymarket(PolymarketHosts("http://polymarket", "http://polymarket", "ws://polymarket"), network, environment),
            Kalshi(KalshiHosts("http://kalshi/trade-api/v2", "ws://kalshi"), KalshiSigner(KEY_ID, private), network, environment),
        ]
        arbiter = compose(environment, MemoryStore(), venues, world.pairs, keys, listener)
        await nursery.start(arbiter.supervisor.run)
        for account in (Account(UserId("pro"), "Pat <b>*Pro*</b>", Tier.PRO), Account(UserId("free"), "Fay", Tier.FREE)):
            await arbiter.core.accounts.ask(PutNewAccount(account), timeout=5)
        books = arbiter.core.data.books
        await until(lambda: all(books.get(m.yes_key) and books.get(m.no_key) for m in world.markets))
        yield Program(arbiter, world, port_of(listener))
        arbiter.supervisor.stop()
        nursery.cancel_scope.cancel()


# -- the bot's inside, without its poll loop --


class Chat:
    """A router with the real core behind it; what it sends is in `api`."""

    def __init__(self, router: Router, backend: Backend, sender: Sender, buttons: Buttons, api: ScriptedApi, updates: Updates) -> None:
        self.router, self.backend, self.sender, self.buttons, self.api, self.updates = router, backend, sender, buttons, api, updates
        self._arrivals = count(1)

    def received(self, update: dict[str, Any], not_before_ms: int = 0) -> Received:
        """An update as the poll loop hands it over."""
        read = Update.de_json(msgspec.json.decode(msgspec.json.encode(update)))
        return Received(read, not_before_ms, next(self._arrivals))

    async def give(self, update: dict[str, Any], not_before_ms: int = 0) -> None:
        """One update, handled and answered."""
        received = self.received(update, not_before_ms)
        with trio.fail_after(SECONDS):
            match self.router.admit(received):
                case Lane.REFUSED:
                    await self.router.refuse(received)
                case Lane.IN_ORDER | Lane.URGENT:
                    await self.router.handle(received)
            await self.sender.settle()

    async def say(self, text: str, user: int = 42, **fields: Any) -> str:
        """What the bot answers to that message: all of it, or nothing."""
        before = len(self.api.texts)
        await self.give(self.updates.message(text, user, **fields))
        return "\n".join(self.api.texts[before:])

    async def press(self, data: str, user: int = 42, **fields: Any) -> dict[str, Any]:
        """How the callback was answered."""
        await self.give(self.updates.press(data, user, **fields))
        return self.api.of("answerCallbackQuery")[-1]

    @property
    def edited(self) -> dict[str, Any]:
        """The last edit."""
        return self.api.of("editMessageText")[-1]


def buttons_of(params: dict[str, Any]) -> dict[str, str]:
    """Label -> callback data of a sent message."""
    markup = params.get("reply_markup") or {"inline_keyboard": []}
    markup = json.loads(markup) if isinstance(markup, str) else markup
    return {button["text"]: button["callback_data"] for row in markup["inline_keyboard"] for button in row}


@pytest.fixture
def keyboard() -> Callable[[dict[str, Any]], dict[str, str]]:
    return buttons_of


@pytest.fixture
def make_chat(api: ScriptedApi, bot: TelegramBot, updates: Updates) -> Callable[..., Any]:
    """`async with make_chat("host:port") as chat`."""

    @asynccontextmanager
    async def make(server: str, allowed: frozenset[int] = frozenset(), credential: str = CREDENTIAL) -> AsyncIterator[Chat]:
        environment = Environment.real()
        backend, buttons = Backend(server, credential, environment), Buttons(TOKEN)
        async with trio.open_nursery() as nursery:
            sender = Sender(bot, buttons, environment, nursery)
            stops = Stops(backend, sender, environment, nursery)
            router = Router(backend, sender, stops, buttons, allowed, environment, lambda: BOT_NAME)
            nursery.start_soon(backend.keep_connected)
            yield Chat(router, backend, sender, buttons, api, updates)
            nursery.cancel_scope.cancel()

    return make


@pytest.fixture
async def chat(program: Program, make_chat: Callable[..., Any]) -> AsyncIterator[Chat]:
    """The bot's inside on the running program; nobody is linked."""
    async with make_chat(program.address) as chat:
        yield chat


@pytest.fixture
async def linked(program: Program, chat: Chat) -> Chat:
    """User 42 is linked to the account of tier pro."""
    await chat.say(f"/start {await program.code()}")
    chat.api.calls.clear()
    return chat


@pytest.fixture
def state_folder(tmp_path: Path) -> Path:
    return tmp_path / "state"

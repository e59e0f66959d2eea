"""The bot's HTTP against real sockets: what is sent, what its errors say, and what they never say."""

from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from telegram.error import NetworkError, TimedOut

from arbiter.bot import http
from arbiter.bot.http import PoolRequest
from arbiter.bot.telegram_bot import make_bot
from arbiter.sandbox.shells import Shell, Wake, serve_ticking
from arbiter.sandbox.telegram.engine import TelegramEngine

TOKEN = "123456:bot-token-of-the-tests"
SECRET = TOKEN.partition(":")[2]


@asynccontextmanager
async def answering(respond):
    """A server that hands each connection to `respond`; its address."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, respond, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


@pytest.fixture
async def engine(nursery: trio.Nursery) -> Any:
    made = TelegramEngine(TOKEN)
    made.people.say("/start", 1_767_225_600_000, by="Ann")
    made.port = await nursery.start(serve_ticking, Shell(made, lambda: 1_767_225_600_000, Wake()), made, 0)
    return made


async def failure(url: str, **seconds: float) -> NetworkError:
    """What a request fails with."""
    request = PoolRequest(proxies=False)
    try:
        with trio.fail_after(5), pytest.raises(NetworkError) as raised:
            await request.do_request(f"{url}/bot{TOKEN}/getMe", "POST", **seconds)
    finally:
        await request.shutdown()
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    return raised.value


async def test_a_message_with_text_of_every_kind_arrives_as_it_was_written(engine: Any) -> None:
    bot = make_bot(TOKEN, f"http://127.0.0.1:{engine.port}")
    text = "1 & 2 = 3 + ü € 😀 %20 <b>"
    chat = engine.people.chat_of("Ann", 1_767_225_600_000).chat.id
    async with bot:
        assert (await bot.send_message(chat, text)).text == text


async def test_a_file_arrives_whole(engine: Any) -> None:
    bot = make_bot(TOKEN, f"http://127.0.0.1:{engine.port}")
    chat = engine.people.chat_of("Ann", 1_767_225_600_000).chat.id
    content = bytes(range(256)) * 40
    async with bot:
        sent = await bot.send_document(chat, content, filename="fills.csv", caption="of today")
        assert (sent.document.file_name, sent.document.file_size, sent.caption) == ("fills.csv", len(content), "of today")
        got = await bot.get_file(sent.document.file_id)
        assert bytes(await got.download_as_bytearray()) == content


async def test_nobody_there_is_a_network_error() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    assert not isinstance(await failure(f"http://127.0.0.1:{port}"), TimedOut)


async def test_silence_is_a_time_out() -> None:
    async def respond(_stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with answering(respond) as url:
        assert isinstance(await failure(url, read_timeout=0.05), TimedOut)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", b"no HTTP at all\r\n\r\n"])
async def test_an_answer_that_is_none_is_a_network_error(answer: bytes) -> None:
    async def respond(stream: trio.SocketStream) -> None:
        await stream.receive_some(65_536)
        await stream.send_all(answer)
        await stream.aclose()

    async with answering(respond) as url:
        assert not isinstance(await failure(url), TimedOut)


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_ANSWER", 100_000)

    async def respond(stream: trio.SocketStream) -> None:
        await stream.receive_some(65_536)
        try:
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                await stream.send_all(b"x" * 10_000)
        except trio.BrokenResourceError:
            pass

    async with answering(respond) as url:
        assert "100000 bytes" in str(await failure(url))


async def test_a_cancelled_call_leaves_nothing_behind_and_the_next_one_works(engine: Any) -> None:
    bot = make_bot(TOKEN, f"http://127.0.0.1:{engine.port}")
    async with bot, trio.open_nursery() as nursery:
        nursery.start_soon(bot.fetch_updates, 10**12, 100, 20, ("message",), 10.0)
        with trio.fail_after(5):
            while not engine.state.updates.polled:  # noqa: ASYNC110 the engine has no event for this
                await trio.sleep(0.002)
        nursery.cancel_scope.cancel()
    async with bot:
        assert (await bot.get_me()).is_bot


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, None), ({"https_proxy": "http://127.0.0.1:3128"}, 3128), ({"https_proxy": "http://127.0.0.1:3128", "no_proxy": "*"}, None)],
)
def test_the_environments_proxy_counts_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: int | None
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = http._proxy_of("https://telegram.invalid/botX/getMe")
    assert (found.url.port if found is not None else None) == expected

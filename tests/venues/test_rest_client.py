"""The REST client against scripted bytes over memory streams, on trio's jumping clock."""

import msgspec
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.runtime import Environment
from arbiter.venues.rest import ATTEMPTS, LARGEST_ANSWER, REQUEST_SECONDS, RestClient


class Item(msgspec.Struct):
    name: str


def answer(body: bytes = b'{"name":"a"}', status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class ScriptedNetwork:
    """Each request is answered with the next of `answers`; b"" hangs up, None never answers."""

    def __init__(self, nursery: trio.Nursery, *answers: bytes | None) -> None:
        self._nursery = nursery
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        self.connections += 1
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                while data := await stream.receive_some():
                    self.requests.append(bytes(data))
                    if not data.startswith((b"GET ", b"POST ")):
                        continue  # the body, which comes by itself
                    next_answer = self._answers.pop(0)
                    if next_answer is None:
                        await trio.sleep_forever()
                    if not next_answer:
                        return
                    await stream.send_all(next_answer)
            except trio.BrokenResourceError:
                pass


async def ask(*answers: bytes | None, type_: type = Item) -> tuple[object, ScriptedNetwork]:
    async with trio.open_nursery() as nursery:
        network = ScriptedNetwork(nursery, *answers)
        try:
            async with RestClient("venue", "http://venue/api/", network, Environment.simulated(1)) as rest:
                result: object = await rest.get("/items", type_, [("limit", "5"), ("cursor", "a b&c")])
        except (VenueUnavailable, VenueRejected) as error:
            result = error
        nursery.cancel_scope.cancel()
    return result, network


async def test_a_read_is_typed_and_its_parameters_are_quoted(autojump_clock: MockClock) -> None:
    result, network = await ask(answer())
    assert result == Item("a")
    head = network.requests[0].decode()
    assert head.startswith("GET /api/items?limit=5&cursor=a+b%26c HTTP/1.1\r\n")
    assert "host: venue\r\n" in head.lower()


async def test_reads_share_a_connection_and_the_end_of_the_block_closes_it(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        network = ScriptedNetwork(nursery, answer(), answer(b'{"name":"b"}'))
        async with RestClient("venue", "http://venue", network, Environment.simulated(1)) as rest:
            assert await rest.get("/1", Item) == Item("a")
            assert await rest.post("/2", [{"token_id": "1"}], Item) == Item("b")
        assert network.connections == 1
        assert b'[{"token_id":"1"}]' in b"".join(network.requests)
        # no cancellation: the server's task ends by itself because the client closed the connection


@pytest.mark.parametrize("status", ["429 Too Many Requests", "425 Too Early", "408 Request Timeout", "500 Oops", "503 Later"])
async def test_a_venue_that_cannot_now_is_asked_three_times(autojump_clock: MockClock, status: str) -> None:
    result, network = await ask(*[answer(b"{}", status)] * ATTEMPTS)
    assert isinstance(result, VenueUnavailable)
    assert status.split()[0] in result.problem
    assert len(network.requests) == ATTEMPTS


@pytest.mark.parametrize("first", [b"", answer(b"{}", "503 Later"), b"garbage\r\n\r\n"])
async def test_a_second_attempt_may_succeed(autojump_clock: MockClock, first: bytes) -> None:
    result, _ = await ask(first, answer())
    assert result == Item("a")


async def test_a_short_retry_after_is_waited_for(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    result, _ = await ask(answer(b"{}", "429 Too Many Requests", "Retry-After: 3"), answer())
    assert result == Item("a")
    assert trio.current_time() - began == pytest.approx(3)


async def test_a_long_retry_after_is_left_to_the_caller(autojump_clock: MockClock) -> None:
    result, network = await ask(answer(b"{}", "429 Too Many Requests", "Retry-After: 60"))
    assert isinstance(result, VenueUnavailable)
    assert result.retry_after_ms == 60_000
    assert len(network.requests) == 1


@pytest.mark.parametrize("wish", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "99999999999999999999"])
async def test_an_odd_retry_after_is_no_wish(autojump_clock: MockClock, wish: str) -> None:
    result, _ = await ask(*[answer(b"{}", "503 Later", f"Retry-After: {wish}")] * ATTEMPTS)
    assert isinstance(result, VenueUnavailable)
    assert result.retry_after_ms is None


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "404 Not Found", "410 Gone", "302 Found"])
async def test_a_refusal_is_never_repeated(autojump_clock: MockClock, status: str) -> None:
    result, network = await ask(answer(b'{"error":"no such thing"}', status))
    assert isinstance(result, VenueRejected)
    assert "no such thing" in result.problem
    assert result.code == status.split()[0]
    assert len(network.requests) == 1


@pytest.mark.parametrize("body", [b"<html>", b'{"name":7}', b'{"name":"\xff"}', b"[" * 100_000, b""])
async def test_an_answer_that_is_not_what_the_api_promises_is_a_refusal(autojump_clock: MockClock, body: bytes) -> None:
    result, network = await ask(answer(body))
    assert isinstance(result, VenueRejected)
    assert "/items is not what the API promises" in result.problem
    assert len(network.requests) == 1


async def test_an_answer_without_bound_is_cut_off(autojump_clock: MockClock) -> None:
    result, _ = await ask(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b" " * (LARGEST_ANSWER + 1))
    assert isinstance(result, VenueRejected)
    assert "more than" in result.problem


async def test_silence_has_a_deadline(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    result, _ = await ask(*[None] * ATTEMPTS)
    assert isinstance(result, VenueUnavailable)
    assert ATTEMPTS * REQUEST_SECONDS <= trio.current_time() - began < ATTEMPTS * REQUEST_SECONDS + 5


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b"HTTP/1.1 nonsense\r\n\r\n"])
async def test_a_broken_answer_is_unavailable(autojump_clock: MockClock, cut: bytes) -> None:

    class CuttingNetwork(ScriptedNetwork):
        async def _serve(self, stream: trio.abc.Stream) -> None:
            async with stream:
                await stream.receive_some()
                if cut:
                    await stream.send_all(cut)

    async with trio.open_nursery() as nursery:
        network = CuttingNetwork(nursery)
        async with RestClient("venue", "http://venue", network, Environment.simulated(1)) as rest:
            with pytest.raises(VenueUnavailable):
                await rest.get("/items", Item)
    assert network.connections == ATTEMPTS


async def test_no_route_is_unavailable(autojump_clock: MockClock) -> None:
    class Nowhere:
        async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
            raise OSError("no route to host")

    async with RestClient("venue", "https://venue", Nowhere(), Environment.simulated(1)) as rest:
        with pytest.raises(VenueUnavailable, match="no route to host"):
            await rest.get("/items", Item)

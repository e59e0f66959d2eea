"""What must be sent once: not sent, refused, done, or not known. And what answers a client never believes, on the jumping clock."""

import gzip
import zlib
from collections.abc import Mapping

import msgspec
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from arbiter.errors import ArbiterError, OrderUncertain, VenueRejected, VenueUnavailable
from arbiter.runtime import Environment
from arbiter.venues.limit_table import Charge, LimitTable, Rule
from arbiter.venues.limiter import Limiter
from arbiter.venues.refusals import Refusal
from arbiter.venues.rest import REQUEST_SECONDS, RestClient
from arbiter.venues.tally import BadInput, Tally
from arbiter.venues.token_bucket import Limit

BODY = b'{"price":"0.5"}'


class Accepted(msgspec.Struct):
    id: str


def http(status: str, body: bytes = b"{}", *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines]).encode() + b"\r\n\r\n" + body


class Venue:
    """A `Network` whose other end reads a request and answers it with the next of `answers`: bytes, b"" to hang up, None for silence."""

    def __init__(self, nursery: trio.Nursery, *answers: bytes | None, dribble: float = 0.0) -> None:
        self.nursery = nursery
        self.answers = list(answers)
        self.dribble = dribble
        self.requests: list[bytes] = []
        self.environment = Environment.simulated(1)
        self.tally = Tally("venue", self.environment)

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        if not self.answers:
            raise OSError("no route to host")
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                while await self._request(stream):
                    answer = self.answers.pop(0)
                    if answer is None:
                        await trio.sleep_forever()
                    elif not answer:
                        return
                    elif not self.dribble:
                        await stream.send_all(answer)
                    for start in range(len(answer or b"") if self.dribble else 0):
                        await trio.sleep(self.dribble)
                        await stream.send_all((answer or b"")[start : start + 1])
            except trio.BrokenResourceError:
                pass

    async def _request(self, stream: trio.abc.Stream) -> bool:
        seen = b""
        while True:
            data = await stream.receive_some()
            if not data:
                return False
            seen += data
            head, found, body = seen.partition(b"\r\n\r\n")
            length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
            if found and len(body) >= length:
                self.requests.append(seen)
                return True

    def client(self, **settings: object) -> RestClient:
        return RestClient("venue", "http://venue/api", self, self.environment, tally=self.tally, **settings)


async def place(venue: Venue, **settings: object) -> object:
    """One order; what came of it."""
    async with venue.client() as rest:
        try:
            return await rest.once("POST", "/order", BODY, Accepted, order_id="order-1", **settings)
        except ArbiterError as error:
            return error
        finally:
            venue.nursery.cancel_scope.deadline = trio.current_time() + 1


@pytest.mark.parametrize(
    ("answer", "expected", "text"),
    [
        (http("201 Created", b'{"id":"7"}'), Accepted, ""),
        (
            http("400 Bad Request", b'{"error":{"code":"invalid_price","message":"off the grid"}}'),
            VenueRejected,
            "HTTP 400: off the grid (invalid_price)",
        ),
        (http("409 Conflict", b'{"error":{"code":"order_already_exists"}}'), VenueRejected, "order_already_exists"),
        (http("403 Forbidden", b"<html><title>Blocked</title>"), VenueRejected, "a page titled 'Blocked'"),
        (http("429 Too Many", b'{"error":"too many requests"}'), VenueUnavailable, "HTTP 429: too many requests"),
        (http("425 Too Early", b'{"error":"restarting"}'), VenueUnavailable, "HTTP 425: restarting"),
        (http("500 Oops", b'{"error":"could not insert order"}'), OrderUncertain, "order-1"),
        (http("503 Later", b'{"error":"away"}', "Retry-After: 1"), OrderUncertain, "order-1"),
        (http("408 Request Timeout"), OrderUncertain, "order-1"),
        (http("302 Found", b"", "Location: /elsewhere"), OrderUncertain, "order-1"),
        (http("200 OK", b"<html>"), OrderUncertain, "order-1"),
        (http("200 OK", b'{"id":7}'), OrderUncertain, "order-1"),
        (http("200 OK", b'{"id":"7"}', "Content-Encoding: gzip"), OrderUncertain, "order-1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", OrderUncertain, "order-1"),
        (b"garbage\r\n\r\n", OrderUncertain, "order-1"),
        (b"", OrderUncertain, "order-1"),
        (None, OrderUncertain, "order-1"),
    ],
)
async def test_an_order_is_done_refused_or_not_known_and_never_sent_twice(autojump_clock: MockClock, answer, expected, text) -> None:
    async with trio.open_nursery() as nursery:
        venue = Venue(nursery, answer, http("200 OK", b'{"id":"twice"}'))
        result = await place(venue)
    assert type(result) is expected
    assert text in str(result)
    assert len(venue.requests) == 1


async def test_an_order_that_finds_no_connection_was_not_sent(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        result = await place(Venue(nursery))
    assert isinstance(result, VenueUnavailable)
    assert "nothing was sent: no route to host" in str(result)


async def test_an_order_that_must_wait_too_long_for_its_turn_was_not_sent(autojump_clock: MockClock) -> None:
    table = LimitTable((Limit("orders", 0.1, 1),), (Rule("/", (Charge("orders"),)),))
    async with trio.open_nursery() as nursery:
        venue = Venue(nursery, http("200 OK", b'{"id":"1"}'), http("200 OK", b'{"id":"2"}'))
        limiter = Limiter("venue", table, venue.environment)
        async with venue.client(limiter=limiter) as rest:
            await rest.once("POST", "/order", BODY, Accepted, order_id="1")
            with pytest.raises(VenueUnavailable) as refused:
                await rest.once("POST", "/order", BODY, Accepted, order_id="2", seconds=5)
        assert refused.value.retry_after_ms == pytest.approx(10_000, abs=2)
        assert trio.current_time() == 0
        nursery.cancel_scope.cancel()
    assert len(venue.requests) == 1


async def test_a_refusal_by_a_mode_of_trading_is_sure_where_the_venue_is_known_to_mean_it(autojump_clock: MockClock) -> None:
    body = b'{"error":"Trading is currently cancel-only","code":"cancel_only","retry_after_seconds":30}'

    def refused(status: int, refusal: Refusal) -> bool:
        return status == 503 and "cancel-only" in refusal.text

    async with trio.open_nursery() as nursery:
        result = await place(Venue(nursery, http("503 Later", body)), refused=refused)
    assert isinstance(result, VenueUnavailable)
    assert (result.code, result.retry_after_ms) == ("cancel_only", 30_000)


async def test_a_cancelled_order_leaves_the_pool_clean_for_the_next(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        venue = Venue(nursery, None, *[http("200 OK", b'{"id":"7"}')] * 3)
        async with venue.client() as rest:
            with trio.move_on_after(1) as scope:
                await rest.once("POST", "/order", BODY, Accepted, order_id="1")
            assert scope.cancelled_caught
            for _ in range(3):
                assert await rest.get("/order", Accepted) == Accepted("7")
        nursery.cancel_scope.cancel()


async def test_each_attempt_is_signed_anew_over_the_path_from_the_root(autojump_clock: MockClock) -> None:
    signed: list[tuple[float, str, str, bytes]] = []

    def sign(method: str, path: str, body: bytes) -> Mapping[str, str]:
        signed.append((trio.current_time(), method, path, body))
        return {"X-Signature": str(len(signed))}

    async with trio.open_nursery() as nursery:
        venue = Venue(nursery, http("503 Later"), http("200 OK", b'{"id":"7"}'))
        async with venue.client() as rest:
            await rest.get("/own", Accepted, [("limit", "5")], sign=sign)
        nursery.cancel_scope.cancel()
    assert [each[1:] for each in signed] == [("GET", "/api/own", b"")] * 2
    assert signed[1][0] > signed[0][0]
    assert b"X-Signature: 2" in venue.requests[1]


# -- answers that a client never believes --


async def read(venue: Venue, **settings: object) -> object:
    async with venue.client(**settings) as rest:
        try:
            return await rest.get("/items", Accepted)
        except ArbiterError as error:
            return error
        finally:
            venue.nursery.cancel_scope.deadline = trio.current_time() + 1


def gzipped(body: bytes) -> bytes:
    return http("200 OK", gzip.compress(body), "Content-Encoding: gzip")


async def test_an_answer_may_be_compressed_and_is_asked_to_be(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        venue = Venue(nursery, gzipped(b'{"id":"' + b"7" * 3_000_000 + b'"}'))
        result = await read(venue)
    assert result == Accepted("7" * 3_000_000)
    assert b"accept-encoding: gzip\r\n" in venue.requests[0]


async def test_a_small_answer_that_inflates_without_end_is_cut_off(autojump_clock: MockClock) -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([squeeze.compress(bytes(1_000_000)) for _ in range(200)]) + squeeze.flush()
    assert len(bomb) < 300_000
    async with trio.open_nursery() as nursery:
        venue = Venue(nursery, http("200 OK", bomb, "Content-Encoding: gzip"))
        result = await read(venue, largest=2_000_000)
    assert isinstance(result, VenueRejected)
    assert "more than 2000000 bytes" in str(result)
    assert venue.tally.bad[BadInput.LARGE_ANSWER] == 1


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", gzip.compress(b'{"id":"7"}' * 100, mtime=0)[:-9], "Content-Encoding: gzip"),
        http("200 OK", b'{"id":"7"}', "Content-Encoding: gzip"),
        http("200 OK", b'{"id":"7"}', "Content-Encoding: br"),
    ],
)
async def test_an_answer_that_is_not_what_its_encoding_says_may_be_better_the_next_time(autojump_clock: MockClock, answer: bytes) -> None:
    async with trio.open_nursery() as nursery:
        venue = Venue(nursery, answer, gzipped(b'{"id":"7"}'))
        assert await read(venue) == Accepted("7")
    assert venue.tally.bad[BadInput.UNREADABLE_ANSWER] == 1


async def test_html_and_garbage_are_named_and_counted_but_never_shown(autojump_clock: MockClock) -> None:
    secret = b"<html><title>Sign in</title><body>" + b"do not show this " * 1000
    async with trio.open_nursery() as nursery:
        venue = Venue(nursery, http("200 OK", secret))
        result = await read(venue)
    assert str(result) == "venue refused: /items is not what the API promises: a page titled 'Sign in'"
    assert venue.tally.bad[BadInput.UNREADABLE_ANSWER] == 1


async def test_an_answer_that_never_ends_is_given_up_at_the_deadline(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        endless = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 100_000
        venue = Venue(nursery, endless, endless, endless, dribble=0.5)
        async with venue.client() as rest:
            with pytest.raises(VenueUnavailable, match="no answer within"):
                await rest.get("/items", Accepted, seconds=15)
        assert trio.current_time() <= 15 + 1
        assert trio.current_time() >= REQUEST_SECONDS
        nursery.cancel_scope.cancel()
    assert venue.tally.bad[BadInput.UNANSWERED] == len(venue.requests) == 2

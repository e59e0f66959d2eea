"""Typed REST reads of a venue: every foreign error becomes VenueUnavailable (retry) or VenueRejected (never retry)."""

from collections.abc import Sequence
from contextlib import aclosing
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import httpcore2
import msgspec
import trio

from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Network
from arbiter.venues.network import PoolBackend
from arbiter.venues.wire_numbers import UNDECODABLE

T = TypeVar("T")

REQUEST_SECONDS = 10.0
ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
"""A venue that wants a longer pause (`Retry-After`) is left alone: the caller gets the error and the wish."""
LARGEST_ANSWER = 32 * 1024 * 1024
CONNECTIONS = 8
IDLE_SECONDS = 30.0
USER_AGENT = "arbiter"
_LATER = frozenset({408, 425, 429})
_FOREIGN = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.ConnectionNotAvailable,
    httpcore2.UnsupportedProtocol,
)

Params = Sequence[tuple[str, str]]


class RestClient:
    """GET and read-only POST of one base address, over a pool of connections that lives as long as the `async with` block."""

    def __init__(self, venue: str, base_url: str, network: Network, random: Random) -> None:
        self._venue = venue
        self._base = base_url.rstrip("/")
        self._random = random
        backend = PoolBackend(network, tls=urlsplit(base_url).scheme == "https")
        self._pool = httpcore2.AsyncConnectionPool(max_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS, network_backend=backend)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._pool.aclose()

    async def get(self, path: str, type_: type[T], params: Params = ()) -> T:
        """Read and decode; at most three attempts while the venue is unavailable."""
        return await self._read("GET", path + (f"?{urlencode(params)}" if params else ""), b"", type_)

    async def post(self, path: str, body: Any, type_: type[T]) -> T:
        """A read that the venue wants as POST (batches). Never for orders: it is repeated when unanswered."""
        return await self._read("POST", path, msgspec.json.encode(body), type_)

    async def _read(self, method: str, target: str, body: bytes, type_: type[T]) -> T:
        attempt = 1
        while True:
            try:
                return self._decode(await self._request(method, target, body), target, type_)
            except VenueUnavailable as error:
                wish = (error.retry_after_ms or 0) / 1000
                if attempt == ATTEMPTS or wish > LONGEST_PAUSE_SECONDS:
                    raise
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**attempt) * (0.5 + self._random.random() / 2)
            attempt += 1
            await trio.sleep(max(wish, pause))

    async def _request(self, method: str, target: str, body: bytes) -> bytes:
        headers: list[tuple[bytes | str, bytes | str]] = [("accept", "application/json"), ("user-agent", USER_AGENT)]
        if body:
            headers.append(("content-type", "application/json"))
        try:
            with trio.fail_after(REQUEST_SECONDS):
                async with self._pool.stream(method, self._base + target, headers=headers, content=body) as response:
                    answer = await self._bounded(response)
                    self._require_success(response, answer)
                    return answer
        except trio.TooSlowError:
            raise VenueUnavailable(self._venue, f"no answer within {REQUEST_SECONDS:g} s") from None
        except _FOREIGN as error:
            raise VenueUnavailable(self._venue, str(error) or type(error).__name__) from error

    async def _bounded(self, response: httpcore2.Response) -> bytes:
        answer = bytearray()
        async with aclosing(response.aiter_stream()) as chunks:
            async for chunk in chunks:
                answer += chunk
                if len(answer) > LARGEST_ANSWER:
                    raise VenueRejected(self._venue, f"an answer of more than {LARGEST_ANSWER} bytes")
        return bytes(answer)

    def _require_success(self, response: httpcore2.Response, answer: bytes) -> None:
        status = response.status
        if status in _LATER or status >= 500:
            raise VenueUnavailable(self._venue, f"HTTP {status}", _retry_after_ms(response.headers))
        if status >= 300:
            raise VenueRejected(self._venue, f"HTTP {status}: {answer[:200].decode('utf-8', 'replace')}", str(status))

    def _decode(self, answer: bytes, target: str, type_: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=type_)
        except UNDECODABLE as error:
            raise VenueRejected(self._venue, f"{target.partition('?')[0]} is not what the API promises: {error}") from error


def _retry_after_ms(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    """`Retry-After` in seconds; its other form, a date, no venue uses and no clock here could trust."""
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 7:
            return int(value) * 1000
    return None

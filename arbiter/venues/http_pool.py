"""One HTTP exchange at a time over pooled connections: bytes there, bytes back, within a deadline and a bound.

httpcore2's pool itself, not httpx2 on top of it: that takes a third more CPU for each request (1.02 ms against 0.75, loopback), and of what
it adds (redirects, cookies, proxies and credentials from the environment) nothing may happen here, but for gzip.
"""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpcore2
import trio

from arbiter.venues.base import Network
from arbiter.venues.inflating import Body, NotCompressed, TooLarge
from arbiter.venues.network import PoolBackend

CONNECTIONS = 8
IDLE_SECONDS = 30.0
USER_AGENT = "arbiter"
_SENDING = "http11.send_request_headers.started"
_FOREIGN = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.ConnectionNotAvailable,
    httpcore2.UnsupportedProtocol,
)


class Answer(NamedTuple):
    """Header names in lower case; the body inflated."""

    status: int
    headers: dict[str, str]
    body: bytes
    wish_ms: int | None = None
    """For how long the venue wants to be left alone, where it says so."""


class Unanswered(Exception):
    """No whole answer came. `sent`: some of the request may have reached the venue."""

    def __init__(self, problem: str, *, sent: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.sent = sent


class HttpPool:
    """Connections to one host, kept open for the next request."""

    def __init__(self, base_url: str, network: Network, largest: int) -> None:
        self._largest = largest
        backend = PoolBackend(network, tls=urlsplit(base_url).scheme == "https")
        self._pool = httpcore2.AsyncConnectionPool(max_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS, network_backend=backend)

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Answer:
        """Send and read the whole answer. Raises Unanswered, TooLarge, NotCompressed; a cancellation leaves the pool clean."""
        sent = False

        async def watch(event: str, _: Mapping[str, Any]) -> None:
            nonlocal sent
            sent = sent or event == _SENDING

        lines: list[tuple[bytes | str, bytes | str]] = [
            *(("accept", "application/json"), ("accept-encoding", "gzip"), ("user-agent", USER_AGENT)),
            *([("content-type", "application/json")] if body else []),
            *headers.items(),
        ]
        try:
            with trio.move_on_after(seconds):
                async with self._pool.stream(method, url, headers=lines, content=body, extensions={"trace": watch}) as response:
                    return await self._whole(response)
        except _FOREIGN as error:
            raise Unanswered(str(error) or type(error).__name__, sent=sent) from error
        raise Unanswered(f"no answer within {seconds:g} s", sent=sent)

    async def _whole(self, response: httpcore2.Response) -> Answer:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        body = Body(headers.get("content-encoding", "").strip().lower(), self._largest)
        async with aclosing(response.aiter_stream()) as chunks:
            async for chunk in chunks:
                for _ in body.take(chunk):
                    await trio.lowlevel.checkpoint()
        return Answer(response.status, headers, body.whole())


__all__ = ["Answer", "HttpPool", "NotCompressed", "TooLarge", "Unanswered"]

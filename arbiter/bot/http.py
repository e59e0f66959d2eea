"""HTTP for python-telegram-bot over httpcore2, the pool that the venues' connectors use, without the layers of its own httpx above it.

It speaks trio by itself, needs no body in pieces, and keeps few connections: Telegram takes about 30 messages a second.
"""

import ssl
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx
import trio
from telegram.error import NetworkError, TimedOut
from telegram.request import BaseRequest, RequestData

CALL_SECONDS = 10.0
CONNECT_SECONDS = 5.0
CONNECTIONS = 8
IDLE_SECONDS = 60.0
LARGEST_ANSWER = 32 * 1024 * 1024
_LOST = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.ConnectionNotAvailable,
    httpcore2.UnsupportedProtocol,
)
_FORM = "application/x-www-form-urlencoded"


class PoolRequest(BaseRequest):
    """One pool of connections. `proxies`: whether those of the environment count."""

    def __init__(self, *, proxies: bool) -> None:
        self._proxies = proxies
        self._pool: httpcore2.AsyncConnectionPool | None = None

    @property
    def read_timeout(self) -> float:
        """In seconds; what the library adds a long poll's own patience to."""
        return CALL_SECONDS

    async def initialize(self) -> None:
        """Nothing is opened before the first request, whose address decides on the proxy."""

    async def shutdown(self) -> None:
        """Close every connection; a later request opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: Any = BaseRequest.DEFAULT_NONE,
        write_timeout: Any = BaseRequest.DEFAULT_NONE,
        connect_timeout: Any = BaseRequest.DEFAULT_NONE,
        pool_timeout: Any = BaseRequest.DEFAULT_NONE,
    ) -> tuple[int, bytes]:
        """The status and the body. Raises TimedOut and NetworkError, whose texts never hold the URL, since that holds the token."""
        pool = await self._opened(url)
        content, kind = _body(request_data)
        seconds = {
            "read": _or(read_timeout, CALL_SECONDS),
            "write": _or(write_timeout, CALL_SECONDS),
            "connect": _or(connect_timeout, CONNECT_SECONDS),
            "pool": _or(pool_timeout, CALL_SECONDS),
        }
        headers = [("user-agent", self.USER_AGENT), *([("content-type", kind)] if content else [])]
        try:
            async with pool.stream(method, url, headers=headers, content=content, extensions={"timeout": seconds}) as response:
                return response.status, await _bounded(response)
        except httpcore2.TimeoutException as error:
            raise TimedOut(f"{type(error).__name__}") from None
        except _LOST as error:
            raise NetworkError(type(error).__name__) from None

    async def _opened(self, url: str) -> httpcore2.AsyncConnectionPool:
        if self._pool is None:
            # reading the machine's certificates takes a while
            tls = await trio.to_thread.run_sync(ssl.create_default_context) if url.startswith("https:") else None
            if self._pool is None:  # nobody was quicker meanwhile
                self._pool = httpcore2.AsyncConnectionPool(
                    ssl_context=tls,
                    proxy=_proxy_of(url) if self._proxies else None,
                    max_connections=CONNECTIONS,
                    keepalive_expiry=IDLE_SECONDS,
                )
        return self._pool


def _or(given: Any, default: float) -> float | None:
    """A timeout in seconds, None for none; the library has a mark of its own for 'not given'."""
    return default if given is BaseRequest.DEFAULT_NONE else given


def _proxy_of(url: str) -> httpcore2.Proxy | None:
    """The environment's proxy for this address."""
    parts = urlsplit(url)
    address = getproxies().get(parts.scheme)
    return httpcore2.Proxy(address) if address and not proxy_bypass(parts.hostname or "") else None


def _body(data: RequestData | None) -> tuple[bytes, str]:
    """A request's body and its content type."""
    if data is None:
        return b"", ""
    if not data.contains_files:
        return data.url_encoded_parameters().encode(), _FORM
    # rare enough for the library that knows how
    built = httpx.Request("POST", "http://localhost", data=data.json_parameters, files=data.multipart_data)
    return built.read(), built.headers["content-type"]


async def _bounded(response: httpcore2.Response) -> bytes:
    answer = bytearray()
    async with aclosing(response.aiter_stream()) as chunks:
        async for chunk in chunks:
            answer += chunk
            if len(answer) > LARGEST_ANSWER:
                raise NetworkError(f"an answer of more than {LARGEST_ANSWER} bytes")
    return bytes(answer)

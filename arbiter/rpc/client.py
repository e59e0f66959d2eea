"""ArbiterClient: Arbiter's API for trio programs, typed. The bot, `watch` and the examples are built on it.

    async with ArbiterClient.open("127.0.0.1:50051") as client:
        await client.authenticate(api_key)
        for position in await client.get_positions():
            print(position.title, position.size)

Over the network always with TLS: `ArbiterClient.open("https://arbiter.example.com:50051")`, or with `ca=` (and `cert=`, `key=` where the
server wants a client certificate) for an authority of one's own. There is no way to leave the verification away.

The client is persistent: a lost connection is made again, a token is renewed before it ends, a stream goes on from where it was, and a
call is made again within its deadline where the server certainly did not begin with it, or where a second one changes nothing. What it
may not decide by itself it raises: the errors of `client_errors` say how to react. With `persistent=False` it does what it is
told, once. For scripts without trio there is `SyncArbiterClient`.

Money is `int` micros, as everywhere. A call made under `caused_by(id)` sends that id
along, so that the server's log lines of it can be found.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import trio

from arbiter.rpc.channel import Channel
from arbiter.rpc.client_address import read_address
from arbiter.rpc.client_admin import Admin
from arbiter.rpc.client_calls import CALL_SECONDS, Calls
from arbiter.rpc.client_errors import (
    ArbiterClientError,
    AuthenticationError,
    InvalidRequestError,
    NewerServerError,
    NotConnected,
    NotFoundError,
    NotPermittedError,
    RateLimitError,
    RefusedError,
    UnavailableError,
    UncertainError,
)
from arbiter.rpc.client_link import Link
from arbiter.rpc.client_markets import Markets, Strategies
from arbiter.rpc.client_session import Session
from arbiter.rpc.client_tls import ClientTls
from arbiter.rpc.client_trading import Trading
from arbiter.rpc.client_types import Opportunity, OrderInfo, PositionInfo, PositionsUpdate, Profile
from arbiter.rpc.client_users import Users
from arbiter.rpc.dial import connect, connect_local

__all__ = [
    "ArbiterClient",
    "ArbiterClientError",
    "AuthenticationError",
    "InvalidRequestError",
    "NewerServerError",
    "NotConnected",
    "NotFoundError",
    "NotPermittedError",
    "Opportunity",
    "OrderInfo",
    "PositionInfo",
    "PositionsUpdate",
    "Profile",
    "RateLimitError",
    "RefusedError",
    "UnavailableError",
    "UncertainError",
]


class ArbiterClient(Users, Trading, Strategies, Markets, Admin):
    """One connection with a managed life. `open` is the short form of `connect` and `close`.

    The address is `host:port` in clear, `https://host:port` over TLS, or `unix:` and the path of a socket file. `ca`, `cert` and `key`
    name PEM files (see `client_tls.py`) and mean TLS too; they are read at each connection. `call_seconds` is the deadline of each
    call, with all its attempts. `random` spreads the attempts of many clients. Many tasks may use it at once.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str = "",
        call_seconds: float = CALL_SECONDS,
        ca: str = "",
        cert: str = "",
        key: str = "",
        persistent: bool = True,
        random: Random | None = None,
    ) -> None:
        super().__init__(Calls(Session(token), call_seconds, random, persistent=persistent))
        self._text = address
        self._address = read_address(address)
        self._tls = ClientTls(ca, cert, key)
        self._borrowed = False
        """The connection is another client's."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        address: str,
        *,
        token: str = "",
        call_seconds: float = CALL_SECONDS,
        ca: str = "",
        cert: str = "",
        key: str = "",
        persistent: bool = True,
        random: Random | None = None,
    ) -> AsyncIterator["ArbiterClient"]:
        """A connected client for the length of the block. Raises NotConnected where nothing answers there now."""
        client = cls(address, token=token, call_seconds=call_seconds, ca=ca, cert=cert, key=key, persistent=persistent, random=random)
        await client.connect()
        try:
            yield client
        finally:
            await client.close()

    async def connect(self) -> None:
        """Connect; again after `close`. Raises NotConnected, and ArbiterClientError where a PEM file cannot be used.

        It is tried once: whether to wait for a server that was never there is for the caller to decide.
        """
        await self.close()
        calls = self._calls
        link = Link(self._dial, calls.random, again=calls.persistent)
        await link.open()
        calls.link = link

    async def close(self) -> None:
        """End the connection and every call on it. Nothing happens where there is none."""
        link, self._calls.link = self._calls.link, None
        if link is not None and not self._borrowed:
            await link.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now, as far as is known. Without one the next call makes it."""
        return self._calls.link is not None and self._calls.link.connected

    def acting_as(self, token: str) -> "ArbiterClient":
        """A client on this same connection that sends another token, which nobody renews. It ends with this one; close only this one."""
        return self._with(self._calls.sharing(Session(token)))

    def with_code(self, code: str) -> "ArbiterClient":
        """A client on this same connection that sends a code of the authenticator, for one call. Close only this one.

        A code works once: a call whose answer was lost is not repeated, and needs a new code.
        """
        return self._with(self._calls.sharing(self._calls.session, code))

    def _with(self, calls: Calls) -> "ArbiterClient":
        other = ArbiterClient(self._text)
        other._calls, other._borrowed = calls, True
        return other

    @asynccontextmanager
    async def _dial(self) -> AsyncIterator[Channel]:
        address = self._address
        if address.path:
            dialled: AbstractAsyncContextManager[Channel] = connect_local(address.path)
        else:
            secure = address.tls or any(self._tls)
            context = await trio.to_thread.run_sync(self._tls.context, abandon_on_cancel=True) if secure else None
            dialled = connect(address.host, address.port, context)
        async with dialled as channel:
            yield channel

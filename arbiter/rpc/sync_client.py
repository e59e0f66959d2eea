"""SyncArbiterClient: `ArbiterClient` for scripts without trio. The same methods, which block; streams and lists are plain iterators.

    with SyncArbiterClient.open("127.0.0.1:50051") as client:
        client.authenticate(api_key)
        for position in client.get_positions():
            print(position.title, position.size)

It runs the trio client in a thread of its own, so it reconnects, renews and resumes as that does, and raises the same errors. Several
threads may use one at once. Ctrl-C ends a call that waits; whether it took effect is then not known. Not for trio programs.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_calls import CALL_SECONDS
from arbiter.rpc.client_errors import (
    ArbiterClientError,
    AuthenticationError,
    InvalidRequestError,
    NotConnected,
    NotFoundError,
    NotPermittedError,
    RateLimitError,
    RefusedError,
    UnavailableError,
    UncertainError,
)
from arbiter.rpc.sync_methods import SyncAdmin, SyncMarkets, SyncStrategies, SyncTrading, SyncUsers
from arbiter.rpc.sync_thread import TrioThread

__all__ = [
    "ArbiterClientError",
    "AuthenticationError",
    "InvalidRequestError",
    "NotConnected",
    "NotFoundError",
    "NotPermittedError",
    "RateLimitError",
    "RefusedError",
    "SyncArbiterClient",
    "UnavailableError",
    "UncertainError",
]


class SyncArbiterClient(SyncUsers, SyncTrading, SyncStrategies, SyncMarkets, SyncAdmin):
    """One connection with a managed life, as of `ArbiterClient`; `open` is the short form of `connect` and `close`."""

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
    ) -> None:
        client = ArbiterClient(address, token=token, call_seconds=call_seconds, ca=ca, cert=cert, key=key, persistent=persistent)
        super().__init__(client)
        self._text = address
        self._owner = True

    @classmethod
    @contextmanager
    def open(
        cls,
        address: str,
        *,
        token: str = "",
        call_seconds: float = CALL_SECONDS,
        ca: str = "",
        cert: str = "",
        key: str = "",
        persistent: bool = True,
    ) -> Iterator["SyncArbiterClient"]:
        """A connected client for the length of the block. Raises NotConnected where nothing answers there now."""
        client = cls(address, token=token, call_seconds=call_seconds, ca=ca, cert=cert, key=key, persistent=persistent)
        client.connect()
        try:
            yield client
        finally:
            client.close()

    def connect(self) -> None:
        """Connect; again after `close`. Raises NotConnected, and ArbiterClientError where a PEM file cannot be used."""
        self.close()
        thread = TrioThread(self._life)
        thread.start()
        self._thread = thread

    def close(self) -> None:
        """End the connection and every call on it. Nothing happens where there is none.

        Calls of other threads end too.
        """
        thread, self._thread = self._thread, None
        if thread is not None and self._owner:
            thread.stop()

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now, as far as is known. Without one the next call makes it."""
        return self._client.connected

    def acting_as(self, token: str) -> "SyncArbiterClient":
        """A client on this same connection that sends another token, which nobody renews. It ends with this one."""
        return self._sharing(self._client.acting_as(token))

    def with_code(self, code: str) -> "SyncArbiterClient":
        """A client on this same connection that sends a code of the authenticator, for one call. It ends with this one."""
        return self._sharing(self._client.with_code(code))

    def _sharing(self, client: ArbiterClient) -> "SyncArbiterClient":
        other = SyncArbiterClient(self._text)
        other._client, other._thread, other._owner = client, self._thread, False
        return other

    @asynccontextmanager
    async def _life(self) -> AsyncIterator[None]:
        await self._client.connect()
        try:
            yield
        finally:
            await self._client.close()

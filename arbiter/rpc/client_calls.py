"""How `ArbiterClient` makes a call: over the link that its family shares, with a token that is renewed, again where that is safe."""

from enum import Enum, auto
from random import Random, SystemRandom
from typing import Any, NoReturn, TypeVar

import trio

from arbiter.rpc.answer_blocks import CORRELATION_METADATA
from arbiter.rpc.call_head import Metadata
from arbiter.rpc.channel import Channel
from arbiter.rpc.client_errors import ArbiterClientError, AuthenticationError, NotConnected, UnavailableError, UncertainError, not_connected
from arbiter.rpc.client_link import CLOSED, Link, backoff
from arbiter.rpc.client_session import Grant, Session
from arbiter.runtime.correlation import correlation
from arbiter.v1 import user_pb2

M = TypeVar("M")

CALL_SECONDS = 10.0
OVERLOADED = "OVERLOADED"
"""The server's reason where it has too much to do, and began with nothing: it is better in a moment."""
REFRESH_SECONDS = 10.0
"""The longest that the refresh token of one renewal is sent again: within the 30 s that the server allows."""


class Repeat(Enum):
    """Whether a call may be made again after its answer was lost. Any may where the server certainly did not begin with it."""

    NEVER = auto()
    """It could take effect twice, or undo what was done in between."""
    READ = auto()
    """It changes nothing."""
    SAFE = auto()
    """It changes something, and a second one changes nothing more: it has an idempotency key, cancels or stops."""


class Calls:
    """Makes the calls of one client. `link` and `session` may be another's too; `code` of an authenticator works once."""

    def __init__(self, session: Session, seconds: float, random: Random | None = None, *, persistent: bool = True, code: str = "") -> None:
        self.session = session
        self.seconds = seconds
        """The deadline of a call, with all its attempts."""
        self.random: Random = random or SystemRandom()
        self.persistent = persistent
        """What is lost is made good without being asked."""
        self.code = code
        self.link: Link | None = None

    def sharing(self, session: Session, code: str = "") -> "Calls":
        """Calls of another client over the same link."""
        other = Calls(session, self.seconds, self.random, persistent=self.persistent, code=code)
        other.link = self.link
        return other

    async def unary(
        self, path: str, request: Any, reply: type[M], *, repeat: Repeat = Repeat.NEVER, signed: bool = True, seconds: float | None = None
    ) -> M:
        """A call within its deadline. `signed`: with the session's token, which is renewed where the server refuses it."""
        attempts = Attempts(self, path, repeat, trio.current_time() + (self.seconds if seconds is None else seconds), signed=signed)
        while True:
            try:
                return await attempts.once(request, reply)
            except ArbiterClientError as error:
                await attempts.survive(error)

    def linked(self) -> Link:
        """Raises NotConnected."""
        if self.link is None:
            raise not_connected(CLOSED)
        return self.link

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return backoff(failures, self.random)

    async def token(self, deadline: float) -> str:
        """The session's, renewed ahead of its end. Raises NotConnected at the deadline."""
        if not self.persistent or not self.session.due:
            return self.session.token
        with trio.move_on_at(deadline):
            return await self.session.current(self)
        raise not_connected("the sign-in could not be renewed in time")

    async def renew(self, seen: str) -> bool:
        """Replace a token that the server refused. False where nothing can. Raises ArbiterClientError."""
        return self.persistent and await self.session.renew(self, seen)

    def metadata(self, token: str) -> Metadata:
        """What every call sends."""
        cause = correlation.get()
        bearer = (("authorization", f"Bearer {token}"),) if token else ()
        code = (("x-totp", self.code),) if self.code else ()
        return (*bearer, *code, (CORRELATION_METADATA, cause)) if cause else (*bearer, *code)

    async def channel(self, deadline: float) -> Channel:
        """The connection. Raises NotConnected, at the deadline at the latest."""
        link = self.linked()
        if link.connected:
            return await link.channel()  # at once
        with trio.move_on_at(deadline):
            return await link.channel()
        raise link.problem()

    # -- for the session --

    async def sign_in(self, api_key: str) -> Grant:
        request = user_pb2.AuthRequest(api_key=api_key)
        reply = await self.unary("UserService/Authenticate", request, user_pb2.AuthResponse, signed=False)
        return Grant(reply.access_token, reply.refresh_token)

    async def exchange(self, refresh_token: str) -> Grant:
        reply = await self.unary(
            "UserService/RefreshToken",
            user_pb2.RefreshTokenRequest(refresh_token=refresh_token),
            user_pb2.RefreshTokenResponse,
            repeat=Repeat.SAFE,
            signed=False,
            seconds=min(self.seconds, REFRESH_SECONDS),
        )
        return Grant(reply.access_token, reply.refresh_token)


class Attempts:
    """The attempts of one call, and what is known of those that failed."""

    def __init__(self, calls: Calls, path: str, repeat: Repeat, deadline: float, *, signed: bool) -> None:
        self._calls = calls
        self._path = f"arbiter.v1.{path}"
        self._repeat = Repeat.NEVER if calls.code else repeat
        self._deadline = deadline
        self._signed = signed
        self._token = ""
        self._renewed = False
        self._perhaps_done = False
        """One of them reached the server, and its answer was lost."""
        self._failures = 0
        self._pause = 0.0
        """The server's wish."""

    async def once(self, request: Any, reply: type[M]) -> M:
        calls = self._calls
        if self._signed:
            self._token = await calls.token(self._deadline)
        channel = await calls.channel(self._deadline)
        left = max(0.0, self._deadline - trio.current_time())
        return await channel.unary(self._path, request, reply, calls.metadata(self._token), left)

    async def survive(self, error: ArbiterClientError) -> None:
        """Return where another attempt may be made, once it is time. Raises the error that the call ends with."""
        if not await self._may_go_on(error):
            self._give_up(error)
        pause, self._pause = self._pause, 0.0
        if self._failures or pause:  # the first time at once: a lost connection has its own pause
            with trio.move_on_at(self._deadline):
                await trio.sleep(max(pause, self._calls.pause(self._failures)))
        self._failures += 1
        if trio.current_time() >= self._deadline:
            self._give_up(error)

    async def _may_go_on(self, error: ArbiterClientError) -> bool:
        calls = self._calls
        if not calls.persistent or calls.linked().closed:
            return False
        if isinstance(error, AuthenticationError):
            return self._signed and await self._renew()
        if error.begun and isinstance(error, NotConnected) and self._repeat is not Repeat.NEVER:
            self._perhaps_done = True
            return True
        if isinstance(error, UnavailableError) and error.retry_after_ms is not None:
            self._pause = error.retry_after_ms / 1000
            return error.reason == OVERLOADED  # whether a part that is away is worth waiting for is for the caller to decide
        return not error.begun

    async def _renew(self) -> bool:
        """Once for a call."""
        if self._renewed:
            return False
        self._renewed = True
        try:
            with trio.move_on_at(self._deadline):
                return await self._calls.renew(self._token)
        except ArbiterClientError as error:
            self._give_up(error)
        return False

    def _give_up(self, error: ArbiterClientError) -> NoReturn:
        """What a later attempt met says nothing of an earlier one that may have been done, but for a sign-in that has ended."""
        ended = isinstance(error, AuthenticationError) and not self._signed
        if not self._perhaps_done or self._repeat is not Repeat.SAFE or isinstance(error, UncertainError) or ended:
            raise error
        text = f"{error}; whether an earlier attempt of the same call took effect is unknown"
        raise UncertainError(text, error.reason) from error


class Subject:
    """What the client of one subject stands on."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def _unary(self, path: str, request: Any, reply: type[M], *, repeat: Repeat = Repeat.NEVER, signed: bool = True) -> M:
        return await self._calls.unary(path, request, reply, repeat=repeat, signed=signed)

"""The core as the bot sees it: one connection, made on demand and again after it was lost, and a short token for each user."""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import trio

from arbiter.bot.faults import NoAnswer, NotLinked
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import (
    ArbiterClientError,
    AuthenticationError,
    NotConnected,
    NotFoundError,
    NotPermittedError,
    RateLimitError,
    UncertainError,
)
from arbiter.rpc.client_tls import ClientTls
from arbiter.runtime import Environment

CALL_SECONDS = 6.0
CONNECT_SECONDS = 3.0
FIRST_BACKOFF, LONGEST_BACKOFF = 0.25, 5.0
RENEW_MS = 30_000
"""A token is not used in its last seconds."""
MOST_TOKENS = 10_000
STRANGER_MS = 5_000
NOBODY = 0
"""No Telegram account has this id."""
LONGEST_TURN_MS = 2_000
"""How long to wait for a turn where too many sign in at once."""

T = TypeVar("T")


class Backend:
    """Run `keep_connected` beside it; then ask."""

    def __init__(self, server: str, credential: str, environment: Environment, tls: ClientTls = ClientTls()) -> None:  # noqa: B008 it is frozen
        self._server = server
        self._tls = tls
        self._credential = credential
        self._environment = environment
        self._log = structlog.get_logger(component="telegram")
        self._client: ArbiterClient | None = None
        self._lost = trio.Event()
        self._wanted = trio.Event()
        self._changed = trio.Event()
        self._problem: str | None = None
        """Why there is no connection, while that is fresh: whoever asks meanwhile is told at once."""
        self._tokens: dict[int, tuple[str, int]] = {}
        self._strangers: dict[int, int] = {}
        """Who is not linked, and until when that is taken for granted: strangers must not use up the sign-ins of all."""

    # -- asking --

    async def ask(self, telegram_id: int, call: Callable[[ArbiterClient], Awaitable[T]], code: str = "") -> T:
        """Make a call as the user who is linked to this Telegram id. Raises ArbiterClientError; NotLinked is one.

        The call is made again where the connection turns out to be dead or the token to be refused: it must bear that. With a code of the
        authenticator it is not, where the code may have been used.
        """
        for last in (False, True):
            client = await self._connected()
            try:
                user = client.acting_as(await self._token(client, telegram_id))
                return await call(user.with_code(code) if code else user)
            except AuthenticationError:
                self.forget(telegram_id)
                if last:
                    raise
            except NotConnected as error:
                self._drop(client)
                if last or (code and error.begun):
                    raise
        raise AssertionError("the second round returns or raises")

    async def require_linked(self, telegram_id: int) -> None:
        """Raises NotLinked, or another ArbiterClientError where that cannot be found out."""
        await self.ask(telegram_id, _nothing)

    async def check(self) -> None:
        """Try the credential once and log what came of it. The core may also come later."""
        try:
            client = await self._connected()
            await client.authenticate_bot(self._credential, NOBODY)
        except NotFoundError:
            self._log.info("the core answers and takes the bot's credential", server=self._server)
        except AuthenticationError:
            self._log.error(
                "the core does not take the bot's credential: give it the bot_credential of its data folder", server=self._server
            )
        except NotPermittedError as error:
            self._log.error("the core takes no bot from here", server=self._server, problem=str(error))
        except ArbiterClientError as error:
            self._log.warning("the core does not answer yet; the bot goes on and tries again", server=self._server, problem=str(error))

    async def redeem(self, code: str, telegram_id: int, name: str) -> str:
        """Link; the account's name. Made once: a code works once. Raises ArbiterClientError."""
        client = await self._connected()
        try:
            linked = await client.redeem_link_code(self._credential, code, telegram_id, name)
        except NotConnected:
            self._drop(client)
            raise
        self.forget(telegram_id)
        self._keep(telegram_id, "", 0)
        return linked

    def is_linked(self, telegram_id: int) -> bool:
        """Whether this id is known to be linked, or was when it was last heard of. Asks nobody."""
        return telegram_id in self._tokens

    def is_stranger(self, telegram_id: int) -> bool:
        """Whether this id was found not to be linked just now. Asks nobody."""
        return self._environment.unix_ms() < self._strangers.get(telegram_id, 0)

    def forget(self, telegram_id: int) -> None:
        """What is known of the user holds no more."""
        self._tokens.pop(telegram_id, None)
        self._strangers.pop(telegram_id, None)

    async def _token(self, client: ArbiterClient, telegram_id: int) -> str:
        token, expires_ms = self._tokens.get(telegram_id, ("", 0))
        if self._environment.unix_ms() < expires_ms - RENEW_MS:
            return token
        token, expires_ms = await self._sign_in(client, telegram_id)
        self._keep(telegram_id, token, expires_ms)
        return token

    def _keep(self, telegram_id: int, token: str, expires_ms: int) -> None:
        self._tokens.pop(telegram_id, None)
        if len(self._tokens) >= MOST_TOKENS:
            self._tokens.pop(next(iter(self._tokens)))
        self._tokens[telegram_id] = (token, expires_ms)

    async def _sign_in(self, client: ArbiterClient, telegram_id: int) -> tuple[str, int]:
        if self.is_stranger(telegram_id):
            raise NotLinked
        for last in (False, True):
            try:
                return await client.authenticate_bot(self._credential, telegram_id)
            except UncertainError:
                raise NoAnswer from None
            except NotFoundError:
                self._tokens.pop(telegram_id, None)
                if len(self._strangers) >= MOST_TOKENS:
                    self._strangers.clear()
                self._strangers[telegram_id] = self._environment.unix_ms() + STRANGER_MS
                raise NotLinked from None
            except RateLimitError as error:  # of all users together: nobody's stop may fail because others are busy
                if last or error.retry_after_ms > LONGEST_TURN_MS:
                    raise
                await trio.sleep(error.retry_after_ms / 1000)
        raise AssertionError("the second round returns or raises")

    # -- the connection --

    async def _connected(self) -> ArbiterClient:
        with trio.move_on_after(CONNECT_SECONDS):
            while self._client is None and self._problem is None:
                self._wanted.set()
                await self._changed.wait()
        if self._client is None:
            raise NotConnected(self._problem or f"no Arbiter answers at {self._server}")
        return self._client

    def _drop(self, client: ArbiterClient) -> None:
        if client is self._client:
            self._client = None
            self._lost.set()

    async def keep_connected(self) -> None:
        """Own the connection: it is opened and closed here, whoever needs it. Runs until cancelled."""
        failures = 0
        while True:
            await self._wanted.wait()
            problem = await self._connect_once()
            failures = failures + 1 if problem else 0
            if problem:
                await self._rest(problem, failures)

    async def _connect_once(self) -> str | None:
        """One connection for as long as it lives; why there was none."""
        self._wanted, self._lost = trio.Event(), trio.Event()
        try:
            with trio.CancelScope(deadline=trio.current_time() + CONNECT_SECONDS) as scope:
                async with ArbiterClient.open(self._server, call_seconds=CALL_SECONDS, persistent=False, **self._tls._asdict()) as client:
                    scope.deadline = math.inf
                    self._tell(client, None)
                    await self._lost.wait()
        except ArbiterClientError as error:
            return str(error)
        finally:
            self._client = None
        return "it does not take the connection" if scope.cancelled_caught else None

    async def _rest(self, problem: str, failures: int) -> None:
        """Tell who waits, and whoever asks in the next moment, that there is no connection."""
        if failures == 1:
            self._log.warning("the core cannot be reached", server=self._server, problem=problem)
        self._tell(None, problem)
        longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 10))
        await trio.sleep(longest * (1 - self._environment.random.random() / 2))
        self._problem = None
        self._wanted = trio.Event()

    def _tell(self, client: ArbiterClient | None, problem: str | None) -> None:
        self._client, self._problem = client, problem
        changed, self._changed = self._changed, trio.Event()
        changed.set()


async def _nothing(_client: ArbiterClient) -> None:
    """What needs no more than a token."""

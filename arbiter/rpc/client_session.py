"""A sign-in as its client keeps it: the access token, what renews it, and when. In memory only; nothing here prints a secret."""

import base64
import json
import math
from collections.abc import Awaitable
from typing import NamedTuple, Protocol

import trio

from arbiter.rpc.client_errors import ArbiterClientError, AuthenticationError, RateLimitError, UnavailableError

LIFE_SECONDS = 15 * 60.0
"""Of an access token that does not say it itself."""
RENEW_AT = 0.8
"""Of its life."""
REPEAT_SECONDS = 20.0
"""A refresh token whose answer was lost is sent again for so long: the server allows 30 s from when it took it."""
RETRY_SECONDS = 5.0
"""After a renewal ahead of time that failed."""
AHEAD_SECONDS = 3.0
"""The longest that a call is held up by a renewal ahead of time."""


class Grant(NamedTuple):
    """What a server gives for an API key or a refresh token."""

    token: str
    refresh_token: str

    def __repr__(self) -> str:
        return "Grant(...)"


class Issuer(Protocol):
    """The calls that give tokens. Raise ArbiterClientError."""

    def sign_in(self, api_key: str) -> Awaitable[Grant]: ...

    def exchange(self, refresh_token: str) -> Awaitable[Grant]: ...


class Session:
    """Shared by every client that acts as the same sign-in. `renew` at the same moment is one renewal for all."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.refresh_token = ""
        self._api_key = ""
        self._renew_at = math.inf
        self._sent_at = math.inf
        self._over = False
        self._lock = trio.Lock()

    async def sign_in(self, issuer: Issuer, api_key: str, *, keep_key: bool) -> None:
        """Begin anew with this key, and keep it for later where asked to."""
        began = trio.current_time()
        grant = await issuer.sign_in(api_key)
        self._api_key = api_key if keep_key else ""
        self._over = False
        self._take(grant, began)

    async def exchange(self, issuer: Issuer) -> None:
        """Use the refresh token, whatever the time."""
        async with self._lock:
            await self._exchange(issuer)

    async def current(self, issuer: Issuer) -> str:
        """The token to send, renewed ahead of its end. While that does not work it stays as it is."""
        if self.due:
            seen = self.token
            try:
                with trio.move_on_after(AHEAD_SECONDS):
                    await self.renew(issuer, seen)
            except ArbiterClientError:
                pass  # it is good for a while yet; after that the call itself is told so
            if self.token == seen:
                self._renew_at = trio.current_time() + RETRY_SECONDS
        return self.token

    async def renew(self, issuer: Issuer, seen: str) -> bool:
        """Replace `seen`, which is refused or soon will be. False: there is nothing to do it with.

        Raises AuthenticationError where sign-in and key are refused, RateLimitError, and UnavailableError where it cannot be done now.
        """
        async with self._lock:
            if self.token != seen:
                return True  # somebody was faster
            if self._over:
                return False
            try:
                return await self._renew(issuer)
            except (AuthenticationError, RateLimitError) as error:
                error.begun = False  # the call that this was for
                raise
            except ArbiterClientError as error:
                failed = UnavailableError(f"the sign-in could not be renewed: {error}", error.reason)
                failed.begun, failed.retry_after_ms = False, 1000
                raise failed from error

    def replace_key(self, api_key: str) -> None:
        """The account has another key now."""
        if self._api_key:
            self._api_key = api_key

    def end(self) -> None:
        """It was ended on purpose: nothing renews it any more."""
        self._over, self._api_key = True, ""

    @property
    def due(self) -> bool:
        """Whether the token should be renewed before it is used again."""
        return trio.current_time() >= self._renew_at and not self._over and (self._repeatable or bool(self._api_key))

    @property
    def _repeatable(self) -> bool:
        """Whether the server surely takes the refresh token for no theft, also where it took it before and the answer was lost."""
        return trio.current_time() < self._sent_at + REPEAT_SECONDS

    async def _renew(self, issuer: Issuer) -> bool:
        if self.refresh_token and (self._repeatable or not self._api_key):  # without a key there is nothing to lose
            try:
                await self._exchange(issuer)
            except AuthenticationError:
                self.refresh_token = ""
                if not self._api_key:
                    raise
            else:
                return True
        if not self._api_key:
            return False
        began = trio.current_time()
        try:
            grant = await issuer.sign_in(self._api_key)
        except AuthenticationError:
            self._api_key = ""
            raise
        self._take(grant, began)
        return True

    async def _exchange(self, issuer: Issuer) -> None:
        began = trio.current_time()
        self._sent_at = min(self._sent_at, began)
        self._take(await issuer.exchange(self.refresh_token), began)

    def _take(self, grant: Grant, began: float) -> None:
        self.token, self.refresh_token = grant
        self._sent_at = math.inf
        self._renew_at = began + RENEW_AT * life_of(grant.token) if grant.refresh_token or self._api_key else math.inf


def life_of(token: str) -> float:
    """Seconds from when it was issued to its end: only the difference counts, so that the two clocks need not agree."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return max(1.0, float(claims["exp"] - claims["iat"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return LIFE_SECONDS

"""Signing in and out: API keys, refresh tokens, the bridge's credential, and what ends them.

What fails is charged to the caller's address, after it was checked; what succeeds is limited by user. Every credential event is
audited. No secret is kept, logged or compared but by its keyed digest.
"""

import hmac
from typing import NamedTuple

import structlog

from arbiter.actors.accounts import EndSessions, FindApiKey, FindTelegram, ReplaceApiKey
from arbiter.actors.credentials import EndFamiliesOf, EndFamily, OpenFamily, RefreshFamily
from arbiter.domain.account import Account
from arbiter.domain.families import Family
from arbiter.domain.ids import UserId
from arbiter.domain.limits import TokenBucket
from arbiter.errors import ActorStopped, AskTimeout, InvalidInput, LimitExceeded, NotFound, StoreError, Unauthenticated
from arbiter.rpc.audit import Audit
from arbiter.rpc.core import ASK_SECONDS, Core
from arbiter.rpc.failures import Failures
from arbiter.rpc.tokens import Claims, Keys, TokenAuthority, digest, make_api_key, split_api_key

SIGN_INS_PER_MINUTE = 120
"""Of one user: sign-ins, refreshes and tokens for the bridge. Each of them is written down."""
MOST_USERS = 10_000
LONGEST_CREDENTIAL = 200
REFRESH_PREFIX = "arr"
HANDLE_DIGITS, SECRET_DIGITS = 32, 64
"""128 bits to find the family, and 256 that prove it, in hex."""
NOT_VALID = "the refresh token is not valid or has expired; authenticate again"

_log = structlog.get_logger(component="accounts")


class Session(NamedTuple):
    """What a client gets. Without a refresh token `refresh` is empty. Times are UTC ms."""

    user: UserId
    access: str
    expires_ms: int
    refresh: str = ""
    refresh_expires_ms: int = 0


class SignIn:
    """Gives out tokens and takes them back."""

    def __init__(self, core: Core, tokens: TokenAuthority, keys: Keys, failures: Failures, audit: Audit) -> None:
        self._core = core
        self._tokens = tokens
        self._keys = keys
        self._failures = failures
        self._audit = audit
        self._spent: dict[UserId, TokenBucket] = {}

    # -- in --

    async def by_api_key(self, api_key: str, peer: str) -> Session:
        """Raises Unauthenticated, which never says what was wrong; LimitExceeded."""
        account = await self._account_of(api_key, peer)
        self._spend(account.user)
        session = await self._open(account)
        await self._audit.note(account.user, "token issued", "with a refresh token" if session.refresh else "access token alone")
        return session

    async def by_bot(self, credential: str, telegram_id: int, peer: str) -> Session:
        """A token for the account linked to this Telegram id. Raises Unauthenticated, NotFound where nobody is linked, LimitExceeded."""
        self.require_bot(credential, peer)
        try:
            account = await self._core.accounts.ask(FindTelegram(telegram_id), timeout=ASK_SECONDS)
        except NotFound:
            raise NotFound("this Telegram account is not linked") from None
        self._spend(account.user)
        token, expires = self._tokens.issue_to_bot(account.user, telegram_id, epoch=account.session_epoch)
        await self._audit.note("bot", "token issued to the bot", account.user)
        _log.info("token issued to the bot", user=account.user, telegram_id=telegram_id)
        return Session(account.user, token, expires)

    def require_bot(self, credential: str, peer: str) -> None:
        """The bridge's own credential. Raises Unauthenticated, LimitExceeded."""
        known = self._keys.bot_credential
        given = digest(credential[:LONGEST_CREDENTIAL], self._keys.pepper)
        if not hmac.compare_digest(given, known or bytes(len(given))) or not known or not credential:
            raise self._failures.charge(peer, Unauthenticated("the bot's credential is not valid"))

    async def refresh(self, token: str, peer: str) -> Session:
        """The next tokens of a sign-in. Raises Unauthenticated, LimitExceeded; StoreError, and then nothing was used up."""
        try:
            handle, secret = _split(token)
        except Unauthenticated as error:
            raise self._failures.charge(peer, error) from None
        family = self._core.families.by_handle(handle)
        if family is not None:
            self._spend(family.user)
        new = self._bits(SECRET_DIGITS)
        wanted = RefreshFamily(handle, self._digest(handle, secret), self._digest(handle, new))
        try:
            result = await self._core.credentials.ask(wanted, timeout=ASK_SECONDS)
        except Unauthenticated as error:
            raise self._failures.charge(peer, error) from None
        if result.reused:
            await self._audit.note(result.family.user, "refresh token used twice: sign-in ended", result.family.id, Unauthenticated.reason)
            raise self._failures.charge(peer, Unauthenticated(NOT_VALID))
        return self._session(result.family, _join(handle, new))

    # -- out --

    async def end_this(self, claims: Claims) -> int:
        """Sign out. Raises InvalidInput for a token without a sign-in of its own."""
        if not claims.family:
            raise InvalidInput("scope", "this token has no sign-in of its own to end; end ALL")
        ended = await self._core.credentials.ask(EndFamily(claims.family), timeout=ASK_SECONDS)
        await self._audit.note(claims.user, "tokens revoked", claims.family)
        return int(ended)

    async def end_all(self, claims: Claims, *, but_this: bool) -> int:
        """All of the user's sign-ins: those with a refresh token in memory first, so that they end also while the store takes nothing."""
        kept = claims.family if but_this else ""
        try:
            ended = await self._core.credentials.ask(EndFamiliesOf(claims.user, kept), timeout=ASK_SECONDS)
        finally:
            self._audit.note_soon(claims.user, "tokens revoked", "all others" if but_this else "all")
        await self._core.accounts.ask(EndSessions(claims.user, kept), timeout=ASK_SECONDS)
        return ended

    async def rotate_api_key(self, claims: Claims) -> str:
        """A new API key; the old one and every sign-in end but the caller's own, which is what a lost answer is repeated with."""
        text, stored = make_api_key(self._keys.pepper)
        await self._core.accounts.ask(ReplaceApiKey(claims.user, stored, claims.family), timeout=ASK_SECONDS)
        await self._audit.note(claims.user, "API key rotated", stored.key_id)
        _log.info("API key rotated", user=claims.user, key_id=stored.key_id)
        return text

    # -- how --

    async def _account_of(self, api_key: str, peer: str) -> Account:
        try:
            key_id, secret = split_api_key(api_key)
        except Unauthenticated as error:
            raise self._failures.charge(peer, error) from None
        given = digest(secret, self._keys.pepper)
        try:
            account = await self._core.accounts.ask(FindApiKey(key_id), timeout=ASK_SECONDS)
            expected = account.api_key.digest if account.api_key else b""
        except NotFound:
            account, expected = None, b""
        # compared also when there is no such key, so that time tells nothing
        if not hmac.compare_digest(given, expected) or account is None:
            raise self._failures.charge(peer, Unauthenticated("the API key is not valid"))
        return account

    async def _open(self, account: Account) -> Session:
        """With a refresh token where the store takes it: who must stop trading signs in also on a full disk."""
        handle, secret = self._bits(HANDLE_DIGITS), self._bits(SECRET_DIGITS)
        wanted = OpenFamily(account.user, self._bits(HANDLE_DIGITS), handle, self._digest(handle, secret))
        try:
            return self._session(await self._core.credentials.ask(wanted, timeout=ASK_SECONDS / 2), _join(handle, secret))
        except (StoreError, AskTimeout, ActorStopped) as error:
            _log.warning("signed in without a refresh token", user=account.user, problem=str(error))
            return Session(account.user, *self._tokens.issue(account.user, epoch=account.session_epoch))

    def _session(self, family: Family, refresh: str) -> Session:
        token, expires = self._tokens.issue(family.user, family=family.id, epoch=family.epoch)
        return Session(family.user, token, expires, refresh, family.expires_ms)

    def _spend(self, user: UserId) -> None:
        now = self._core.environment.monotonic()
        bucket = self._spent.get(user)
        if bucket is None:
            if len(self._spent) >= MOST_USERS:
                self._spent.pop(next(iter(self._spent)))
            bucket = self._spent[user] = TokenBucket.per_minute(SIGN_INS_PER_MINUTE, now)
        if wait_ms := bucket.take(now):
            raise LimitExceeded(f"more than {SIGN_INS_PER_MINUTE} sign-ins and refreshes a minute", wait_ms)

    def _digest(self, handle: str, secret: str) -> bytes:
        return digest(f"{handle}_{secret}", self._keys.pepper)

    def _bits(self, digits: int) -> str:
        return f"{self._core.environment.random.getrandbits(4 * digits):0{digits}x}"


def _join(handle: str, secret: str) -> str:
    return f"{REFRESH_PREFIX}_{handle}_{secret}"


def _split(token: str) -> tuple[str, str]:
    """Handle and secret. A text of another form was never a refresh token, so it ends nothing. Raises Unauthenticated."""
    prefix, _, rest = token[: len(REFRESH_PREFIX) + HANDLE_DIGITS + SECRET_DIGITS + 3].partition("_")
    handle, _, secret = rest.partition("_")
    hexadecimal = (handle + secret).isascii() and not set(handle + secret) - set("0123456789abcdef")
    if prefix != REFRESH_PREFIX or len(handle) != HANDLE_DIGITS or len(secret) != SECRET_DIGITS or not hexadecimal:
        raise Unauthenticated(NOT_VALID)
    return handle, secret

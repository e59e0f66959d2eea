"""Access tokens and API keys. There is no default secret: keys are handed in, and whoever starts the program makes them.

A token is a JWT signed with Ed25519, valid 15 minutes, bound to the mode and the instance by its audience. What was
verified once is remembered until it expires.
"""

import hashlib
import hmac
import secrets
from typing import Literal, get_args

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from arbiter.domain.account import ApiKey
from arbiter.domain.ids import UserId
from arbiter.errors import ConfigError, Unauthenticated
from arbiter.runtime import Environment

ISSUER = "arbiter"
ALGORITHM = "EdDSA"
ACCESS_MS = 15 * 60 * 1000
BOT_MS = 5 * 60 * 1000
"""A token that the Telegram bridge gets for one of its users."""
LONGEST_TOKEN = 4096
REMEMBERED = 10_000
KEY_PREFIX = "arb"
Scope = Literal["user", "bot"]


class Keys(msgspec.Struct, frozen=True):
    """The secrets of one instance: the token signing key (PEM) and the key that API keys are hashed with."""

    signing_pem: bytes
    pepper: bytes
    audience: str
    bot_credential: bytes = b""
    """The digest of the Telegram bridge's service credential; empty: there is no bridge."""

    def __repr__(self) -> str:
        return f"<Keys of {self.audience}>"


def make_signing_key() -> bytes:
    """A new Ed25519 private key in PEM."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def is_signing_key(pem: bytes) -> bool:
    """Whether this is an Ed25519 private key in PEM, not encrypted."""
    try:
        return isinstance(serialization.load_pem_private_key(pem, password=None), Ed25519PrivateKey)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def make_api_key(pepper: bytes) -> tuple[str, ApiKey]:
    """A new API key with 256 random bits: its text, shown once, and what is stored of it."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return f"{KEY_PREFIX}_{key_id}_{secret}", ApiKey(key_id, digest(secret, pepper))


def digest(secret: str, pepper: bytes) -> bytes:
    """Keyed SHA-256. The secret has 256 random bits, so a slow hash would add nothing."""
    return hmac.new(pepper, secret.encode(), hashlib.sha256).digest()


def make_bot_credential() -> str:
    """A new service credential for the Telegram bridge, with 256 random bits."""
    return secrets.token_urlsafe(32)


def split_api_key(text: str) -> tuple[str, str]:
    """Key id and secret. Raises Unauthenticated for anything that has not the form."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != KEY_PREFIX or not key_id or not secret or len(text) > 200:
        raise Unauthenticated("the API key is not valid")
    return key_id, secret


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says: whose it is, what it may (`user` everything, `bot` less), and until when (UTC ms).

    `telegram_id`: for whom the bot got it, in scope `bot`; it is worth nothing once another one is linked.
    """

    user: UserId
    scope: Scope
    expires_ms: int
    telegram_id: int | None = None


class TokenAuthority:
    """Issues and verifies the access tokens of one instance."""

    def __init__(self, keys: Keys, environment: Environment) -> None:
        private = serialization.load_pem_private_key(keys.signing_pem, password=None)
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigError("the token signing key is not an Ed25519 key", "remove it and start again")
        self._private = private
        self._public = private.public_key()
        raw = self._public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self._key_id = hashlib.sha256(raw).hexdigest()[:16]
        self._audience = keys.audience
        self._environment = environment
        self._verified: dict[str, Claims] = {}

    def issue(self, user: UserId) -> tuple[str, int]:
        """A token for this user, and when it expires (UTC ms)."""
        return self._issue(ACCESS_MS, {"sub": user, "scope": "user"})

    def issue_to_bot(self, user: UserId, telegram_id: int) -> tuple[str, int]:
        """A token with which the bot acts for this user, and when it expires (UTC ms). Good while this Telegram account is linked."""
        return self._issue(BOT_MS, {"sub": user, "scope": "bot", "telegram_id": telegram_id})

    def _issue(self, lives_ms: int, about: dict[str, object]) -> tuple[str, int]:
        now = self._environment.unix_ms()
        expires = now + lives_ms
        claims = {
            "iss": ISSUER,
            "aud": self._audience,
            **about,
            "iat": now // 1000,
            "exp": expires // 1000,
            "jti": f"{self._environment.random.getrandbits(128):032x}",
        }
        token = jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self._key_id})
        return token, expires // 1000 * 1000

    def verify(self, token: str) -> UserId:
        """Whose token it is. Raises Unauthenticated, which never says what was wrong."""
        return self.claims(token).user

    def claims(self, token: str) -> Claims:
        """All that the token says. Raises Unauthenticated, which never says what was wrong."""
        now = self._environment.unix_ms()
        known = self._verified.get(token)
        if known is None:
            known = self._check(token)
            if len(self._verified) >= REMEMBERED:
                self._forget_expired(now)
            self._verified[token] = known
        if now >= known.expires_ms:
            self._verified.pop(token, None)
            raise Unauthenticated("the access token is not valid or has expired; authenticate again")
        return known

    def _check(self, token: str) -> Claims:
        try:
            if len(token) > LONGEST_TOKEN or jwt.get_unverified_header(token).get("kid") != self._key_id:
                raise jwt.InvalidTokenError
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                # expiry is checked against our own clock, which a simulation can turn
                options={"require": ["exp", "iat", "sub", "jti", "aud", "iss"], "verify_exp": False, "verify_iat": False},
            )
            if claims.get("scope") not in get_args(Scope):
                raise jwt.InvalidTokenError
            telegram_id = int(claims["telegram_id"]) if claims["scope"] == "bot" else None
            return Claims(UserId(str(claims["sub"])), claims["scope"], int(claims["exp"]) * 1000, telegram_id)
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthenticated("the access token is not valid or has expired; authenticate again") from None

    def _forget_expired(self, now: int) -> None:
        self._verified = {token: known for token, known in self._verified.items() if known.expires_ms > now}
        if len(self._verified) >= REMEMBERED:
            self._verified.clear()

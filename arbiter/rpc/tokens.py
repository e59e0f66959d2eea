"""Access tokens and API keys. There is no default secret: keys are handed in, and whoever starts the program makes them.

A token is a JWT signed with Ed25519, valid 15 minutes, bound to the mode and the instance by its audience. What was
verified once, and what was issued here, is remembered until it expires. Whether the sign-in that it belongs to still
holds is not told by the token: the gate asks that at each call.

The key that signs can be changed while tokens of the last one are about: each token names its key (`kid`), and a retired key
goes on verifying until the last token of it has expired.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Literal

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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
EARLY_MS = 60_000
"""A token from further in the future than this is refused: the clock was set back, and it would live too long."""
NOT_VALID = "the access token is not valid or has expired; authenticate again"
KEY_PREFIX = "arb"
PUBLIC_BYTES = 32
"""Of an Ed25519 key."""
Scope = Literal["user", "bot"]


class RetiredKey(msgspec.Struct, frozen=True):
    """A key that signs no more: 32 bytes of its public half, and until when its tokens count (UTC ms)."""

    public: bytes
    until_ms: int


class Keys(msgspec.Struct, frozen=True):
    """The secrets of one instance: the token signing key (PEM) and the key that API keys are hashed with."""

    signing_pem: bytes
    pepper: bytes
    audience: str
    bot_credential: bytes = b""
    """The digest of the Telegram bridge's service credential; empty: there is no bridge."""
    retired: tuple[RetiredKey, ...] = ()
    master: bytes = b""
    """What the store's secrets are encrypted with (`secret_box`); empty: the pepper serves for that too."""

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


def rotated(keys: Keys, new_pem: bytes, now_ms: int) -> Keys:
    """The keys with another one to sign; the one before goes on verifying for as long as its tokens live."""
    last = RetiredKey(_public_of(_private(keys.signing_pem)), now_ms + ACCESS_MS)
    retired = tuple(each for each in keys.retired if each.until_ms > now_ms)
    return msgspec.structs.replace(keys, signing_pem=new_pem, retired=(*retired, last))


def _private(pem: bytes) -> Ed25519PrivateKey:
    private = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError("the token signing key is not an Ed25519 key", "remove it and start again")
    return private


def _public_of(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


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
    """What a verified token says: whose it is, what it may (`user` everything, `bot` less), from when until when (UTC ms).

    `telegram_id`: for whom the bot got it, in scope `bot`; it is worth nothing once another one is linked. `family`: the
    sign-in that it belongs to, empty for one without a refresh token; `epoch`: the account's `session_epoch` at that time.
    """

    user: UserId
    scope: Scope
    issued_ms: int
    expires_ms: int
    telegram_id: int | None = None
    family: str = ""
    epoch: int = 0


class _Expiry(msgspec.Struct):
    exp: int


class _Said(msgspec.Struct):
    """The claims of a token as they are issued; nothing is taken for another type."""

    sub: UserId
    scope: Scope
    iat: int
    exp: int
    epoch: int
    telegram_id: int | None = None
    fid: str = ""


class TokenAuthority:
    """Issues and verifies the access tokens of one instance."""

    def __init__(self, keys: Keys, environment: Environment) -> None:
        self._environment = environment
        self._verified: dict[str, Claims] = {}
        self.use(keys)

    def use(self, keys: Keys) -> None:
        """Sign and verify with these from now on. Raises ConfigError for a signing key of another kind."""
        self._private = _private(keys.signing_pem)
        self._key_id = _key_id(_public_of(self._private))
        self._retired = {_key_id(each.public): each for each in keys.retired}
        self._audience = keys.audience
        self._verified.clear()  # by a key that is gone, maybe

    def issue(self, user: UserId, *, family: str = "", epoch: int = 0) -> tuple[str, int]:
        """A token for this user, and when it expires (UTC ms)."""
        return self._issue(ACCESS_MS, user, "user", None, family, epoch)

    def issue_to_bot(self, user: UserId, telegram_id: int, *, epoch: int = 0) -> tuple[str, int]:
        """A token with which the bot acts for this user, and when it expires (UTC ms). Good while this Telegram account is linked."""
        return self._issue(BOT_MS, user, "bot", telegram_id, "", epoch)

    def _issue(self, lives_ms: int, user: UserId, scope: Scope, telegram_id: int | None, family: str, epoch: int) -> tuple[str, int]:
        issued = self._environment.unix_ms() // 1000
        known = Claims(user, scope, issued * 1000, issued * 1000 + lives_ms, telegram_id, family, epoch)
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": self._audience,
            "sub": user,
            "scope": scope,
            "iat": issued,
            "exp": known.expires_ms // 1000,
            "jti": f"{self._environment.random.getrandbits(128):032x}",
            "epoch": epoch,
        }
        if telegram_id is not None:
            claims["telegram_id"] = telegram_id
        if family:
            claims["fid"] = family
        token = jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self._key_id})
        self._remember(token, known)  # so that a valid token is known however many bad ones come
        return token, known.expires_ms

    def verify(self, token: str) -> UserId:
        """Whose token it is. Raises Unauthenticated, which never says what was wrong."""
        return self.claims(token).user

    def known(self, token: str) -> Claims | None:
        """What a token says that was verified or issued here and has not expired: two look-ups, nothing is computed."""
        found = self._verified.get(token)
        if found is None or self._in_time(found):
            return found
        del self._verified[token]
        return None

    def is_past(self, token: str) -> bool:
        """Whether it says of itself that it has expired. Nothing is verified: then it is worth nothing anyway."""
        try:
            _, body, _ = token.split(".")
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            return msgspec.json.decode(raw, type=_Expiry).exp * 1000 <= self._environment.unix_ms()
        except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
            return False

    def claims(self, token: str) -> Claims:
        """All that the token says. Raises Unauthenticated, which never says what was wrong."""
        known = self.known(token)
        if known is None:
            known = self._check(token)
            if not self._in_time(known):
                raise Unauthenticated(NOT_VALID)
            self._remember(token, known)
        return known

    def forget(self, token: str) -> None:
        """It was revoked: do not keep it until it expires."""
        self._verified.pop(token, None)

    def _in_time(self, claims: Claims) -> bool:
        return claims.issued_ms - EARLY_MS <= self._environment.unix_ms() < claims.expires_ms

    def _check(self, token: str) -> Claims:
        try:
            if len(token) > LONGEST_TOKEN:
                raise jwt.InvalidTokenError
            claims = jwt.decode(
                token,
                self._public(jwt.get_unverified_header(token).get("kid")),
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                # expiry is checked against our own clock, which a simulation can turn
                options={"require": ["exp", "iat", "sub", "jti", "aud", "iss"], "verify_exp": False, "verify_iat": False},
            )
            said = msgspec.convert(claims, _Said)
            lives_ms = (said.exp - said.iat) * 1000
            if lives_ms > (BOT_MS if said.scope == "bot" else ACCESS_MS) or (said.scope == "bot") != (said.telegram_id is not None):
                raise jwt.InvalidTokenError  # none that was issued here
            return Claims(said.sub, said.scope, said.iat * 1000, said.exp * 1000, said.telegram_id, said.fid, said.epoch)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, RecursionError):
            raise Unauthenticated(NOT_VALID) from None

    def _public(self, key_id: object) -> Ed25519PublicKey:
        """Of the key that a token names. Raises InvalidTokenError."""
        if key_id == self._key_id:
            return self._private.public_key()
        retired = self._retired.get(key_id) if isinstance(key_id, str) else None
        if retired is None or self._environment.unix_ms() >= retired.until_ms:
            raise jwt.InvalidTokenError
        return Ed25519PublicKey.from_public_bytes(retired.public)

    def _remember(self, token: str, claims: Claims) -> None:
        if len(self._verified) >= REMEMBERED:
            self._make_room()
        self._verified[token] = claims

    def _make_room(self) -> None:
        """Without the expired, and where that is not enough without the oldest half."""
        kept = {token: claims for token, claims in self._verified.items() if self._in_time(claims)}
        if len(kept) > REMEMBERED // 2:
            kept = dict(list(kept.items())[len(kept) - REMEMBERED // 2 :])
        self._verified = kept


def _key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]

"""Encrypts what must be read again (an authenticator's secret) for the store: AES-256-GCM, bound to its user and purpose.

A key for each user and purpose comes from the instance's master key by HKDF, so that what was sealed for one user opens for
no other. Sealed: version byte, 12-byte nonce, ciphertext with its 16-byte tag.
"""

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = b"\x01"
_NONCE = 12
_SHORTEST = len(VERSION) + _NONCE + 16


class SecretBox:
    """Seals and opens under one master key, which is 1 byte at least and should be 32 random ones."""

    def __init__(self, master: bytes) -> None:
        if not master:
            raise ValueError("a secret box needs a master key")
        self._master = master

    def __repr__(self) -> str:
        return "<SecretBox>"

    def seal(self, user: str, purpose: str, secret: bytes) -> bytes:
        """Different each time."""
        nonce = secrets.token_bytes(_NONCE)
        bound = _bound(user, purpose)
        return VERSION + nonce + AESGCM(self._key(b"seal", bound)).encrypt(nonce, secret, bound)

    def open(self, user: str, purpose: str, sealed: bytes) -> bytes | None:
        """What was sealed for this user and purpose; None where it is damaged, another's, or sealed under another master key."""
        if len(sealed) < _SHORTEST or sealed[:1] != VERSION:
            return None
        bound = _bound(user, purpose)
        try:
            return AESGCM(self._key(b"seal", bound)).decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], bound)
        except InvalidTag:
            return None

    def digest(self, user: str, purpose: str, text: str) -> bytes:
        """A keyed SHA-256, for what need only be recognised."""
        return hmac.new(self._key(b"digest", _bound(user, purpose)), text.encode(), hashlib.sha256).digest()

    def _key(self, use: bytes, bound: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt=None, info=b"arbiter/v1/" + use + b"/" + bound).derive(self._master)


def _bound(user: str, purpose: str) -> bytes:
    """One spelling for each pair: the length keeps `a|bc` and `ab|c` apart."""
    return f"{len(purpose)}:{purpose}:{user}".encode()

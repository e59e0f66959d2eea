"""Checking Kalshi's request signatures: RSA-PSS, SHA-256, salt of 32 bytes, over `timestamp_ms + METHOD + path`."""

import base64
import binascii
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from arbiter.sandbox.http import whole_number

TOLERANCE_MS = 30_000
"""How far a request's time may be off; the venue does not document its own tolerance."""
KEY_HEADER = "kalshi-access-key"


class Authenticator:
    """Knows the registered keys: key id -> public key in PEM."""

    def __init__(self, keys: Mapping[str, bytes], *, tolerance_ms: int = TOLERANCE_MS) -> None:
        self._keys: dict[str, RSAPublicKey] = {}
        self._tolerance_ms = tolerance_ms
        for key_id, pem in keys.items():
            key = serialization.load_pem_public_key(pem)
            assert isinstance(key, RSAPublicKey), "Kalshi keys are RSA keys"
            self._keys[key_id] = key

    def accepts(self, headers: Mapping[str, str], method: str, path: str, now_ms: int) -> bool:
        """Whether these headers prove one of the keys for this request. `path` has no query."""
        key = self._keys.get(headers.get(KEY_HEADER, ""))
        timestamp = headers.get("kalshi-access-timestamp", "")
        signed_ms = whole_number(timestamp)
        if key is None or signed_ms is None or abs(signed_ms - now_ms) > self._tolerance_ms:
            return False
        return verify(key, headers.get("kalshi-access-signature", ""), f"{timestamp}{method}{path}")


def verify(key: RSAPublicKey, signature: str, text: str) -> bool:
    """Whether the base64 signature is this key's over this text."""
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, text.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True

"""Kalshi's request signature: RSA-PSS with SHA-256 and a 32-byte salt over `timestamp_ms + METHOD + path` (B3)."""

import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from arbiter.errors import ConfigError


class KalshiSigner:
    """One API key: its id and its private key. Never shows the key."""

    def __init__(self, key_id: str, private_key_pem: bytes) -> None:
        try:
            key = serialization.load_pem_private_key(private_key_pem, password=None)
        except (ValueError, TypeError) as error:
            raise ConfigError("the Kalshi private key is not an unencrypted PEM key", "check the key file") from error
        if not isinstance(key, RSAPrivateKey):
            raise ConfigError("the Kalshi private key is not an RSA key", "create an RSA key for the API")
        self._key_id = key_id
        self._key = key

    def headers(self, method: str, path: str, now_ms: int) -> dict[str, str]:
        """The three headers of a request to `path` (from the root, without query) at `now_ms`."""
        signed = f"{now_ms}{method}{path}".encode()
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
        signature = self._key.sign(signed, pss, hashes.SHA256())
        return {
            "KALSHI-ACCESS-KEY": self._key_id,
            "KALSHI-ACCESS-TIMESTAMP": str(now_ms),
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
        }

    def __repr__(self) -> str:
        return f"<KalshiSigner {self._key_id}>"

"""L2: the headers of every private call, an HMAC over what is sent (A3.2). Pure: the time is handed in."""

import base64
import binascii
import hmac
from typing import NewType, NoReturn

from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.addresses import Address

ApiKey = NewType("ApiKey", str)
"""A UUID. It names the credentials and owns the orders; it is no secret by itself, but nobody else's business either."""

_STANDARD = str.maketrans("-_", "+/")
_LONGEST = 512
"""More text than any of the three has: something else was pasted."""


class L2Credentials:
    """An API key with its secret and passphrase, for one signer's address. Neither printed, copied nor pickled."""

    __slots__ = ("_key", "_passphrase", "_secret", "address", "api_key")

    def __init__(self, address: Address, api_key: str, secret: str, passphrase: str) -> None:
        """`address` is the key's own (EOA), for every kind of wallet. InvalidInput for what cannot be credentials, without showing it."""
        for field, text in (("api_key", api_key), ("secret", secret), ("passphrase", passphrase)):
            # they become header values, where a line's end would begin another header
            if not 0 < len(text) <= _LONGEST or not text.isascii() or not text.isprintable() or " " in text:
                raise InvalidInput(field, "not what the venue hands out: printable characters without blanks are needed")
        self.address = address
        self.api_key = ApiKey(api_key)
        self._secret = secret
        self._key = _decoded(secret)
        self._passphrase = passphrase

    def headers(self, method: str, path: str, body: bytes, now_s: int) -> dict[str, str]:
        """The five headers of a request at `now_s` (Unix seconds).

        `path` is from the root and without its query, which is not signed; `body` are the very bytes sent, empty where there are none.
        """
        return {
            "POLY_ADDRESS": self.address,
            "POLY_SIGNATURE": self.signature(method, path, body, now_s),
            "POLY_TIMESTAMP": str(now_s),
            "POLY_API_KEY": self.api_key,
            "POLY_PASSPHRASE": self._passphrase,
        }

    def signature(self, method: str, path: str, body: bytes, now_s: int) -> str:
        """HMAC-SHA256 in URL-safe base64 with its padding. ValueError for a path that the venue would not verify."""
        if path[:1] != "/" or "?" in path:
            raise ValueError("what is signed is a path from the root without its query")
        signed = f"{now_s}{method}{path}".encode() + body
        return base64.urlsafe_b64encode(hmac.digest(self._key, signed, "sha256")).decode()

    def socket_auth(self) -> dict[str, str]:
        """What the user socket's subscription says (A7.3). Holds the secret itself: never to be logged."""
        return {"apiKey": self.api_key, "secret": self._secret, "passphrase": self._passphrase}

    def __repr__(self) -> str:
        return "<L2Credentials>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not copied")


def _decoded(secret: str) -> bytes:
    """The key of the HMAC: URL-safe base64, whose padding may be missing."""
    text = secret.rstrip("=").translate(_STANDARD)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise InvalidInput("secret", "not the secret of an API key: URL-safe base64 is needed")
    return key

"""A wallet's private key, which signs and is never shown: secp256k1, with signatures as Ethereum writes them."""

from typing import NoReturn

from coincurve import PrivateKey

from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.addresses import Address, checksummed
from arbiter.venues.polymarket.keccak import keccak256

SIGNATURE_BYTES = 65
_SECRET_BYTES = 32
_V = 27


class SigningKey:
    """One private key and its address. Neither printed, copied nor pickled."""

    __slots__ = ("_key", "address")

    address: Address
    """Of the wallet that the key alone controls (EOA)."""

    def __init__(self, secret: bytes) -> None:
        """From 32 bytes. InvalidInput for what is no key of this curve; it does not say what was given."""
        try:
            if len(secret) != _SECRET_BYTES:
                raise ValueError
            self._key = PrivateKey(secret)
        except ValueError:
            raise InvalidInput("private_key", "not a private key: 32 bytes that are a number of the curve are needed") from None
        self.address = checksummed(keccak256(self._key.public_key.format(compressed=False)[1:])[12:])

    @classmethod
    def from_text(cls, text: str) -> "SigningKey":
        """From 64 hex digits, with or without `0x`; blanks around them are what pasting leaves. InvalidInput for anything else."""
        digits = text.strip().removeprefix("0x").removeprefix("0X")
        try:
            if len(digits) != 2 * _SECRET_BYTES:
                raise ValueError
            secret = bytes.fromhex(digits)
        except ValueError:
            raise InvalidInput("private_key", "not a private key: 64 hex digits are needed") from None
        return cls(secret)

    def sign(self, digest: bytes) -> bytes:
        """r, s and v of a digest of 32 bytes: 65 bytes, s in the lower half, v 27 or 28. Always the same bytes (RFC 6979)."""
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:-1] + bytes((signature[-1] + _V,))

    def __repr__(self) -> str:
        return "<SigningKey>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not copied")

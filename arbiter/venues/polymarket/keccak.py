"""Keccak-256, the hash of Ethereum: SHA-3 as it was before the standard, with another padding. hashlib does not have it."""

from Crypto.Hash import keccak


def keccak256(data: bytes) -> bytes:
    """32 bytes.

    8 us by the library's public interface. Its private one takes 3, which is not worth depending on: an order needs three hashes.
    """
    return keccak.new(data=data, digest_bits=256).digest()

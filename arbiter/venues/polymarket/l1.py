"""L1: the headers by which a wallet proves itself, to make or derive its API credentials (A3.1). Pure: the time is handed in."""

from arbiter.venues.polymarket.eip712 import Domain, auth_hash, digest
from arbiter.venues.polymarket.signing_key import SigningKey

MESSAGE = "This message attests that I control the given wallet"


def auth_digest(key: SigningKey, chain_id: int, now_s: int, nonce: int = 0) -> bytes:
    """The 32 bytes that the key signs."""
    domain = Domain("ClobAuthDomain", "1", chain_id)
    return digest(domain, auth_hash(key.address, str(now_s), nonce, MESSAGE))


def l1_headers(key: SigningKey, chain_id: int, now_s: int, nonce: int = 0) -> dict[str, str]:
    """The four headers at `now_s` (Unix seconds). A nonce, 0 or more, names one set of credentials of the wallet."""
    return {
        "POLY_ADDRESS": key.address,
        "POLY_SIGNATURE": "0x" + key.sign(auth_digest(key, chain_id, now_s, nonce)).hex(),
        "POLY_TIMESTAMP": str(now_s),
        "POLY_NONCE": str(nonce),
    }

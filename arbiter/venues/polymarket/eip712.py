"""The three structs that are signed, packed by hand as EIP-712 has it, and the digest of each (A3.1, A5.2). Pure.

A struct's hash is Keccak-256 over the hash of its type's text and one 32-byte word for each field; the digest that is signed
binds it to a domain: the program, its version, the chain and the contract.
"""

from functools import cached_property

import msgspec

from arbiter.venues.polymarket.addresses import Address, address_word
from arbiter.venues.polymarket.keccak import keccak256

ORDER_TYPE = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,"
    "uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
_NESTED_TYPE = "TypedDataSign(Order contents,string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
NESTED_TYPE = _NESTED_TYPE + ORDER_TYPE
"""ERC-7739: what the owner of a smart wallet signs, with the order in it."""
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_BARE_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId)"
_AUTH_TYPE = "ClobAuth(address address,string timestamp,uint256 nonce,string message)"

_ORDER_TYPEHASH = keccak256(ORDER_TYPE.encode())
_NESTED_TYPEHASH = keccak256(NESTED_TYPE.encode())
_AUTH_TYPEHASH = keccak256(_AUTH_TYPE.encode())
_DEPOSIT_NAME = keccak256(b"DepositWallet")
_DEPOSIT_VERSION = keccak256(b"1")
ZERO_WORD = bytes(32)


def word(number: int) -> bytes:
    """An unsigned number as 32 bytes. OverflowError outside 0 to 2^256 - 1."""
    return number.to_bytes(32, "big")


class Domain(msgspec.Struct, frozen=True, dict=True):
    """Whom a signature is for. `contract` is None where none verifies it: the venue itself does."""

    name: str
    version: str
    chain_id: int
    contract: Address | None = None

    @cached_property
    def separator(self) -> bytes:
        """32 bytes, the same for every signature in this domain."""
        fields = keccak256(self.name.encode()) + keccak256(self.version.encode()) + word(self.chain_id)
        if self.contract is None:
            return keccak256(keccak256(_BARE_DOMAIN_TYPE.encode()) + fields)
        return keccak256(keccak256(DOMAIN_TYPE.encode()) + fields + address_word(self.contract))


def digest(domain: Domain, struct_hash: bytes) -> bytes:
    """The 32 bytes that are signed."""
    return keccak256(b"\x19\x01" + domain.separator + struct_hash)


def auth_hash(address: Address, timestamp: str, nonce: int, message: str) -> bytes:
    """The hash of a `ClobAuth`. The time is text here; OverflowError for a nonce that is not of 256 bits."""
    hashed = keccak256(timestamp.encode()), keccak256(message.encode())
    return keccak256(_AUTH_TYPEHASH + address_word(address) + hashed[0] + word(nonce) + hashed[1])


class OrderFields(msgspec.Struct, frozen=True):
    """An order's signed fields, as the contract has them: amounts in 10^-6, `side` 0 to buy and 1 to sell, time in milliseconds."""

    salt: int
    maker: Address
    signer: Address
    token: int
    maker_amount: int
    taker_amount: int
    side: int
    signature_type: int
    timestamp_ms: int
    metadata: bytes = ZERO_WORD
    builder: bytes = ZERO_WORD


def order_hash(order: OrderFields) -> bytes:
    """The hash of an order's struct. OverflowError for a number that is not of 256 bits."""
    return keccak256(
        b"".join(
            (
                _ORDER_TYPEHASH,
                word(order.salt),
                address_word(order.maker),
                address_word(order.signer),
                word(order.token),
                word(order.maker_amount),
                word(order.taker_amount),
                word(order.side),
                word(order.signature_type),
                word(order.timestamp_ms),
                order.metadata,
                order.builder,
            )
        )
    )


def nested_hash(contents: bytes, chain_id: int, wallet: Address) -> bytes:
    """The hash of a deposit wallet's `TypedDataSign` around an order's struct hash."""
    wallet_fields = _DEPOSIT_NAME + _DEPOSIT_VERSION + word(chain_id) + address_word(wallet) + ZERO_WORD
    return keccak256(_NESTED_TYPEHASH + contents + wallet_fields)

"""Ethereum addresses: 20 bytes, written as hex whose case is a checksum (EIP-55)."""

from typing import NewType

from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.keccak import keccak256

Address = NewType("Address", str)
"""`0x` and 40 hex digits in EIP-55 case."""

_LENGTH = 20


def checksummed(raw: bytes) -> Address:
    """The text of 20 bytes."""
    if len(raw) != _LENGTH:
        raise ValueError(f"an address has {_LENGTH} bytes, not {len(raw)}")
    digits = raw.hex()
    upper = keccak256(digits.encode()).hex()
    return Address("0x" + "".join(digit.upper() if upper[place] >= "8" else digit for place, digit in enumerate(digits)))


def parse_address(text: str, field: str = "address") -> Address:
    """What a person or a venue wrote. InvalidInput for anything else, and for mixed case that is not the checksum: a typing error."""
    digits = text[2:]
    try:
        if text[:2] not in ("0x", "0X") or len(digits) != 2 * _LENGTH:
            raise ValueError
        address = checksummed(bytes.fromhex(digits))
    except ValueError:
        raise InvalidInput(field, "not an address: 0x and 40 hex digits are needed") from None
    if digits not in (address[2:], digits.lower(), digits.upper()):
        raise InvalidInput(field, "its checksum is wrong: a digit is mistyped, or the case of the letters was changed")
    return address


def address_bytes(address: Address) -> bytes:
    """The 20 bytes."""
    return bytes.fromhex(address[2:])


def address_word(address: Address) -> bytes:
    """The 32 bytes that the ABI has for it."""
    return bytes(12) + bytes.fromhex(address[2:])

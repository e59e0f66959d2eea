"""The four kinds of wallet that orders are made from, and the addresses of those that are derived from a key (A3.3). Pure.

A derived wallet is a contract that a factory deploys by CREATE2, so that its address follows from the owner's before it is there.
"""

from enum import IntEnum

import msgspec

from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.addresses import Address, address_bytes, address_word, checksummed, parse_address
from arbiter.venues.polymarket.contracts import Chain, WalletContracts
from arbiter.venues.polymarket.keccak import keccak256


class WalletKind(IntEnum):
    """The order's `signatureType`."""

    EOA = 0
    """The key's own address."""
    PROXY = 1
    """Of people who signed up by e-mail."""
    SAFE = 2
    """Of people who came with a browser's wallet."""
    DEPOSIT = 3
    """Of everybody since May 2026. It verifies signatures itself (ERC-1271)."""


class Wallet(msgspec.Struct, frozen=True):
    """Where the money is, and what the signer's key is to it.

    `session`: the key is not the owner's but a session key (deposit wallets only). The address that L1 and L2 name is the key's own in
    any case.
    """

    kind: WalletKind
    address: Address
    key_address: Address
    session: bool = False

    @property
    def order_signer(self) -> Address:
        """What stands in the order's `signer`."""
        return self.address if self.kind is WalletKind.DEPOSIT else self.key_address


def owned(kind: WalletKind, key_address: Address, chain: Chain, address: str = "") -> Wallet:
    """The wallet of this kind that the key owns; `address` is the one that a person names, if they do.

    InvalidInput for a named address that cannot be the key's, for a kind that the chain does not have, and for a deposit wallet that
    is not named: there are two ways to derive one, and only the chain says which is in force.
    """
    possible = _possible(kind, key_address, chain)
    if not address:
        if len(possible) > 1:
            raise InvalidInput("wallet", "name the deposit wallet's address: it does not follow from the key alone")
        return Wallet(kind, possible[0], key_address)
    named = parse_address(address, "wallet")
    if named not in possible:
        raise InvalidInput(
            "wallet", f"{named} is not the {kind.name.lower()} wallet of the key {key_address}, which is {' or '.join(possible)}"
        )
    return Wallet(kind, named, key_address)


def by_session(key_address: Address, address: str) -> Wallet:
    """A deposit wallet that a session key may trade for. Whose wallet it is the key does not say. InvalidInput for no address."""
    return Wallet(WalletKind.DEPOSIT, parse_address(address, "wallet"), key_address, session=True)


def _possible(kind: WalletKind, owner: Address, chain: Chain) -> tuple[Address, ...]:
    if kind is WalletKind.EOA:
        return (owner,)
    contracts = chain.wallets
    if contracts is None:
        raise InvalidInput("wallet", f"of chain {chain.id} it is not known where its wallets are; only the key's own can be used there")
    if kind is WalletKind.PROXY:
        return (proxy_address(owner, contracts),)
    if kind is WalletKind.SAFE:
        return (safe_address(owner, contracts),)
    return deposit_beacon_address(owner, contracts), deposit_uups_address(owner, contracts)


# The code that each factory deploys, in pieces around the addresses in it; as in the factories and `polymarket-client` 0.14.0.
_PROXY_CODE = tuple(
    bytes.fromhex(piece)
    for piece in (
        "3d3d606380380380913d393d73",
        "5af4602a57600080fd5b602d8060366000396000f3363d3d373d3d3d363d73",
        "5af43d82803e903d91602b57fd5bf352e831dd" + f"{32:064x}" + f"{0:064x}",
    )
)
_BEACON_CODE = bytes.fromhex(
    "60195155f3363d3d373d3d363d602036600436635c60da"
    "1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6c"
    "b3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3"
)
_UUPS_CODE = bytes.fromhex(
    "60095155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
)
_BEACON_START = 0x6100523D8160233D3973
_UUPS_START = 0x61003D3D8160233D3973


def proxy_address(owner: Address, contracts: WalletContracts) -> Address:
    """The proxy wallet of an owner."""
    start, middle, end = _PROXY_CODE
    code = start + address_bytes(contracts.proxy_factory) + middle + address_bytes(contracts.proxy_implementation) + end
    return _create2(contracts.proxy_factory, keccak256(address_bytes(owner)), keccak256(code))


def safe_address(owner: Address, contracts: WalletContracts) -> Address:
    """The safe of an owner."""
    return _create2(contracts.safe_factory, keccak256(address_word(owner)), contracts.safe_init_code_hash)


def deposit_beacon_address(owner: Address, contracts: WalletContracts) -> Address:
    """The deposit wallet of an owner, where the factory has a beacon."""
    return _deposit(owner, contracts, _BEACON_START, contracts.deposit_beacon, _BEACON_CODE)


def deposit_uups_address(owner: Address, contracts: WalletContracts) -> Address:
    """The deposit wallet of an owner, where the factory has none."""
    return _deposit(owner, contracts, _UUPS_START, contracts.deposit_implementation, _UUPS_CODE)


def _deposit(owner: Address, contracts: WalletContracts, start: int, target: Address, code: bytes) -> Address:
    """A wallet's own arguments are the end of its code; the start says how long the whole is."""
    arguments = address_word(contracts.deposit_factory) + address_word(owner)
    head = (start + (len(arguments) << 56)).to_bytes(10, "big")
    return _create2(contracts.deposit_factory, keccak256(arguments), keccak256(head + address_bytes(target) + code + arguments))


def _create2(factory: Address, salt: bytes, code_hash: bytes) -> Address:
    """EIP-1014."""
    return checksummed(keccak256(b"\xff" + address_bytes(factory) + salt + code_hash)[12:])

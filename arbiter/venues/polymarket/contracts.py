"""Polymarket's contracts by chain, and which exchange an order of a market is signed for (A1.1, A2). Data, and one look-up.

The addresses are those of `polymarket-client` 0.14.0. Of Amoy, the test chain, only the exchanges are known.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.addresses import Address
from arbiter.venues.polymarket.eip712 import Domain
from arbiter.venues.polymarket.position_ids import is_position_id

EXCHANGE_NAME = "Polymarket CTF Exchange"


class WalletContracts(msgspec.Struct, frozen=True):
    """What the addresses of a person's wallets are derived from (A3.3)."""

    proxy_factory: Address
    proxy_implementation: Address
    safe_factory: Address
    safe_init_code_hash: bytes
    deposit_factory: Address
    deposit_implementation: Address
    deposit_beacon: Address


class Chain(msgspec.Struct, frozen=True):
    """One chain. `others` are contracts that orders do not touch, by the SDK's names."""

    id: int
    standard: Domain
    negative_risk: Domain
    v3: Domain
    collateral: Address | None = None
    wallets: WalletContracts | None = None
    others: Mapping[str, Address] = MappingProxyType({})

    def exchange_for(self, generation: str, negative_risk: bool, token: int) -> Domain:
        """The domain that an order is signed in. Chosen by the market's generation (Gamma's `version`), never by which fields are there.

        InvalidInput for a generation that nobody knows, and for a token that is not of the generation: money would go astray.
        """
        if generation not in ("v1", "v2"):
            raise InvalidInput("generation", f"markets of generation {generation[:20]!r} are not known; orders for them cannot be signed")
        if is_position_id(token) != (generation == "v2"):
            raise InvalidInput("token", f"the token is not one of a market of generation {generation}")
        if generation == "v2":
            return self.v3
        return self.negative_risk if negative_risk else self.standard


def _chain(chain_id: int, v3: str, **known: object) -> Chain:
    def exchange(version: str, address: str) -> Domain:
        return Domain(EXCHANGE_NAME, version, chain_id, Address(address))

    standard = exchange("2", "0xE111180000d2663C0091e4f400237545B87B996B")
    negative_risk = exchange("2", "0xe2222d279d744050d28e00520010520000310F59")
    return Chain(chain_id, standard, negative_risk, exchange("3", v3), **known)  # type: ignore[arg-type]  # the fields as they are named


POLYGON = _chain(
    137,
    "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa",
    collateral=Address("0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB"),
    wallets=WalletContracts(
        proxy_factory=Address("0xaB45c5A4B0c941a2F231C04C3f49182e1A254052"),
        proxy_implementation=Address("0x44e999d5c2F66Ef0861317f9A4805AC2e90aEB4f"),
        safe_factory=Address("0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b"),
        safe_init_code_hash=bytes.fromhex("2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf"),
        deposit_factory=Address("0x00000000000Fb5C9ADea0298D729A0CB3823Cc07"),
        deposit_implementation=Address("0x58CA52ebe0DadfdF531Cde7062e76746de4Db1eB"),
        deposit_beacon=Address("0x7A18EDfe055488A3128f01F563e5B479D92ffc3a"),
    ),
    others=MappingProxyType(
        {
            "conditional_tokens": Address("0x4D97DCd97eC945f40cF65F87097ACe5EA0476045"),
            "neg_risk_adapter": Address("0xd91E80cF2E7be2e162c6513ceD06f1dD0dA35296"),
            "collateral_adapter": Address("0xAdA100Db00Ca00073811820692005400218FcE1f"),
            "neg_risk_collateral_adapter": Address("0xadA2005600Dec949baf300f4C6120000bDB6eAab"),
            "auto_redeem_operator": Address("0xa1200000d0002264C9a1698e001292D00E1b00af"),
            "safe_multisend": Address("0xA238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761"),
            "relay_hub": Address("0xD216153c06E857cD7f72665E0aF1d7D82172F494"),
            "protocol_v2_router": Address("0x12121212006e4CD160D18e3f00711DA5c3372600"),
            "binary_module": Address("0x1000008dD9001B968442c1000017eaE6E0dA00Ba"),
            "neg_risk_module": Address("0x200000900045e3B6259600682756002200028933"),
            "combinatorial_module": Address("0x30000034706C7d8e12009DAB006Be20000c031A8"),
            "position_manager": Address("0x006F54F7f9A22e0000CC2AB60031000000ae9fEF"),
            "perps_deposit_contract": Address("0xDCa4af75705dbB50f62437045afF9921947917d2"),
        }
    ),
)
AMOY = _chain(80002, "0x9fE6e61422AdB6F610d8597F9684b16912D50C3D")
CHAINS: Mapping[int, Chain] = MappingProxyType({chain.id: chain for chain in (POLYGON, AMOY)})

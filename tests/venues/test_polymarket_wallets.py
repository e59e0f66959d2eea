"""Contracts, derived wallets and position ids against the golden vectors, and what they refuse."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.addresses import Address, parse_address
from arbiter.venues.polymarket.contracts import AMOY, CHAINS, POLYGON
from arbiter.venues.polymarket.position_ids import Module, is_position_id, parse_token, read_position
from arbiter.venues.polymarket.wallet import (
    WalletKind,
    by_session,
    deposit_beacon_address,
    deposit_uups_address,
    owned,
    proxy_address,
    safe_address,
)

OWNER = Address("0x7BFfDFcBeb63d8204e8005D107b721f317403133")
OTHER = Address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
TOKEN = 71321045679252212594626385532706912750332728571942532289631379312455583992563
POSITION = 611952677495007466622732687316135542423072062535834517853529104089849266433


# -- contracts --


def test_every_golden_contract_is_here_under_its_name(vectors: dict[str, Any]) -> None:
    ours = {
        "collateral_token": POLYGON.collateral,
        "standard_exchange": POLYGON.standard.contract,
        "neg_risk_exchange": POLYGON.negative_risk.contract,
        "exchange_v3": POLYGON.v3.contract,
        **POLYGON.others,
    }
    golden = {name: parse_address(address.lower()) for name, address in vectors["polymarket_contracts_137"].items()}
    assert ours == golden  # one of theirs is written without its checksum


def test_every_address_is_written_with_its_checksum() -> None:
    for chain in CHAINS.values():
        for domain in (chain.standard, chain.negative_risk, chain.v3):
            assert domain.chain_id == chain.id
            assert domain.contract is not None
            assert parse_address(domain.contract) == domain.contract
        for address in chain.others.values():
            assert parse_address(address) == address


def test_a_markets_generation_decides_which_exchange_its_orders_are_for() -> None:
    for chain in (POLYGON, AMOY):
        assert chain.exchange_for("v1", False, TOKEN) is chain.standard
        assert chain.exchange_for("v1", True, TOKEN) is chain.negative_risk
        assert chain.exchange_for("v2", False, POSITION) is chain.v3
        assert chain.exchange_for("v2", True, POSITION) is chain.v3
        assert (chain.standard.version, chain.negative_risk.version, chain.v3.version) == ("2", "2", "3")


@pytest.mark.parametrize("generation", ["", "v3", "V1", "2"])
def test_a_generation_that_nobody_knows_gets_no_exchange(generation: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        POLYGON.exchange_for(generation, False, TOKEN)
    assert caught.value.field == "generation"


@pytest.mark.parametrize(("generation", "token"), [("v1", POSITION), ("v2", TOKEN)])
def test_a_token_of_the_other_generation_gets_no_exchange(generation: str, token: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        POLYGON.exchange_for(generation, False, token)
    assert caught.value.field == "token"


def test_the_exchanges_of_the_first_version_are_nowhere(vectors: dict[str, Any]) -> None:
    known = {domain.contract for chain in CHAINS.values() for domain in (chain.standard, chain.negative_risk, chain.v3)}
    assert known.isdisjoint(case["exchange"] for case in vectors["polymarket"]["orders_v1_legacy_rejected_by_production"])


# -- wallets --


def test_every_golden_wallet_follows_from_the_owners_address(vectors: dict[str, Any]) -> None:
    golden = vectors["polymarket"]["wallets_chain_137"]
    contracts = POLYGON.wallets
    assert contracts is not None
    assert vectors["polymarket"]["account"]["address"] == OWNER
    assert proxy_address(OWNER, contracts) == golden["poly_proxy"]
    assert safe_address(OWNER, contracts) == golden["gnosis_safe"]
    assert deposit_beacon_address(OWNER, contracts) == golden["deposit_wallet_beacon"]
    assert deposit_uups_address(OWNER, contracts) == golden["deposit_wallet_uups"]
    constants = golden["derivation_constants"]
    assert constants == {
        "proxy_factory": contracts.proxy_factory,
        "proxy_implementation": contracts.proxy_implementation,
        "safe_factory": contracts.safe_factory,
        "safe_init_code_hash": "0x" + contracts.safe_init_code_hash.hex(),
        "deposit_wallet_factory": contracts.deposit_factory,
        "deposit_wallet_implementation": contracts.deposit_implementation,
        "deposit_wallet_beacon": contracts.deposit_beacon,
    }


def test_the_kinds_are_the_venues_signature_types() -> None:
    assert [int(kind) for kind in (WalletKind.EOA, WalletKind.PROXY, WalletKind.SAFE, WalletKind.DEPOSIT)] == [0, 1, 2, 3]


def test_only_a_deposit_wallet_stands_in_the_order_as_its_own_signer() -> None:
    deposit = owned(WalletKind.DEPOSIT, OWNER, POLYGON, "0xa68C0F298655C70b58F81664dDD67cD291bEBF89")
    assert deposit.order_signer == deposit.address
    for kind in (WalletKind.EOA, WalletKind.PROXY, WalletKind.SAFE):
        assert owned(kind, OWNER, POLYGON).order_signer == OWNER


def test_an_owned_wallet_is_derived_or_checked_against_what_is_derived() -> None:
    assert owned(WalletKind.EOA, OWNER, AMOY).address == OWNER
    derived = owned(WalletKind.PROXY, OWNER, POLYGON)
    assert owned(WalletKind.PROXY, OWNER, POLYGON, derived.address.lower()) == derived
    for address in ("0xa68C0F298655C70b58F81664dDD67cD291bEBF89", "0xE8534924FAcA126CB8fC0B9B477EA14d783ce954"):
        assert owned(WalletKind.DEPOSIT, OWNER, POLYGON, address).address == address


@pytest.mark.parametrize("kind", list(WalletKind))
def test_a_wallet_that_is_not_the_keys_is_refused_with_what_is(kind: WalletKind) -> None:
    with pytest.raises(InvalidInput, match=f"{OTHER} is not the {kind.name.lower()} wallet") as caught:
        owned(kind, OWNER, POLYGON, OTHER)
    assert caught.value.field == "wallet"


def test_a_deposit_wallet_has_to_be_named() -> None:
    with pytest.raises(InvalidInput, match="name the deposit wallet"):
        owned(WalletKind.DEPOSIT, OWNER, POLYGON)


@pytest.mark.parametrize("kind", [WalletKind.PROXY, WalletKind.SAFE, WalletKind.DEPOSIT])
def test_on_a_chain_whose_wallets_are_not_known_only_the_keys_own_is_used(kind: WalletKind) -> None:
    with pytest.raises(InvalidInput, match="chain 80002"):
        owned(kind, OWNER, AMOY)


def test_a_session_key_is_told_whose_deposit_wallet_it_trades_for() -> None:
    wallet = by_session(OTHER, "0xa68C0F298655C70b58F81664dDD67cD291bEBF89")
    assert (wallet.kind, wallet.key_address, wallet.session) == (WalletKind.DEPOSIT, OTHER, True)
    with pytest.raises(InvalidInput, match="not an address"):
        by_session(OTHER, "")


# -- position ids --


def test_the_golden_position_id_is_read(vectors: dict[str, Any]) -> None:
    golden = vectors["polymarket"]["protocol_v2_position_id"]
    token = parse_token(golden["decimal"])
    assert token == int(golden["hex"], 16) == POSITION
    assert is_position_id(token) is golden["is_v2"]
    assert is_position_id(TOKEN) is golden["token_is_v2"]
    position = read_position(token)
    assert (position.module, position.condition, position.outcome) == (Module.BINARY, golden["conditionId"], golden["outcomeIndex"])


@settings(deadline=None)
@given(st.integers(0, 2**256 - 1))
def test_a_number_is_a_position_id_where_the_rules_bits_are_nought(token: int) -> None:
    digits = f"{token:064x}"
    assert is_position_id(token) is (digits[38:54] == "0" * 16)
    assert is_position_id(int(digits[:38] + "0" * 16 + digits[54:], 16))


@settings(deadline=None)
@given(st.sampled_from(Module), st.binary(min_size=18, max_size=18), st.binary(min_size=4, max_size=4), st.integers(0, 1))
def test_every_position_id_says_what_it_was_made_of(module: Module, head: bytes, tail: bytes, outcome: int) -> None:
    condition = bytes([module.value]) + head + bytes(8) + tail
    position = read_position(int.from_bytes(condition + bytes([outcome]), "big"))
    assert position == (module, "0x" + condition.hex(), outcome)


@pytest.mark.parametrize("token", [0, TOKEN, POSITION + 1, POSITION | 1 << 60, POSITION ^ (5 << 248), 4 << 248, 2**256 - 1])
def test_what_is_no_yes_or_no_of_a_known_module_is_refused(token: int) -> None:
    with pytest.raises(InvalidInput, match="not the position id"):
        read_position(token)


@pytest.mark.parametrize("text", ["", "-1", "+1", "0x10", " 1", "1_0", "1.0", "٣", str(2**256), "9" * 79, "1" * 5000])
def test_what_is_no_token_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a token id"):
        parse_token(text)


def test_the_largest_token_id_is_one() -> None:
    assert parse_token(str(2**256 - 1)) == 2**256 - 1

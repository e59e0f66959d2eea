"""Signed orders and the bodies that post them: the golden vectors, and eth-account beside ours on random orders."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from coincurve import PublicKey
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.domain.book import Side
from arbiter.domain.money import Micros
from arbiter.venues.polymarket.addresses import Address, checksummed
from arbiter.venues.polymarket.amounts import Amounts
from arbiter.venues.polymarket.contracts import CHAINS, POLYGON
from arbiter.venues.polymarket.eip712 import (
    DOMAIN_TYPE,
    NESTED_TYPE,
    ORDER_TYPE,
    Domain,
    OrderFields,
    digest,
    nested_hash,
    order_hash,
)
from arbiter.venues.polymarket.keccak import keccak256
from arbiter.venues.polymarket.l2 import ApiKey, L2Credentials
from arbiter.venues.polymarket.order_rules import OrderRefused, OrderRule
from arbiter.venues.polymarket.order_terms import OrderType, Terms
from arbiter.venues.polymarket.signed_order import (
    SignedOrder,
    batch_body,
    new_salt,
    order_body,
    order_fields,
    sign_order,
    wrapped_by_session,
)
from arbiter.venues.polymarket.signing_key import SigningKey
from arbiter.venues.polymarket.wallet import Wallet, WalletKind, by_session, owned

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
DEPOSIT = Address("0xa68C0F298655C70b58F81664dDD67cD291bEBF89")
TOKEN = 71321045679252212594626385532706912750332728571942532289631379312455583992563
OWNER_ID = ApiKey("00000000-1111-2222-3333-444444444444")
POSITION = 611952677495007466622732687316135542423072062535834517853529104089849266433
DOMAIN_FIELDS = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]

words = st.integers(0, 2**256 - 1)
addresses = st.binary(min_size=20, max_size=20).map(checksummed)
secrets = st.integers(1, CURVE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
hashes = st.binary(min_size=32, max_size=32)


@pytest.fixture(scope="module")
def key(vectors: dict[str, Any]) -> SigningKey:
    return SigningKey.from_text(vectors["polymarket"]["account"]["private_key"])


@pytest.fixture(scope="module")
def goldens(vectors: dict[str, Any]) -> list[dict[str, Any]]:
    return vectors["polymarket"]["orders_v2_v3"]


def golden_wallet(case: dict[str, Any], key: SigningKey) -> Wallet:
    return Wallet(WalletKind(case["order"]["signatureType"]), Address(case["order"]["maker"]), key.address)


def golden_exchange(case: dict[str, Any]) -> Domain:
    given = case["input"]
    return Domain("Polymarket CTF Exchange", given["version"], given["chainId"], Address(given["exchange"]))


def signed_like(case: dict[str, Any], key: SigningKey) -> SignedOrder:
    """The golden order as our code makes it from what a trader says."""
    order = case["order"]
    fields = order_fields(
        golden_wallet(case, key),
        int(order["tokenId"]),
        Side[order["side"]],
        Amounts(Micros(order["makerAmount"]), Micros(order["takerAmount"])),
        order["salt"],
        order["timestamp"],
        bytes.fromhex(order["builder"][2:]),
    )
    assert fields.signer == order["signer"]
    assert "0x" + fields.metadata.hex() == order["metadata"]
    return sign_order(key, golden_wallet(case, key), golden_exchange(case), fields)


def recovered(signature: bytes, signed: bytes) -> Address:
    public = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), signed, hasher=None)
    return checksummed(keccak256(public.format(compressed=False)[1:])[12:])


def test_the_type_texts_and_their_hashes_are_the_golden_ones(vectors: dict[str, Any]) -> None:
    golden = vectors["polymarket"]["eip712_constants"]
    for ours, text, hashed in (
        (ORDER_TYPE, "ORDER_V2_type", "ORDER_V2_typehash"),
        (DOMAIN_TYPE, "domain_type", "domain_typehash"),
        (NESTED_TYPE, "TypedDataSign_type", "TypedDataSign_typehash"),
    ):
        assert ours == golden[text]
        assert "0x" + keccak256(ours.encode()).hex() == golden[hashed]


def test_every_golden_order_has_the_same_hashes_id_and_signature(goldens: list[dict[str, Any]], key: SigningKey) -> None:
    assert len(goldens) == 10
    for case in goldens:
        order, exchange = signed_like(case, key), golden_exchange(case)
        assert "0x" + exchange.separator.hex() == case["domainSeparator"], case["name"]
        assert "0x" + order_hash(order.fields).hex() == case["orderStructHash"], case["name"]
        assert order.id == case["orderHash_eip712Digest"], case["name"]
        assert "0x" + order.signature.hex() == case["signature"], case["name"]
        assert len(order.signature) == case["signatureBytes"], case["name"]
        if "innerDigest_TypedDataSign" in case:
            nested = digest(exchange, nested_hash(order_hash(order.fields), exchange.chain_id, order.fields.maker))
            assert "0x" + nested.hex() == case["innerDigest_TypedDataSign"]
            assert "0x" + order.signature[:65].hex() == case["innerSignature"]
            assert len(order.signature) == 317
            assert recovered(order.signature, nested) == case["recoveredSigner"] == key.address
        else:
            assert recovered(order.signature, bytes.fromhex(order.id[2:])) == case["recoveredSigner"] == key.address


def test_every_golden_exchange_is_the_one_that_the_market_would_choose(goldens: list[dict[str, Any]]) -> None:
    for case in goldens:
        generation = "v2" if case["input"]["version"] == "3" else "v1"
        chain = CHAINS[case["input"]["chainId"]]
        assert chain.exchange_for(generation, "negrisk" in case["name"], int(case["order"]["tokenId"])) == golden_exchange(case)


def test_every_golden_body_is_the_same_text_with_the_same_l2_signature(
    goldens: list[dict[str, Any]], vectors: dict[str, Any], key: SigningKey
) -> None:
    l2 = vectors["polymarket"]["l2_hmac"]
    credentials = L2Credentials(key.address, l2["api_key"], l2["secret"], l2["passphrase"])
    for case in goldens:
        terms = Terms(OrderType(case["input"]["orderType"]), case["input"]["postOnly"], case["order"]["expiration"])
        terms.check(1_767_225_600)
        body = order_body(signed_like(case, key), terms, credentials.api_key)
        assert body.decode() == case["postBody_polymarket_client"], case["name"]
        golden = case["l2_POLY_SIGNATURE_for_polymarket_client_body_ts1767225600"]
        assert credentials.signature("POST", "/order", body, 1_767_225_600) == golden
        theirs = json.loads(case["postBody_py_clob_client_v2"])
        assert {"postOnly": False} | json.loads(body) == theirs


def test_no_golden_order_of_the_first_version_is_one_of_ours(vectors: dict[str, Any], key: SigningKey) -> None:
    """Production refuses those, so the same values have to give another id and a signature that this one does not fit."""
    cases = vectors["polymarket"]["orders_v1_legacy_rejected_by_production"]
    assert len(cases) == 2
    for case in cases:
        old = case["order_json"]
        fields = OrderFields(
            salt=old["salt"],
            maker=Address(old["maker"]),
            signer=Address(old["signer"]),
            token=int(old["tokenId"]),
            maker_amount=int(old["makerAmount"]),
            taker_amount=int(old["takerAmount"]),
            side=0 if old["side"] == "BUY" else 1,
            signature_type=old["signatureType"],
            timestamp_ms=0,
        )
        signature = bytes.fromhex(case["signature"][2:])
        for chain in CHAINS.values():
            for exchange in (chain.standard, chain.negative_risk, chain.v3):
                order = sign_order(key, Wallet(WalletKind(fields.signature_type), fields.maker, key.address), exchange, fields)
                assert order.id != case["hash"]
                assert recovered(signature, bytes.fromhex(order.id[2:])) != key.address


def test_the_golden_signature_of_a_session_key_is_wrapped_the_same_way(vectors: dict[str, Any]) -> None:
    golden = vectors["polymarket"]["session_signer_wrap"]
    wrapped = wrapped_by_session(Address(golden["session_signer"]), bytes.fromhex(golden["inner_signature"][2:]))
    assert "0x" + wrapped.hex() == golden["wrapped"]


def typed_order(fields: OrderFields) -> dict[str, Any]:
    return {
        "salt": fields.salt,
        "maker": fields.maker,
        "signer": fields.signer,
        "tokenId": fields.token,
        "makerAmount": fields.maker_amount,
        "takerAmount": fields.taker_amount,
        "side": fields.side,
        "signatureType": fields.signature_type,
        "timestamp": fields.timestamp_ms,
        "metadata": fields.metadata,
        "builder": fields.builder,
    }


def types_of(text: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """EIP-712's text of one type or more, as eth-account wants them."""
    for each in text.split(")")[:-1]:
        name, _, fields = each.partition("(")
        yield name, [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in fields.split(",")]


def typed_domain(domain: Domain) -> dict[str, Any]:
    return {"name": domain.name, "version": domain.version, "chainId": domain.chain_id, "verifyingContract": domain.contract}


@st.composite
def random_fields(draw: st.DrawFn, maker: Address, signer: Address, kind: WalletKind) -> OrderFields:
    return OrderFields(
        salt=draw(words),
        maker=maker,
        signer=signer,
        token=draw(words),
        maker_amount=draw(words),
        taker_amount=draw(words),
        side=draw(st.integers(0, 1)),
        signature_type=int(kind),
        timestamp_ms=draw(words),
        metadata=draw(hashes),
        builder=draw(hashes),
    )


exchanges = st.builds(Domain, st.text(max_size=40), st.text(max_size=4), st.integers(0, 2**64), addresses)


@settings(deadline=None, max_examples=80)
@given(st.data(), secrets, exchanges, addresses, st.sampled_from([WalletKind.EOA, WalletKind.PROXY, WalletKind.SAFE]))
def test_any_order_has_the_digest_and_signature_of_eth_account(
    data: st.DataObject, secret: bytes, exchange: Domain, elsewhere: Address, kind: WalletKind
) -> None:
    key = SigningKey(secret)
    wallet = Wallet(kind, key.address if kind is WalletKind.EOA else elsewhere, key.address)
    fields = data.draw(random_fields(wallet.address, wallet.order_signer, kind))
    theirs = Account.sign_typed_data(secret, typed_domain(exchange), dict(types_of(ORDER_TYPE)), typed_order(fields))
    ours = sign_order(key, wallet, exchange, fields)
    assert ours.id == "0x" + bytes(theirs.message_hash).hex()
    assert ours.signature == bytes(theirs.signature)


@settings(deadline=None, max_examples=60)
@given(st.data(), secrets, exchanges, addresses, st.booleans())
def test_any_order_of_a_deposit_wallet_is_signed_as_eth_account_signs_the_nested_data(
    data: st.DataObject, secret: bytes, exchange: Domain, address: Address, session: bool
) -> None:
    key = SigningKey(secret)
    wallet = Wallet(WalletKind.DEPOSIT, address, key.address, session)
    fields = data.draw(random_fields(address, address, wallet.kind))
    ours = sign_order(key, wallet, exchange, fields)
    types = dict(types_of(NESTED_TYPE))
    plain = Account.sign_typed_data(secret, typed_domain(exchange), {"Order": types["Order"]}, typed_order(fields))
    assert ours.id == "0x" + bytes(plain.message_hash).hex()
    nested = {
        "contents": typed_order(fields),
        "name": "DepositWallet",
        "version": "1",
        "chainId": exchange.chain_id,
        "verifyingContract": address,
        "salt": bytes(32),
    }
    theirs = Account.sign_typed_data(secret, typed_domain(exchange), types, nested)
    inner = ours.signature
    if session:
        assert inner[:32] == bytes(12) + bytes.fromhex(key.address[2:])
        assert inner[-32:] == bytes.fromhex("6492" * 16)
        assert int.from_bytes(inner[96:128], "big") == 317
        assert len(inner) == 480
        inner = inner[128 : 128 + 317]
    assert inner[:65] == bytes(theirs.signature)
    assert inner[65:97] == exchange.separator
    assert inner[97:129] == order_hash(fields)
    assert inner[129:] == ORDER_TYPE.encode() + (186).to_bytes(2, "big")


def test_what_does_not_belong_together_is_not_signed(key: SigningKey) -> None:
    other = SigningKey(b"\x01" * 32)
    wallet = owned(WalletKind.EOA, key.address, POLYGON)
    deposit = owned(WalletKind.DEPOSIT, key.address, POLYGON, DEPOSIT)
    fields = order_fields(wallet, TOKEN, Side.BUY, Amounts(Micros(1), Micros(1)), 1, 1)
    elsewhere = Wallet(WalletKind.EOA, other.address, key.address)
    for signer, maker in ((other, wallet), (key, deposit), (key, by_session(other.address, DEPOSIT)), (key, elsewhere)):
        with pytest.raises(ValueError, match="another"):
            sign_order(signer, maker, POLYGON.standard, fields)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_builders_code_of_another_length_is_refused(length: int, key: SigningKey) -> None:
    wallet = owned(WalletKind.EOA, key.address, POLYGON)
    with pytest.raises(OrderRefused) as caught:
        order_fields(wallet, TOKEN, Side.BUY, Amounts(Micros(1), Micros(1)), 1, 1, bytes(length))
    assert (caught.value.rule, caught.value.field) == (OrderRule.BAD_BUILDER, "builder")


def test_a_salt_survives_a_json_number_and_makes_another_order(key: SigningKey) -> None:
    random = Random(7)
    salts = {new_salt(random) for _ in range(500)}
    assert len(salts) == 500
    assert all(0 <= salt < 2**53 for salt in salts)
    assert max(salts) > 2**52
    wallet = owned(WalletKind.EOA, key.address, POLYGON)
    orders = [order_fields(wallet, TOKEN, Side.BUY, Amounts(Micros(1), Micros(1)), salt, 1) for salt in sorted(salts)[:2]]
    assert len({sign_order(key, wallet, POLYGON.standard, fields).id for fields in orders}) == 2


def test_the_same_order_signed_again_is_the_same_order(key: SigningKey) -> None:
    """A retry that is told from a new order by its id depends on this."""
    wallet = owned(WalletKind.SAFE, key.address, POLYGON)
    fields = order_fields(wallet, POSITION, Side.SELL, Amounts(Micros(5), Micros(3)), 9, 8)
    assert sign_order(key, wallet, POLYGON.v3, fields) == sign_order(key, wallet, POLYGON.v3, fields)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_whatever_the_owner_is_called_the_body_is_json(owner: str) -> None:
    key = SigningKey(b"\x01" * 32)
    wallet = owned(WalletKind.EOA, key.address, POLYGON)
    order = sign_order(key, wallet, POLYGON.standard, order_fields(wallet, TOKEN, Side.BUY, Amounts(Micros(1), Micros(2)), 1, 1))
    read = json.loads(order_body(order, Terms(OrderType.GTC, post_only=True), ApiKey(owner)))
    assert (read["owner"], read["postOnly"], read["order"]["salt"]) == (owner, True, 1)


def test_a_batch_is_an_array_of_1_to_15_bodies() -> None:
    assert json.loads(batch_body([b'{"a":1}'] * 15)) == [{"a": 1}] * 15
    for wrong in ([], [b"{}"] * 16):
        with pytest.raises(ValueError, match="1 to 15"):
            batch_body(wrong)

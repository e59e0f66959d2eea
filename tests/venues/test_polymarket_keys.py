"""Keys, addresses, L1 and L2 against the golden vectors and eth-account, and what they refuse."""

import copy
import pickle
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.addresses import address_bytes, checksummed, parse_address
from arbiter.venues.polymarket.eip712 import Domain, auth_hash
from arbiter.venues.polymarket.keccak import keccak256
from arbiter.venues.polymarket.l1 import MESSAGE, auth_digest, l1_headers
from arbiter.venues.polymarket.l2 import L2Credentials
from arbiter.venues.polymarket.signing_key import SigningKey

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRET = "uByDw7MKbe-IpewsarJcIRJVekrp7GbRyjNQY-nZzG8="
secrets = st.integers(1, CURVE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


@pytest.fixture(scope="module")
def account(vectors: dict[str, Any]) -> dict[str, str]:
    return vectors["polymarket"]["account"]


@pytest.fixture(scope="module")
def key(account: dict[str, str]) -> SigningKey:
    return SigningKey.from_text(account["private_key"])


@pytest.fixture(scope="module")
def golden_l2(vectors: dict[str, Any]) -> dict[str, Any]:
    return vectors["polymarket"]["l2_hmac"]


def credentials(key: SigningKey, golden: dict[str, Any], secret: str | None = None) -> L2Credentials:
    return L2Credentials(key.address, golden["api_key"], golden["secret"] if secret is None else secret, golden["passphrase"])


# -- keccak and addresses --


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak_is_ethereums_and_not_sha3(data: bytes, expected: str) -> None:
    assert keccak256(data).hex() == expected


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_keccak_is_what_the_reference_computes(data: bytes) -> None:
    assert keccak256(data) == keccak(data)


@pytest.mark.parametrize(
    "address",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
    ],
)
def test_the_checksum_is_that_of_eip_55(address: str) -> None:
    assert checksummed(bytes.fromhex(address[2:])) == address
    assert parse_address(address) == parse_address(address.lower()) == parse_address("0x" + address[2:].upper()) == address
    assert address_bytes(parse_address(address)).hex() == address[2:].lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedaa",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1B 1Be",
        "0x" + "٣" * 40,
    ],
)
def test_what_is_no_address_is_refused_by_field(text: str) -> None:
    with pytest.raises(InvalidInput, match="not an address") as caught:
        parse_address(text, "wallet")
    assert caught.value.field == "wallet"


def test_an_address_whose_case_is_not_its_checksum_is_a_typing_error() -> None:
    with pytest.raises(InvalidInput, match="checksum is wrong"):
        parse_address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD")


# -- the key --


def test_the_golden_key_has_the_golden_address(account: dict[str, str], key: SigningKey) -> None:
    assert key.address == account["address"]
    assert SigningKey.from_text(account["private_key"][2:] + "\n").address == account["address"]


@settings(deadline=None, max_examples=60)
@given(secrets, st.binary(min_size=32, max_size=32))
def test_address_and_signature_are_those_of_eth_account(secret: bytes, digest: bytes) -> None:
    key, reference = SigningKey(secret), Account.from_key(secret)
    signature = key.sign(digest)
    assert key.address == reference.address
    assert signature == bytes(reference.unsafe_sign_hash(digest).signature)
    assert len(signature) == 65
    assert signature[-1] in (27, 28)
    assert int.from_bytes(signature[32:64], "big") <= CURVE_ORDER // 2
    assert key.sign(digest) == signature


@pytest.mark.parametrize(
    "text",
    ["", "0x", "zz" * 32, "00" * 32, f"{CURVE_ORDER:064x}", "ff" * 32, "41" * 31, "41" * 33, "41 " * 21 + "4", "٣" * 64],
    ids=["empty", "prefix", "no_hex", "zero", "order", "beyond", "short", "long", "blanks", "foreign_digits"],
)
def test_what_is_no_private_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        SigningKey.from_text(text)
    assert caught.value.field == "private_key"
    assert len(text) < 4 or text not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidInput, match="not a private key"):
        SigningKey(b"A" * length)


def test_a_digest_of_another_length_is_not_signed(key: SigningKey) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        key.sign(b"short")


def test_keys_and_credentials_are_neither_shown_nor_copied(account: dict[str, str], key: SigningKey, golden_l2: dict[str, Any]) -> None:
    held = credentials(key, golden_l2)
    shown = f"{key!r} {key} {held!r} {held} {[held, key]}"
    for secret in (account["private_key"][2:], golden_l2["secret"], golden_l2["passphrase"], golden_l2["api_key"]):
        assert secret not in shown
    for each in (key, held):
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not copied"):
                take(each)


# -- L1 --


def test_every_golden_l1_case_has_the_same_hashes_and_headers(vectors: dict[str, Any], key: SigningKey) -> None:
    cases = vectors["polymarket"]["l1_clob_auth"]
    assert len(cases) == 3
    for case in cases:
        chain, time, nonce = case["chainId"], case["timestamp"], case["nonce"]
        assert case["message"] == MESSAGE
        assert "0x" + Domain("ClobAuthDomain", "1", chain).separator.hex() == case["domainSeparator"]
        assert "0x" + auth_hash(key.address, str(time), nonce, MESSAGE).hex() == case["structHash"]
        assert "0x" + auth_digest(key, chain, time, nonce).hex() == case["digest"]
        assert l1_headers(key, chain, time, nonce) == case["headers"]


@settings(deadline=None, max_examples=40)
@given(secrets, st.integers(1, 2**64), st.integers(0, 2**40), st.integers(0, 2**256 - 1))
def test_l1_is_what_eth_account_signs(secret: bytes, chain: int, now_s: int, nonce: int) -> None:
    key = SigningKey(secret)
    types = {
        "ClobAuth": [
            {"name": n, "type": t}
            for n, t in zip(("address", "timestamp", "nonce", "message"), ("address", "string", "uint256", "string"), strict=True)
        ]
    }
    message = {"address": key.address, "timestamp": str(now_s), "nonce": nonce, "message": MESSAGE}
    domain = {"name": "ClobAuthDomain", "version": "1", "chainId": chain}
    signed = Account.sign_typed_data(secret, domain, types, message)
    assert auth_digest(key, chain, now_s, nonce) == bytes(signed.message_hash)
    assert l1_headers(key, chain, now_s, nonce)["POLY_SIGNATURE"] == "0x" + bytes(signed.signature).hex()


# -- L2 --


def test_every_golden_l2_case_has_the_same_signature(key: SigningKey, golden_l2: dict[str, Any]) -> None:
    held = credentials(key, golden_l2)
    assert len(golden_l2["cases"]) == 5
    for case in golden_l2["cases"]:
        body = case.get("body", "").encode()
        assert held.headers(case["method"], case["path"], body, case["timestamp"]) == {
            "POLY_ADDRESS": key.address,
            "POLY_SIGNATURE": case["POLY_SIGNATURE"],
            "POLY_TIMESTAMP": str(case["timestamp"]),
            "POLY_API_KEY": golden_l2["api_key"],
            "POLY_PASSPHRASE": golden_l2["passphrase"],
        }


def test_a_secret_without_its_padding_is_the_same_secret(key: SigningKey, golden_l2: dict[str, Any]) -> None:
    bare = golden_l2["secret"].rstrip("=")
    assert bare != golden_l2["secret"]
    case = golden_l2["cases"][0]
    assert credentials(key, golden_l2, bare).signature("GET", case["path"], b"", case["timestamp"]) == case["POLY_SIGNATURE"]


def test_the_l2_signature_binds_time_method_path_and_body(key: SigningKey, golden_l2: dict[str, Any]) -> None:
    held = credentials(key, golden_l2)
    others = [("GET", "/a", b"", 1), ("GET", "/a", b"", 2), ("POST", "/a", b"", 1), ("GET", "/b", b"", 1), ("GET", "/a", b"{}", 1)]
    assert len({held.signature(*each) for each in others}) == len(others)


@pytest.mark.parametrize("path", ["/data/orders?market=1", "data/orders", "", "https://host/data"])
def test_a_path_that_the_venue_would_not_verify_is_not_signed(path: str, key: SigningKey, golden_l2: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="without its query"):
        credentials(key, golden_l2).signature("GET", path, b"", 1)


@pytest.mark.parametrize("secret", ["", "=", "====", "no base64!", "abcde", "uByDw7MKbe\r\nX: y", "a" * 513, "ключ"])
def test_what_is_no_secret_is_refused_without_being_shown(secret: str, key: SigningKey, golden_l2: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        credentials(key, golden_l2, secret)
    assert caught.value.field == "secret"
    assert len(secret) < 5 or secret not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "a\x00", "é", "x" * 600])
def test_what_would_break_a_header_is_refused(text: str, key: SigningKey) -> None:
    with pytest.raises(InvalidInput) as caught:
        L2Credentials(key.address, text, SECRET, "phrase")
    assert caught.value.field == "api_key"
    with pytest.raises(InvalidInput) as caught:
        L2Credentials(key.address, "key", SECRET, text)
    assert caught.value.field == "passphrase"


def test_the_user_socket_is_told_the_secret_as_it_was_handed_out(key: SigningKey, golden_l2: dict[str, Any]) -> None:
    assert credentials(key, golden_l2).socket_auth() == {
        "apiKey": golden_l2["api_key"],
        "secret": golden_l2["secret"],
        "passphrase": golden_l2["passphrase"],
    }

import base64
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from arbiter.errors import ConfigError
from arbiter.venues.kalshi.signing import KalshiSigner


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def signer(key: rsa.RSAPrivateKey) -> KalshiSigner:
    return KalshiSigner("3f0c5c1e-1111-4222-8333-944455556666", pem(key, serialization.NoEncryption()))


def verify(public: rsa.RSAPublicKey, signature: str, text: str) -> None:
    """The vectors' recipe: PSS, SHA-256, MGF1 of SHA-256, a salt of exactly 32 bytes. Raises InvalidSignature."""
    public.verify(base64.b64decode(signature), text.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32), hashes.SHA256())


def test_every_golden_request_is_signed_so_that_the_recipe_accepts_it(
    vectors: dict[str, Any], key: rsa.RSAPrivateKey, signer: KalshiSigner
) -> None:
    golden_key = serialization.load_pem_public_key(vectors["kalshi"]["auth"]["public_key_pem"].encode())
    assert isinstance(golden_key, rsa.RSAPublicKey)
    for case in vectors["kalshi"]["auth"]["cases"]:
        verify(golden_key, case["sample_signature_b64"], case["signed_string"])  # our reading of the recipe takes theirs
        headers = signer.headers(case["method"], case["path"], int(case["timestamp_ms"]))
        assert headers["KALSHI-ACCESS-TIMESTAMP"] == case["timestamp_ms"]
        assert headers["KALSHI-ACCESS-KEY"] == vectors["kalshi"]["auth"]["key_id"]
        verify(key.public_key(), headers["KALSHI-ACCESS-SIGNATURE"], case["signed_string"])


def test_the_recipe_refuses_every_golden_wrong_signature(vectors: dict[str, Any]) -> None:
    auth = vectors["kalshi"]["auth"]
    public = serialization.load_pem_public_key(auth["public_key_pem"].encode())
    assert isinstance(public, rsa.RSAPublicKey)
    for wrong in auth["must_reject_for_case_0"]:
        with pytest.raises(InvalidSignature):
            verify(public, wrong["sig_b64"], auth["cases"][0]["signed_string"])


def test_the_signature_binds_time_method_and_path(key: rsa.RSAPrivateKey, signer: KalshiSigner) -> None:
    signature = signer.headers("GET", "/trade-api/ws/v2", 1_767_225_600_123)["KALSHI-ACCESS-SIGNATURE"]
    verify(key.public_key(), signature, "1767225600123GET/trade-api/ws/v2")
    for other in ("1767225600124GET/trade-api/ws/v2", "1767225600123POST/trade-api/ws/v2", "1767225600123GET/trade-api/ws/v2?a=1"):
        with pytest.raises(InvalidSignature):
            verify(key.public_key(), signature, other)


def test_a_key_that_cannot_sign_is_a_config_error_that_does_not_show_it(key: rsa.RSAPrivateKey) -> None:
    elliptic = pem(ec.generate_private_key(ec.SECP256R1()), serialization.NoEncryption())
    locked = pem(key, serialization.BestAvailableEncryption(b"secret"))
    for wrong in (b"not a key", elliptic, locked):
        with pytest.raises(ConfigError) as caught:
            KalshiSigner("id", wrong)
        assert wrong.decode() not in str(caught.value)


def test_a_signer_never_shows_its_key(signer: KalshiSigner) -> None:
    assert repr(signer) == "<KalshiSigner 3f0c5c1e-1111-4222-8333-944455556666>"

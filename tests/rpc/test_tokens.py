"""Tokens and API keys: what is accepted is exactly what this instance issued, while it is valid."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.ids import UserId
from arbiter.errors import ConfigError, Unauthenticated
from arbiter.rpc.tokens import (
    ACCESS_MS,
    BOT_MS,
    Claims,
    Keys,
    TokenAuthority,
    digest,
    make_api_key,
    make_signing_key,
    rotated,
    split_api_key,
)

SAME = "the access token is not valid or has expired; authenticate again"


@pytest.fixture
def tokens(keys, clock):
    return TokenAuthority(keys, clock.environment)


@pytest.fixture
def forge(keys, tokens):
    """A token signed with the real key, with changes."""

    def make(claims=None, *, drop=(), key=None, algorithm="EdDSA"):
        issued, _ = tokens.issue(UserId("me"))
        known = jwt.decode(issued, options={"verify_signature": False})
        body = {name: value for name, value in {**known, **(claims or {})}.items() if name not in drop}
        private = key if key is not None else serialization.load_pem_private_key(keys.signing_pem, None)
        return jwt.encode(body, private, algorithm=algorithm, headers={"kid": jwt.get_unverified_header(issued)["kid"]})

    return make


def refused(tokens, token) -> None:
    """Always with the same words, so that nobody learns what was wrong."""
    with pytest.raises(Unauthenticated) as caught:
        tokens.verify(token)
    assert str(caught.value) == SAME


def test_an_issued_token_is_its_users_until_it_expires(tokens, clock):
    token, expires = tokens.issue(UserId("me"))
    assert expires == clock.seconds * 1000 + ACCESS_MS
    assert tokens.verify(token) == tokens.verify(token) == "me"
    clock.seconds = expires / 1000 - 0.001
    assert tokens.verify(token) == "me"
    clock.seconds = expires / 1000
    refused(tokens, token)
    refused(tokens, token)


def test_a_forged_token_would_be_accepted_if_nothing_were_wrong_with_it(tokens, forge):
    assert tokens.verify(forge()) == "me"


def test_an_expired_token_that_was_never_seen_is_refused(tokens, forge, clock):
    refused(tokens, forge({"exp": int(clock.seconds) - 1}))


@pytest.mark.parametrize("claims", [{"aud": "arbiter:sandbox:other"}, {"aud": "arbiter:live:rpc-tests"}, {"iss": "someone"}, {"sub": 7}])
def test_a_token_for_another_instance_mode_or_issuer_is_refused(tokens, forge, claims):
    refused(tokens, forge(claims))


@pytest.mark.parametrize("missing", ["exp", "iat", "sub", "jti", "aud", "iss"])
def test_a_token_without_one_of_its_claims_is_refused(tokens, forge, missing):
    refused(tokens, forge(drop=(missing,)))


def test_a_token_for_the_bot_names_the_telegram_account_it_was_made_for_and_lives_shorter(tokens, clock):
    token, expires = tokens.issue_to_bot(UserId("me"), 4711)
    assert tokens.claims(token) == Claims(UserId("me"), "bot", expires - BOT_MS, expires, 4711)
    assert expires == clock.seconds * 1000 + BOT_MS
    assert tokens.claims(tokens.issue(UserId("me"))[0]).telegram_id is None


@pytest.mark.parametrize("named", [{}, {"telegram_id": None}, {"telegram_id": "somebody"}])
def test_a_token_for_the_bot_that_names_no_telegram_account_is_refused(tokens, forge, named):
    refused(tokens, forge({"scope": "bot", **named}))


@pytest.mark.parametrize("exp", ["soon", [], None, True, "9999999999", 1e300, float("inf"), float("nan")])
def test_a_token_whose_expiry_is_no_time_is_refused(tokens, forge, exp):
    refused(tokens, forge({"exp": exp}))


@pytest.mark.parametrize("seconds", [1, 10**6, 10**30])
def test_a_token_that_lives_longer_than_any_that_is_issued_is_refused(tokens, forge, clock, seconds):
    assert tokens.verify(forge({"exp": int(clock.seconds) + ACCESS_MS // 1000})) == "me"
    refused(tokens, forge({"exp": int(clock.seconds) + ACCESS_MS // 1000 + seconds}))
    refused(tokens, forge({"scope": "bot", "telegram_id": 7, "exp": int(clock.seconds) + BOT_MS // 1000 + 1}))


@pytest.mark.parametrize(
    "claims",
    [{"iat": "1"}, {"epoch": "0"}, {"epoch": None}, {"fid": []}, {"fid": 5}, {"scope": "admin"}, {"scope": None}, {"telegram_id": 7}],
)
def test_a_token_with_a_claim_that_is_never_issued_so_is_refused(tokens, forge, claims):
    refused(tokens, forge(claims))


def test_a_token_by_another_key_is_refused_also_under_our_key_id(tokens, forge):
    other = serialization.load_pem_private_key(make_signing_key(), None)
    refused(tokens, forge(key=other))


@pytest.mark.parametrize("kid", ["other", "", 7, None, [], {}])
def test_a_token_under_another_key_id_is_refused(tokens, forge, kid):
    _, claims, signature = forge().split(".")
    refused(tokens, f"{part({'alg': 'EdDSA', 'typ': 'JWT', 'kid': kid})}.{claims}.{signature}")


def part(value: object) -> str:
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256", "EdDSA", "ES256"])
def test_a_token_cannot_choose_its_algorithm(tokens, forge, algorithm):
    header, claims, signature = forge().split(".")
    known = jwt.get_unverified_header(f"{header}.{claims}.{signature}")
    refused(tokens, f"{part({**known, 'alg': algorithm})}.{claims}.")


def test_the_public_key_is_no_shared_secret(tokens, keys, forge):
    public = serialization.load_pem_private_key(keys.signing_pem, None).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    refused(tokens, forge(key=raw, algorithm="HS256"))


DEEP = b"[" * 2900


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "\x00", "ü.ü.ü", "x" * 5000, f"{part(DEEP)}.e.e", f"{part(b'{}')}.e.e", f"{part(b'7')}.e.e"]
)
def test_garbage_is_refused(tokens, text):
    refused(tokens, text)


def test_deep_nesting_under_our_own_key_id_is_refused(tokens, forge):
    header, _, signature = forge().split(".")
    refused(tokens, f"{header}.{part(DEEP)}.{signature}")


@given(st.text(max_size=100), st.integers(0, 200))
def test_a_changed_token_is_refused(text, at):
    from random import Random

    from arbiter.runtime import Environment

    tokens = TokenAuthority(KEYS, Environment(lambda: 1_000_000, lambda: 1_000.0, Random(1)))
    token, _ = tokens.issue(UserId("me"))
    changed = token[:at] + text + token[at + len(text) :]
    if changed != token and not _same_signature(token, changed):
        refused(tokens, changed)


def _same_signature(token: str, changed: str) -> bool:
    """The last base64 digit of a signature carries bits that mean nothing: another spelling of one token."""
    return changed[:-1] == token[:-1]


KEYS = Keys(make_signing_key(), b"pepper", "arbiter:sandbox:changed")


def test_the_memory_of_verified_tokens_is_bounded(tokens, monkeypatch):
    monkeypatch.setattr("arbiter.rpc.tokens.REMEMBERED", 20)
    for number in range(50):
        assert tokens.verify(tokens.issue(UserId(f"user {number}"))[0]) == f"user {number}"
        assert len(tokens._verified) <= 20


def test_a_signing_key_of_another_kind_is_a_config_error(clock):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(ConfigError, match="not an Ed25519 key; remove it"):
        TokenAuthority(Keys(pem, b"p", "a"), clock.environment)


def test_keys_show_no_secret(keys):
    assert repr(keys) == "<Keys of arbiter:sandbox:rpc-tests>"


# -- changing keys --


@pytest.fixture
def changed(keys, clock):
    """The keys after another one took over signing."""
    return rotated(keys, make_signing_key(), round(clock.seconds * 1000))


def test_a_token_of_the_key_before_counts_until_it_expires_and_new_ones_are_the_new_keys(tokens, changed, clock):
    old, expires = tokens.issue(UserId("me"))
    tokens.use(changed)
    new, _ = tokens.issue(UserId("me"))
    kids = {jwt.get_unverified_header(token)["kid"] for token in (old, new)}
    assert len(kids) == 2
    assert tokens.verify(old) == tokens.verify(new) == "me"
    clock.seconds = expires / 1000
    refused(tokens, old)


def test_a_retired_key_signs_nothing_more_after_its_last_token_expired(tokens, forge, changed, clock):
    later = int(clock.seconds) + 30
    long_lived = forge({"iat": later, "exp": later + ACCESS_MS // 1000})
    tokens.use(changed)
    assert tokens.verify(long_lived) == "me"
    tokens.use(changed)
    clock.seconds += ACCESS_MS / 1000
    refused(tokens, long_lived)


def test_a_key_that_was_taken_away_is_worth_nothing_at_once_also_for_tokens_that_were_seen(tokens, keys, changed):
    old, _ = tokens.issue(UserId("me"))
    assert tokens.verify(old) == "me"
    tokens.use(Keys(changed.signing_pem, keys.pepper, keys.audience))
    refused(tokens, old)


def test_a_retired_key_does_not_verify_for_another_and_old_ones_are_left_out(tokens, keys, changed, forge, clock):
    token, _ = tokens.issue(UserId("me"))
    tokens.use(changed)
    new, _ = tokens.issue(UserId("me"))
    header, claims, _ = new.split(".")
    refused(tokens, f"{header}.{claims}.{token.split('.')[2]}")
    refused(tokens, f"{token.split('.')[0]}.{claims}.{new.split('.')[2]}")
    later = rotated(changed, make_signing_key(), round(clock.seconds * 1000) + ACCESS_MS)
    assert len(changed.retired) == len(later.retired) == 1
    assert later.retired != changed.retired


# -- what costs little --


def test_what_was_issued_here_is_known_without_a_look_at_its_signature(tokens, monkeypatch):
    token, _ = tokens.issue(UserId("me"), family="f", epoch=3)
    monkeypatch.setattr("jwt.decode", None)
    assert (tokens.claims(token).family, tokens.claims(token).epoch) == ("f", 3)
    tokens.forget(token)
    assert tokens.known(token) is None


def test_the_claims_of_a_token_are_the_same_read_from_it_as_remembered(tokens):
    for token, _ in (tokens.issue(UserId("me"), family="f", epoch=3), tokens.issue_to_bot(UserId("me"), 4711, epoch=2)):
        remembered = tokens.known(token)
        tokens.forget(token)
        assert tokens.claims(token) == remembered


def test_an_expired_token_says_so_itself_and_garbage_says_nothing(tokens, clock):
    token, expires = tokens.issue(UserId("me"))
    assert not tokens.is_past(token)
    clock.seconds = expires / 1000
    assert tokens.is_past(token)
    for garbage in ("", "..", "a.b.c", f"e.{part(b'{}')}.e", f"e.{part(DEEP)}.e", f"e.{part({'exp': 'soon'})}.e", f"e.{part(b'1e999')}.e"):
        assert not tokens.is_past(garbage)


def test_after_the_clock_was_set_back_a_token_from_the_future_is_refused_and_a_second_does_not_matter(tokens, clock):
    token, _ = tokens.issue(UserId("me"))
    clock.seconds -= 30
    assert tokens.verify(token) == "me"
    clock.seconds -= 60
    refused(tokens, token)
    clock.seconds += 90
    assert tokens.verify(token) == "me"


# -- API keys --


def test_an_api_key_is_stored_as_a_keyed_hash_alone():
    text, stored = make_api_key(b"pepper")
    key_id, secret = split_api_key(text)
    assert stored.key_id == key_id
    assert stored.digest == digest(secret, b"pepper") != digest(secret, b"another")
    assert secret.encode() not in stored.digest
    assert make_api_key(b"pepper")[0] != text


@pytest.mark.parametrize("text", ["", "arb", "arb_", "arb_x", "arb_x_", "arb__y", "key_x_y", "arb_x_" + "y" * 200])
def test_text_that_is_no_api_key_is_refused(text):
    with pytest.raises(Unauthenticated, match="the API key is not valid"):
        split_api_key(text)


def test_a_secret_may_hold_underscores():
    assert split_api_key("arb_id_a_b_c") == ("id", "a_b_c")

"""The secret box: opens only what it sealed, for the same user and purpose."""

import pytest

from arbiter.secret_box import SecretBox


@pytest.fixture
def box():
    return SecretBox(b"master key of a test")


def test_what_was_sealed_opens_for_its_user_and_purpose_alone(box):
    sealed = box.seal("ann", "totp", b"secret")
    assert box.open("ann", "totp", sealed) == SecretBox(b"master key of a test").open("ann", "totp", sealed) == b"secret"
    assert b"secret" not in sealed
    assert box.open("bob", "totp", sealed) is box.open("ann", "venue", sealed) is None
    assert box.open("p:ann", "tot", sealed) is None
    assert SecretBox(b"another").open("ann", "totp", sealed) is None


def test_nothing_that_was_changed_opens(box):
    sealed = box.seal("ann", "totp", b"secret")
    for at in range(len(sealed)):
        assert box.open("ann", "totp", sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]) is None
        assert box.open("ann", "totp", sealed[:at]) is None


def test_the_same_secret_is_sealed_differently_each_time_and_digested_the_same(box):
    assert box.seal("ann", "totp", b"s") != box.seal("ann", "totp", b"s")
    assert box.digest("ann", "recovery", "code") == box.digest("ann", "recovery", "code")
    assert len({box.digest(*of) for of in (("ann", "recovery", "code"), ("bob", "recovery", "code"), ("ann", "totp", "code"))}) == 3


def test_it_shows_no_key_and_there_is_none_by_default(box):
    assert repr(box) == "<SecretBox>"
    with pytest.raises(ValueError, match="needs a master key"):
        SecretBox(b"")

"""One-time codes: the vectors of RFC 6238 appendix B (SHA-1), the window, no step twice; recovery codes."""

import base64
from random import Random

import pytest

from arbiter.domain import totp

RFC_SECRET = b"12345678901234567890"
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_the_vectors_of_rfc_6238(seconds, code):
    step = totp.step_at(seconds * 1000)
    assert totp.code_at(RFC_SECRET, step, digits=8) == code
    assert totp.code_at(RFC_SECRET, step) == code[2:]
    assert totp.matching_step(RFC_SECRET, code[2:], seconds * 1000, -1) == step


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_step_to_each_side_is_taken(steps, taken):
    step = 1_000
    found = totp.matching_step(RFC_SECRET, totp.code_at(RFC_SECRET, step + steps), step * 30_000, 0)
    assert found == (step + steps if taken else None)


def test_a_step_that_was_used_and_those_before_it_are_used_up():
    now = 1_000 * 30_000
    codes = {step: totp.code_at(RFC_SECRET, step) for step in (999, 1_000, 1_001)}
    assert totp.matching_step(RFC_SECRET, codes[1_000], now, 1_000) is None
    assert totp.matching_step(RFC_SECRET, codes[999], now, 1_000) is None
    assert totp.matching_step(RFC_SECRET, codes[1_001], now, 1_000) == 1_001


@pytest.mark.parametrize("text", ["", "1", "12345", "1234567", "ü23456", "１２３４５６", "\0" * 6, "x" * 10_000])
def test_what_is_no_code_matches_nothing(text):
    assert totp.matching_step(RFC_SECRET, text, 30_000_000, 0) is None
    assert not totp.is_code(text)


def test_a_code_may_be_typed_in_two_groups():
    code = totp.code_at(RFC_SECRET, 1_000)
    assert totp.is_code(f" {code[:3]} {code[3:]} ")
    assert totp.matching_step(RFC_SECRET, f" {code[:3]} {code[3:]} ", 30_000_000, 0) == 1_000


def test_a_secret_is_spelt_in_base_32():
    secret = totp.new_secret(Random(1))
    assert len(secret) == 20
    assert base64.b32decode(totp.spelt(secret)) == secret


def test_recovery_codes_are_ten_different_ones_however_they_are_typed():
    codes = totp.new_recovery_codes(Random(1))
    assert len(set(codes)) == 10
    assert all(len(code) == 19 and not totp.is_code(code) for code in codes)
    code = codes[0]
    assert totp.meant(code) == totp.meant(code.lower().replace("-", " ")) == totp.meant(code.replace("0", "o").replace("1", "l"))
    assert len({totp.meant(each) for each in codes}) == 10

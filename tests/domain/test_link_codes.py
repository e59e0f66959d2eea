"""One-time link codes: single use, ten minutes, five tries, remembered by their hash alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.ids import UserId
from arbiter.domain.link_codes import CODE_MS, MOST_TRACKED, TRIES, LinkCodes, TooManyTries

ANN, BOB = UserId("ann"), UserId("bob")
PHONE, OTHER = 1001, 1002


def fresh() -> tuple[LinkCodes, str]:
    codes = LinkCodes()
    return codes, codes.create(ANN, 0, random.Random(1)).code


def test_a_code_links_its_owner_once() -> None:
    codes, code = fresh()
    assert codes.redeem(code, PHONE, 1) == ANN
    assert codes.redeem(code, PHONE, 2) is None


def test_a_code_lasts_ten_minutes_to_the_millisecond() -> None:
    codes, code = fresh()
    assert codes.redeem(code, PHONE, CODE_MS) is None
    codes, code = fresh()
    assert codes.redeem(code, PHONE, CODE_MS - 1) == ANN


def test_a_new_code_takes_the_place_of_the_last_and_a_withdrawn_one_is_worth_nothing() -> None:
    codes, first = fresh()
    second = codes.create(ANN, 0, random.Random(2)).code
    assert codes.redeem(first, PHONE, 1) is None
    codes.withdraw(ANN)
    assert codes.redeem(second, PHONE, 1) is None


def test_codes_of_different_users_do_not_touch_each_other() -> None:
    codes, of_ann = fresh()
    of_bob = codes.create(BOB, 0, random.Random(3)).code
    assert (codes.redeem(of_bob, OTHER, 1), codes.redeem(of_ann, PHONE, 1)) == (BOB, ANN)


def test_after_five_wrong_codes_even_the_right_one_is_refused_until_ten_minutes_have_passed() -> None:
    codes, code = fresh()
    for number in range(TRIES):
        assert codes.redeem(f"WRONG{number}", PHONE, number) is None
    with pytest.raises(TooManyTries) as refused:
        codes.redeem(code, PHONE, TRIES)
    assert refused.value.wait_ms == CODE_MS - 1
    assert codes.redeem(code, OTHER, TRIES) == ANN, "another Telegram account is not held up"
    again = codes.create(ANN, CODE_MS, random.Random(4)).code
    assert codes.redeem(again, PHONE, TRIES - 1 + CODE_MS) == ANN


def test_a_right_code_forgives_the_wrong_ones_before_it() -> None:
    codes, code = fresh()
    for _ in range(TRIES - 1):
        codes.redeem("WRONG", PHONE, 0)
    assert codes.redeem(code, PHONE, 0) == ANN
    assert codes.redeem("WRONG", PHONE, 0) is None


def test_what_is_remembered_of_guessers_is_bounded() -> None:
    codes, _ = fresh()
    for telegram_id in range(1, MOST_TRACKED + 100):
        codes.redeem("WRONG", telegram_id, 0)
    assert len(codes._tries) <= MOST_TRACKED


def test_the_code_itself_is_not_kept() -> None:
    codes, code = fresh()
    assert code not in repr(vars(codes))


@given(st.integers(0, 2**32))
def test_a_code_has_80_bits_in_letters_that_are_not_taken_for_each_other_and_fit_a_deep_link(seed: int) -> None:
    codes = LinkCodes()
    code = codes.create(ANN, 0, random.Random(seed)).code
    assert len(code) == 16
    assert set(code) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    typed = f" {code[:4].lower()}-{code[4:8]} {code[8:]} ".replace("0", "O").replace("1", "l")
    assert codes.redeem(typed, PHONE, 0) == ANN


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    codes, _ = fresh()
    assert codes.redeem(text, PHONE, 0) is None

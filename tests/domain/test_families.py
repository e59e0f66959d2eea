"""Token families: each refresh uses one up, reuse ends the family, a lost answer does not."""

import msgspec

from arbiter.domain.account import Account, sessions_ended
from arbiter.domain.families import GRACE_MS, MOST_A_USER, MOST_SIBLINGS, REFRESH_MS, lives, opened, refreshed, too_many
from arbiter.domain.ids import UserId

ANN = Account(UserId("ann"), "Ann")
R0, R1, R2, R3 = b"0", b"1", b"2", b"3"
T0 = 1_000_000


def family(**changes):
    return msgspec.structs.replace(opened("f", "h", ANN, R0, T0), **changes)


def test_each_refresh_gives_a_successor_that_lives_as_long():
    first = family()
    assert (first.current, first.expires_ms) == ((R0,), T0 + REFRESH_MS)
    second = refreshed(first, R0, R1, T0 + 9)
    assert (second.current, second.used, second.expires_ms) == ((R1,), R0, T0 + 9 + REFRESH_MS)
    assert refreshed(second, R1, R2, T0 + 10).current == (R2,)


def test_one_that_was_used_up_or_never_given_out_is_reuse():
    third = refreshed(refreshed(family(), R0, R1, T0), R1, R2, T0)
    assert refreshed(third, R0, R3, T0) is None
    assert refreshed(third, b"never", R3, T0) is None
    assert refreshed(family(), b"", R3, T0) is None


def test_the_last_one_again_within_the_grace_gives_a_sibling_and_either_can_be_used_once():
    lost = refreshed(family(), R0, R1, T0)
    again = refreshed(lost, R0, R2, T0 + GRACE_MS)
    assert again.current == (R1, R2)
    for first, second in ((R1, R2), (R2, R1)):
        used = refreshed(again, first, R3, T0 + GRACE_MS)
        assert used.current == (R3,)
        assert refreshed(used, second, b"x", T0 + GRACE_MS) is None
        assert refreshed(used, R0, b"x", T0 + GRACE_MS) is None


def test_the_grace_is_not_stretched_by_using_it_nor_by_a_clock_that_is_set_back():
    lost = refreshed(family(), R0, R1, T0)
    again = refreshed(lost, R0, R2, T0 + GRACE_MS)
    assert refreshed(again, R0, R3, T0 + GRACE_MS + 1) is None
    assert refreshed(lost, R0, R2, T0 - GRACE_MS - 1) is None


def test_siblings_are_bounded():
    now = refreshed(family(), R0, R1, T0)
    for number in range(MOST_SIBLINGS - 1):
        now = refreshed(now, R0, bytes([100 + number]), T0)
    assert len(now.current) == MOST_SIBLINGS
    assert refreshed(now, R0, b"one more", T0) is None


def test_a_family_lives_until_it_expires_or_all_sign_ins_end_but_it():
    mine = family()
    assert lives(mine, ANN, mine.expires_ms - 1)
    assert not lives(mine, ANN, mine.expires_ms)
    assert not lives(mine, sessions_ended(ANN), T0)
    spared = sessions_ended(ANN, "f")
    assert lives(mine, spared, T0)
    assert not lives(family(id="g"), spared, T0)
    assert not lives(mine, sessions_ended(spared), T0)
    assert lives(opened("new", "h", spared, R0, T0), spared, T0)


def test_the_one_that_was_not_refreshed_for_the_longest_time_makes_room():
    kept = [family(id=str(number), used_ms=T0 + number) for number in range(MOST_A_USER)]
    assert too_many(kept[1:]) == []
    assert [each.id for each in too_many(reversed(kept))] == ["0"]

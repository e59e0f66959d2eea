import uuid
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.ids import KALSHI, POLYMARKET, MarketId, MarketKey, OutcomeId, OutcomeKey, new_id


@given(st.integers(0, (1 << 48) - 1), st.integers())
def test_a_new_id_is_a_uuid_of_version_7_that_carries_its_time(now_ms: int, seed: int) -> None:
    text = new_id(now_ms, Random(seed))
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert parsed.int >> 80 == now_ms


@given(st.integers(0, (1 << 48) - 2), st.integers(1, 10**6), st.integers(), st.integers())
def test_a_later_id_sorts_after_an_earlier_one(now_ms: int, later: int, one: int, two: int) -> None:
    then = min(now_ms + later, (1 << 48) - 1)
    assert new_id(now_ms, Random(one)) < new_id(then, Random(two))


def test_the_same_clock_and_random_give_the_same_ids_and_one_millisecond_holds_many() -> None:
    one, two = Random(7), Random(7)
    ids = [new_id(1_000, one) for _ in range(5_000)]
    assert ids == [new_id(1_000, two) for _ in range(5_000)]
    assert len(set(ids)) == len(ids)


def test_keys_say_where_they_belong() -> None:
    outcome = OutcomeKey(KALSHI, MarketId("KXA"), OutcomeId("yes"))
    assert outcome.market_key == MarketKey(KALSHI, MarketId("KXA"))
    assert str(outcome) == "kalshi:KXA:yes"
    assert str(outcome.market_key) == "kalshi:KXA"
    assert outcome.market_key != MarketKey(POLYMARKET, MarketId("KXA"))

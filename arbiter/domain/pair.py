"""A pair: the same proposition listed on two venues, stored as which outcome equals which."""

import msgspec

from arbiter.domain.ids import OutcomeKey, PairId
from arbiter.domain.market import Market


class Pair(msgspec.Struct, frozen=True):
    """`a_yes` on one venue means the same as `b_same` on the other, `a_no` the same as `b_other`.

    In an inverted pair `b_same` is B's NO outcome: "Team X wins" here, "Team Y wins" there. Nothing in the search
    looks at yes or no, only at this mapping, so an inverted pair is right by construction.
    """

    id: PairId
    title: str
    a_yes: OutcomeKey
    a_no: OutcomeKey
    b_same: OutcomeKey
    b_other: OutcomeKey

    @property
    def outcomes(self) -> tuple[OutcomeKey, OutcomeKey, OutcomeKey, OutcomeKey]:
        return (self.a_yes, self.a_no, self.b_same, self.b_other)

    @property
    def hedges(self) -> tuple[tuple[OutcomeKey, OutcomeKey], tuple[OutcomeKey, OutcomeKey]]:
        """The two ways to hold both sides of the proposition, one outcome on each venue."""
        return ((self.a_yes, self.b_other), (self.a_no, self.b_same))


def pair_markets(pair_id: PairId, title: str, a: Market, b: Market, *, inverted: bool) -> Pair:
    """The pair of two binary markets; `inverted` when A's YES is B's NO. ValueError on one venue or another payout."""
    if a.key.venue == b.key.venue:
        raise ValueError(f"both markets are on {a.key.venue}")
    if a.payout != b.payout:
        raise ValueError("the markets pay different amounts")
    same, other = (b.no_key, b.yes_key) if inverted else (b.yes_key, b.no_key)
    return Pair(pair_id, title, a.yes_key, a.no_key, same, other)

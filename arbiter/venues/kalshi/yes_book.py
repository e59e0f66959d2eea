"""Kalshi trades both outcomes of a market on one book, that of YES: a bid buys YES, an ask sells it (B6.1).

Buying NO at n is an ask at 1 - n, selling NO at n a bid at 1 - n. What comes back says the direction as `outcome_side` (yes, no)
or `book_side` (bid, ask), which are the same bit, and may still repeat the words of old: `side` and `action`.
"""

from typing import NamedTuple

from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, MarketId, OutcomeId, OutcomeKey
from arbiter.domain.money import ONE, Micros
from arbiter.venues.kalshi.fields import Fields, UnreadableAnswer
from arbiter.venues.kalshi.metadata import NO, YES

BID, ASK = "bid", "ask"
_BUYS_YES = {"yes": True, "no": False, BID: True, ASK: False}
_WORDS = {
    ("yes", "buy"): (YES, Side.BUY),
    ("yes", "sell"): (YES, Side.SELL),
    ("no", "buy"): (NO, Side.BUY),
    ("no", "sell"): (NO, Side.SELL),
}


class OnBook(NamedTuple):
    """An order in the terms of the YES book: `side` is bid or ask, `price` in micros of a dollar."""

    side: str
    price: Micros


def buys_yes(outcome: OutcomeId, side: Side) -> bool:
    """Whether this is a bid. ValueError for an outcome that is neither `yes` nor `no`."""
    if outcome not in (YES, NO):
        raise ValueError(f"an outcome {outcome[:40]!r}")
    return (outcome == YES) is (side is Side.BUY)


def to_book(outcome: OutcomeId, side: Side, price: Micros) -> OnBook:
    """Where an order for this outcome, at its own price, goes on the YES book of a market that pays 1."""
    return OnBook(BID if buys_yes(outcome, side) else ASK, price if outcome == YES else Micros(ONE - price))


def from_book(on_book: OnBook, outcome: OutcomeId) -> tuple[Side, Micros]:
    """Side and price of an order on the YES book, in the terms of this outcome: the inverse of `to_book`."""
    bids = on_book.side == BID
    if outcome == YES:
        return (Side.BUY if bids else Side.SELL), on_book.price
    return (Side.SELL if bids else Side.BUY), Micros(ONE - on_book.price)


def key(ticker: str, outcome: OutcomeId) -> OutcomeKey:
    return OutcomeKey(KALSHI, MarketId(ticker), outcome)


def read_direction(fields: Fields) -> tuple[OutcomeId, Side]:
    """What was bought or sold, by an order, or a fill.

    `outcome_side` and `book_side` decide; the old words only say in which of the two equal ways, as long as they agree: buying
    NO or selling YES. Without them it is a purchase of the outcome that the venue names. Raises UnreadableAnswer for nothing, an
    unknown word, or fields that contradict each other.
    """
    bits = {_bit(fields, name) for name in ("outcome_side", "book_side") if fields.has(name)}
    words = _WORDS.get((fields.text("side"), fields.text("action")))
    if len(bits) > 1:
        raise UnreadableAnswer("outcome_side", "contradicts book_side")
    if not bits:
        if words is None:
            raise UnreadableAnswer("outcome_side", "no direction")
        return words
    (bit,) = bits
    if words is not None and buys_yes(*words) is bit:
        return words
    return (YES if bit else NO), Side.BUY


def _bit(fields: Fields, name: str) -> bool:
    found = _BUYS_YES.get(fields.text(name))
    if found is None:
        raise UnreadableAnswer(name, "no direction that we know")
    return found


def read_price(fields: Fields, outcome: OutcomeId) -> Micros:
    """The price of this outcome, from that of YES; from that of NO where only it is told."""
    yes = fields.price("yes_price_dollars")
    if yes is None:
        no = fields.price("no_price_dollars")
        if no is None:
            raise UnreadableAnswer("yes_price_dollars", "is missing")
        yes = Micros(ONE - no)
    return yes if outcome == YES else Micros(ONE - yes)

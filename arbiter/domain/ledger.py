"""The ledger: what happened to holdings, entry by entry. Positions are the fold of these entries and nothing else.

Cost basis is a total: a sale removes its share of it, rounded down, and the last sale takes what is left, so nothing
is ever lost to rounding. Fees are kept apart; realised P&L is net of them.
"""

from collections import defaultdict
from typing import assert_never

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import FillId, OutcomeKey, UserId
from arbiter.domain.money import MICRO, ZERO, Micros
from arbiter.domain.order import Fill


class FillEntry(msgspec.Struct, frozen=True, tag="fill"):
    """A fill of one of our orders."""

    fill: Fill

    @property
    def key(self) -> tuple[UserId, OutcomeKey]:
        return (self.fill.user, self.fill.outcome)


class ReversalEntry(msgspec.Struct, frozen=True, tag="reversal"):
    """A fill that the venue took back (a settlement that failed). The position becomes what it were without it."""

    user: UserId
    outcome: OutcomeKey
    fill: FillId
    at_ms: int

    @property
    def key(self) -> tuple[UserId, OutcomeKey]:
        return (self.user, self.outcome)


class SettlementEntry(msgspec.Struct, frozen=True, tag="settlement"):
    """The market resolved: each unit held pays `payout` micros (1 for a win, 0 for a loss, a half for 50/50)."""

    user: UserId
    outcome: OutcomeKey
    payout: Micros
    at_ms: int

    @property
    def key(self) -> tuple[UserId, OutcomeKey]:
        return (self.user, self.outcome)


LedgerEntry = FillEntry | ReversalEntry | SettlementEntry


class Position(msgspec.Struct, frozen=True):
    """What a user holds of one outcome. `cost` is the total basis without fees; `realised` is net of all `fees`."""

    user: UserId
    outcome: OutcomeKey
    size: Micros = ZERO
    cost: Micros = ZERO
    realised: Micros = ZERO
    fees: Micros = ZERO


class ImpossibleEntry(Exception):
    """An entry that contradicts those before it: a sale of more than is held, a reversal of an unknown fill."""


class LedgerFold:
    """All positions, entry by entry. `apply` in ledger order."""

    def __init__(self) -> None:
        self.positions: dict[tuple[UserId, OutcomeKey], Position] = {}
        self._entries: defaultdict[tuple[UserId, OutcomeKey], list[LedgerEntry]] = defaultdict(list)

    def apply(self, entry: LedgerEntry) -> Position:
        """The changed position. Raises ImpossibleEntry, and then nothing has changed."""
        entries = self._entries[entry.key]
        if isinstance(entry, ReversalEntry):
            kept = [e for e in entries if not (isinstance(e, FillEntry) and e.fill.id == entry.fill)]
            if len(kept) == len(entries):
                raise ImpossibleEntry(f"a reversal of fill {entry.fill}, which is not in the ledger")
            position = fold(entry.key, kept)
            self._entries[entry.key] = kept
        else:
            position = step(self.positions.get(entry.key, Position(*entry.key)), entry)
            entries.append(entry)
        self.positions[entry.key] = position
        return position


def fold(key: tuple[UserId, OutcomeKey], entries: list[LedgerEntry]) -> Position:
    """The position after these entries (no reversals among them)."""
    position = Position(*key)
    for entry in entries:
        position = step(position, entry)
    return position


def step(position: Position, entry: LedgerEntry) -> Position:
    """The position after one more entry. A reversal is not a step: it needs the entries before it."""
    match entry:
        case FillEntry(fill):
            return _buy(position, fill) if fill.side is Side.BUY else _sell(position, fill)
        case SettlementEntry():
            proceeds = position.size * entry.payout // MICRO
            realised = Micros(position.realised + proceeds - position.cost)
            return msgspec.structs.replace(position, size=ZERO, cost=ZERO, realised=realised)
        case ReversalEntry():
            raise ImpossibleEntry("a reversal cannot be applied to a position alone")
        case _:
            assert_never(entry)


def _buy(position: Position, fill: Fill) -> Position:
    return msgspec.structs.replace(
        position,
        size=Micros(position.size + fill.size),
        cost=Micros(position.cost + fill.cash),
        realised=Micros(position.realised - fill.fee),
        fees=Micros(position.fees + fill.fee),
    )


def _sell(position: Position, fill: Fill) -> Position:
    if fill.size > position.size:
        raise ImpossibleEntry(f"a sale of {fill.size} of {position.outcome} with {position.size} held")
    removed = position.cost if fill.size == position.size else position.cost * fill.size // position.size
    return msgspec.structs.replace(
        position,
        size=Micros(position.size - fill.size),
        cost=Micros(position.cost - removed),
        realised=Micros(position.realised + fill.cash - fill.fee - removed),
        fees=Micros(position.fees + fill.fee),
    )

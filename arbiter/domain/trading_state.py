"""Whether trading goes on: the state that an emergency stop sets and only an explicit resume lifts."""

from enum import Enum

import msgspec

from arbiter.domain.ids import UserId


class TradingState(Enum):
    """ACTIVE trades; REDUCING may only make positions smaller; HALTED sends nothing but cancels."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


SYSTEM = UserId("*")
"""Stands for everybody: what operators stopped. The id of no account."""


class TradingStatus(msgspec.Struct, frozen=True):
    """One user's state, since when (UTC ms, 0: always) and why."""

    user: UserId
    state: TradingState = TradingState.ACTIVE
    since_ms: int = 0
    reason: str = ""

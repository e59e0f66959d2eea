"""What the services may reach of the core: refs, topics, and nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from arbiter.actors import auditor, brake, market_feed, position_tracker, user_session
from arbiter.actors.accounts import AccountChanged
from arbiter.actors.accounts import Messages as AccountsMessages
from arbiter.actors.arb_scanner import OpportunityChanged
from arbiter.actors.position_tracker import PositionChanged
from arbiter.domain.ids import OpportunityId, OutcomeKey, UserId, VenueId
from arbiter.runtime import ActorStatus, Environment, Ref, Topic


@dataclass(frozen=True)
class Core:
    """Handed to every service. `session(user)` starts the user's session where there is none."""

    environment: Environment
    data: market_feed.MarketData
    accounts: Ref[AccountsMessages]
    auditor: Ref[auditor.Messages]
    brake: Ref[brake.Messages]
    feeds: Mapping[VenueId, Ref[market_feed.Messages]]
    tracker: Ref[position_tracker.Messages]
    session: Callable[[UserId], Ref[user_session.Messages]]
    position_changes: Topic[tuple[UserId, OutcomeKey], PositionChanged]
    opportunities: Topic[OpportunityId, OpportunityChanged]
    account_changes: Topic[UserId, AccountChanged]
    statuses: Callable[[], list[ActorStatus]]
    states: Callable[[], Sequence[tuple[str, str]]]
    """Path and state of every actor but those made for a user."""


ASK_SECONDS = 10.0
"""How long a call waits for an actor when it brings no shorter deadline of its own."""

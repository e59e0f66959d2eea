"""What the services may reach of the core: refs, topics, and nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from arbiter.actors import arb_scanner, auditor, brake, market_feed, paper_desk, position_tracker, second_factors, user_session
from arbiter.actors.accounts import AccountChanged
from arbiter.actors.accounts import Messages as AccountsMessages
from arbiter.actors.arb_scanner import OpportunityChanged
from arbiter.actors.credentials import LiveFamilies
from arbiter.actors.credentials import Messages as CredentialsMessages
from arbiter.actors.position_tracker import PositionChanged
from arbiter.domain.ids import OpportunityId, OrderId, OutcomeKey, UserId, VenueId
from arbiter.rpc.totp_policy import TotpPolicy
from arbiter.runtime import ActorStatus, Environment, Ref, Topic


@dataclass(frozen=True)
class Core:
    """Handed to every service. `session(user)` starts the user's session where there is none.

    `run` is a number of this run of the program alone.
    """

    environment: Environment
    data: market_feed.MarketData
    accounts: Ref[AccountsMessages]
    auditor: Ref[auditor.Messages]
    credentials: Ref[CredentialsMessages]
    second_factors: Ref[second_factors.Messages]
    brake: Ref[brake.Messages]
    feeds: Mapping[VenueId, Ref[market_feed.Messages]]
    tracker: Ref[position_tracker.Messages]
    desks: Mapping[VenueId, Ref[paper_desk.Messages]]
    scanner: Ref[arb_scanner.Messages]
    session: Callable[[UserId], Ref[user_session.Messages]]
    position_changes: Topic[tuple[UserId, OutcomeKey], PositionChanged]
    order_changes: Topic[OrderId, paper_desk.OrderChanged]
    opportunities: Topic[OpportunityId, OpportunityChanged]
    account_changes: Topic[UserId, AccountChanged]
    families: LiveFamilies
    totp: TotpPolicy
    statuses: Callable[[], list[ActorStatus]]
    states: Callable[[], Sequence[tuple[str, str]]]
    """Path and state of every actor but those made for a user."""
    run: int


ASK_SECONDS = 10.0
"""How long a call waits for an actor when it brings no shorter deadline of its own."""
HALT_SECONDS = 1.5
"""The latch: the brake answers within 0.75 s, and a crash of it is over by then."""
STOP_SECONDS = 3.5
"""How long a stop waits for each part after the latch. Both together are shorter than a client's patience, so that the report arrives."""

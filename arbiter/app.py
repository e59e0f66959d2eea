"""The composition root: reads top to bottom as the supervision tree of the design.

root                     one_for_one; exhausted -> the program ends with a non-zero status
├─ core                  rest_for_one, in this order
│   ├─ journal           the only writer of the store; group commit; answers when durable
│   ├─ brake             trading state of the system and of each user: the kill switch
│   ├─ inputs            one_for_one, parked when exhausted: accounts, auditor, credentials, second_factors; a MarketFeed a venue
│   ├─ trading           rest_for_one: position_tracker, order desks (one a venue), sessions (a UserSession an active user)
│   └─ strategies        one_for_one, parked when exhausted: arb_scanner
└─ front                 one_for_one
    ├─ rpc               the gRPC server
    └─ bot               the Telegram bridge (when a token or the sandbox is configured)

Of the design's picture arb_executor, pair_matcher, copy_trader, notifier (strategies) and web (front) come with later work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import trio

from arbiter.actors import (
    accounts,
    arb_scanner,
    auditor,
    brake,
    credentials,
    journal,
    market_feed,
    paper_desk,
    position_tracker,
    second_factors,
    user_session,
)
from arbiter.domain.ids import OpportunityId, OrderId, OutcomeKey, UserId, VenueId
from arbiter.domain.pair import Pair
from arbiter.rpc.core import Core
from arbiter.rpc.front import Access, Front, RpcFront
from arbiter.rpc.tokens import Keys
from arbiter.rpc.totp_policy import DEFAULT_POLICY, TotpPolicy
from arbiter.runtime import Actor, Child, Conflate, DynamicGroup, Environment, Group, Ref, Supervisor, Topic
from arbiter.secret_box import SecretBox
from arbiter.store.base import StopMarker, Store
from arbiter.store.memory import MemoryStopMarker
from arbiter.venues.base import Venue

RUN_BITS = 52
"""No two runs of the program choose the same number; with what is added to it, it fits a double."""
NOTHING_SAID: Mapping[VenueId, market_feed.Wanted] = MappingProxyType({})


@dataclass(frozen=True)
class Arbiter:
    """The whole program, ready to run: its tree, and what one asks from outside."""

    supervisor: Supervisor
    core: Core
    front: Front
    scanner: Ref[arb_scanner.Messages]


def compose(
    environment: Environment,
    store: Store,
    venues: Sequence[Venue],
    pairs: tuple[Pair, ...],
    keys: Keys,
    listener: trio.SocketListener,
    *,
    fresh_seconds: float = market_feed.FRESH_SECONDS,
    make_bot: Callable[[], Actor[Any]] | None = None,
    stop_marker: StopMarker | None = None,
    access: Access = Access(),  # noqa: B008 it is frozen
    reflection: bool = True,
    totp: TotpPolicy = DEFAULT_POLICY,
    wanted: Mapping[VenueId, market_feed.Wanted] = NOTHING_SAID,
) -> Arbiter:
    """Build every actor and put it in its place. Nothing runs yet. Without a `stop_marker` one in memory serves.

    `reflection`: whether the front tells anybody, without a token, which services and messages there are. `wanted`: which markets of a
    venue are followed; of one that it does not name all are.
    """
    data = market_feed.MarketData(fresh_seconds=fresh_seconds)
    account_changes: Topic[UserId, accounts.AccountChanged] = Topic("accounts")
    position_changes: Topic[tuple[UserId, OutcomeKey], position_tracker.PositionChanged] = Topic("positions")
    order_changes: Topic[OrderId, paper_desk.OrderChanged] = Topic("orders")
    opportunities: Topic[OpportunityId, arb_scanner.OpportunityChanged] = Topic("opportunities")

    journal_child = Child("journal", lambda: journal.Journal(store))
    latch, marker = brake.Latch(), stop_marker or MemoryStopMarker()
    brake_child = Child("brake", lambda: brake.Brake(store, journal_child.ref, latch, environment, marker))
    accounts_child = Child("accounts", lambda: accounts.Accounts(store, journal_child.ref, account_changes, latch, environment))
    auditor_child = Child("auditor", lambda: auditor.Auditor(journal_child.ref))
    families, box = credentials.LiveFamilies(), SecretBox(keys.master or keys.pepper)
    credentials_child = Child(
        "credentials", lambda: credentials.Credentials(store, journal_child.ref, account_changes, families, environment)
    )
    factors_child = Child("second_factors", lambda: second_factors.SecondFactors(store, journal_child.ref, box, environment))
    feeds = {venue.name: _feed(venue, data, environment, wanted.get(venue.name, market_feed.everything)) for venue in venues}
    inputs = Group("inputs", [accounts_child, auditor_child, credentials_child, factors_child, *feeds.values()], exhausted="park")

    tracker = Child("position_tracker", lambda: position_tracker.PositionTracker(store, data, position_changes, environment))
    desks = {venue.name: _desk(venue.name, store, journal_child, tracker, data, order_changes, latch, environment) for venue in venues}
    desk_refs = {name: desk.ref for name, desk in desks.items()}

    def session(user: str) -> Child[user_session.Messages]:
        return Child(
            user,
            lambda: user_session.UserSession(
                UserId(user), store, journal_child.ref, accounts_child.ref, tracker.ref, desk_refs, data, order_changes, latch, environment
            ),
        )

    sessions = DynamicGroup("sessions", session)
    trading = Group("trading", [tracker, *desks.values(), sessions], strategy="rest_for_one")

    scanner = Child(
        "arb_scanner",
        lambda: arb_scanner.ArbScanner(pairs, data, opportunities, environment),
        mailbox=Conflate(arb_scanner.mailbox_key),
    )
    strategies = Group("strategies", [scanner], exhausted="park")

    core_group = Group("core", [journal_child, brake_child, inputs, trading, strategies], strategy="rest_for_one")

    def rpc() -> RpcFront:
        return front.actor()

    front_group = Group("front", [Child("rpc", rpc), *([Child("bot", make_bot)] if make_bot else [])])
    supervisor = Supervisor(Group("root", [core_group, front_group]), environment)
    core = Core(
        environment=environment,
        data=data,
        accounts=accounts_child.ref,
        auditor=auditor_child.ref,
        credentials=credentials_child.ref,
        second_factors=factors_child.ref,
        brake=brake_child.ref,
        feeds={name: feed.ref for name, feed in feeds.items()},
        tracker=tracker.ref,
        desks=desk_refs,
        scanner=scanner.ref,
        session=sessions.ref,
        position_changes=position_changes,
        order_changes=order_changes,
        opportunities=opportunities,
        account_changes=account_changes,
        families=families,
        totp=totp,
        statuses=supervisor.statuses,
        states=supervisor.states,
        run=environment.random.getrandbits(RUN_BITS),
    )
    front = Front(core, keys, listener, access, reflection=reflection)
    return Arbiter(supervisor, core, front, scanner.ref)


def _feed(venue: Venue, data: market_feed.MarketData, environment: Environment, wanted: market_feed.Wanted) -> Child[market_feed.Messages]:
    return Child(f"{venue.name}_feed", lambda: market_feed.MarketFeed(venue, data, environment, wanted))


def _desk(
    venue: VenueId,
    store: Store,
    journal_child: Child[journal.Messages],
    tracker: Child[position_tracker.Messages],
    data: market_feed.MarketData,
    changes: Topic[OrderId, paper_desk.OrderChanged],
    latch: brake.Latch,
    environment: Environment,
) -> Child[paper_desk.Messages]:
    return Child(
        f"{venue}_desk",
        lambda: paper_desk.PaperDesk(venue, store, journal_child.ref, tracker.ref, data, changes, latch, environment),
        mailbox=Conflate(paper_desk.mailbox_key),
    )

"""Supervised actors on trio: the mechanism, which knows nothing of trading.

    message.py      what may be sent: frozen structs, requests that name their reply
    vocabulary.py   which of them an actor understands, from its class
    mailbox.py      bounded queues with three policies and an urgent lane
    ref.py          how one actor reaches another: tell, offer, ask (reply.py: where the answer arrives)
    actor.py        what one writes: an `Actor` with `started`, `handle`, `stopped`
    context.py      what an incarnation may do beside handling, and its loop; life.py: what that needs of those around it
    timer.py        messages to oneself that come later
    topic.py        news for many: snapshot, then changes; topic_key.py: one key; subscription.py: one reader; follower.py: where
                    they end at a mailbox
    cursor.py       what must not be lost: read from a log in a store, each entry in its place
    spec.py         the tree as data: children, groups, intensity, backoff
    supervisor.py   the tree alive: living.py is one supervisor, group.py and children.py its two kinds, inner.py those within
                    it; node.py one child, due.py when one that is down comes back
    crash.py        what is said of a crash
    statistics.py   what an actor did; correlation.py what its messages were caused by
    environment.py  clock and Random, handed in so that a run can be repeated
    collector.py    when Python's garbage collector may look at what lives for ever
    seeded.py       the order of tasks from a seed, for runs that must come out the same
    testing.py      for tests: an actor alone, probes, seeded runs, crashes on purpose

The semantics are Erlang/OTP's where they fit. One difference is deliberate: a mailbox belongs to the supervisor,
not to the incarnation, so a ref and the tells in it survive a restart.
"""

from arbiter.runtime.actor import Actor
from arbiter.runtime.context import Context
from arbiter.runtime.correlation import caused_by, correlation
from arbiter.runtime.cursor import Bookmarks, Cursor, Log
from arbiter.runtime.environment import Environment
from arbiter.runtime.living import StartFailed, SupervisorExhausted
from arbiter.runtime.mailbox import Backpressure, Conflate, DropOldest, MailboxFull
from arbiter.runtime.message import Message, Request
from arbiter.runtime.node import ActorStatus
from arbiter.runtime.ref import DirectionError, Ref, ReplySlot
from arbiter.runtime.spec import Backoff, Child, DynamicGroup, Group, Intensity
from arbiter.runtime.supervisor import Supervisor
from arbiter.runtime.timer import Timer
from arbiter.runtime.topic import Kept, Lagged, Subscription, Topic, TopicKey

__all__ = [
    "Actor",
    "ActorStatus",
    "Backoff",
    "Backpressure",
    "Bookmarks",
    "Child",
    "Conflate",
    "Context",
    "Cursor",
    "DirectionError",
    "DropOldest",
    "DynamicGroup",
    "Environment",
    "Group",
    "Intensity",
    "Kept",
    "Lagged",
    "Log",
    "MailboxFull",
    "Message",
    "Ref",
    "ReplySlot",
    "Request",
    "StartFailed",
    "Subscription",
    "Supervisor",
    "SupervisorExhausted",
    "Timer",
    "Topic",
    "TopicKey",
    "caused_by",
    "correlation",
]

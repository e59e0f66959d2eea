"""Supervised actors on trio: the mechanism, which knows nothing of trading.

    message.py      what may be sent: frozen structs, requests that name their reply
    mailbox.py      bounded queues with three policies and an urgent lane
    ref.py          how one actor reaches another: tell, offer, ask
    actor.py        what one writes: an `Actor` with `started`, `handle`, `stopped`
    topic.py        news for many: snapshot, then changes
    supervisor.py   the tree: who starts, watches, restarts and stops whom
    environment.py  clock and Random, handed in so that a run can be repeated

The semantics are Erlang/OTP's where they fit. One difference is deliberate: a mailbox belongs to the supervisor,
not to the incarnation, so a ref and the tells in it survive a restart.
"""

from arbiter.runtime.actor import Actor, Context
from arbiter.runtime.environment import Environment
from arbiter.runtime.mailbox import Backpressure, Conflate, DropOldest, MailboxFull
from arbiter.runtime.message import Message, Request
from arbiter.runtime.ref import DirectionError, Ref, ReplySlot
from arbiter.runtime.supervisor import ActorStatus, Backoff, Child, DynamicGroup, Group, Intensity, Supervisor, SupervisorExhausted
from arbiter.runtime.topic import Lagged, Subscription, Topic, TopicKey

__all__ = [
    "Actor",
    "ActorStatus",
    "Backoff",
    "Backpressure",
    "Child",
    "Conflate",
    "Context",
    "DirectionError",
    "DropOldest",
    "DynamicGroup",
    "Environment",
    "Group",
    "Intensity",
    "Lagged",
    "MailboxFull",
    "Message",
    "Ref",
    "ReplySlot",
    "Request",
    "Subscription",
    "Supervisor",
    "SupervisorExhausted",
    "Topic",
    "TopicKey",
]

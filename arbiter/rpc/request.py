"""What a method of a service gets beside its message."""

import math
from collections.abc import Callable
from typing import Any

from arbiter.errors import ArbiterError
from arbiter.rpc.call_head import CallHead, Metadata


class Request:
    """One call, as its handler sees it."""

    __slots__ = (
        *("_head", "caller", "changed", "correlation_id", "deadline", "end", "initial_metadata", "peer", "trailing_metadata"),
        "verified_peer",
    )

    def __init__(self, head: CallHead, peer: str) -> None:
        self._head = head
        self.peer = peer
        """The client's address, without its port, also where it came through a proxy of ours; `local` through the socket file."""
        self.verified_peer = False
        """The connection itself proves who is there: it comes from this machine, or with a certificate that was asked for."""
        self.caller: Any = None
        """Who calls, as the gate found."""
        self.changed = False
        """Set by a stop that stopped something: the audit merges only those that did not."""
        self.correlation_id = ""
        self.deadline = math.inf
        """On trio's clock."""
        self.end: Callable[[ArbiterError], None] = cannot_end
        """End a call that answers with a stream, from outside and at any time: its handler is cancelled, its client gets this error."""
        self.initial_metadata: Metadata = ()
        """Sent before the first message; set before that."""
        self.trailing_metadata: Metadata = ()
        """Sent with the status; set any time before the end."""

    @property
    def service_name(self) -> str:
        return self._head.service

    @property
    def method_name(self) -> str:
        return self._head.name

    @property
    def path(self) -> str:
        return self._head.path

    @property
    def authority(self) -> str:
        return self._head.authority

    @property
    def custom_metadata(self) -> Metadata:
        """What the client sent, in its order; values of names that end in `-bin` are bytes."""
        return self._head.metadata


def cannot_end(_error: ArbiterError) -> None:
    """What a call has for `end` that answers once, and one that is over."""
    raise RuntimeError("this call answers once: nobody ends it from outside")

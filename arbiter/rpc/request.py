"""What a method of a service gets beside its message, and what ends a call with a status of its own."""

import math
from typing import Any

from arbiter.rpc.call_head import Metadata


class Request:
    """One call, as its handler sees it."""

    __slots__ = (
        "authority",
        "caller",
        "correlation_id",
        "custom_metadata",
        "deadline",
        "initial_metadata",
        "method_name",
        "peer",
        "service_name",
        "trailing_metadata",
    )

    def __init__(self, service_name: str, method_name: str, custom_metadata: Metadata, authority: str, peer: str) -> None:
        self.service_name = service_name
        self.method_name = method_name
        self.custom_metadata = custom_metadata
        """What the client sent, in its order; values of names that end in `-bin` are bytes."""
        self.authority = authority
        self.peer = peer
        """The client's address, without its port."""
        self.caller: Any = None
        """Who calls, as the gate found."""
        self.correlation_id = ""
        self.deadline = math.inf
        """On trio's clock."""
        self.initial_metadata: Metadata = ()
        """Sent before the first message; set before that."""
        self.trailing_metadata: Metadata = ()
        """Sent with the status; set any time before the end."""

    @property
    def path(self) -> str:
        return f"{self.service_name}/{self.method_name}"

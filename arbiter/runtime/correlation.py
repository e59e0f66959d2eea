"""What a message was caused by: an id that travels from a gRPC call or a Telegram update through every message that follows.

A mailbox keeps the sender's id with each message, and the actor that handles it takes it over, so that it is in every log line
and in every message that it sends meanwhile.
"""

import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

LONGEST = 64
_FIT = re.compile(rf"[A-Za-z0-9._:-]{{1,{LONGEST}}}")

correlation: ContextVar[str] = ContextVar("correlation", default="")
"""The id of what this task works for; empty where nothing outside caused it (a venue's news, a timer of the program)."""


@contextmanager
def caused_by(id_: str) -> Iterator[None]:
    """Everything in this block, and every message sent from it, carries the id."""
    token = correlation.set(id_)
    try:
        yield
    finally:
        correlation.reset(token)


def fit(id_: str) -> bool:
    """Whether an id from outside may be taken over: it ends up in log lines."""
    return _FIT.fullmatch(id_) is not None


def add_correlation(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the id in every line that has none of its own."""
    id_ = correlation.get()
    if id_:
        event.setdefault("correlation_id", id_)
    return event

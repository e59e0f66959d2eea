"""What actors send each other: frozen, tagged structs that msgspec can encode.

A command is imperative (`PlaceOrder`), an event past tense (`OrderFilled`). A `Request[R]` names the type of its
reply, so that mypy knows what `await ref.ask(request)` returns.
"""

from typing import Generic, TypeVar

import msgspec

R_co = TypeVar("R_co", covariant=True)


class Message(msgspec.Struct, frozen=True, tag=True):
    """A command or an event. Subclass with `frozen=True, tag=True`."""


class Request(msgspec.Struct, Generic[R_co], frozen=True, tag=True):
    """A message that is answered with an `R_co`. What the handler returns is the reply."""

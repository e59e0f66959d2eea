"""Streams that are told the same of each change, each under a number of its own: what to tell is found out once for all of them, and
those of a connection are written together.

So a change touches little of a stream. All that belongs to a thousand of them is in no cache when it comes, and to look at it takes
longer than to write what is told.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from arbiter.rpc.sending import Sender, Stream

M = TypeVar("M")


class Carrier(Protocol):
    """The connection of the stream."""

    @property
    def wire(self) -> Sender: ...

    def soon_with_others(self) -> None:
        """See that what is in `wire.out` is sent with all that this turn brings, on this connection and others."""


class _Line(Generic[M]):
    """Those of one connection: lists of the same length, so that to tell them goes through nothing else."""

    __slots__ = ("carrier", "members", "streams", "told")

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.members: list[M] = []
        self.streams: list[Stream] = []
        self.told: list[int] = []
        """How many messages each has been told."""


class InStep(Generic[M]):
    """Any number of streams, each with the member that answers for it."""

    def __init__(self) -> None:
        self._lines: dict[Carrier, _Line[M]] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    @property
    def members(self) -> list[M]:
        return [member for line in self._lines.values() for member in line.members]

    def add(self, member: M, stream: Stream, carrier: Carrier, told: int) -> None:
        """From now on it is told, and was told so many messages before."""
        line = self._lines.get(carrier)
        if line is None:
            line = self._lines[carrier] = _Line(carrier)
        line.members.append(member)
        line.streams.append(stream)
        line.told.append(told)

    def remove(self, member: M, carrier: Carrier) -> int:
        """No longer; how many messages it has been told."""
        line = self._lines[carrier]
        place = line.members.index(member)
        del line.members[place], line.streams[place]
        told = line.told.pop(place)
        if not line.members:
            del self._lines[carrier]
        return told

    def write(self, message: Callable[[int], bytes]) -> list[M]:
        """Tell all of them: `message` gives it, framed, for a number. Those for whom there was no room: it waits in their streams."""
        said: dict[int, bytes] = {}
        behind: list[M] = []
        for line in self._lines.values():
            line.told = [number + 1 for number in line.told]
            messages: list[bytes] = []
            for number in line.told:
                framed = said.get(number)
                if framed is None:
                    framed = said[number] = message(number)
                messages.append(framed)
            wire = line.carrier.wire
            first = not wire.out  # else whoever wrote before has seen to it
            behind += [line.members[place] for place in wire.send_each(line.streams, messages)]
            if first:
                line.carrier.soon_with_others()
        return behind

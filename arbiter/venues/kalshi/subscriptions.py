"""Which subscriptions a connection has, and whether their sequence is unbroken. Pure; the commands it returns are to be sent.

`seq` runs per `sid` over every frame that carries one, `ok` and `unsubscribed` included, and all markets of the `sid` share it
(B8). A subscription that is given up is retired: what still comes of it means nothing.
"""

from collections.abc import Iterable, Sequence
from itertools import count

from arbiter.venues.kalshi import wire


class SequenceGap(Exception):
    """A frame is missing, repeated or out of order: every book of the subscription is invalid."""

    def __init__(self, sid: int, seq: int, expected: int) -> None:
        super().__init__(f"sequence {seq} of subscription {sid}, expected {expected}")
        self.sid = sid
        self.seq = seq


class Subscriptions:
    """The subscriptions of one connection."""

    def __init__(self, tickers_per_command: int) -> None:
        self._portion = tickers_per_command
        self._numbers = count(1)  # 0 counts as absent
        self._wanted: dict[int, tuple[str, tuple[str, ...]]] = {}
        """Commands to subscribe that were not answered yet: channel and markets."""
        self._sids: dict[str, int] = {}
        """The living subscription of each channel."""
        self.expected: dict[int, int] = {}
        """The next `seq` of each subscription that has begun; of what is not in here the next is 1."""
        self._retired: set[int] = set()

    def channel_of(self, sid: int) -> str | None:
        return next((channel for channel, known in self._sids.items() if known == sid), None)

    def next_of(self, channel: str) -> int | None:
        """The next `seq` of this channel's subscription; None where there is none."""
        sid = self._sids.get(channel)
        return None if sid is None else self.expected.get(sid, 1)

    # -- commands --

    def subscribe(self, channel: str, tickers: Iterable[str] = ()) -> list[bytes]:
        """In portions; later ones merge into the first one's subscription."""
        wanted = tuple(tickers)
        portions = [wanted[start : start + self._portion] for start in range(0, len(wanted), self._portion)] or [()]
        return [self._subscribe(channel, portion) for portion in portions]

    def _subscribe(self, channel: str, tickers: tuple[str, ...]) -> bytes:
        number = next(self._numbers)
        self._wanted[number] = channel, tickers
        return wire.subscribe(number, channel, tickers)

    def delete(self, channel: str, tickers: Sequence[str]) -> list[bytes]:
        """Nothing more of these markets."""
        sid = self._sids.get(channel)
        return [] if sid is None or not tickers else [wire.delete_markets(next(self._numbers), sid, tickers)]

    def ask_again(self, tickers: Sequence[str]) -> list[bytes]:
        """These markets' books once more, while the subscription goes on."""
        sid = self._sids.get(wire.BOOKS)
        return [] if sid is None or not tickers else [wire.get_snapshot(next(self._numbers), sid, tickers)]

    def probe(self, ticker: str) -> tuple[int, list[bytes]]:
        """The same for one market, with the command's number: a refusal names it."""
        sid = self._sids.get(wire.BOOKS)
        if sid is None:
            return 0, []
        number = next(self._numbers)
        return number, [wire.get_snapshot(number, sid, (ticker,))]

    def retire(self, channel: str) -> list[bytes]:
        """Give up this channel's subscription; subscribe anew after it."""
        self._wanted = {number: each for number, each in self._wanted.items() if each[0] != channel}
        sid = self._sids.pop(channel, None)
        if sid is None:
            return []
        self._retired.add(sid)
        self.expected.pop(sid, None)
        return [wire.unsubscribe(next(self._numbers), [sid])]

    def lost(self, channel: str) -> None:
        """The venue itself ended this channel's subscription."""
        sid = self._sids.pop(channel)
        self.expected.pop(sid, None)

    # -- what the venue says of them --

    def confirmed(self, frame: wire.Subscribed) -> None:
        """It subscribed us. A `sid` that was retired lives again if the venue gives it anew."""
        channel, _ = self._wanted.pop(frame.id, (frame.msg.channel, ()))
        sid = frame.msg.sid
        if sid in self._retired:
            self._retired.discard(sid)
            self.expected.pop(sid, None)
        self._sids[channel] = sid

    def ok(self, frame: wire.Ok) -> None:
        """It did as it was told."""
        self._wanted.pop(frame.id, None)

    def ended(self, frame: wire.Unsubscribed) -> None:
        """Its last word of this subscription."""
        self._retired.discard(frame.sid)
        self.expected.pop(frame.sid, None)

    def refused(self, number: int) -> tuple[str, tuple[str, ...]] | None:
        """Which subscription the venue refused: channel and markets. None where the command was another."""
        return self._wanted.pop(number, None)

    def go_on(self, sid: int, seq: int) -> None:
        """What is missing of this subscription stays missing, and the sequence goes on after this one."""
        self.expected[sid] = seq + 1

    def counts(self, sid: int, seq: int) -> bool:
        """Whether this frame is of a living subscription and the next in its sequence; False where it is of a retired one.

        Raises SequenceGap. To be asked of every frame that carries a `seq` or ought to; who is in a hurry looks at `expected` first.
        """
        if sid in self._retired:
            return False
        expected = self.expected.get(sid, 1)
        if seq != expected:
            raise SequenceGap(sid, seq, expected)
        self.expected[sid] = seq + 1
        return True

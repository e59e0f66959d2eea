"""The feed of arbitrage opportunities: each begins with OPENED and ends with CLOSED for its reader too, whatever its least edge."""

import msgspec

from arbiter.actors.arb_scanner import SCANNER_STOPPED, OpportunityChanged
from arbiter.domain.ids import OpportunityId
from arbiter.rpc.encoded import bytes_field, int_field, tag, varint
from arbiter.rpc.feed import Change, Feed, Source
from arbiter.rpc.messages import framed
from arbiter.runtime import Kept
from arbiter.v1 import strategy_pb2

BELOW_MIN_EDGE = "below_min_edge"
"""The reason of one that goes on, but is not worth it any more to this reader. Any other is the scanner's."""

Opportunities = Source[OpportunityId, OpportunityChanged]
_Change = Change[OpportunityId, OpportunityChanged]

_OPENED = int_field(2, strategy_pb2.OPPORTUNITY_STATE_OPENED)
_UPDATED = int_field(2, strategy_pb2.OPPORTUNITY_STATE_UPDATED)
_CLOSED = int_field(2, strategy_pb2.OPPORTUNITY_STATE_CLOSED)
_SNAPSHOT = int_field(2, strategy_pb2.OPPORTUNITY_STATE_SNAPSHOT)
_AT, _DURATION, _NUMBER, _CONFLATED = tag(12), tag(13), tag(15), tag(16)
_REASON = bytes_field(14, BELOW_MIN_EDGE.encode())


def net_per_contract(event: OpportunityChanged) -> int:
    """What a source of opportunities measures; nothing in one that is over, so that it is worth it to nobody."""
    return event.opportunity.net_per_contract if event.state != "closed" else -1


class OpportunityFeed(Feed[OpportunityId, OpportunityChanged]):
    """`least`: the least edge, in micros a contract, of what this reader is told; from 0."""

    CURSOR = 17

    def __init__(self, source: Opportunities, least: int) -> None:
        super().__init__(source)
        self._least = least
        self._known: dict[OpportunityId, _Change] = {}
        """What was told as open and not as closed yet, with the figures that were told last."""
        self._perhaps: set[OpportunityId] = set()
        """Of those the ones that were told before this stream, if at all."""
        self._mark = False

    def _begin(self, *, asked: bool) -> None:
        self._mark = asked
        for each in self._source.kept(self._groups):
            change = self._source.change(each)
            if change.value >= self._least:
                self._put(change)

    def _resume(self, missed: list[Kept[OpportunityId, OpportunityChanged]], sequence: int) -> None:
        """What this reader was told before is not known here. So it is told the end of all that may have ended for it."""
        for each in self._source.kept(self._groups):
            change = self._source.change(each)
            if each.sequence <= sequence and change.value >= self._least:
                self._known[change.key] = change
        for each in missed:
            change = self._known[each.key] = self._source.change(each)
            self._perhaps.add(each.key)
            self._put(change)

    def start_over(self) -> None:
        """The publisher has told the end of each, as a rule. Where it could not, it is told here."""
        self._waiting = {key: each for key, each in self._waiting.items() if key in self._known}
        for key, known in self._known.items():
            waiting = self._waiting.get(key)
            if waiting is None or waiting.change.event.state != "closed":
                event = msgspec.structs.replace(known.event, state="closed", reason=SCANNER_STOPPED)
                self._put(self._source.new_change(key, event, 0))
        self._epoch = self._source.epoch ^ self._mask

    @property
    def waiting(self) -> bool:
        return self._mark or bool(self._waiting)

    def hold(self, change: _Change) -> None:
        key = change.key
        if change.value >= self._least or key in self._known:
            self._put(change)
        elif key in self._waiting:  # it came and went, and this reader never knew
            del self._waiting[key]
            self._conflated += 1

    def _take(self) -> bytes | None:
        if self._mark:
            self._mark = False
            return self._write(b"", _SNAPSHOT)
        while self._waiting:
            told = self._tell(self._pop())
            if told is not None:
                return self._write(*told)
        return None

    def next(self, change: _Change) -> bytes | None:
        key = change.key
        if change.value >= self._least and key not in self._perhaps:  # nearly always
            own = _UPDATED if key in self._known else _OPENED
            self._known[key] = change
            self._told += 1
            return change.framed(own, _NUMBER, self._told, self.CURSOR, self._epoch)
        told = self._tell(change)
        if told is None:
            return None
        self._told += 1
        return framed(b"".join((*told, _NUMBER, varint(self._told), change.cursor_field(self.CURSOR, self._epoch))))

    def _tell(self, change: _Change) -> tuple[bytes, bytes] | None:
        """The body, and what of it is this reader's own; None where the reader need not know."""
        key = change.key
        known = self._known.get(key)
        new = known is None or key in self._perhaps
        self._perhaps.discard(key)
        if change.value >= self._least:
            self._known[key] = change
            return change.body, _OPENED if new else _UPDATED
        if known is None:
            return None
        del self._known[key]
        event = change.event
        if event.state == "closed":
            return change.body, _CLOSED
        # for others it goes on: this reader's last figures are those that were worth it
        ended = _AT + varint(event.at_ms) + _DURATION + varint(event.duration_ms) + _REASON
        return known.body, _CLOSED + ended

    def _write(self, body: bytes, own: bytes) -> bytes:
        self._told += 1
        conflated = self._take_conflated()
        tail = _CONFLATED + varint(conflated) if conflated else b""
        return b"".join((body, own, _NUMBER, varint(self._told), tail, self._cursor()))

"""The feed of arbitrage opportunities: each begins with OPENED and ends with CLOSED for its reader too, whatever its least edge."""

from collections.abc import Iterable

import msgspec

from arbiter.actors.arb_scanner import SCANNER_STOPPED, OpportunityChanged
from arbiter.domain.ids import OpportunityId
from arbiter.rpc.change import Change
from arbiter.rpc.encoded import bytes_field, int_field, tag, varint
from arbiter.rpc.feed import Feed, Source
from arbiter.rpc.in_step import Carrier, InStep
from arbiter.rpc.messages import framed
from arbiter.rpc.sending import Stream
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


class _View:
    """What a reader knows, as far as it decides what to tell it."""

    __slots__ = ("known", "least", "perhaps")

    def __init__(self, least: int, known: dict[OpportunityId, _Change] | None = None) -> None:
        self.least = least
        self.known: dict[OpportunityId, _Change] = known or {}
        """What was told as open and not as closed yet, with the figures that were told last."""
        self.perhaps: set[OpportunityId] = set()
        """Of those the ones that were told before this stream, if at all."""

    def tell(self, change: _Change) -> tuple[bytes, bytes] | None:
        """The body, and what of it is this reader's own; None where the reader need not know."""
        key = change.key
        known = self.known.get(key)
        new = known is None or key in self.perhaps
        self.perhaps.discard(key)
        if change.value >= self.least:
            self.known[key] = change
            return change.body, _OPENED if new else _UPDATED
        if known is None:
            return None
        del self.known[key]
        event = change.event
        if event.state == "closed":
            return change.body, _CLOSED
        # for others it goes on: this reader's last figures are those that were worth it
        ended = _AT + varint(event.at_ms) + _DURATION + varint(event.duration_ms) + _REASON
        return known.body, _CLOSED + ended


class _Company(InStep["OpportunityFeed"]):
    """Readers with the same least edge whom nothing is untold: they know the same."""

    def __init__(self, view: _View, epoch: int) -> None:
        super().__init__()
        self.view = view
        self._epoch = epoch

    def tell(self, change: _Change) -> None:
        """See `Source.in_step`."""
        behind: Iterable[OpportunityFeed] = ()
        try:
            told = self.view.tell(change)
            if told is not None:
                common, cursor = b"".join(told) + _NUMBER, change.cursor_field(OpportunityFeed.CURSOR, self._epoch)
                behind = self.write(lambda number: framed(common + varint(number) + cursor))
        except Exception as error:  # noqa: BLE001 all of them miss this change, and their calls end with it
            for feed in self.members:
                feed.fail(error)
        for feed in behind:
            feed.fall_behind()


class OpportunityFeed(Feed[OpportunityId, OpportunityChanged]):
    """`least`: the least edge, in micros a contract, of what this reader is told; from 0."""

    CURSOR = 17

    def __init__(self, source: Opportunities, least: int) -> None:
        super().__init__(source)
        self._view = _View(least)
        self._mark = False
        self._joined: tuple[_Company, Carrier] | None = None
        """Those it is told with, who share its view."""

    def _begin(self, *, asked: bool) -> None:
        self._mark = asked
        for each in self._source.kept(self._groups):
            change = self._source.change(each)
            if change.value >= self._view.least:
                self._put(change)

    def _resume(self, missed: list[Kept[OpportunityId, OpportunityChanged]], sequence: int) -> None:
        """What this reader was told before is not known here. So it is told the end of all that may have ended for it."""
        view = self._view
        for each in self._source.kept(self._groups):
            change = self._source.change(each)
            if each.sequence <= sequence and change.value >= view.least:
                view.known[change.key] = change
        for each in missed:
            change = view.known[each.key] = self._source.change(each)
            view.perhaps.add(each.key)
            self._put(change)

    def start_over(self) -> None:
        """The publisher has told the end of each, as a rule. Where it could not, it is told here."""
        known = self._view.known
        self._waiting = {key: each for key, each in self._waiting.items() if key in known}
        for key, told in known.items():
            waiting = self._waiting.get(key)
            if waiting is None or waiting.change.event.state != "closed":
                event = msgspec.structs.replace(told.event, state="closed", reason=SCANNER_STOPPED)
                self._put(self._source.new_change(key, event, 0))
        self._epoch = self._source.epoch ^ self._mask

    def close(self) -> None:
        self._leave()
        super().close()

    @property
    def waiting(self) -> bool:
        return self._mark or bool(self._waiting)

    def join(self, stream: Stream, carrier: Carrier) -> bool:
        source, view = self._source, self._view
        what = (view.least, self._epoch)
        company = source.in_step.get(what)
        if company is None:
            company = source.in_step[what] = _Company(view, self._epoch)
        assert isinstance(company, _Company)
        if view.perhaps or company.view.known.keys() != view.known.keys():
            return False
        self._view = company.view
        company.add(self, stream, carrier, self._told)
        self._joined = (company, carrier)
        source.not_alone(self, self._groups)
        return True

    def fall_behind(self) -> None:
        self._leave()
        super().fall_behind()

    def _leave(self) -> None:
        """Be told alone again."""
        if self._joined is None:
            return
        (company, carrier), self._joined = self._joined, None
        self._told = company.remove(self, carrier)
        self._view = _View(self._view.least, dict(self._view.known))
        self._source.alone(self, self._groups)
        if not company:
            del self._source.in_step[self._view.least, self._epoch]

    def hold(self, change: _Change) -> None:
        key, view = change.key, self._view
        if change.value >= view.least or key in view.known:
            self._put(change)
        elif key in self._waiting:  # it came and went, and this reader never knew
            del self._waiting[key]
            self._conflated += 1

    def _take(self) -> bytes | None:
        if self._mark:
            self._mark = False
            return self._write(b"", _SNAPSHOT)
        while self._waiting:
            told = self._view.tell(self._pop())
            if told is not None:
                return self._write(*told)
        return None

    def next(self, change: _Change) -> bytes | None:
        told = self._view.tell(change)
        if told is None:
            return None
        self._told += 1
        return framed(b"".join((*told, _NUMBER, varint(self._told), change.cursor_field(self.CURSOR, self._epoch))))

    def _write(self, body: bytes, own: bytes) -> bytes:
        self._told += 1
        conflated = self._take_conflated()
        tail = _CONFLATED + varint(conflated) if conflated else b""
        return b"".join((body, own, _NUMBER, varint(self._told), tail, self._cursor()))

"""A `Network` whose other end is a recording: requests get the answers they got, WebSockets hear what was heard, each at its time.

Whoever moves the time calls `step` for each thing that is due (`next_at`) and lets the program come to rest.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count

import trio

from arbiter.frames.answers import Answers
from arbiter.frames.file import FramesFile
from arbiter.frames.lines import Closed, Exchange, Gap, Header, Line, Opened, Received, Sent
from arbiter.frames.venue_side import Answer, Asked, VenueSide

EARLY_NS = 5_000_000_000
"""A request that comes so much sooner than it did waits for its answer, and a connection that does is that one; beyond, it is another."""
MOST_WAITING = 100_000
"""Messages of one connection that are kept for a client that has not connected yet."""
NOT_RECORDED = Answer(503, b'{"error":"not in the recording"}')

Fallback = Callable[[Asked], Answer | None]
"""Answers what the recording does not, for one that was converted; None: nor does it."""


@dataclass
class _Recorded:
    """One recorded WebSocket, and the connection that plays it. Once `over`, what is left of it is heard by nobody."""

    opened: Opened
    first_sent: bytes | None = None
    side: VenueSide | None = None
    over: bool = False
    waiting: deque[Received | Closed] = field(default_factory=deque)


class Playback:
    """Plays a file once. Raises ConfigError while it is made, for a file that is not what it should be."""

    def __init__(self, file: FramesFile, fallback: Fallback | None = None) -> None:
        self.header: Header = file.header
        self.answers_pings = not file.header.controls
        self.counts: Counter[str] = Counter()
        """Messages `delivered` and `undelivered`; `unanswered` requests and `refused` connections, which the recording has not; `gaps`."""
        self.length_ns = 0
        self._fallback = fallback
        self._answers = Answers()
        self._sockets: dict[int, _Recorded] = {}
        self._playing: dict[VenueSide, _Recorded] = {}
        self._known: set[VenueSide] = set()
        """Whose first message was heard. Only asked about, never gone through: its order would not be the same twice."""
        for line in file.lines():
            self._index(line)
        self.truncated = file.truncated
        self._lines = file.lines()
        self._next: Line | None = next(self._lines, None)
        self._held: list[tuple[int, int, Callable[[], None]]] = []
        """Answers whose time has not come."""
        self._late: deque[_Recorded] = deque()
        """Connections whose client came late, and has to catch up."""
        self._order = count()
        self._now_ns = 0

    def network(self, venue: str) -> "PlayedNetwork":
        """What leads to that venue."""
        return PlayedNetwork(self, venue)

    def _index(self, line: Line) -> None:
        self.length_ns = line.ns
        if isinstance(line, Opened):
            self._sockets[line.n] = _Recorded(line)
        elif isinstance(line, Sent):
            if self._sockets[line.n].first_sent is None and line.op == "text":
                self._sockets[line.n].first_sent = line.payload
        elif isinstance(line, Exchange):
            self._answers.add(line)

    # -- the time --

    def next_at(self) -> float | None:
        """Seconds since the start of what comes next; None: nothing does."""
        if self._late:
            return self._now_ns / 1e9
        if self._next is None and not self._held:
            return None
        return max(self._now_ns, min(self._times())) / 1e9

    def _times(self) -> list[int]:
        return [*([self._held[0][0]] if self._held else []), *([self._next.ns] if self._next is not None else [])]

    def moved_to(self, seconds: float) -> None:
        """The time went on."""
        self._now_ns = max(self._now_ns, round(seconds * 1e9))

    def step(self) -> None:
        """Do the next thing, and one only."""
        if self._late:
            self._catch_up(self._late[0])
        elif self._held and self._held[0][0] == min(self._times()):
            at_ns, _, act = heappop(self._held)
            self._now_ns = max(self._now_ns, at_ns)
            act()
        elif self._next is not None:
            line, self._next = self._next, next(self._lines, None)
            self._now_ns = max(self._now_ns, line.ns)
            self._play(line)
            # who looks on after the end sees the last books, not a venue that died
            self.answers_pings = self.answers_pings or self._next is None

    def _play(self, line: Line) -> None:
        if isinstance(line, (Received, Closed)):
            socket = self._sockets[line.n]
            if socket.over:
                self.counts["undelivered"] += isinstance(line, Received)
            elif socket.side is None or socket.waiting:
                socket.waiting.append(line)
                if len(socket.waiting) > MOST_WAITING:
                    self._give_up(socket)
            else:
                self._tell(socket, socket.side, line)
        elif isinstance(line, Gap):
            self.counts["gaps"] += 1

    def _tell(self, socket: _Recorded, side: VenueSide, line: Received | Closed) -> None:
        if isinstance(line, Received):
            self.counts["delivered"] += 1
            side.say(line.payload, line.op)
        else:
            socket.over = True
            side.close(line.code if line.by == "venue" else 0, line.reason)

    def _catch_up(self, socket: _Recorded) -> None:
        if socket.over or socket.side is None or not socket.waiting:
            self._late.popleft()
            self._give_up(socket) if socket.over else None
        else:
            self._tell(socket, socket.side, socket.waiting.popleft())

    def _give_up(self, socket: _Recorded) -> None:
        socket.over = True
        self.counts["undelivered"] += sum(isinstance(line, Received) for line in socket.waiting)
        socket.waiting.clear()

    # -- what the connections ask: `Director` --

    def ask(self, side: VenueSide, asked: Asked) -> None:
        """See `Director.ask`. An answer does not come before its time, or a catalogue would be there sooner than its sockets."""
        timed = self._answers.next(asked, self._now_ns)
        if timed is None:
            answer = (self._fallback(asked) if self._fallback is not None else None) or NOT_RECORDED
            self.counts["unanswered"] += answer is NOT_RECORDED
            side.answer(answer)
            return
        tell = side.end if not timed.answer.status else partial(side.answer, timed.answer)  # 0: it broke off without an answer
        if 0 < timed.at_ns - self._now_ns <= EARLY_NS:
            heappush(self._held, (timed.at_ns, next(self._order), tell))
        else:
            tell()

    def upgrade(self, asked: Asked) -> Answer | None:
        """See `Director.upgrade`."""
        if self._candidates(asked.venue, asked.target):
            return None
        self.counts["refused"] += 1
        timed = self._answers.next(asked, self._now_ns)
        return timed.answer if timed is not None and timed.answer.status else NOT_RECORDED

    def heard(self, side: VenueSide, message: bytes) -> None:
        """The first message of a connection says which of the recorded ones it is: several may have been opened at once."""
        if side in self._known:
            return
        self._known.add(side)
        candidates = self._candidates(side.venue, side.target)
        socket = next((each for each in candidates if each.first_sent == message), None)
        if socket is not None:
            self._connect(side, socket)
        else:  # whoever is the right one for it may just be about to speak
            decide: Callable[[], None] = partial(self._connect_any, side)
            heappush(self._held, (self._now_ns, next(self._order), decide))

    def _connect_any(self, side: VenueSide) -> None:
        candidates = self._candidates(side.venue, side.target)
        if side in self._known and candidates:
            self._connect(side, candidates[0])
        else:
            side.end()

    def _connect(self, side: VenueSide, socket: _Recorded) -> None:
        socket.side = side
        self._playing[side] = socket
        if socket.waiting:
            self._late.append(socket)

    def gone(self, side: VenueSide) -> None:
        """See `Director.gone`."""
        self._known.discard(side)
        socket = self._playing.pop(side, None)
        if socket is not None:
            socket.over = True

    def _candidates(self, venue: str, target: str) -> list[_Recorded]:
        """In the order in which they were opened. A client that comes far too soon must not take what is to come."""
        latest = self._now_ns + EARLY_NS
        return [
            socket
            for socket in self._sockets.values()
            if socket.side is None and not socket.over and socket.opened.ns <= latest
            if (socket.opened.venue, socket.opened.target) == (venue, target)
        ]


class PlayedNetwork:
    """`Network`: every connection leads to the playback. There is no TLS, whoever asks for it."""

    def __init__(self, playback: Playback, venue: str) -> None:
        self._playback, self._venue = playback, venue

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """See `Network.connect`."""
        await trio.lowlevel.checkpoint()
        return _PlayedStream(self._playback, self._venue, host)


class _PlayedStream(trio.abc.Stream):
    def __init__(self, playback: Playback, venue: str, host: str) -> None:
        self._readers = trio.lowlevel.ParkingLot()
        self._side = VenueSide(playback, venue, host, self._wake)
        self._closed = False

    def _wake(self) -> None:
        self._readers.unpark_all()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        if self._side.ended:
            raise trio.BrokenResourceError("the venue closed the connection")
        self._side.receive(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        out = self._side.out
        while not out and not self._side.ended and not self._closed:
            await self._readers.park()
        if self._closed:
            raise trio.ClosedResourceError
        data = bytes(out[:max_bytes])
        del out[: len(data)]
        return data

    async def aclose(self) -> None:
        self._closed = True
        self._side.end()
        self._readers.unpark_all()
        await trio.lowlevel.checkpoint()

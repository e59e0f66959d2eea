"""A `Wire` without a connection around it, for tests: what it tells is noted, what it sends is read back frame by frame."""

from arbiter.rpc import frames
from arbiter.rpc.frames import frame
from arbiter.rpc.hpack_decoder import Decoder
from arbiter.rpc.sending import Stream
from arbiter.rpc.wire import Wire

REQUEST = b"\x83\x86\x44\x02/a\x01\x01t"
"""A header block: POST, http, /a (remembered by the table), t."""
LITERAL = b"\x83\x86\x04\x02/a\x01\x01t"
"""The same, nothing of it remembered."""
ANSWER = b"\x88"
TRAILERS = b"\x00\x0bgrpc-status\x010"


def frames_of(data):
    """(kind, flags, stream, payload) of each frame; everything must be whole."""
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 3], "big")
        kind, flags = data[at + 3], data[at + 4]
        assert length <= frames.LEAST_FRAME, "what the peer takes"
        assert at + 9 + length <= len(data), "a frame cut short"
        found.append((kind, flags, int.from_bytes(data[at + 5 : at + 9], "big"), bytes(data[at + 9 : at + 9 + length])))
        at += 9 + length
    return found


class Noting(Stream):
    """A stream that notes when it is drained."""

    __slots__ = ("heard",)

    def __init__(self, heard, id_, ended):
        super().__init__(id_, heard.wire.first_window, ended)
        self.heard = heard

    def drained(self):
        self.heard.events.append(("drained", self.id))


class Heard:
    """One side. `events` is what the wire told; blocks are told as lists of fields."""

    def __init__(self, *, client=False, most_streams=1000):
        self.events = []
        self.takes = True
        """What comes is taken in at once."""
        self.now = 0.0
        self.wire = Wire(self, lambda headers: headers, client=client, most_streams=most_streams)
        self.read_out = Decoder()

    # -- the hooks --

    def opened(self, stream_id, block, ended):
        self.wire.streams[stream_id] = Noting(self, stream_id, ended)
        self.events.append(("opened", stream_id, block, ended))

    def headers(self, stream, block, ended):
        self.events.append(("headers", stream.id, block, ended))

    def data(self, stream, payload, ended):
        self.events.append(("data", stream.id, bytes(payload), ended))
        if self.takes:
            self.wire.took(stream, len(payload))

    def was_reset(self, stream, code):
        self.events.append(("reset", stream.id, code))

    def going_away(self, last, code, text):
        self.events.append(("going away", last, code, text))

    def pong(self):
        self.events.append(("pong",))

    # -- for the test --

    def receive(self, *parts):
        self.wire.receive(b"".join(parts), self.now)

    def told(self):
        """What was told since the last time."""
        told, self.events = self.events, []
        return told

    def sent(self):
        """The frames that were sent since the last time; `take` as often as there is something."""
        data = b""
        while self.wire.out:
            data += self.wire.take()
        if data.startswith(frames.PREFACE):
            data = data[len(frames.PREFACE) :]
        return frames_of(data)

    def stream(self, number):
        return self.wire.streams[number]

    def open(self, path=b"/a"):
        """Begin a call (client)."""
        stream = Noting(self, self.wire.next_id(), ended=False)
        self.wire.open(stream, b"\x83\x86\x04" + bytes([len(path)]) + path + b"\x01\x01t")
        return stream


def server(**options):
    """A server's side whose client has greeted it."""
    heard = Heard(**options)
    heard.receive(frames.PREFACE, frames.settings([]))
    heard.sent()
    return heard


def client():
    """A client's side whose server has greeted it."""
    heard = Heard(client=True)
    heard.receive(frames.settings([]))
    heard.sent()
    return heard


def headers(number, block=LITERAL, *, end=False, more=0):
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0) | more
    return frame(frames.HEADERS, flags, number, block)


def data(number, payload=b"", *, end=False):
    return frame(frames.DATA, frames.END_STREAM if end else 0, number, payload)


LARGE = frames.window_update(0, 2**30)
"""A connection's window that nothing here fills."""


def calls(*numbers, window=frames.DEFAULT_WINDOW, **options):
    """A server with these calls open, each with so much window of its own."""
    heard = server(**options)
    heard.receive(frames.settings([(frames.INITIAL_WINDOW_SIZE, window)]), *(headers(number) for number in numbers))
    heard.sent()
    heard.told()
    return heard

"""Frames at random, of a peer that mostly behaves."""

from hpack import Encoder

from arbiter.rpc import frames
from arbiter.rpc.frames import frame

REQUEST = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"t")]
ANSWER = [(b":status", b"200"), (b"x", b"y")]
TRAILERS = [(b"grpc-status", b"0"), (b"grpc-message", b"m" * 40)]


class Chaos:
    """Frames of a peer that mostly behaves."""

    def __init__(self, random, *, to_client):
        self.random = random
        self.to_client = to_client
        self.encoder = Encoder()
        self.next = 1

    def number(self):
        roll = self.random.random()
        if roll < 0.85:
            return self.random.choice(range(1, max(2, self.next), 2))
        return self.random.choice((0, 2, self.next, self.next + 2, 2**31 - 1))

    def block(self):
        fields = self.random.choice((REQUEST, ANSWER, TRAILERS) if self.to_client else (REQUEST, REQUEST, TRAILERS))
        if self.random.random() < 0.05:
            self.encoder.header_table_size = self.random.choice((0, 100, 4096))
        return bytes(self.encoder.encode([*fields, (b"n", b"%d" % self.random.randrange(5))], huffman=self.random.random() < 0.5))

    def headers(self, number):
        flags, payload = 0, self.block()
        if self.random.random() < 0.5:
            flags |= frames.END_STREAM
        if self.random.random() < 0.2:
            payload = frames.number(self.random.choice((0, number, 2**31 + 5))) + b"\x10" + payload
            flags |= frames.WITH_PRIORITY
        if self.random.random() < 0.2:
            padding = self.random.randrange(20)
            payload = bytes([padding]) + payload + bytes(padding)
            flags |= frames.PADDED
        if self.random.random() < 0.8:
            return frame(frames.HEADERS, flags | frames.END_HEADERS, number, payload)
        cut = self.random.randrange(21, len(payload)) if len(payload) > 21 else len(payload)
        rest = payload[cut:]
        if flags & frames.PADDED:
            payload, rest, flags = payload[1 : len(payload) - payload[0]], b"", flags & ~frames.PADDED
            cut = len(payload)
        middle = frame(frames.CONTINUATION, 0, number) * self.random.randrange(3)
        return frame(frames.HEADERS, flags, number, payload[:cut]) + middle + frame(frames.CONTINUATION, frames.END_HEADERS, number, rest)

    def data(self):
        payload = self.random.randbytes(self.random.choice((0, 1, 5, 300)))
        flags = frames.END_STREAM if self.random.random() < 0.3 else 0
        if self.random.random() < 0.3:
            padding = self.random.randrange(30)
            payload, flags = bytes([padding]) + payload + bytes(padding), flags | frames.PADDED
        return frame(frames.DATA, flags, self.number(), payload)

    def one(self):
        random = self.random
        match random.randrange(20):
            case 0 | 1 | 2 | 3 | 4 if not self.to_client:
                number, self.next = self.next, self.next + random.choice((2, 2, 2, 4))
                made = self.headers(number)
            case 0 | 1 | 2 | 3 | 4 | 5:
                made = self.headers(self.number())
            case 6 | 7 | 8 | 9 | 10 | 11:
                made = self.data()
            case 12:
                made = frames.reset(self.number(), random.choice((0, 8, 99)))
            case 13 | 14:
                made = frames.window_update(self.number(), random.choice((1, 1, 70_000, 70_000, 0, 2**31 - 1)))
            case 15:
                key, value = random.randrange(8), random.choice((0, 1, 2, 16_384, 65_535, 2**24, 2**31 - 1, 2**31))
                made = frames.settings([] if random.random() < 0.5 else [(key, value)])
            case 16:
                made = frame(frames.PING, random.randrange(2), 0, random.randbytes(8))
            case 17:
                made = frame(frames.PRIORITY, 0, self.number(), random.choice((bytes(4), b"\0\0\0\x01")) + b"\x10")
            case 18:
                made = frame(random.randrange(12, 256), random.randrange(256), self.number(), random.randbytes(random.randrange(9)))
            case _:
                made = frame(
                    random.choice((3, 4, 5, 6, 7, 8, 9)), random.choice((0, 1, 4)), self.number(), random.randbytes(random.randrange(13))
                )
        return self.mutated(made) if random.random() < 0.06 else made

    def mutated(self, made):
        at = self.random.choice((3, 4, 8, self.random.randrange(9 + int.from_bytes(made[:3], "big"))))
        if at < 3:
            return made  # another length makes one frame of several; `test_wire.py` has the wrong ones
        return made[:at] + bytes([made[at] ^ (1 << self.random.randrange(8))]) + made[at + 1 :]

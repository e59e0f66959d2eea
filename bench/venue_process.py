"""The generator: both venues' sockets in a process of its own, which sends frames made in advance.

    python -m bench.venue_process CORE FRAMES SENT_FILE

It speaks real WebSocket on loopback, answers subscriptions with whole books, and then does what it is told on standard
input: `burst N` (as fast as the sockets take them) or `pace N RATE` (each frame at its own time). Every answer is one
line on standard output. `SENT_FILE` holds, for each frame, the monotonic nanosecond just before it was written.
"""

import gc
import json
import mmap
import os
import selectors
import socket
import struct
import sys
import time
from pathlib import Path

import msgspec
from websockets.datastructures import Headers
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from bench.frames import KALSHI_SID, Traffic

BATCH = 32
"""Frames of one write in a burst."""
LOOK_EVERY = 512
"""Frames between two looks at what the client says (PING)."""
SPIN_NS = 120_000


class Client:
    """One accepted connection."""

    def __init__(self, sock: socket.socket, venue: str) -> None:
        self.sock = sock
        self.venue = venue
        self.markets: set[str] = set()
        self._protocol = ServerProtocol()

    def read(self, traffic: Traffic) -> bool:
        """Take what has come, without waiting, and answer it. False when the connection is over."""
        try:
            data = self.sock.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(_without_compression(event)))
            elif isinstance(event, WebSocketFrame) and event.opcode is Opcode.TEXT:
                self._answer(bytes(event.data), traffic)
        for out in self._protocol.data_to_send():
            if out:
                self.sock.sendall(out)
        return True

    def _answer(self, text: bytes, traffic: Traffic) -> None:
        if text == b"PING":
            self._protocol.send_text(b"PONG")
            return
        said = json.loads(text)
        if self.venue == "kalshi":
            self._subscribe(said["id"], said["params"], traffic)
        elif said.get("type") == "market" or said.get("operation") == "subscribe":
            tokens = set(said["assets_ids"])
            self.markets |= {m.key.market for m in traffic.markets if m.yes.id in tokens}
            self._protocol.send_text(traffic.polymarket_books(tokens))

    def _subscribe(self, number: int, params: dict[str, list[str]], traffic: Traffic) -> None:
        """Books come; on the other channels nothing happens."""
        (channel,) = params["channels"]
        sid = KALSHI_SID if channel == "orderbook_delta" else KALSHI_SID + number
        self._protocol.send_text(msgspec.json.encode({"id": number, "type": "subscribed", "msg": {"channel": channel, "sid": sid}}))
        if channel == "orderbook_delta":
            self.markets = set(params["market_tickers"])
            for snapshot in traffic.kalshi_snapshots():
                self._protocol.send_text(snapshot)


class Generator:
    """The sockets, the frames, and where in them we are."""

    def __init__(self, count: int, sent_file: Path) -> None:
        self.traffic = Traffic()
        self.count = count
        self._next = 0
        self._clients: list[Client] = []
        self._selector = selectors.DefaultSelector()
        self.ports = {venue: self._listen(venue) for venue in ("polymarket", "kalshi")}
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
        with sent_file.open("r+b") as file:
            self._sent = memoryview(mmap.mmap(file.fileno(), count * 8)).cast("q")
        self._frames: list[tuple[str, bytes]] = []

    def prepare(self) -> None:
        """Make and frame everything now: while measuring, nothing is encoded. After the first books, whose numbers come first."""
        self._frames = [(frame.market, _framed(frame.text)) for frame in self.traffic.stream(self.count)]
        gc.collect()
        gc.freeze()
        gc.disable()

    def _listen(self, venue: str) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        self._selector.register(listener, selectors.EVENT_READ, venue)
        port: int = listener.getsockname()[1]
        return port

    def serve(self) -> None:
        """Until standard input ends."""
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.data, str):
                    self._accept(key.fileobj, key.data)  # type: ignore[arg-type]
                elif isinstance(key.data, Client):
                    self._read(key.data)
                elif not self._obey(os.read(sys.stdin.fileno(), 4096).decode().split()):
                    return

    def _accept(self, listener: socket.socket, venue: str) -> None:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(sock, venue)
        self._clients.append(client)
        self._selector.register(sock, selectors.EVENT_READ, client)

    def _read(self, client: Client) -> None:
        if not client.read(self.traffic):
            self._selector.unregister(client.sock)
            self._clients.remove(client)

    def _obey(self, command: list[str]) -> bool:
        match command:
            case ["prepare"]:
                self.prepare()
            case ["burst", count]:
                self._burst(int(count))
            case ["pace", count, rate]:
                self._pace(int(count), int(rate))
            case _:
                return False
        print("done", flush=True)
        return True

    def _burst(self, count: int) -> None:
        socket_of = self._socket_of()
        end = self._next + count
        for start in range(self._next, end, BATCH):
            batch: dict[socket.socket, list[bytes]] = {}
            for market, data in self._frames[start : min(end, start + BATCH)]:
                batch.setdefault(socket_of[market], []).append(data)
            for sock, pieces in batch.items():
                sock.sendall(b"".join(pieces))
            if start % LOOK_EVERY < BATCH:
                self._look()
        self._next = end

    def _pace(self, count: int, rate: int) -> None:
        socket_of, sent, frames, clock = self._socket_of(), self._sent, self._frames, time.monotonic_ns
        gap = 1_000_000_000 // rate
        due = clock()
        for number in range(self._next, self._next + count):
            due += gap
            market, data = frames[number]
            sock = socket_of[market]
            while (now := clock()) < due:
                if due - now > SPIN_NS:
                    time.sleep((due - now - SPIN_NS // 2) / 1e9)
            sent[number] = clock()
            sock.sendall(data)
            if number % LOOK_EVERY == 0:
                self._look()
        self._next += count

    def _look(self) -> None:
        for client in tuple(self._clients):
            self._read(client)

    def _socket_of(self) -> dict[str, socket.socket]:
        return {market: client.sock for client in self._clients for market in client.markets}


def _without_compression(request: Request) -> Request:
    headers = Headers([(name, value) for name, value in request.headers.raw_items() if name.lower() != "sec-websocket-extensions"])
    return Request(request.path, headers)


def _framed(text: bytes) -> bytes:
    """A server's text frame: final, not masked."""
    if len(text) < 126:
        return bytes((0x81, len(text))) + text
    if len(text) < 65_536:
        return struct.pack("!BBH", 0x81, 126, len(text)) + text
    return struct.pack("!BBQ", 0x81, 127, len(text)) + text


def main() -> None:
    core, count, sent_file = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    if core >= 0:
        os.sched_setaffinity(0, {core})
    generator = Generator(count, sent_file)
    print(json.dumps(generator.ports), flush=True)
    generator.serve()


if __name__ == "__main__":
    main()

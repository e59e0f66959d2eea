"""The raw clients of the rpc bench, in a process of their own; does what it is told on standard input, one JSON object a line.

python -m bench.rpc_load_process PORT TOKEN
"""

import json
import select
import sys
import time
from collections import Counter
from typing import Any

from arbiter.v1 import strategy_pb2
from bench import rpc_work
from bench.rpc_raw import DATA, END_STREAM, HEADERS, NARROW_WINDOW, SECONDS, CallFailed, RawConnection, header_block, message

EMPTY = message()
UNTIMED = 5
FLOOD_BEGINS_SECONDS = 0.3
READ = 256 * 1024
QUIET_SECONDS = 0.02
"""Nothing came for so long: time to look into what did."""
WALLET_BYTES = len(message(rpc_work.wallet().SerializeToString()))


class Arrivals:
    """What comes on some connections, and when."""

    def __init__(self, connections: list[RawConnection]) -> None:
        self._ready = select.epoll()
        self._read = {}
        for number, each in enumerate(connections):
            self._ready.register(each.socket, select.EPOLLIN)
            self._read[each.socket.fileno()] = (number, each.socket.recv)

    def until_quiet(self) -> list[tuple[int, bytes, int]]:
        """Wait for bytes, and on until there are no more for a while: which connection's, the bytes, the monotonic nanosecond."""
        arrived: list[tuple[int, bytes, int]] = []
        wait = SECONDS
        while found := self._ready.poll(wait):
            for descriptor, _ in found:
                number, receive = self._read[descriptor]
                arrived.append((number, receive(READ), time.monotonic_ns()))
            wait = QUIET_SECONDS
        if not arrived:
            raise CallFailed("streams had no message")
        return arrived


class Orders:
    """What this process is told to do."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._many: list[RawConnection] = []
        self._streams = 0

    def carry_out(self, do: str, **details: Any) -> dict[str, Any]:
        return getattr(self, do)(**details)

    def _block(self, path: str) -> bytes:
        return header_block(path, f"127.0.0.1:{self._port}", self._token)

    def unary(self, count: int, most_seconds: float) -> dict[str, Any]:
        """Calls one after the other on a new connection, and fewer where the time is over; how long each took but the first ones."""
        caller, block = RawConnection(self._port), self._block(rpc_work.AT_ONCE)
        for _ in range(UNTIMED):
            caller.call(block, EMPTY, WALLET_BYTES)
        took_ns: list[int] = []
        until = time.monotonic() + most_seconds
        while len(took_ns) < count and time.monotonic() < until:
            took_ns.append(caller.call(block, EMPTY, WALLET_BYTES))
        caller.close()
        return {"took_ns": took_ns}

    def connect(self, connections: int) -> dict[str, Any]:
        """So many connections, each of which has had one call answered."""
        block = self._block(rpc_work.AT_ONCE)
        self._many = [RawConnection(self._port) for _ in range(connections)]
        for each in self._many:
            each.call(block, EMPTY, WALLET_BYTES)
        return {}

    def open(self, streams: int) -> dict[str, Any]:
        """So many streams of opportunities on each of the connections."""
        block = self._block(rpc_work.OPPORTUNITIES)
        body = message(strategy_pb2.ArbRequest(min_net_per_contract_micros=1).SerializeToString())
        for each in self._many:
            for _ in range(streams):
                each.begin(block, body)
        self._streams = streams
        return {}

    def update(self) -> dict[str, Any]:
        """Wait until every stream has had one message; when the last of them came.

        Until then bytes are only taken in and stamped: who looks into them meanwhile takes longer than the server that is measured.
        """
        missing = len(self._many) * self._streams
        came: Counter[tuple[int, int]] = Counter()
        last_ns, length = 0, 0
        arrived = Arrivals(self._many)
        while missing:
            for number, data, at_ns in arrived.until_quiet():
                each = self._many[number]
                for kind, flags, stream, payload in each.frames(data):
                    if flags & END_STREAM:
                        raise CallFailed(f"a stream ended: {each.headers(payload) if kind == HEADERS else ''}")
                    if kind == DATA:
                        length = length or 5 + int.from_bytes(payload[1:5], "big")
                        came[number, stream] += len(payload)
                        if came[number, stream] == length:
                            missing -= 1
                            last_ns = max(last_ns, at_ns)
                    else:
                        each.headers(payload)
        if set(came.values()) != {length}:
            raise CallFailed("a stream had more than one message")
        return {"last_ns": last_ns, "bytes": length}

    def drop(self) -> dict[str, Any]:
        """Close all the connections at once."""
        at_ns = time.monotonic_ns()
        for each in self._many:
            each.close()
        self._many = []
        return {"at_ns": at_ns}

    def flood(self) -> dict[str, Any]:
        """Read a stream that sends as fast as it can, until another line comes. Answers twice: when it has begun, and at the end."""
        reader = RawConnection(self._port, NARROW_WINDOW)
        reader.call(self._block(rpc_work.AT_ONCE), EMPTY, WALLET_BYTES)
        stream = reader.begin(self._block(rpc_work.FLOOD), EMPTY)
        reader.swallow(stream, lambda took: took < FLOOD_BEGINS_SECONDS)
        print(json.dumps({}), flush=True)
        whole, took = reader.swallow(stream, lambda _: not select.select([sys.stdin], [], [], 0)[0])
        sys.stdin.readline()
        reader.close()
        return {"mib_per_s": whole / 2**20 / took}


def main(port: int, token: str) -> None:
    orders = Orders(port, token)
    for line in sys.stdin:
        print(json.dumps(orders.carry_out(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

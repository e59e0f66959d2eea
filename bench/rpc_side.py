"""One server of the rpc bench with the clients that load it, and what is measured of it."""

import statistics
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import h2load, rpc_work
from bench.process import Process
from bench.rpc_raw import message

CONNECTIONS, CALLS_EACH = 10, 10
MANY, STREAMS_EACH = 50, 20
NEIGHBOUR_LIMIT = 300
"""Requests a second of the neighbour's tier; it may send twice as many at once."""
BURST_SECONDS = 2.5
"""Sending twice its limit, the neighbour has spent its burst after this."""
POLL_SECONDS = 0.005
PATIENCE_SECONDS = 30.0
FLOOD = 10**12
"""Messages of a stream that only its reader ends."""


class Side:
    """One server and the raw clients that belong to it."""

    def __init__(self, stack: ExitStack, name: str, module: str, body: Path, token: str = "") -> None:
        self.name = name
        self.server = Process(stack, module)
        reached = self.server.heard()
        self.port: int = reached["port"]
        self.token: str = reached.get("token", token)
        self.neighbour: str = reached.get("neighbour", "")
        self.caller, self.reader = (Process(stack, "rpc_load_process", self.port, self.token) for _ in range(2))
        self._body = body
        self._rates: dict[str, float] = {}
        self._cpu_us: dict[str, list[float]] = {}

    def cpu_us(self, path: str) -> float:
        """CPU time of the server for each call (or message) under h2load, median of the rounds: what a busy machine changes least."""
        return statistics.median(self._cpu_us[path][1:])  # the first one warmed up

    def unary_rate(self, path: str, reply: Any, seconds: float) -> float:
        """Calls a second that ended with status 0."""
        if path not in self._rates:
            self._rates[path] = self._unary(path, reply, 1_000)  # warms up, and tells how many fill the time
        return self._unary(path, reply, max(500, int(self._rates[path] * seconds)))

    def _unary(self, path: str, reply: Any, count: int) -> float:
        before, cpu = self.server.ask(do="counts")["ok"], self.server.cpu_seconds()
        ran = h2load.run(self.port, path, self.token, self._body, requests=count, connections=CONNECTIONS, streams=CALLS_EACH)
        self._cpu_us.setdefault(path, []).append((self.server.cpu_seconds() - cpu) / count * 1e6)
        ok = self.server.ask(do="counts")["ok"] - before
        self._check(ran, ok, count, ok * len(message(reply.SerializeToString())))
        return ok / ran.seconds

    def stream_rate(self, seconds: float) -> float:
        """Messages a second to one reader."""
        if rpc_work.FLOOD not in self._rates:
            self._rates[rpc_work.FLOOD] = self._stream(5_000)
        return self._stream(max(5_000, int(self._rates[rpc_work.FLOOD] * seconds)))

    def _stream(self, count: int) -> float:
        self.server.ask(do="flood", count=count)
        before, cpu = self.server.ask(do="counts"), self.server.cpu_seconds()
        ran = h2load.run(self.port, rpc_work.FLOOD, self.token, self._body, requests=1, connections=1, streams=1)
        self._cpu_us.setdefault(rpc_work.FLOOD, []).append((self.server.cpu_seconds() - cpu) / count * 1e6)
        after = self.server.ask(do="counts")
        messages = after["messages"] - before["messages"]
        self._check(ran, after["ok"] - before["ok"], 1, count * len(message(rpc_work.UPDATE.SerializeToString())))
        return messages / ran.seconds

    def _check(self, ran: h2load.Ran, ok: int, count: int, data_bytes: int) -> None:
        if ok != count or ran.done != count or ran.data_bytes != data_bytes:
            raise RuntimeError(f"{self.name}: of {count} calls {ok} ended well; h2load saw {ran}, where {data_bytes} bytes were due")

    def latencies(self, count: int, most_seconds: float = PATIENCE_SECONDS) -> list[float]:
        """Milliseconds of single calls, one after the other; fewer where the time is over."""
        took: list[int] = self.caller.ask(do="unary", count=count, most_seconds=most_seconds)["took_ns"]
        return [ns / 1e6 for ns in took]

    def busy_latencies(self, count: int, most_seconds: float) -> tuple[list[float], float]:
        """The same beside a stream that is read flat out; and that stream's MiB/s."""
        self.server.ask(do="flood", count=FLOOD)
        self.reader.ask(do="flood")
        found = self.latencies(count, most_seconds)
        flood = self.reader.ask()["mib_per_s"]
        self.wait_idle()
        return found, flood

    def open_many(self) -> None:
        """1,000 quiet streams, which the server runs when this returns."""
        self.reader.ask(do="open", streams=STREAMS_EACH)
        self._wait_running(MANY * STREAMS_EACH)

    def wait_idle(self) -> int:
        """Until no call runs; the monotonic nanosecond at which that was seen."""
        return self._wait_running(0)

    def _wait_running(self, count: int) -> int:
        until = time.monotonic() + PATIENCE_SECONDS
        while (running := self.server.ask(do="counts")["running"]) != count:
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name}: {running} calls run, where {count} were due")
            time.sleep(POLL_SECONDS)
        return time.monotonic_ns()

    def fan_out(self, updates: int) -> tuple[float, float]:
        """Messages a second over 1,000 streams, and the median ms until an update's last copy."""
        self.reader.ask(do="connect", connections=MANY)
        self.open_many()
        took = [self._update() for _ in range(updates + 2)][2:]  # each stream's first one begins its answer
        self.reader.ask(do="drop")
        self.wait_idle()
        self.server.ask(do="over")
        return MANY * STREAMS_EACH * updates / sum(took), statistics.median(took) * 1000

    def _update(self) -> float:
        self.reader.tell(do="update")
        began_ns: int = self.server.ask(do="publish")["at_ns"]
        took_ns: int = self.reader.heard()["last_ns"] - began_ns
        if took_ns <= 0:
            raise RuntimeError(f"{self.name}: the streams had messages of another update")
        return took_ns / 1e9

    def quiet(self) -> tuple[float, float]:
        """On a fresh server: KiB for each of 1,000 quiet streams, and seconds until all are gone after the connections closed."""
        self.latencies(200)
        self.reader.ask(do="connect", connections=2)
        self.reader.ask(do="open", streams=2)
        self._wait_running(4)
        self.reader.ask(do="drop")
        self.wait_idle()
        self.reader.ask(do="connect", connections=MANY)
        self.server.ask(do="settle")
        before = self.server.resident_kib()
        self.open_many()
        self.server.ask(do="settle")
        grown = self.server.resident_kib() - before
        began_ns: int = self.reader.ask(do="drop")["at_ns"]
        return grown / (MANY * STREAMS_EACH), (self.wait_idle() - began_ns) / 1e9

    def hammer(self, seconds: float) -> "subprocess.Popen[str]":
        """The neighbour: twice its limit, on a connection of its own. h2load sends what is due every 10 ms, six at once."""
        arguments = ("-D", f"{int(seconds * 1000)}ms", "-c", 1, "-m", 100, f"--rps={2 * NEIGHBOUR_LIMIT}")
        line = h2load.command(self.port, rpc_work.AT_ONCE, self.neighbour, self._body, arguments)
        return subprocess.Popen(line, stdout=subprocess.PIPE, text=True)

"""The Bot API: two bots of the sandbox in a process of its own, their people, and the only clock that counts.

    python -m bench.bot_api_process

Prints where each side's bot finds its API, with which token; then does what it is told on standard input, one JSON object a
line: `count` updates to the bot of a `side` from the people of a `group`, in turn, `rate` a second (0: all at once). Answers with
one line: for each update the nanoseconds from when it could be fetched to when its reply had come, and what was no good reply.
"""

import gc
import json
import sys
import time
from collections import deque
from random import Random
from typing import Any

import trio

from arbiter.runtime import Environment
from arbiter.sandbox.http import Deferred, Request, Response
from arbiter.sandbox.shells import Shell, Wake, serve_ticking
from arbiter.sandbox.telegram.chats import ChatLog
from arbiter.sandbox.telegram.engine import TelegramEngine
from arbiter.sandbox.telegram.limits import UNLIMITED
from bench.bot_people import COMMAND, names

TOKENS = {"ours": "1000001:bench-token-of-ours", "reference": "1000002:bench-token-of-the-reference"}
GOOD = "tier enterprise"
"""Stands in every status, and in no refusal."""
PATIENCE_SECONDS = 90.0


class TimedEngine(TelegramEngine):
    """The engine, with its limits lifted, and when each message of the bot came in."""

    def __init__(self, token: str) -> None:
        super().__init__(token, limits=UNLIMITED)
        self.sent: dict[int, deque[int]] = {}
        self.took: list[int] = []
        self.last = 0
        self.bad: list[str] = []
        self.calls: dict[str, int] = {}
        self._changed: ChatLog | None = None
        page, self._to_page = self.state, self.state.changed
        page.changed = self._on_change

    def _on_change(self, log: ChatLog) -> None:
        self._changed = log
        self._to_page(log)

    def handle(self, request: Request, now_ms: int) -> Response | Deferred:
        came = time.monotonic_ns()
        self._changed = None
        answer = super().handle(request, now_ms)
        method = request.path.rpartition("/")[2]
        self.calls[method] = self.calls.get(method, 0) + 1
        if method == "sendMessage":
            self._replied(came, answer)
        return answer

    def _replied(self, came: int, answer: Response | Deferred) -> None:
        log = self._changed
        if log is None or not isinstance(answer, Response) or answer.status != 200:
            self.bad.append(repr(answer)[:200])
            return
        text = str(next(reversed(log.messages.values())).text)
        if GOOD not in text:
            self.bad.append(text[:200])
        self.took.append(came - self.sent[log.chat.id].popleft())
        self.last = came


class Side:
    """One bot's engine and its people."""

    def __init__(self, token: str, environment: Environment) -> None:
        self.engine = TimedEngine(token)
        self.shell = Shell(self.engine, environment.unix_ms, Wake())
        self._environment = environment

    def say(self, name: str) -> None:
        """A person writes; their update can be fetched from now on."""
        now_ms = self._environment.unix_ms()
        chat = self.engine.people.chat_of(name, now_ms)
        self.engine.sent.setdefault(chat.chat.id, deque()).append(time.monotonic_ns())
        self.engine.people.say(COMMAND, now_ms, by=name)
        self.shell.wake.all()

    async def round(self, group: int, count: int, rate: float, seed: int) -> dict[str, Any]:
        """Write, wait for the replies, tell how it went."""
        engine, people = self.engine, names(group)
        engine.took, engine.bad, engine.calls = [], [], {}
        engine.sent.clear()
        gc.collect()
        random, began, due = Random(seed), time.monotonic_ns(), trio.current_time()
        for number in range(count):
            self.say(people[number % len(people)])
            if rate:
                due += random.uniform(0.5, 1.5) / rate
                await trio.sleep_until(due)
        with trio.move_on_after(PATIENCE_SECONDS):
            while len(engine.took) < count:  # noqa: ASYNC110 looked at seldom enough
                await trio.sleep(0.02)
        return {
            "took_ns": engine.took,
            "whole_ns": engine.last - began,
            "bad": [*engine.bad, *["no reply"] * (count - len(engine.took))],
            "calls": engine.calls,
        }


async def main() -> None:
    environment = Environment.real()
    sides = {side: Side(token, environment) for side, token in TOKENS.items()}
    async with trio.open_nursery() as nursery:
        ports = {name: await nursery.start(serve_ticking, side.shell, side.engine, 0) for name, side in sides.items()}
        print(json.dumps({name: {"url": f"http://127.0.0.1:{port}", "token": TOKENS[name]} for name, port in ports.items()}), flush=True)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            order = json.loads(line)
            side = sides[order.pop("side")]
            print(json.dumps(await side.round(**order)), flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
